"""Commands sent together: the same outcomes as one by one, and a host that is left in order."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from outbound_peer import Conversation, Do, Peer, Step
from outbound_relay import MESSAGE, Relay, envelope

from relay.core.outcomes import Deferred, Delivered, Failed, Outcome, PeerRefusal
from relay.core.records import RecipientOutcome
from relay.core.routing import Hop
from relay.core.transcripts import Direction, Line

RECIPIENTS = ("a@peer.test", "b@peer.test", "c@peer.test")
TOGETHER = ("PIPELINING",)
APART = ()


async def converse(
    relay: Relay, extensions: tuple[str, ...], answers: Mapping[str, Step]
) -> tuple[tuple[RecipientOutcome, ...], tuple[Line, ...], Conversation]:
    async with Peer(extensions=extensions, answers=answers).running() as peer:
        session = await relay.open(peer.hop, wait=2)
        admitted = await relay.admitted(session)
        outcomes = await admitted.send(envelope(recipients=RECIPIENTS), RECIPIENTS, MESSAGE)
        await session.close()
        await peer.settled()
        return outcomes, session.record().transcript, peer.only


async def test_everything_up_to_data_goes_out_at_once(relay: Relay) -> None:
    # The host answers nothing before it has read all of it.
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 peer\r\n")
        await reader.readline()
        writer.write(b"250-peer\r\n250 PIPELINING\r\n")
        commands.extend([await reader.readline() for _ in range(5)])
        writer.write(b"250 ok\r\n250 ok\r\n550 5.1.1 unknown\r\n250 ok\r\n354 go\r\n")
        content.extend(await reader.readuntil(b"\r\n.\r\n"))
        writer.write(b"250 taken\r\n")
        await reader.readline()
        writer.close()

    commands: list[bytes] = []
    content = bytearray()
    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        peer = Peer()
        peer._port = server.sockets[0].getsockname()[1]
        session = await relay.open(peer.hop)
        admitted = await relay.admitted(session)
        a, b, c = await admitted.send(envelope(recipients=RECIPIENTS), RECIPIENTS, MESSAGE)
        await session.close()
    assert [command.split(b" ")[0].strip() for command in commands] == [
        *(b"MAIL", b"RCPT", b"RCPT", b"RCPT", b"DATA")
    ]
    assert bytes(content) == MESSAGE + b".\r\n"
    assert isinstance(a.outcome, Delivered)
    assert isinstance(b.outcome, Failed)
    assert isinstance(c.outcome, Delivered)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
async def test_replies_are_matched_however_they_are_cut(relay: Relay, size: int) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 peer\r\n")
        await reader.readline()
        writer.write(b"250-peer\r\n250 PIPELINING\r\n")
        for _ in range(5):
            await reader.readline()
        replies = b"250 ok\r\n250-one\r\n250 two\r\n450 b\r\n550 c\r\n354 go\r\n"
        for start in range(0, len(replies), size):
            writer.write(replies[start : start + size])
            await writer.drain()
            await asyncio.sleep(0)
        await reader.readuntil(b"\r\n.\r\n")
        writer.write(b"250 taken\r\n")
        await reader.readline()
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        peer = Peer()
        peer._port = server.sockets[0].getsockname()[1]
        session = await relay.open(peer.hop)
        admitted = await relay.admitted(session)
        outcomes = await admitted.send(envelope(recipients=RECIPIENTS), RECIPIENTS, MESSAGE)
        await session.close()
    kinds = [type(entry.outcome) for entry in outcomes]
    assert kinds == [Delivered, Deferred, Failed]
    texts = [line.text for line in session.record().transcript]
    assert texts[texts.index("RCPT TO:<a@peer.test>") :][:3] == [
        *("RCPT TO:<a@peer.test>", "250-one", "250 two")
    ]


async def test_where_nobody_is_accepted_the_host_gets_the_end_of_data_alone(relay: Relay) -> None:
    refused: dict[str, Step] = {"RCPT": b"550 5.1.1 unknown\r\n"}
    outcomes, lines, seen = await converse(relay, TOGETHER, refused)
    assert {type(entry.outcome) for entry in outcomes} == {Failed}
    assert seen.octets.endswith(b"DATA\r\n.\r\nQUIT\r\n")
    assert seen.messages == [b""]
    assert [str(line) for line in lines][-4:] == [
        *("--> .", "<-- 250 2.0.0 taken", "--> QUIT", "<-- 221 2.0.0 bye")
    ]


async def test_an_empty_message_is_never_sent_to_anybody(relay: Relay) -> None:
    # Out of order, but a recipient stands, and the host waits for content.
    refused: dict[str, Step] = {"MAIL": b"451 4.3.0 later\r\n"}
    outcomes, _, seen = await converse(relay, TOGETHER, refused)
    assert {type(entry.outcome) for entry in outcomes} == {Deferred}
    assert seen.octets.endswith(b"DATA\r\n")
    assert not seen.messages


async def test_a_host_that_goes_in_the_middle(relay: Relay) -> None:
    outcomes, lines, seen = await converse(relay, TOGETHER, {"RCPT TO:<b@peer.test>": Do.CLOSE})
    assert {type(entry.outcome) for entry in outcomes} == {Deferred}
    assert MESSAGE not in seen.octets
    assert "--> RCPT TO:<b@peer.test>" in [str(line) for line in lines]


async def test_a_known_outcome_does_not_wait_for_what_is_owed(relay: Relay) -> None:
    answers: dict[str, Step] = {"MAIL": (b"550 5.7.1 no\r\n", Do.SILENT)}
    async with Peer(extensions=TOGETHER, answers=answers).running() as peer:
        session = await relay.open(peer.hop, wait=60)
        admitted = await relay.admitted(session)
        async with asyncio.timeout(5):
            outcomes = await admitted.send(envelope(recipients=RECIPIENTS), RECIPIENTS, MESSAGE)
            await session.close()
            await peer.settled()
    assert {type(entry.outcome) for entry in outcomes} == {Failed}
    assert b"QUIT" not in peer.only.octets


ANSWERS = st.sampled_from(
    [
        b"250 ok\r\n",
        b"250-one\r\n250 two\r\n",
        b"251 forwarded\r\n",
        b"450 4.2.1 busy\r\n",
        b"550 5.1.1 unknown\r\n",
        b"421 4.3.2 closing\r\n",
        b"354 go on\r\n",
        b"220 what\r\n",
        b"gibberish\r\n",
        b"25 short\r\n",
        b"\r\n",
        (b"421 4.3.2 closing\r\n", Do.CLOSE),
        Do.CLOSE,
    ]
)
GOOD = st.just(b"250 ok\r\n")
MOSTLY_GOOD = st.one_of(GOOD, GOOD, GOOD, ANSWERS)


async def test_after_a_wait_that_was_given_up_each_answer_still_goes_to_its_own_command(
    relay: Relay,
) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 peer\r\n")
        await reader.readline()
        writer.write(b"250-peer\r\n250 PIPELINING\r\n")
        await reader.readuntil(b"DATA\r\n")
        asked.set()
        await answer.wait()
        writer.write(b"250 mail\r\n550 rcpt\r\n554 data\r\n")
        await reader.readline()
        writer.write(b"221 quit\r\n")
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        session = await relay.open(Hop(host="localhost", address="127.0.0.1", port=port))
        admitted = await relay.admitted(session)
        message = admitted.send(envelope(), ("one@peer.test",), MESSAGE)
        sending = asyncio.get_running_loop().create_task(message)
        await asked.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        answer.set()
        await session.close()
    assert _dialog(session.record().transcript) == [
        *("--> MAIL FROM:<sender@origin.test>", "<-- 250 mail"),
        *("--> RCPT TO:<one@peer.test>", "<-- 550 rcpt"),
        *("--> DATA", "<-- 554 data"),
    ]
    assert str(session.record().transcript[-1]) == "<-- 221 quit"


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    mail=MOSTLY_GOOD,
    recipients=st.tuples(MOSTLY_GOOD, MOSTLY_GOOD, MOSTLY_GOOD),
    data=st.one_of(st.just(b"354 go\r\n"), st.just(b"354 go\r\n"), ANSWERS),
    end=MOSTLY_GOOD,
)
def test_the_outcomes_are_those_of_one_by_one(
    relay: Relay, mail: Step, recipients: tuple[Step, Step, Step], data: Step, end: Step
) -> None:
    answers: dict[str, Step] = {"MAIL": mail, "DATA": data, ".": end}
    for recipient, answer in zip(RECIPIENTS, recipients, strict=True):
        answers[f"RCPT TO:<{recipient}>"] = answer

    async def both() -> None:
        together, its_lines, its_peer = await converse(relay, TOGETHER, answers)
        apart, lines, peer = await converse(relay, APART, answers)
        assert list(map(_essence, together)) == list(map(_essence, apart))
        # Nothing but the end of data may be in what was sent to a host that took nobody.
        assert [m for m in its_peer.messages if m] == [m for m in peer.messages if m]
        shared = _dialog(lines)
        assert _dialog(its_lines)[: len(shared)] == shared

    asyncio.run(both())


def _essence(entry: RecipientOutcome) -> tuple[object, ...]:
    outcome: Outcome = entry.outcome
    if isinstance(outcome, Delivered):
        return entry.recipient, outcome
    if isinstance(outcome.failure, PeerRefusal):
        return entry.recipient, outcome
    # How the end of a connection shows depends on what was still on the way.
    return entry.recipient, type(outcome), type(outcome.failure), outcome.failure.stage


def _dialog(lines: tuple[Line, ...]) -> list[str]:
    """Return what was said in the transaction."""
    texts = [str(line) for line in lines if line.direction is not Direction.NOTE]
    begins = next(i for i, text in enumerate(texts) if text.startswith("--> MAIL"))
    ends = texts.index("--> QUIT") if "--> QUIT" in texts else len(texts)
    return texts[begins:ends]
