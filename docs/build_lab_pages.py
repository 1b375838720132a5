"""Makes docs/lab: a page for each scenario, from its card and a recorded session, and the index.

Run it after a scenario was added or its card changed. A page that has a recording keeps it;
`--record` makes all of them anew. What this machine can't run is never recorded anew.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Final

from relay.audit.expectations import EXPECTATIONS, Expected
from relay.cli.own_relays import OwnRelay, own_relays
from relay.core.advisory_cards import ADVISORIES
from relay.core.fault_cards import FAULTS
from relay.core.records import SessionDirection
from relay.core.scenarios import Family, ReachedBy, Scenario, ScenarioClass
from relay.core.settings import Protection, TlsMode, TlsSetting, TlsVersion
from relay.journal.api import MessageRecord
from relay.lab.availability import why_unavailable
from relay.lab.catalogue import LAB_SCENARIOS, SCENARIOS
from relay.lab.scripts import LabScenario, ServeLegacyTls, ServeTls

PAGES: Final = Path(__file__).parent / "lab"
INDEX: Final = PAGES / "README.md"
SETTING: Final = TlsSetting.REQUIRED_VERIFY
"""What the recorded sessions are judged under: nothing at fault gets past it."""
WIDTH: Final = 180
"""Characters shown of one recorded line."""

_FAMILIES: Final[Mapping[Family, str]] = {
    Family.HONEST: "Everything is right, in every way that is right; the message arrives.",
    Family.STARTTLS: "The trouble begins ahead of the handshake: no offer, no go-ahead.",
    Family.HANDSHAKE: "TLS is offered, and the two sides can't agree on it.",
    Family.CERTIFICATE: "The handshake would succeed; the certificate proves nothing.",
    Family.SMTP: "TLS is honest; it is SMTP that does not go as hoped. The control group.",
}
_INTRODUCTION: Final = """\
<!-- Made by docs/build_lab_pages.py from the scenarios' cards. -->

# The lab's scenarios

Mail to `anyone@NAME.lab.test` reaches the receiver of that name, and so does any domain that a
policy's `routes` send to `lab/NAME`. Each page says what the receiver does, where people meet it,
what is found, and what comes of a message under each setting, and shows a recorded session.
"""
_LEGEND: Final = """\
## Reading a recording

`-->` was sent and `<--` received in clear text, `~~>` and `<~~` under TLS; `*` is a remark of the
relay's, and `-1` stands where a reply has no code. Below the dialog stand the faults, with what was
seen of each, and the reply that the relay's own client got for its message. Times are left out;
`PORT`, `DATE` and `ID` stand for what differs from run to run, and long lines are cut. OpenSSL's
words differ from version to version.
"""
_RECORDING: Final = re.compile(r"^```text\n(.*?\n)```$", re.DOTALL | re.MULTILINE)
_VARYING: Final = (
    (re.compile(r"(?<=\]:)\d+"), "PORT"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC"), "DATE"),
    (re.compile(r"(?<= )[0-9a-f]{8}(?=,O=)"), "ID"),
)


def page(scenario: LabScenario, recording: str) -> str:
    """Return a scenario's page; `recording` is the text of its session, lines with their ends."""
    card = scenario.card
    sections = {
        "What it does": f"{card.summary}\n\n{_receiver(scenario)}",
        "In the wild": card.in_the_wild,
        "What is found": _found(scenario),
        "What follows": _settings(card),
        "What a client sees": (
            f"The relay is the client, under {SETTING.label}; "
            "[how to read it](README.md#reading-a-recording).\n\n"
            f"```text\n{recording}```"
        ),
        "Remedy": card.remedy,
        "Try it": _trial(scenario),
    }
    head = (
        "<!-- Made by docs/build_lab_pages.py from the scenario's card. -->\n\n"
        f"# {card.name}\n\n"
        f"Family [{card.family.value}](README.md#{card.family.value}), "
        f"class {card.scenario_class.value}.\n"
    )
    return head + "".join(f"\n## {title}\n\n{text}\n" for title, text in sections.items())


