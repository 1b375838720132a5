"""`reuse: on` end to end: one session for many messages, a record for each, and nothing shared."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from e2e_relay import Running, Start

from relay.config.policy_file import load_policy_text
from relay.core.outcomes import Deferred, LocalProblem, LocalRefusal
from relay.core.records import Session
from relay.tls import certificate

POLICY = """\
tls: {tls}
relay: "smtp://127.0.0.1:{port}"
reuse: {reuse}
"""


@dataclass
class Host:
    """Takes mail in clear text with PIPELINING; `plays` says what each connection does."""

    plays: Callable[[int], Iterator[str]]
    connections: int = 0
    taken: list[bytes] = field(default_factory=list)
    quits: int = 0
    open: int = 0
    port: int = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Host]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        plan, play = self.plays(self.connections), "take"
        try:
            writer.write(b"220 host\r\n")
            while line := await reader.readline():
                match line.split()[0].upper():
                    case b"EHLO":
                        writer.write(b"250-host\r\n250 PIPELINING\r\n")
                    case b"MAIL":
                        play = next(plan, "take")
                        if play == "close":
                            return
                        if play == "hold":
                            await reader.read()
                            return
                        if play == "421":
                            writer.write(b"421 4.4.2 too many messages\r\n")
                            return
                        writer.write(b"250 ok\r\n")
                        if play == "drop":
                            return
                    case b"DATA":
                        writer.write(b"354 go\r\n")
                        self.taken.append(await reader.readuntil(b"\r\n.\r\n"))
                        writer.write(b"250 2.0.0 taken\r\n")
                        if play == "take-and-close":
                            return
                    case b"QUIT":
                        self.quits += 1
                        writer.write(b"221 bye\r\n")
                        return
                    case _:
                        writer.write(b"250 ok\r\n")
        finally:
            self.open -= 1
            writer.close()


def always(play: str) -> Callable[[int], Iterator[str]]:
    return lambda _connection: iter([play] * 1000)


def policy(host: Host, *, tls: str = "Preferred", reuse: str = "on") -> str:
    return POLICY.format(tls=tls, port=host.port, reuse=reuse)


def used(running: Running, mark: str) -> tuple[Session, list[str]]:
    """The session of a message's last attempt, and what was said in it."""
    record = running.record(mark)
    session = next(s for s in record.sessions if s.id == record.attempts[-1].session_id)
    return session, [line.text for line in session.transcript]


async def test_messages_share_a_session_and_each_has_its_own_record(start: Start) -> None:
    host = Host(always("take"))
    async with host.running():
        async with start(policy(host)) as running:
            for number in range(1, 4):
                reply = await running.send(f"to{number}@example.test", mark=f"m{number}")
                assert reply.code == 250
            assert host.connections == 1
            first, opening = used(running, "m1")
            assert first.continues is None
            assert any(text.startswith("EHLO") for text in opening)
            for number in (2, 3):
                session, texts = used(running, f"m{number}")
                assert session.continues == first.id
                assert session.evidence == first.evidence
                assert f"message {number} in the connection of session {first.id}" in texts[0]
                said = [text for text in texts if text.startswith("RCPT")]
                assert said == [f"RCPT TO:<to{number}@example.test>"]
            assert host.open == 1
        # Stopped: the session that stood idle has ended with a farewell.
        assert (host.open, host.quits) == (0, 1)
    assert len(host.taken) == 3


async def test_a_host_that_falls_silent_in_a_kept_session_is_left_in_time(start: Start) -> None:
    """The client's time bounds a message that opens no session, too."""
    host = Host(lambda number: iter(["take", "hold"] if number == 1 else ["take"]))
    within = "reply_within: 300ms\ncommand_timeout: 60s\n"
    async with host.running(), start(policy(host) + within) as running:
        codes = [(await running.send("a@example.test", mark=f"m{n}")).code for n in (1, 2, 3)]
        assert codes[0] == codes[2] == 250
        assert 400 <= codes[1] < 500
        (attempt,) = running.record("m2").attempts
        (entry,) = attempt.outcomes
        assert isinstance(entry.outcome, Deferred)
        assert isinstance(entry.outcome.failure, LocalRefusal)
        assert entry.outcome.failure.problem is LocalProblem.OUT_OF_TIME
        session, texts = used(running, "m2")
        assert session.continues is not None
        assert any(text.startswith("MAIL") for text in texts)
        # Nobody is to use the session again.
        assert host.connections == 2
    assert len(host.taken) == 2


async def test_off_is_the_default_and_each_message_has_a_session(start: Start) -> None:
    host = Host(always("take"))
    text = 'tls: Preferred\nrelay: "smtp://127.0.0.1:{}"\n'
    async with host.running(), start(text.format(host.port)) as running:
        for number in range(3):
            await running.send("to@example.test", mark=f"m{number}")
        assert (host.connections, host.quits, host.open) == (3, 3, 0)


