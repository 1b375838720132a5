"""Sessions kept for another message: who gets one, and which are never given to anybody."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
import trustme
from outbound_peer import HOST, Do, Peer, Step
from outbound_relay import DOMAIN, MESSAGE, Relay, envelope, utc_now

from relay.core.addresses import Domain
from relay.core.email_relays import Credentials, Secret
from relay.core.outcomes import Delivered
from relay.core.settings import TlsSetting
from relay.core.tls_policy import CommonName, NamePolicy, TrustAnchors
from relay.outbound.pool import PoolKey, PoolLimits, SessionPool
from relay.outbound.session import OutboundSession, SessionOptions
from relay.tls.contexts import ClientContexts
from relay.tls.examined import ExaminedChains

STRICT = TlsSetting.REQUIRED_VERIFY
CLEAR = TlsSetting.PREFERRED
NO_TLS = ("PIPELINING",)


@asynccontextmanager
async def pooled(limits: PoolLimits | None = None) -> AsyncIterator[SessionPool]:
    """A pool that is closed in the end; whatever it began must be over by then."""
    before = asyncio.all_tasks()
    pool = SessionPool(limits)
    yield pool
    await pool.close()
    assert not len(pool)
    assert {task for task in asyncio.all_tasks() - before if task.get_name() == "farewell"} == set()


def key_of(relay: Relay, peer: Peer, setting: TlsSetting = CLEAR) -> PoolKey:
    return PoolKey.of(
        peer.hop,
        relay.policy(setting),
        relay.contexts,
        recipient_domain=DOMAIN,
        credentials=None,
    )


async def carry(relay: Relay, session: OutboundSession, setting: TlsSetting = CLEAR) -> None:
    admitted = await relay.admitted(session, setting)
    (entry,) = await admitted.send(envelope(), ("one@peer.test",), MESSAGE)
    assert isinstance(entry.outcome, Delivered)
    assert await session.keep()


async def test_one_session_carries_many_messages(relay: Relay, honest: ssl.SSLContext) -> None:
    async with Peer(context=honest).running() as peer, pooled() as pool:
        key = key_of(relay, peer, STRICT)
        session = await relay.open(peer.hop, STRICT)
        await carry(relay, session, STRICT)
        records = [session.record()]
        pool.put(key, session)
        for number in (2, 3):
            again = pool.take(key)
            assert again is session
            session.turn_to(f"session-{number}")
            await carry(relay, session, STRICT)
            records.append(session.record())
            pool.put(key, session)
        await pool.close()
        await peer.settled()
    assert peer.only.verbs == [
        *("EHLO", "STARTTLS", "EHLO"),
        *("MAIL", "RCPT", "DATA") * 3,
        "QUIT",
    ]
    assert peer.only.messages == [MESSAGE] * 3
    assert [(record.id, record.continues) for record in records] == [
        *(("session-1", None), ("session-2", "session-1"), ("session-3", "session-1"))
    ]
    assert {record.evidence for record in records} == {session.evidence}
    opening, second, third = ([line.text for line in record.transcript] for record in records)
    assert sum(text.startswith("EHLO") for text in opening) == 2
    for texts in (second, third):
        assert "in the connection of session session-1" in texts[0]
        assert [text.split(" ")[0] for text in texts if text[0].isupper()] == [
            *("MAIL", "RCPT", "DATA")
        ]
    assert "verdict: deliver, verified" in second


KEYS = ("host", "setting", "minimum", "trust", "names", "contexts", "name", "login")


@pytest.mark.parametrize("differs", KEYS)
async def test_nobody_else_gets_a_session(
    relay: Relay, honest: ssl.SSLContext, differs: str
) -> None:
    async with Peer(context=honest).running() as peer, pooled() as pool:
        key = key_of(relay, peer, STRICT)
        session = await relay.open(peer.hop, STRICT)
        await carry(relay, session, STRICT)
        pool.put(key, session)
        match differs:
            case "host":
                other = replace(key, hop=replace(key.hop, host="other.peer.test"))
            case "setting":
                other = replace(key, policy=relay.policy(TlsSetting.REQUIRED))
            case "minimum":
                minimum = type(key.policy.minimum_tls).TLS1_3
                other = replace(key, policy=replace(key.policy, minimum_tls=minimum))
            case "trust":
                trust = TrustAnchors(lab=False, ca_files=())
                other = replace(key, policy=replace(key.policy, trust=trust))
            case "names":
                names = NamePolicy(common_name=CommonName.FALLBACK)
                other = replace(key, policy=replace(key.policy, names=names))
            case "contexts":
                other = replace(key, contexts=ClientContexts(relay.stores))
            case "name":
                other = replace(key, name=Domain("other.test"))
            case _:
                credentials = Credentials(username="a", password=Secret("b"))
                other = replace(key, credentials=credentials)
        assert pool.take(other) is None
        assert pool.take(key) is session
        pool.put(key, session)


def test_the_recipients_domain_counts_where_the_certificate_may_bear_it(relay: Relay) -> None:
    peer = Peer()
    policy = relay.policy(STRICT)
    by_domain = replace(policy, names=NamePolicy(recipient_domain=True))

    def key(domain: str, of: object) -> PoolKey:
        assert of in {policy, by_domain}
        return PoolKey.of(
            peer.hop,
            by_domain if of is by_domain else policy,
            relay.contexts,
            recipient_domain=Domain(domain),
            credentials=None,
        )

    assert key("a.test", policy) == key("b.test", policy)
    assert key("a.test", by_domain) != key("b.test", by_domain)


@pytest.mark.parametrize(
    "then",
    [
        pytest.param(Do.CLOSE, id="closes"),
        pytest.param(Do.RESET, id="resets"),
        pytest.param(b"421 4.4.2 timeout\r\n", id="speaks-unasked"),
        pytest.param((b"421 4.4.2 timeout\r\n", Do.CLOSE), id="speaks-and-closes"),
    ],
)
async def test_a_host_that_does_something_meanwhile(relay: Relay, then: Step) -> None:
    told = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 peer\r\n")
        for answer in (b"250 ok\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
            await reader.readline()
            writer.write(answer)
        await reader.readuntil(b"\r\n.\r\n")
        writer.write(b"250 taken\r\n")
        await told.wait()
        steps = then if isinstance(then, tuple) else (then,)
        for step in steps:
            if isinstance(step, bytes):
                writer.write(step)
            elif step is Do.CLOSE:
                writer.close()
            else:
                writer.transport.abort()
        said.set()
        await reader.read()
        writer.close()

    said = asyncio.Event()
    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server, pooled() as pool:
        peer = Peer()
        peer._port = server.sockets[0].getsockname()[1]
        session = await relay.open(peer.hop)
        await carry(relay, session)
        pool.put(key_of(relay, peer), session)
        told.set()
        async with asyncio.timeout(5):
            await said.wait()
            while session.usable:
                await asyncio.sleep(0)
        assert pool.take(key_of(relay, peer)) is None


@pytest.mark.parametrize(
    "answers",
    [
        {"MAIL": b"451 4.3.0 later\r\n"},
        {"RCPT": b"550 5.1.1 unknown\r\n"},
        {"DATA": b"451 4.3.0 later\r\n"},
        {".": b"554 5.6.0 no\r\n"},
    ],
    ids=["MAIL", "RCPT", "DATA", "end"],
)
@pytest.mark.parametrize("extensions", [(), NO_TLS], ids=["apart", "together"])
async def test_a_refused_message_leaves_a_session_for_the_next(
    relay: Relay, answers: dict[str, Step], extensions: tuple[str, ...]
) -> None:
    async with Peer(extensions=extensions, answers=answers).running() as peer:
        session = await relay.open(peer.hop)
        admitted = await relay.admitted(session)
        if extensions and "MAIL" in answers:
            # Its recipients stand, and no end of data may follow.
            await admitted.send(envelope(), ("one@peer.test",), MESSAGE)
            assert not await session.keep()
            return
        await admitted.send(envelope(), ("one@peer.test",), MESSAGE)
        assert await session.keep()
        session.turn_to("session-2")
        again = await relay.admitted(session)
        await again.send(envelope(), ("one@peer.test",), MESSAGE)
        await session.close()
        await peer.settled()
    mails = [i for i, verb in enumerate(peer.only.verbs) if verb == "MAIL"]
    assert len(mails) == 2
    assert ("RSET" in peer.only.verbs[mails[0] : mails[1]]) is ("MAIL" not in answers)


async def test_a_refused_rset_ends_the_session(relay: Relay) -> None:
    answers: dict[str, Step] = {"RCPT": b"550 5.1.1 no\r\n", "RSET": b"502 5.5.1 what?\r\n"}
    async with Peer(extensions=(), answers=answers).running() as peer:
        session = await relay.open(peer.hop)
        admitted = await relay.admitted(session)
        await admitted.send(envelope(), ("one@peer.test",), MESSAGE)
        assert not await session.keep()
        await session.close()
        await peer.settled()
    assert peer.only.verbs[-1] == "RSET"


async def test_limits(relay: Relay) -> None:
    async with Peer(extensions=()).running() as peer:
        key = key_of(relay, peer)
        for limits in (PoolLimits(messages=1), PoolLimits(age=timedelta(0))):
            async with pooled(limits) as pool:
                session = await relay.open(peer.hop)
                await carry(relay, session)
                pool.put(key, session)
                assert pool.take(key) is None
        async with pooled(PoolLimits(idle=timedelta(milliseconds=20))) as pool:
            session = await relay.open(peer.hop)
            await carry(relay, session)
            pool.put(key, session)
            # The farewell comes by itself.
            await peer.settled()
            assert not len(pool)
        assert peer.conversations[-1].verbs[-1] == "QUIT"


async def test_room_is_made_by_those_that_wait_longest(relay: Relay) -> None:
    async with Peer(extensions=()).running() as peer, pooled() as pool:
        key = key_of(relay, peer)
        sessions = [await relay.open(peer.hop) for _ in range(4)]
        for session in sessions:
            await carry(relay, session)
            pool.put(key, session)
        pool.make_room(peer.hop, in_all=10, per_host=3)
        assert len(pool) == 3
        pool.make_room(replace(peer.hop, port=1), in_all=1, per_host=0)
        assert len(pool) == 1
        assert pool.take(key) is sessions[-1]
        pool.put(key, sessions[-1])


async def test_a_login_is_not_repeated_and_never_shared(
    relay: Relay, honest: ssl.SSLContext
) -> None:
    login = Credentials(username="org", password=Secret("secret"))
    extensions = ("STARTTLS", "AUTH PLAIN")
    answers: dict[str, Step] = {"AUTH": b"235 2.7.0 welcome\r\n", "RCPT": b"550 5.1.1 secret?\r\n"}
    async with Peer(context=honest, extensions=extensions, answers=answers).running() as peer:
        session = await relay.open(peer.hop, STRICT)
        for number in (2, 3):
            admitted = await relay.admitted(session, STRICT)
            await admitted.send(envelope(), ("one@peer.test",), MESSAGE, credentials=login)
            assert await session.keep()
            assert not any("secret" in line.text for line in session.record().transcript)
            session.turn_to(f"session-{number}")
        for other in (None, replace(login, username="other")):
            admitted = await relay.admitted(session, STRICT)
            with pytest.raises(ValueError, match="somebody else"):
                await admitted.send(envelope(), ("one@peer.test",), MESSAGE, credentials=other)
        await session.close()
        await peer.settled()
    assert peer.only.verbs.count("AUTH") == 1


async def test_a_session_does_not_outlive_its_certificate(relay: Relay, ca: trustme.CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ends = utc_now() + timedelta(hours=1)
    ca.issue_cert(HOST, not_after=ends).configure_cert(context)
    time = utc_now()
    policy = relay.policy(STRICT)
    examined = ExaminedChains()

    def outlived(session: OutboundSession) -> bool:
        return session.outlived(
            policy,
            recipient_domain=DOMAIN,
            store=relay.stores.store(policy.trust),
            examined=examined,
        )

    async with Peer(context=context).running() as peer:
        session = await OutboundSession.open(
            peer.hop,
            policy,
            options=SessionOptions(
                local_hostname="relay.lab.test",
                connect_timeout=timedelta(seconds=5),
                command_timeout=timedelta(seconds=5),
                allow_external=False,
            ),
            contexts=relay.contexts,
            now=lambda: time,
            session_id="session-1",
        )
        await carry(relay, session, STRICT)
        time = ends - timedelta(seconds=1)
        assert not outlived(session)
        time = ends + timedelta(seconds=2)
        assert outlived(session)
        await session.close()


async def test_what_was_judged_for_one_message_is_no_answer_to_another_question(
    relay: Relay, wrong_host: ssl.SSLContext
) -> None:
    by_domain = replace(relay.policy(CLEAR), names=NamePolicy(recipient_domain=True))
    async with Peer(context=wrong_host).running() as peer:
        session = await relay.open(peer.hop)
        kinds = []
        for policy, domain in (
            (relay.policy(CLEAR), "peer.test"),
            (relay.policy(STRICT), "peer.test"),
            (relay.policy(CLEAR), "peer.test"),
            (by_domain, "peer.test"),
            (by_domain, "other.peer.test"),
            (by_domain, "peer.test"),
        ):
            admission = await session.admit(
                policy, recipient_domain=Domain(domain), store=relay.stores.store(policy.trust)
            )
            kinds.append((admission.verdict.kind, len(session.record().faults)))
            session.turn_to("another")
        await session.close()
    assert kinds == [
        *(("deliver", 1), ("terminate", 1), ("deliver", 1)),
        *(("deliver", 1), ("deliver", 0), ("deliver", 1)),
    ]