def index(cards: Collection[Scenario]) -> str:
    """Return the index: every scenario, family by family, and how to read a page."""
    parts = [_INTRODUCTION]
    for family in Family:
        rows = [f"| [{c.name}]({c.name}.md) | {c.summary} |" for c in cards if c.family is family]
        table = "\n".join(["| scenario | what the receiver does |", "|---|---|", *rows])
        parts.append(f"## {family.value}\n\n{_FAMILIES[family]}\n\n{table}\n")
    return "\n".join([*parts, _LEGEND])


def recording_in(text: str) -> str | None:
    """Return the recording that a page holds, None if it holds none."""
    found = _RECORDING.search(text)
    return found[1] if found else None


def _receiver(scenario: LabScenario) -> str:
    card = scenario.card
    reached = "its IP address" if card.reached_by is ReachedBy.ADDRESS else "name"
    tls = " TLS begins with the first octet." if card.mode is TlsMode.IMPLICIT else ""
    recipes = scenario.rotation or ((card.recipe,) if card.recipe else ())
    shown = " and ".join(_recipe(name) for name in recipes)
    turns = ", by turns" if len(recipes) > 1 else ""
    certificate = (
        f"its certificate is made from {shown}{turns}" if shown else "shows no certificate"
    )
    match scenario.script.handshake:
        case ServeTls(named_recipe=str() as other):
            certificate += f", or from {_recipe(other)} for a client that sends the host's name"
        case _:
            pass
    return f"The host is `{card.host}`, reached by {reached}; {certificate}.{tls}"


def _recipe(name: str) -> str:
    return f"[{name}](../../certs/{name}.yaml)"


def _found(scenario: LabScenario) -> str:
    reported = [f"| `{k.value}` | {ADVISORIES[k].meaning} |" for k in scenario.card.advisories]
    if not reported:
        return _faults(scenario)
    table = "\n".join(["| reported | meaning |", "|---|---|", *reported])
    return f"{_faults(scenario)}\n\n{table}"


def _faults(scenario: LabScenario) -> str:
    card = scenario.card
    if card.faults:
        rows = [
            f"| `{kind.value}` | `{FAULTS[kind].result_type.value}` | {FAULTS[kind].meaning} |"
            for kind in card.faults
        ]
        return "\n".join(["| fault | RFC 8460 result type | meaning |", "|---|---|---|", *rows])
    match card.scenario_class:
        case ScenarioClass.HONEST:
            return "No fault; nothing is wrong."
        case ScenarioClass.ADVISORY:
            return "No fault that a setting reacts to; the message is delivered under all of them."
        case ScenarioClass.FAULT if scenario.rotation:
            return "No fault in the first session; the next one sees the next certificate."
        case ScenarioClass.FAULT:
            assert card.stage is not None
            return f"No fault of TLS: the message fails at the stage *{card.stage.value}*."


def _settings(card: Scenario) -> str:
    first = "For a first session:\n\n" if LAB_SCENARIOS[card.name].rotation else ""
    rows = [
        f"| {setting.label} | {_outcome(EXPECTATIONS[card.name][setting])} |"
        for setting in TlsSetting
    ]
    return first + "\n".join(["| setting | what comes of a message |", "|---|---|", *rows])


def _outcome(expected: Expected) -> str:
    match expected.protection:
        case None:
            return f"not delivered: `{expected.code}`"
        case Protection.CLEAR:
            return "delivered in clear text"
        case Protection.ENCRYPTED:
            return "delivered, encrypted; the certificate is not judged"
        case Protection.VERIFIED:
            return "delivered, encrypted, to a verified host"


