"""One transaction: what each answer at each stage does to each recipient, and to the peer."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from outbound_peer import Do, Peer, Step
from outbound_relay import MESSAGE, Relay, envelope

from relay.core.codebook_data import SALESFORCE
from relay.core.outcomes import (
    ConnectionFailure,
    ConnectionProblem,
    Deferred,
    Delivered,
    Failed,
    LocalProblem,
    LocalRefusal,
    Outcome,
    PeerRefusal,
    Stage,
)
from relay.core.records import RecipientOutcome
from relay.core.replies import Reply
from relay.core.settings import Protection, TlsSetting
from relay.outbound.exchange import CHUNK

SHORT = 0.2
LOST = ConnectionProblem.LOST
TIMEOUT = ConnectionProblem.TIMEOUT
TWO = ("one@peer.test", "two@peer.test")
CLEAR = ("SIZE 100000000", "8BITMIME", "SMTPUTF8")
TOGETHER = ("PIPELINING", *CLEAR)


async def _send(
    relay: Relay,
    peer: Peer,
    recipients: tuple[str, ...] = TWO,
    content: bytes = MESSAGE,
    *,
    wait: float = 5,
    reverse_path: str = "sender@origin.test",
    smtputf8: bool = False,
) -> tuple[RecipientOutcome, ...]:
    session = await relay.open(peer.hop, wait=wait)
    admitted = await relay.admitted(session)
    message = envelope(reverse_path=reverse_path, recipients=recipients, smtputf8=smtputf8)
    outcomes = await admitted.send(message, recipients, content)
    await session.close()
    await peer.settled()
    assert [entry.recipient for entry in outcomes] == list(recipients)
    return outcomes


def _refused(code: int, text: str, stage: Stage) -> Outcome:
    failure = PeerRefusal(reply=Reply(code=code, text=text), stage=stage)
    return Failed(failure=failure) if 500 <= code < 600 else Deferred(failure=failure)


@pytest.mark.parametrize("extensions", [CLEAR, TOGETHER])
async def test_delivered(relay: Relay, extensions: tuple[str, ...]) -> None:
    async with Peer(extensions=extensions).running() as peer:
        outcomes = await _send(relay, peer)
    taken = Delivered(reply=Reply(code=250, text="2.0.0 taken"), protection=Protection.CLEAR)
    assert [entry.outcome for entry in outcomes] == [taken, taken]
    assert peer.only.messages == [MESSAGE]
    assert peer.only.commands == [
        "EHLO relay.lab.test",
        "MAIL FROM:<sender@origin.test> SIZE=25",
        "RCPT TO:<one@peer.test>",
        "RCPT TO:<two@peer.test>",
        "DATA",
        "QUIT",
    ]


async def test_the_null_reverse_path(relay: Relay) -> None:
    async with Peer(extensions=()).running() as peer:
        outcomes = await _send(relay, peer, ("one@peer.test",), reverse_path="")
    assert isinstance(outcomes[0].outcome, Delivered)
    assert "MAIL FROM:<>" in peer.only.commands


UNWELCOME: list[tuple[Step, tuple[int, str] | ConnectionProblem]] = [
    (b"421 4.3.2 closing\r\n", (421, "4.3.2 closing")),
    ((b"421 4.3.2 closing\r\n", Do.CLOSE), (421, "4.3.2 closing")),
    (b"451 4.3.0 later\r\n", (451, "4.3.0 later")),
    (b"554 5.7.1 never\r\n", (554, "5.7.1 never")),
    (b"gibberish\r\n", (-1, "gibberish")),
    (b"354 go on\r\n", (354, "go on")),
    (Do.SILENT, TIMEOUT),
    (Do.CLOSE, LOST),
    (Do.RESET, LOST),
    ((b"250-half\r\n", Do.CLOSE), LOST),
]
STAGES = {"MAIL": Stage.MAIL, "RCPT": Stage.RCPT, "DATA": Stage.DATA, ".": Stage.CONFIRMATION}


@pytest.mark.parametrize("extensions", [CLEAR, TOGETHER], ids=["apart", "together"])
@pytest.mark.parametrize(
    ("verb", "answer", "expected"),
    [
        pytest.param(verb, answer, expected, id=f"{verb}-{str(answer)[:28]}")
        for verb in STAGES
        for answer, expected in UNWELCOME
        if not (verb == "DATA" and expected == (354, "go on"))
    ],
)
async def test_an_unwelcome_answer(
    relay: Relay,
    verb: str,
    answer: Step,
    expected: tuple[int, str] | ConnectionProblem,
    extensions: tuple[str, ...],
) -> None:
    async with Peer(extensions=extensions, answers={verb: answer}).running() as peer:
        outcomes = await _send(relay, peer, wait=SHORT if expected is TIMEOUT else 5)
    for entry in outcomes:
        if isinstance(expected, tuple):
            assert entry.outcome == _refused(*expected, STAGES[verb])
        else:
            assert isinstance(entry.outcome, Deferred)
            assert isinstance(entry.outcome.failure, ConnectionFailure)
            assert entry.outcome.failure.problem is expected
            assert entry.outcome.failure.stage is STAGES[verb]
    if verb != ".":
        assert not any(peer.only.messages)
        assert MESSAGE not in peer.only.octets
    if verb in {"MAIL", "RCPT"} and extensions is CLEAR:
        assert "DATA" not in peer.only.verbs


async def test_data_answered_as_if_done_is_no_delivery(relay: Relay) -> None:
    async with Peer(extensions=CLEAR, answers={"DATA": b"250 done\r\n"}).running() as peer:
        outcomes = await _send(relay, peer)
    assert {entry.outcome for entry in outcomes} == {_refused(250, "done", Stage.DATA)}
    assert MESSAGE not in peer.only.octets


async def test_recipients_are_answered_one_by_one(relay: Relay) -> None:
    recipients = ("a@peer.test", "b@peer.test", "c@peer.test", "d@peer.test")
    answers = {
        "RCPT TO:<b@peer.test>": b"550 5.1.1 unknown\r\n",
        "RCPT TO:<c@peer.test>": b"450 4.2.1 busy\r\n",
        "RCPT TO:<d@peer.test>": b"251 forwarded\r\n",
    }
    async with Peer(extensions=CLEAR, answers=answers).running() as peer:
        a, b, c, d = await _send(relay, peer, recipients)
    assert isinstance(a.outcome, Delivered)
    assert b.outcome == _refused(550, "5.1.1 unknown", Stage.RCPT)
    assert c.outcome == _refused(450, "4.2.1 busy", Stage.RCPT)
    assert isinstance(d.outcome, Delivered)
    assert peer.only.messages == [MESSAGE]


async def test_a_refused_recipient_keeps_its_answer_when_data_fails(relay: Relay) -> None:
    answers = {"RCPT TO:<one@peer.test>": b"550 5.1.1 unknown\r\n", "DATA": b"451 4.3.0 no\r\n"}
    async with Peer(extensions=CLEAR, answers=answers).running() as peer:
        one, two = await _send(relay, peer)
    assert one.outcome == _refused(550, "5.1.1 unknown", Stage.RCPT)
    assert two.outcome == _refused(451, "4.3.0 no", Stage.DATA)


async def test_without_an_accepted_recipient_there_is_no_data(relay: Relay) -> None:
    async with Peer(extensions=CLEAR, answers={"RCPT": b"550 5.1.1 unknown\r\n"}).running() as peer:
        outcomes = await _send(relay, peer)
    assert {entry.outcome for entry in outcomes} == {_refused(550, "5.1.1 unknown", Stage.RCPT)}
    assert peer.only.verbs == ["EHLO", "MAIL", "RCPT", "RCPT", "QUIT"]


async def test_a_connection_lost_among_the_recipients(relay: Relay) -> None:
    recipients = ("a@peer.test", "b@peer.test", "c@peer.test", "d@peer.test")
    answers: dict[str, Step] = {
        "RCPT TO:<b@peer.test>": b"550 5.1.1 unknown\r\n",
        "RCPT TO:<c@peer.test>": Do.CLOSE,
    }
    async with Peer(extensions=CLEAR, answers=answers).running() as peer:
        a, b, c, d = await _send(relay, peer, recipients)
    assert b.outcome == _refused(550, "5.1.1 unknown", Stage.RCPT)
    for entry in (a, c, d):
        assert isinstance(entry.outcome, Deferred)
        assert isinstance(entry.outcome.failure, ConnectionFailure)
        assert entry.outcome.failure.stage is Stage.RCPT
    assert "RCPT TO:<d@peer.test>" not in peer.only.commands


async def test_a_reply_before_the_whole_message_is_sent(relay: Relay) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 peer\r\n")
        for answer in (b"250 peer\r\n", b"250 ok\r\n", b"250 ok\r\n"):
            await reader.readline()
            writer.write(answer)
        await reader.readline()
        writer.write(b"354 go\r\n")
        await reader.readexactly(CHUNK)
        writer.write(b"552 5.3.4 too big\r\n")
        await writer.drain()
        while octets := await reader.read(CHUNK):
            received.extend(octets)
        writer.close()
        over.set()

    received = bytearray()
    over = asyncio.Event()
    content = b"a" * 78 + b"\r\n"
    content *= 1_000_000
    async with await asyncio.start_server(handle, "127.0.0.1", 0, limit=CHUNK) as server:
        port = server.sockets[0].getsockname()[1]
        peer = Peer()
        peer._port = port
        session = await relay.open(peer.hop)
        admitted = await relay.admitted(session)
        (entry,) = await admitted.send(envelope(), ("one@peer.test",), content)
        await session.close()
        await over.wait()
    assert entry.outcome == _refused(552, "5.3.4 too big", Stage.BODY)
    assert len(received) < len(content)
    assert not received.endswith(b".\r\n")


async def test_a_connection_lost_within_the_message(relay: Relay) -> None:
    content = (b"a" * 78 + b"\r\n") * 1_000_000
    async with Peer(
        extensions=CLEAR, answers={"DATA": (b"354 go\r\n", Do.RESET)}
    ).running() as peer:
        (entry,) = await _send(relay, peer, ("one@peer.test",), content)
    assert isinstance(entry.outcome, Deferred)
    assert isinstance(entry.outcome.failure, ConnectionFailure)
    assert entry.outcome.failure.problem is LOST
    assert entry.outcome.failure.stage is Stage.BODY


async def test_a_host_that_takes_no_octets(relay: Relay) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 peer\r\n")
        for answer in (b"250 peer\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
            await reader.readline()
            writer.write(answer)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await finished.wait()
        writer.transport.abort()

    finished = asyncio.Event()
    content = (b"a" * 78 + b"\r\n") * 1_000_000
    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        peer = Peer()
        peer._port = server.sockets[0].getsockname()[1]
        session = await relay.open(peer.hop, wait=SHORT)
        admitted = await relay.admitted(session)
        (entry,) = await admitted.send(envelope(), ("one@peer.test",), content)
        await session.close()
        finished.set()
    assert isinstance(entry.outcome, Deferred)
    assert isinstance(entry.outcome.failure, ConnectionFailure)
    assert (entry.outcome.failure.problem, entry.outcome.failure.stage) == (TIMEOUT, Stage.BODY)


async def test_cancelled_within_the_message_no_command_follows(relay: Relay) -> None:
    answers = {"DATA": (b"354 go\r\n", Do.SILENT)}
    async with Peer(extensions=CLEAR, answers=answers).running() as peer:
        session = await relay.open(peer.hop)
        admitted = await relay.admitted(session)
        sending = admitted.send(envelope(), ("one@peer.test",), MESSAGE)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sending, SHORT)
        await session.close()
        await peer.settled()
    assert peer.only.octets.endswith(MESSAGE + b".\r\n")
    assert b"QUIT" not in peer.only.octets


@pytest.mark.parametrize(
    ("extensions", "content", "recipient", "problem"),
    [
        (("SIZE 20",), MESSAGE, "one@peer.test", LocalProblem.TOO_BIG_FOR_HOST),
        ((), b"\xc3\xa9\r\n", "one@peer.test", LocalProblem.NEEDS_8BITMIME),
        (("8BITMIME",), MESSAGE, "jürgen@peer.test", LocalProblem.NEEDS_SMTPUTF8),
        ((), b"bare\nLF\r\n", "one@peer.test", LocalProblem.NOT_SENDABLE),
        ((), b"bare\rCR\r\n", "one@peer.test", LocalProblem.NOT_SENDABLE),
        ((), b"a\r\n.\n.\r\n", "one@peer.test", LocalProblem.NOT_SENDABLE),
        ((), b"no end", "one@peer.test", LocalProblem.NOT_SENDABLE),
        ((), MESSAGE, 'x"y@peer.test', LocalProblem.NOT_SENDABLE),
        ((), MESSAGE, "a@peer.test SIZE=1", LocalProblem.NOT_SENDABLE),
        ((), MESSAGE, "a,b@peer.test", LocalProblem.NOT_SENDABLE),
        ((), MESSAGE, "a\r\nRSET@peer.test", LocalProblem.NOT_SENDABLE),
        ((), MESSAGE, "\udcff@peer.test", LocalProblem.NOT_SENDABLE),
        ((), MESSAGE, "<a@peer.test>", LocalProblem.NOT_SENDABLE),
        ((), MESSAGE, "", LocalProblem.NOT_SENDABLE),
    ],
    ids=lambda value: ascii(value)[:24],
)
async def test_what_does_not_fit_the_host_is_not_sent(
    relay: Relay,
    extensions: tuple[str, ...],
    content: bytes,
    recipient: str,
    problem: LocalProblem,
) -> None:
    async with Peer(extensions=extensions).running() as peer:
        (entry,) = await _send(relay, peer, (recipient,), content)
    assert isinstance(entry.outcome, Failed)
    assert isinstance(entry.outcome.failure, LocalRefusal)
    assert entry.outcome.failure.problem is problem
    assert peer.only.verbs == ["EHLO", "QUIT"]


async def test_one_unfit_recipient_does_not_hold_up_the_others(relay: Relay) -> None:
    async with Peer(extensions=("8BITMIME",)).running() as peer:
        one, two = await _send(relay, peer, ("jürgen@peer.test", "two@peer.test"))
    assert isinstance(one.outcome, Failed)
    assert isinstance(two.outcome, Delivered)
    assert peer.only.verbs == ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"]


@pytest.mark.parametrize(
    "address", ['"a b"@peer.test', '"a\\"b"@peer.test', '"<a>"@peer.test', "a+b/c@peer.test"]
)
async def test_addresses_go_out_as_they_are_written(relay: Relay, address: str) -> None:
    async with Peer(extensions=()).running() as peer:
        (entry,) = await _send(relay, peer, (address,))
    assert isinstance(entry.outcome, Delivered)
    assert f"RCPT TO:<{address}>" in peer.only.commands


async def test_a_session_is_admitted_for_one_message(relay: Relay) -> None:
    async with Peer(extensions=CLEAR).running() as peer:
        session = await relay.open(peer.hop)
        admitted = await relay.admitted(session)
        await admitted.send(envelope(), ("one@peer.test",), MESSAGE)
        with pytest.raises(ValueError, match="one message"):
            await admitted.send(envelope(), ("one@peer.test",), MESSAGE)
        again = await relay.admitted(session)
        (entry,) = await again.send(envelope(), ("one@peer.test",), MESSAGE)
        await session.close()
    assert isinstance(entry.outcome, Delivered)
    assert len(peer.only.messages) == 2


async def test_a_session_is_admitted_for_one_domain(relay: Relay) -> None:
    async with Peer(extensions=CLEAR).running() as peer:
        session = await relay.open(peer.hop)
        admitted = await relay.admitted(session)
        with pytest.raises(ValueError, match="not admitted for the domain"):
            await admitted.send(envelope(), ("one@other.test",), MESSAGE)
        await session.close()
        await peer.settled()
    assert peer.only.verbs == ["EHLO", "QUIT"]


async def test_a_connection_lost_before_mail(relay: Relay) -> None:
    answers = {"EHLO": (b"250 peer\r\n", Do.CLOSE)}
    async with Peer(answers=answers).running() as peer:
        outcomes = await _send(relay, peer)
    for entry in outcomes:
        assert isinstance(entry.outcome, Deferred)
        assert isinstance(entry.outcome.failure, ConnectionFailure)
        assert (entry.outcome.failure.problem, entry.outcome.failure.stage) == (LOST, Stage.MAIL)


async def test_the_transcript_has_the_size_of_a_message_and_not_its_text(relay: Relay) -> None:
    async with Peer(extensions=()).running() as peer:
        session = await relay.open(peer.hop)
        admitted = await relay.admitted(session)
        await admitted.send(envelope(), ("one@peer.test",), MESSAGE)
        await session.close()
    lines = [str(line) for line in session.record().transcript]
    assert lines[lines.index("--> DATA") :] == [
        "--> DATA",
        "<-- 354 go ahead",
        " *  message content, 25 octets",
        "<-- 250 2.0.0 taken",
        "--> QUIT",
        "<-- 221 2.0.0 bye",
    ]
    assert " *  verdict: deliver, clear" in lines
    assert not any("Hello" in line for line in lines)


LINES = st.lists(
    st.one_of(
        st.sampled_from([b"", b".", b"..", b".QUIT", b"a" * 5000, b"\x00\xff", b" ."]),
        st.binary(max_size=80).map(lambda b: b.replace(b"\r", b"").replace(b"\n", b"")),
    ),
    max_size=20,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(lines=LINES)
def test_every_octet_arrives(relay: Relay, lines: list[bytes]) -> None:
    content = b"".join(line + b"\r\n" for line in lines)

    async def deliver() -> list[bytes]:
        async with Peer(extensions=CLEAR).running() as peer:
            (entry,) = await _send(relay, peer, ("one@peer.test",), content)
        assert isinstance(entry.outcome, Delivered)
        return peer.only.messages

    assert asyncio.run(deliver()) == [content]


async def test_a_big_message_arrives_whole_through_tls(
    relay: Relay, honest: ssl.SSLContext
) -> None:
    content = b"".join(b".%d\r\n" % number for number in range(400_000))
    extensions = ("STARTTLS", "8BITMIME")
    async with Peer(extensions=extensions, context=honest).running() as peer:
        session = await relay.open(peer.hop, TlsSetting.REQUIRED_VERIFY, wait=60)
        admitted = await relay.admitted(session, TlsSetting.REQUIRED_VERIFY)
        (entry,) = await admitted.send(envelope(), ("one@peer.test",), content)
        await session.close()
        await peer.settled()
    assert isinstance(entry.outcome, Delivered)
    assert entry.outcome.protection is Protection.VERIFIED
    assert peer.only.messages == [content]


@pytest.mark.parametrize("code", [220, 250, 354, -1])
def test_a_reply_out_of_place_is_never_reported_as_a_success(code: int) -> None:
    failure = PeerRefusal(reply=Reply(code=code, text="2.0.0 fine"), stage=Stage.DATA)
    assert str(SALESFORCE.entry(failure).status) == "451 4.5.0"
