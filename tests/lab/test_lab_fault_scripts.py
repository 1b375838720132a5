"""Fault scripts over real sessions: each kind of rule, counting, chance, time, and the reset."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lab_handshakes import verifying_context

from relay.core.fault_scripts import (
    Chance,
    Delay,
    EveryNth,
    FaultAnswer,
    FaultPhase,
    FaultRule,
    FaultScript,
    Interference,
    NextN,
    RecipientPattern,
    When,
)
from relay.core.places import Place
from relay.core.replies import Reply
from relay.lab.authority import LabAuthority
from relay.lab.catalogue import UnknownScenario
from relay.lab.fault_overlay import GARBAGE, RunningScripts
from relay.lab.lab import Lab

BUSY = Reply(code=450, text="4.2.1 Mailbox busy")
MESSAGE = ("EHLO me", "MAIL FROM:<>", "RCPT TO:<a@b.test>", "DATA", "x\r\n.", "QUIT")
TEN = timedelta(milliseconds=10)


def script(*rules: FaultRule, scenario: str = "good", seed: int = 1) -> FaultScript:
    return FaultScript(scenario=scenario, seed=seed, rules=rules)


async def replies(lab: Lab, *commands: str, name: str = "good") -> list[str]:
    """Say one thing after the other; return the greeting's and each reply's last line.

    An empty text stands for a connection that ended.
    """
    host = await lab.address(name)
    reader, writer = await asyncio.open_connection(host.address, host.port)
    found: list[str] = []
    for command in ("", *commands):
        if command:
            writer.write(f"{command}\r\n".encode())
        try:
            while True:
                line = (await reader.readline()).decode("latin-1").rstrip("\r\n")
                if line[3:4] != "-":
                    break
        except ConnectionError:
            line = ""
        found.append(line)
        if not line:
            break
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return found


async def codes(lab: Lab, *commands: str, name: str = "good") -> list[str]:
    return [line[:3] for line in await replies(lab, *commands, name=name)]


async def notes(lab: Lab, name: str = "good") -> list[str]:
    await lab.wait_until_idle(name)
    lines = [line.text for session in lab.received(name) for line in session.transcript]
    return [line for line in lines if line.startswith("fault script")]


DELIVERED = ["220", "250", "250", "250", "354", "250", "221"]


@pytest.mark.parametrize(
    ("phase", "expected", "delivered"),
    [
        (FaultPhase.GREETING, ["450", "503", "503", "503", "503", "503", "503"], False),
        (FaultPhase.EHLO, ["220", "450", "503", "503", "503", "500", "500"], False),
        (FaultPhase.MAIL, ["220", "250", "450", "503", "503", "500", "500"], False),
        (FaultPhase.RCPT, ["220", "250", "250", "450", "503", "500", "500"], False),
        (FaultPhase.DATA, ["220", "250", "250", "250", "450", "500", "500"], False),
        (FaultPhase.CONTENT, ["220", "250", "250", "250", "354", "450", "221"], False),
        (FaultPhase.STARTTLS, DELIVERED, True),
    ],
)
async def test_a_reply_stands_in_for_the_scenarios_in_its_phase_alone(
    lab: Lab, phase: FaultPhase, expected: list[str], delivered: bool
) -> None:
    lab.load_scripts([script(FaultRule(phase=phase, answer=BUSY))])
    assert await codes(lab, *MESSAGE) == expected
    assert bool(lab.messages("good")) is delivered


async def test_starttls_and_auth_are_answered_too(lab: Lab) -> None:
    lab.load_scripts(
        [
            script(
                FaultRule(phase=FaultPhase.STARTTLS, answer=BUSY),
                FaultRule(phase=FaultPhase.AUTH, answer=Reply(code=454, text="4.7.0 Later")),
            )
        ]
    )
    login = "AUTH PLAIN AGEAYg=="
    assert await codes(lab, "EHLO me", "STARTTLS", login) == ["220", "250", "450", "454"]
    # The other receivers go on as ever.
    assert await codes(lab, "EHLO me", "STARTTLS", name="tls12") == ["220", "250", "220"]


async def test_421_ends_the_connection(lab: Lab) -> None:
    bye = Reply(code=421, text="4.3.2 Closing")
    lab.load_scripts([script(FaultRule(phase=FaultPhase.MAIL, answer=bye))])
    assert await codes(lab, "EHLO me", "MAIL FROM:<>", "NOOP") == ["220", "250", "421", ""]


@pytest.mark.parametrize("deed", [Interference.DROP, Interference.RESET])
async def test_a_connection_ends_in_place_of_a_reply(lab: Lab, deed: Interference) -> None:
    lab.load_scripts([script(FaultRule(phase=FaultPhase.DATA, answer=deed))])
    assert (await codes(lab, *MESSAGE))[4:] == [""]
    assert not lab.messages("good")


async def test_garbage_is_no_reply_and_the_session_goes_on(lab: Lab) -> None:
    rule = FaultRule(phase=FaultPhase.MAIL, answer=Interference.GARBAGE, when=NextN(count=1))
    lab.load_scripts([script(rule)])
    found = await replies(lab, "EHLO me", "MAIL FROM:<>", "MAIL FROM:<>")
    assert found[2].encode("latin-1") == GARBAGE.rstrip()
    assert found[3].startswith("250")


async def test_silence_lasts_until_the_client_leaves(lab: Lab) -> None:
    lab.load_scripts([script(FaultRule(phase=FaultPhase.GREETING, answer=Interference.SILENCE))])
    host = await lab.address("good")
    reader, writer = await asyncio.open_connection(host.address, host.port)
    writer.write(b"EHLO me\r\nQUIT\r\n")
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    await lab.wait_until_idle("good")
    (session,) = lab.received("good")
    assert [line.text for line in session.transcript] == [
        "fault script: rule 1: silence",
        "stays silent",
        "what follows was heard and not answered",
        "EHLO me",
        "QUIT",
    ]


async def test_a_delay_comes_before_the_scenarios_own_answer(lab: Lab) -> None:
    rules = [FaultRule(phase=phase, answer=Delay(by=TEN)) for phase in FaultPhase]
    lab.load_scripts([script(*rules)])
    assert await codes(lab, *MESSAGE) == DELIVERED
    assert len(await notes(lab)) == len(FaultPhase) - 3
    assert len(lab.messages("good")) == 1


async def handshake(lab: Lab, authority: LabAuthority) -> str:
    """Begin TLS; return the version, or what went wrong."""
    host = await lab.address("good")
    reader, writer = await asyncio.open_connection(host.address, host.port)
    writer.write(b"EHLO me\r\nSTARTTLS\r\n")
    while not (await reader.readline()).startswith(b"220 2.0.0"):
        pass
    try:
        await writer.start_tls(
            verifying_context(authority.root_pem), server_hostname="mx.good.lab.test"
        )
        tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
        return str(tls.version())
    except (OSError, ssl.SSLError) as error:
        return type(error).__name__
    finally:
        writer.transport.abort()


async def test_a_handshake_fails_twice_and_then_succeeds(lab: Lab, authority: LabAuthority) -> None:
    lab.load_scripts(
        [
            script(
                FaultRule(
                    phase=FaultPhase.HANDSHAKE, answer=Interference.DROP, when=NextN(count=1)
                ),
                FaultRule(
                    phase=FaultPhase.HANDSHAKE, answer=Interference.GARBAGE, when=NextN(count=1)
                ),
                FaultRule(phase=FaultPhase.HANDSHAKE, answer=Delay(by=TEN), when=NextN(count=1)),
            )
        ]
    )
    found = [await handshake(lab, authority) for _ in range(4)]
    assert found[0] in {"ConnectionResetError", "SSLEOFError", "ConnectionAbortedError"}
    assert found[1] == "SSLError"
    assert found[2:] == ["TLSv1.3", "TLSv1.3"]


async def sender_codes(lab: Lab, times: int) -> str:
    """Ask MAIL in one session after the other; return the first digit of each reply."""
    found = [(await codes(lab, "EHLO me", "MAIL FROM:<>"))[2] for _ in range(times)]
    return "".join(code[:1] or "-" for code in found)


@pytest.mark.parametrize(
    ("when", "found"),
    [(NextN(count=2), "442222"), (EveryNth(nth=3), "224224"), (Chance(probability=1), "444444")],
)
async def test_occasions_are_counted_over_sessions(lab: Lab, when: When, found: str) -> None:
    lab.load_scripts([script(FaultRule(phase=FaultPhase.MAIL, answer=BUSY, when=when))])
    assert await sender_codes(lab, 6) == found
    lab.reset()
    assert await sender_codes(lab, 6) == found
    assert len(lab.scripts) == 1


async def test_the_first_rule_that_fires_takes_the_occasion(lab: Lab) -> None:
    rejected = Reply(code=550, text="5.7.1 No")
    lab.load_scripts(
        [
            script(
                FaultRule(phase=FaultPhase.MAIL, answer=BUSY, when=NextN(count=2)),
                FaultRule(phase=FaultPhase.MAIL, answer=rejected, when=EveryNth(nth=2)),
            )
        ]
    )
    # The second rule counts from the third occasion on, the first that comes to it.
    assert await sender_codes(lab, 6) == "442525"


async def test_a_rule_for_recipients_leaves_the_others_alone(lab: Lab) -> None:
    lab.load_scripts(
        [
            script(
                FaultRule(
                    phase=FaultPhase.RCPT,
                    answer=BUSY,
                    recipients=RecipientPattern.parse("busy*"),
                    when=NextN(count=1),
                ),
                FaultRule(
                    phase=FaultPhase.CONTENT,
                    answer=Reply(code=554, text="5.6.0 No"),
                    recipients=RecipientPattern.parse("@late.test"),
                ),
            )
        ]
    )
    to = "RCPT TO:<{}>".format
    found = await codes(
        lab,
        *("EHLO me", "MAIL FROM:<>", to("a@b.test"), to("busy@b.test"), to("Busy2@b.test")),
        *("DATA", "x\r\n.", "MAIL FROM:<>", to("a@b.test"), to("a@late.test"), "DATA", "x\r\n."),
    )
    assert found[3:6] == ["250", "450", "250"]
    assert found[6:8] == ["354", "250"]
    assert found[-1] == "554"
    (message,) = lab.messages("good")
    assert message.recipients == ("a@b.test", "Busy2@b.test")


async def test_a_rule_may_begin_late_and_a_reset_begins_the_time_anew(
    authority: LabAuthority,
) -> None:
    clock = [datetime(2026, 1, 1, tzinfo=UTC)]
    async with Lab(authority, now=lambda: clock[0]) as lab:
        rule = FaultRule(phase=FaultPhase.MAIL, answer=BUSY, after=timedelta(seconds=30))
        lab.load_scripts([script(rule)])
        assert await sender_codes(lab, 1) == "2"
        clock[0] += timedelta(seconds=30)
        assert await sender_codes(lab, 1) == "4"
        lab.reset()
        assert await sender_codes(lab, 1) == "2"


async def test_an_open_session_follows_what_is_loaded_and_cleared(lab: Lab) -> None:
    host = await lab.address("good")
    reader, writer = await asyncio.open_connection(host.address, host.port)
    await reader.readline()
    found = []
    for scripts in ([], [script(FaultRule(phase=FaultPhase.MAIL, answer=BUSY))], None):
        if scripts is None:
            lab.clear_scripts()
        else:
            lab.load_scripts(scripts)
        writer.write(b"HELO me\r\nMAIL FROM:<>\r\nRSET\r\n")
        found.append([(await reader.readline())[:3] for _ in range(3)][1])
    assert found == [b"250", b"450", b"250"]
    assert lab.scripts == ()
    writer.close()
    await writer.wait_closed()


async def test_the_transcript_names_the_rule_and_its_place(lab: Lab) -> None:
    rule = FaultRule(phase=FaultPhase.RCPT, answer=BUSY, place=Place("flaky.yaml", 5, 9))
    other = FaultRule(phase=FaultPhase.DATA, answer=BUSY)
    lab.load_scripts([script(other, rule)])
    await codes(lab, *MESSAGE)
    assert await notes(lab) == ["fault script: rule 2 (flaky.yaml:5): reply 450 4.2.1 Mailbox busy"]


async def test_a_scripts_answer_spares_the_scenarios_own_memory(lab: Lab) -> None:
    """The greylist must not take a try for its first that a script has answered."""
    rule = FaultRule(phase=FaultPhase.RCPT, answer=BUSY, when=NextN(count=1))
    lab.load_scripts([script(rule, scenario="greylist")])
    said = ("EHLO me", "MAIL FROM:<>", *["RCPT TO:<a@b.test>"] * 3)
    found = await replies(lab, *said, name="greylist")
    assert [line[:9] for line in found[3:]] == ["450 4.2.1", "450 4.7.1", "250 2.1.5"]


async def test_scripts_that_can_not_be_loaded_leave_those_of_before(lab: Lab) -> None:
    rule = FaultRule(phase=FaultPhase.MAIL, answer=BUSY)
    lab.load_scripts([script(rule), script(rule, scenario="capture")])
    with pytest.raises(ValueError, match="one fault script at most"):
        lab.load_scripts([script(rule), script(rule)])
    with pytest.raises(UnknownScenario, match="did you mean good"):
        lab.load_scripts([script(rule, scenario="goood")])
    assert [s.scenario for s in lab.scripts] == ["good", "capture"]


_PHASES = st.lists(st.sampled_from([FaultPhase.MAIL, FaultPhase.RCPT]), max_size=60)


def decisions(seed: int, answers: Sequence[FaultAnswer], asked: list[FaultPhase]) -> list[int]:
    rules = [
        FaultRule(phase=phase, answer=answer, when=Chance(probability=0.3))
        for answer in answers
        for phase in (FaultPhase.MAIL, FaultPhase.RCPT)
    ]
    running = RunningScripts(lambda: datetime(2026, 1, 1, tzinfo=UTC))
    running.load([script(*rules, seed=seed)])
    found = [running.decide("good", phase) for phase in asked]
    return [decision.number if decision else 0 for decision in found]


@given(seed=st.integers(0, 2**32 - 1), asked=_PHASES)
def test_the_same_seed_and_occasions_give_the_same_decisions(
    seed: int, asked: list[FaultPhase]
) -> None:
    answers = (BUSY, Interference.DROP)
    assert decisions(seed, answers, asked) == decisions(seed, answers, asked)


@given(seed=st.integers(0, 2**32 - 1), asked=_PHASES)
def test_what_chance_does_in_one_phase_does_not_hang_on_another(
    seed: int, asked: list[FaultPhase]
) -> None:
    mixed = decisions(seed, (BUSY,), asked)
    alone = decisions(seed, (BUSY,), [p for p in asked if p is FaultPhase.RCPT])
    pairs = zip(asked, mixed, strict=True)
    assert [d for phase, d in pairs if phase is FaultPhase.RCPT] == alone


def test_chance_follows_its_probability_and_its_seed() -> None:
    asked = [FaultPhase.MAIL] * 1000
    first, second = decisions(7, (BUSY,), asked), decisions(8, (BUSY,), asked)
    assert first != second
    assert 250 < sum(map(bool, first)) < 350