def _trial(scenario: LabScenario) -> str:
    name = scenario.card.name
    commands = {
        "make run": "in one terminal",
        f".venv/bin/relay send anyone@{name}.lab.test": "in another",
        f".venv/bin/relay demo --scenario {name}": "under every setting",
    }
    width = max(map(len, commands))
    lines = [f"$ {command:<{width}}  # {where}" for command, where in commands.items()]
    return "\n".join([f"{_needs(scenario)}```console", *lines, "```"])


def _needs(scenario: LabScenario) -> str:
    match scenario.script.handshake:
        case ServeLegacyTls():
            return "This one needs `pip install 'relaylab[legacy-tls]'`.\n\n"
        case ServeTls(maximum=TlsVersion.TLS1_0 | TlsVersion.TLS1_1 as version):
            return f"This one needs an OpenSSL that can still speak {version.label}.\n\n"
        case _:
            return ""


def _text_of(message: MessageRecord, reply: str) -> str:
    """Return a message's outbound sessions as they stand on a page."""
    sessions = [s for s in message.sessions if s.direction is SessionDirection.OUTBOUND]
    lines = [str(line) for session in sessions for line in session.transcript]
    faults = [f"Fault  {f.kind.value}: {f.detail}" for s in sessions for f in s.faults]
    shown = [*lines, "", *faults, f"Reply  {reply}"]
    return "".join(f"{_settle(line, message.envelope.id)}\n" for line in shown)


def _settle(line: str, message_id: str) -> str:
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
    line = line.replace(message_id, "ID")
    for pattern, word in _VARYING:
        line = pattern.sub(word, line)
    cut = f"{line[:WIDTH]} [{len(line) - WIDTH} more characters]"
    return (line if len(line) <= len(cut) else cut).rstrip()


async def record(names: Iterable[str]) -> Mapping[str, str]:
    """Send a message to each of these scenarios, or one for each certificate that it shows.

    Return what their pages say of the sessions.
    """
    async with own_relays() as (relays, _):
        relay = relays[SETTING]
        assert isinstance(relay, OwnRelay)
        return {
            name: "\n".join(
                [
                    await _record_one(relay, name, turn)
                    for turn in range(max(1, len(LAB_SCENARIOS[name].rotation)))
                ]
            )
            for name in names
        }


async def _record_one(relay: OwnRelay, name: str, turn: int) -> str:
    mark = f"{name}-{turn}"
    sent = await relay.send(f"anyone@{name}.lab.test", mark)
    found = relay.relay.journal.find_by_message_id_header(f"<{mark}@relaylab.test>")
    assert found is not None
    reply = " ".join(str(part) for part in (sent.code, sent.enhanced, sent.text) if part)
    return _text_of(relay.relay.journal.message(found), reply)


def main() -> int:
    """Write the pages and the index; return 1 if a page lacks a recording and can't get one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true", help="make every recording anew")
    anew = parser.parse_args().record
    PAGES.mkdir(exist_ok=True)
    files = {name: PAGES / f"{name}.md" for name in LAB_SCENARIOS}
    held = {n: recording_in(f.read_text("utf-8")) for n, f in files.items() if f.exists()}
    kept = {name: recording for name, recording in held.items() if recording is not None}
    lacking = {name: why for name, s in LAB_SCENARIOS.items() if (why := why_unavailable(s))}
    wanted = [name for name in files if (anew or name not in kept) and name not in lacking]
    recordings = kept | (dict(asyncio.run(record(wanted))) if wanted else {})
    for gone in set(PAGES.glob("*.md")) - {*files.values(), INDEX}:
        gone.unlink()
    for name in files.keys() & recordings.keys():
        files[name].write_text(page(LAB_SCENARIOS[name], recordings[name]), "utf-8")
    INDEX.write_text(index(SCENARIOS.values()), "utf-8")
    missing = files.keys() - recordings.keys()
    sys.stderr.writelines(f"no page: {lacking[name]}\n" for name in sorted(missing))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
