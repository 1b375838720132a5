"""Makes docs/lab: a page for each scenario, from its card and a recorded session, and the index.

Run it after a scenario was added or its card changed. A page that has a recording keeps it;
`--record` makes all of them anew. What this machine can't run is never recorded anew.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from pathlib import Path
from typing import Final

import dns.asyncquery
import dns.exception
import dns.message
import dns.rcode

from relay.audit.expectations import EXPECTATIONS, Expected
from relay.cli.own_relays import OwnRelay, own_relays
from relay.core.advisory_cards import ADVISORIES
from relay.core.fault_cards import FAULTS
from relay.core.records import SessionDirection
from relay.core.routing import NameServer
from relay.core.scenarios import Family, ReachedBy, Scenario, ScenarioClass
from relay.core.settings import Protection, TlsMode, TlsSetting, TlsVersion
from relay.engine.relay import DEFAULT_HOSTNAME
from relay.journal.api import MessageRecord
from relay.lab.availability import why_unavailable
from relay.lab.catalogue import DNS_SCENARIOS, LAB_SCENARIOS, SCENARIOS
from relay.lab.dns_answers import DnsScenario
from relay.lab.lookups import LabLookups
from relay.lab.scripts import LabScenario, ServeLegacyTls, ServeTls
from relay.lab.zone import mx_records

PAGES: Final = Path(__file__).parent / "lab"
INDEX: Final = PAGES / "README.md"
SETTING: Final = TlsSetting.REQUIRED_VERIFY
"""What the recorded sessions are judged under: nothing at fault gets past it."""
WIDTH: Final = 180
"""Characters shown of one recorded line."""
ANSWERS_SHOWN: Final = 3
"""Records shown of one answer."""
PATIENCE: Final = 2
"""Seconds that an answer of the name server is waited for."""

_FAMILIES: Final[Mapping[Family, str]] = {
    Family.HONEST: "Everything is right, in every way that is right; the message arrives.",
    Family.STARTTLS: "The trouble begins ahead of the handshake: no offer, no go-ahead.",
    Family.HANDSHAKE: "TLS is offered, and the two sides can't agree on it.",
    Family.CERTIFICATE: "The handshake would succeed; the certificate proves nothing.",
    Family.SMTP: "TLS is honest; it is SMTP that does not go as hoped. The control group.",
    Family.DNS: "What counts is what the name server says, ahead of any connection.",
}
_INTRODUCTION: Final = """\
<!-- Made by docs/build_lab_pages.py from the scenarios' cards. -->

# The lab's scenarios

Mail to `anyone@NAME.lab.test` reaches the receiver of that name, and so does any domain that a
policy's `routes` send to `lab/NAME`. Each page says what the receiver does, where people meet it,
what is found, and what comes of a message under each setting, and shows a recorded session. For the
family `dns` the lab's own name server is asked first, and its answer decides.
"""
_LEGEND: Final = """\
## Reading a recording