@pytest.mark.parametrize("play", ["close", "421"])
async def test_a_session_that_has_ended_is_replaced_once(start: Start, play: str) -> None:
    # The first connection takes one message; what comes second finds it ended.
    host = Host(lambda number: iter(["take", play]) if number == 1 else iter(["take"]))
    async with host.running(), start(policy(host)) as running:
        assert (await running.send("a@example.test", mark="m1")).code == 250
        assert (await running.send("b@example.test", mark="m2")).code == 250
        assert host.connections == 2
        assert len(host.taken) == 2
        record = running.record("m2")
        assert len(record.attempts) == 1
        session, texts = used(running, "m2")
        assert session.continues is None
        gone = texts[0].removeprefix("in place of session ").partition(",")[0]
        ended = running.relay.journal.session(gone)
        assert ended.continues == used(running, "m1")[0].id
        assert not any(line.text.startswith("message content") for line in ended.transcript)


@pytest.mark.parametrize("play", ["close", "421"])
async def test_a_fresh_session_is_not_replaced(start: Start, play: str) -> None:
    host = Host(always(play))
    async with host.running(), start(policy(host)) as running:
        assert (await running.send("a@example.test", mark="m1")).code in {421, 450, 451}
        assert host.connections == 1


async def test_dropped_behind_an_answer_the_message_is_deferred(start: Start) -> None:
    # The host has heard of the message: whether it is tried again is the retries' to say.
    host = Host(lambda number: iter(["take", "drop"]))
    async with host.running(), start(policy(host)) as running:
        await running.send("a@example.test", mark="m1")
        assert (await running.send("b@example.test", mark="m2")).code // 100 == 4
        assert host.connections == 1
        assert len(host.taken) == 1


async def test_a_host_that_closes_idle_sessions(start: Start) -> None:
    host = Host(always("take-and-close"))
    async with host.running(), start(policy(host)) as running:
        for number in range(3):
            assert (await running.send("a@example.test", mark=f"m{number}")).code == 250
        assert len(host.taken) == 3
        assert host.connections == 3


async def test_a_loaded_policy_gets_sessions_of_its_own(start: Start) -> None:
    host = Host(always("take"))
    async with host.running(), start(policy(host)) as running:
        await running.send("a@example.test", mark="m1")
        await running.relay.load(load_policy_text(policy(host), name="again.yaml"))
        await running.send("a@example.test", mark="m2")
        assert host.connections == 2
        await running.relay.load(load_policy_text(policy(host, tls="Required"), name="more.yaml"))
        assert (await running.send("a@example.test", mark="m3")).code // 100 in {4, 5}
        assert host.connections == 3
        assert len(host.taken) == 2


async def test_counted_handshakes_and_examinations(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100 messages under Required Verify: handshakes as many as sessions, one chain examined."""
    handshakes, examined = 0, 0
    shake, examine = ssl.SSLObject.do_handshake, certificate.chain_faults

    def counted_handshake(self: ssl.SSLObject) -> None:
        nonlocal handshakes
        shake(self)
        handshakes += not self.server_side

    def counted_examination(*args: object, **named: object) -> object:
        nonlocal examined
        examined += 1
        return examine(*args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(ssl.SSLObject, "do_handshake", counted_handshake)
    monkeypatch.setattr(certificate, "chain_faults", counted_examination)
    text = "tls: Required Verify\nreuse: on\n"
    async with start(text) as running:

        async def some(client: int) -> None:
            for number in range(25):
                reply = await running.send("a@good.lab.test", mark=f"m{client}-{number}")
                assert reply.code == 250

        await asyncio.gather(*(some(client) for client in range(4)))
        sessions = {
            session.continues or session.id
            for session in running.relay.journal.sessions(1000)
            if session.hop is not None
        }
    assert handshakes == len(sessions) <= 4
    assert examined == 1


async def test_a_stopped_relay_leaves_nothing(start: Start) -> None:
    def left() -> tuple[int, set[str]]:
        tasks = {task.get_name() for task in asyncio.all_tasks()}
        return len(list(Path("/proc/self/fd").iterdir())), tasks

    host = Host(always("take"))
    async with host.running():
        counts = []
        for round_ in range(3):
            async with start(policy(host)) as running:
                await asyncio.gather(
                    *(running.send("a@example.test", mark=f"m{round_}-{n}") for n in range(10))
                )
                assert host.open >= 1
            while host.open:
                await asyncio.sleep(0)
            counts.append(left())
        # What the first round loads, stays.
        assert counts[1] == counts[2]
    assert host.quits == host.connections