`-->` was sent and `<--` received in clear text, `~~>` and `<~~` under TLS; `*` is a remark of the
relay's, and `-1` stands where a reply has no code. Below the dialog stand the faults, with what was
seen of each, and the reply that the relay's own client got for its message. A recording about DNS
begins with what was asked of the lab's name server and what it answered; where no session follows,
there was none. Times are left out; `PORT`, `DATE` and `ID` stand for what differs from run to run,
and long lines are cut. OpenSSL's words differ from version to version.
"""
_RECORDING: Final = re.compile(r"^```text\n(.*?\n)```$", re.DOTALL | re.MULTILINE)
_VARYING: Final = (
    (re.compile(r"(?<=\]:)\d+"), "PORT"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC"), "DATE"),
    (re.compile(r"(?<= )[0-9a-f]{8}(?=,O=)"), "ID"),
)


def page(name: str, recording: str) -> str:
    """Return a scenario's page; `recording` is the text of its session, lines with their ends."""
    card = SCENARIOS[name]
    parts = []
    if name in DNS_SCENARIOS and any(mx_records(DNS_SCENARIOS[name])):
        parts.append(_answer(DNS_SCENARIOS[name]))
    if name in LAB_SCENARIOS:
        parts.append(_receiver(LAB_SCENARIOS[name]))
    sections = {
        "What it does": "\n\n".join([card.summary, *parts]),
        "In the wild": card.in_the_wild,
        "What is found": _found(card),
        "What follows": _settings(card),
        "What a client sees": (
            f"The relay is the client, under {SETTING.label}; "
            "[how to read it](README.md#reading-a-recording).\n\n"
            f"```text\n{recording}```"
        ),
        "Remedy": card.remedy,
        "Try it": _trial(card),
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
        table = "\n".join(["| scenario | what happens there |", "|---|---|", *rows])
        parts.append(f"## {family.value}\n\n{_FAMILIES[family]}\n\n{table}\n")
    return "\n".join([*parts, _LEGEND])


def recording_in(text: str) -> str | None:
    """Return the recording that a page holds, None if it holds none."""
    found = _RECORDING.search(text)
    return found[1] if found else None


def _answer(scenario: DnsScenario) -> str:
    lines = tuple(mx_records(scenario))
    shown = [f"- `{line}`" for line in lines[:ANSWERS_SHOWN]]
    if len(lines) > ANSWERS_SHOWN:
        shown.append(f"- and {len(lines) - ANSWERS_SHOWN} more")
    return "\n".join(["The name server answers, in this order:", "", *shown])


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


def _found(card: Scenario) -> str:
    reported = [f"| `{k.value}` | {ADVISORIES[k].meaning} |" for k in card.advisories]
    if not reported:
        return _faults(card)
    table = "\n".join(["| reported | meaning |", "|---|---|", *reported])
    return f"{_faults(card)}\n\n{table}"


def _faults(card: Scenario) -> str:
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
        case ScenarioClass.FAULT if _rotation(card.name):
            return "No fault in the first session; the next one sees the next certificate."
        case ScenarioClass.FAULT if card.family is Family.DNS:
            problem = DNS_SCENARIOS[card.name].problem
            assert problem is not None
            return f"No host: the look-up comes to *{problem.value}*, and nothing is connected to."
        case ScenarioClass.FAULT:
            assert card.stage is not None
            return f"No fault of TLS: the message fails at the stage *{card.stage.value}*."


def _rotation(name: str) -> tuple[str, ...]:
    return LAB_SCENARIOS[name].rotation if name in LAB_SCENARIOS else ()


def _settings(card: Scenario) -> str:
    first = "For a first session:\n\n" if _rotation(card.name) else ""
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


def _trial(card: Scenario) -> str:
    name = card.name
    commands = {
        "make run": "in one terminal",
        f".venv/bin/relay send anyone@{name}.lab.test": "in another",
        f".venv/bin/relay demo --scenario {name}": "under every setting",
    }
    width = max(map(len, commands))
    lines = [f"$ {command:<{width}}  # {where}" for command, where in commands.items()]
    return "\n".join([f"{_needs(name)}```console", *lines, "```"])


def _needs(name: str) -> str:
    if name not in LAB_SCENARIOS:
        return ""
    match LAB_SCENARIOS[name].script.handshake:
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
    shown = [*lines, *([""] if lines else []), *faults, f"Reply  {reply}"]
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
        async with LabLookups(relay.relay.lab, client=DEFAULT_HOSTNAME) as lookups:
            return {name: await _record_one(relay, lookups, name) for name in names}


async def _record_one(relay: OwnRelay, lookups: LabLookups, name: str) -> str:
    turns = range(max(1, len(_rotation(name))))
    parts = [await _record_turn(relay, name, turn) for turn in turns]
    server = await lookups.name_server(name)
    if server is not None:
        parts.insert(0, "".join([f"{line}\n" async for line in _asked(server, name)]))
    return "\n".join(parts)


async def _asked(server: NameServer, name: str) -> AsyncIterator[str]:
    """Ask for a domain's hosts as a mail server does, and yield what was said."""
    domain = SCENARIOS[name].mail_domain
    for kind in ("MX", "A"):
        query = dns.message.make_query(domain, kind)
        yield f"Asked     {domain} {kind}"
        try:
            response, over_tcp = await dns.asyncquery.udp_with_fallback(
                query, server.address, port=server.port, timeout=PATIENCE
            )
        except dns.exception.Timeout:
            yield f"Answered  nothing within {PATIENCE} seconds"
            return
        records = [line for rrset in response.answer for line in rrset.to_text().splitlines()]
        also = ", over TCP: it is too long for UDP" if over_tcp else ""
        yield f"Answered  {dns.rcode.to_text(response.rcode())}, {_counted(len(records))}{also}"
        for line in records[:ANSWERS_SHOWN]:
            yield f"          {line}"
        if len(records) > ANSWERS_SHOWN:
            yield f"          [{len(records) - ANSWERS_SHOWN} more records]"
        # RFC 5321 section 5.1: only a domain that exists without MX records is its own exchanger.
        if records or response.rcode() != dns.rcode.NOERROR:
            return


def _counted(records: int) -> str:
    return f"{records or 'no'} {'record' if records == 1 else 'records'}"


async def _record_turn(relay: OwnRelay, name: str, turn: int) -> str:
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
    files = {name: PAGES / f"{name}.md" for name in SCENARIOS}
    held = {n: recording_in(f.read_text("utf-8")) for n, f in files.items() if f.exists()}
    kept = {name: recording for name, recording in held.items() if recording is not None}
    lacking = {name: why for name, s in LAB_SCENARIOS.items() if (why := why_unavailable(s))}
    wanted = [name for name in files if (anew or name not in kept) and name not in lacking]
    recordings = kept | (dict(asyncio.run(record(wanted))) if wanted else {})
    for gone in set(PAGES.glob("*.md")) - {*files.values(), INDEX}:
        gone.unlink()
    for name in files.keys() & recordings.keys():
        files[name].write_text(page(name, recordings[name]), "utf-8")
    INDEX.write_text(index(SCENARIOS.values()), "utf-8")
    missing = files.keys() - recordings.keys()
    sys.stderr.writelines(f"no page: {lacking[name]}\n" for name in sorted(missing))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
