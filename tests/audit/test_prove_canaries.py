"""Each canary is one way in which relays were broken; a proof that misses one proves nothing.

Each test runs the unbroken sender first, whose claim comes out enforced, then the broken one.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import warnings
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest
from prove_harness import SmallClient, proven, proving_line, relay_sender, verdicts

from relay.audit.proof import Reported, Told, Verdict
from relay.audit.prove_sender import message_for, reverse_path
from relay.audit.shown import Marked
from relay.core.faults import FaultKind
from relay.core.settings import OnBadCertificate, OnNoTls, Starttls
from relay.core.tls_policy import TlsPolicy
from relay.engine.attempts import Attempts
from relay.engine.ways import PlannedWay, Terms
from relay.lab.lab import Lab
from relay.outbound.opening import Opening
from relay.tls.contexts import ClientContexts
from relay.tls.examine import examine

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from lab_legacy_client import signatures_unchecked
    from tlslite.api import HandshakeSettings, TLSConnection

STRICT = "tls: Required Verify\nconnect_timeout: 2s\ncommand_timeout: 2s\n"
QUEUED = STRICT + "reply: queued\nretry: {delays: [100ms, 100ms]}\n"
ENFORCED, LEAKED = Verdict.ENFORCED, Verdict.LEAKED


async def caught(
    lab: Lab,
    state: Path,
    scenario: str,
    break_it: Callable[[], None],
    *,
    policy: str = STRICT,
    to: dict[str, str] | None = None,
) -> str:
    """Prove a relay, unbroken and broken; return the line that proves the leak."""
    async with relay_sender(policy, lab, state) as sender:
        found = await proven(lab, sender, scenario, to=to)
        assert verdicts(found) == {"good": ENFORCED, scenario: ENFORCED}
        break_it()
        found = await proven(lab, sender, scenario, to=to)
        assert verdicts(found) == {"good": ENFORCED, scenario: LEAKED}
        return proving_line(found[scenario])


def overlook(monkeypatch: pytest.MonkeyPatch, *kinds: FaultKind) -> None:
    """Let the examination overlook some faults."""

    def examined(*args: Any, **named: Any) -> Any:
        return tuple(fault for fault in examine(*args, **named) if fault.kind not in kinds)

    monkeypatch.setattr("relay.outbound.judgement.examine", examined)


def change_contexts(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[ssl.SSLContext], None]
) -> None:
    """Let every handshake be made with changed contexts."""
    original = ClientContexts.context

    def context(self: ClientContexts, policy: TlsPolicy) -> ssl.SSLContext:
        found = original(self, policy)
        change(found)
        return found

    monkeypatch.setattr(ClientContexts, "context", context)


_CLEAR: ContextVar[bool] = ContextVar("clear", default=False)


def clear_where(monkeypatch: pytest.MonkeyPatch, condition: Callable[[Any, Any], bool]) -> None:
    """Let attempts that meet a condition go in clear text, whatever the policy says."""
    original, agreed = Attempts.make, PlannedWay.terms

    async def make(self: Attempts, task: Any, step: Any, *rest: Any, **more: Any) -> Any:
        _CLEAR.set(condition(task, step))
        return await original(self, task, step, *rest, **more)

    def terms(self: PlannedWay, *asked: Any) -> Terms:
        kept = agreed(self, *asked)
        if not _CLEAR.get():
            return kept
        policy = replace(
            kept.key.policy,
            starttls=Starttls.NEVER,
            on_no_tls=OnNoTls.CLEAR,
            on_bad_certificate=OnBadCertificate.IGNORE,
        )
        return kept._replace(key=replace(kept.key, policy=policy))

    monkeypatch.setattr(Attempts, "make", make)
    monkeypatch.setattr(PlannedWay, "terms", terms)


async def test_verification_off(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_it() -> None:
        monkeypatch.setattr("relay.tls.contexts.verification", lambda _: None)
        monkeypatch.setattr("relay.outbound.judgement.examine", lambda *_, **__: ())

    line = await caught(lab, tmp_path, "untrusted-root", break_it)
    assert line.startswith("<~~ MAIL FROM:<rlp-")


async def test_chain_checked_but_not_the_name(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_it() -> None:
        overlook(monkeypatch, FaultKind.CERTIFICATE_NAME_MISMATCH)
        change_contexts(monkeypatch, lambda context: setattr(context, "check_hostname", False))

    line = await caught(lab, tmp_path, "wrong-host", break_it)
    assert line.startswith("<~~ MAIL FROM:<rlp-")


async def test_expiry_ignored(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_check_time = 0x200000  # X509_V_FLAG_NO_CHECK_TIME

    def look_away(context: ssl.SSLContext) -> None:
        context.verify_flags = ssl.VerifyFlags(context.verify_flags | no_check_time)

    def break_it() -> None:
        overlook(monkeypatch, FaultKind.CERTIFICATE_EXPIRED)
        change_contexts(monkeypatch, look_away)

    line = await caught(lab, tmp_path, "expired", break_it)
    assert line.startswith("<~~ MAIL FROM:<rlp-")


async def test_clear_on_retry(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_it() -> None:
        clear_where(monkeypatch, lambda _, step: step.round > 2)

    line = await caught(lab, tmp_path, "starttls-refused", break_it, policy=QUEUED)
    assert line.startswith("<-- MAIL FROM:<rlp-")


async def test_clear_on_the_second_host(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = STRICT + "routes: [{match: cluster.test, to: [lab/expired, lab/no-starttls]}]\n"

    def break_it() -> None:
        clear_where(monkeypatch, lambda task, step: step.hop != task.hosts[0])

    line = await caught(
        lab, tmp_path, "expired", break_it, policy=policy, to={"expired": "cluster.test"}
    )
    assert line.startswith("<-- MAIL FROM:<rlp-")
    assert not any(session.messages for session in lab.received("expired"))
    assert any(session.messages for session in lab.received("no-starttls"))


async def test_mail_before_judging(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Opening.run

    async def run(self: Opening, *args: Any) -> Any:
        failure = await original(self, *args)
        await self.client._smtp.execute_command(b"MAIL", b"FROM:<someone@example.test>")
        await self.client._smtp.execute_command(b"RSET")
        return failure

    line = await caught(
        lab, tmp_path, "no-starttls", lambda: monkeypatch.setattr(Opening, "run", run)
    )
    assert line == "<-- MAIL FROM:<someone@example.test>"


async def test_a_notification_with_the_message_in_clear(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_it() -> None:
        clear_where(monkeypatch, lambda task, _: not task.envelope.reverse_path)

    # Two tries, so that nothing but the notification settles it.
    policy = STRICT + "reply: queued\nretry: {delays: [100ms]}\n"
    async with relay_sender(policy, lab, tmp_path) as sender:
        found = await proven(lab, sender, "no-starttls")
        assert verdicts(found) == {"good": ENFORCED, "no-starttls": ENFORCED}
        assert (told := found["no-starttls"].reported) is not None
        assert told.by is Told.NOTIFICATION
        break_it()
        record = (await proven(lab, sender, "no-starttls"))["no-starttls"]
    assert record.proof.verdict is LEAKED
    assert proving_line(record).startswith("<-- MAIL FROM:<>")
    assert record.proof.because.startswith("MAIL came in clear text at another receiver, good")
    (leaking,) = (s for s in record.sessions if s.receiver == "good")
    assert f"{record.marked.mark} ends here.".encode() in leaking.messages[0].content


class LogsInFirst(SmallClient):
    async def connect(self, marked: Marked) -> aiosmtplib.SMTP:
        client, name = await self.greet(marked)
        await self.log_in(client)
        await client.starttls(server_hostname=name, tls_context=self.context())
        return client


async def test_auth_before_verifying(lab: Lab) -> None:
    found = await proven(lab, SmallClient(lab), "expired")
    assert verdicts(found) == {"good": ENFORCED, "expired": ENFORCED}
    found = await proven(lab, LogsInFirst(lab), "expired")
    assert verdicts(found)["expired"] is LEAKED
    assert proving_line(found["expired"]) == "<-- AUTH PLAIN [redacted]"
    assert found["expired"].proof.because.startswith("AUTH came in clear text")


class ReusesSessions(SmallClient):
    """Keeps the session that a message under a laxer policy was sent in, and uses it again."""

    async def connect(self, marked: Marked) -> aiosmtplib.SMTP:
        client, name = await self.greet(marked)
        anything = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anything.check_hostname, anything.verify_mode = False, ssl.CERT_NONE
        await client.starttls(server_hostname=name, tls_context=anything)
        await client.ehlo()
        await client.mail("lax@example.test")
        await client.rcpt("somebody@lax.example.test")
        await client.data(b"Subject: lax\r\n\r\nwhatever\r\n")
        return client


async def test_a_session_reused_across_policies(lab: Lab) -> None:
    found = await proven(lab, ReusesSessions(lab), "self-signed")
    record = found["self-signed"]
    assert record.proof.verdict is LEAKED
    # Not the other message's: that one was allowed.
    assert proving_line(record).startswith(f"<~~ MAIL FROM:<{record.marked.mark}@")


class IgnoresSignatures(SmallClient):
    """Speaks TLS by a library that was told not to check who signed the key exchange."""

    async def send(self, marked: Marked) -> Reported | None:
        if marked.scenario != "goto-fail":
            return await super().send(marked)
        place = await self.lab.address(marked.scenario)
        await asyncio.to_thread(self.blocking, place.address, place.port, place.name, marked)
        return Reported(by=Told.REPLY, text="sent", final=True)

    @staticmethod
    def blocking(address: str, port: int, name: str, marked: Marked) -> None:
        settings = HandshakeSettings()
        settings.minVersion = settings.maxVersion = (3, 3)
        with socket.create_connection((address, port), timeout=10) as sock, signatures_unchecked():
            sock.recv(1000)
            sock.sendall(b"STARTTLS\r\n")
            assert sock.recv(1000).startswith(b"220 ")
            tls = TLSConnection(sock)
            tls.handshakeClientCert(settings=settings, serverName=name)
            for line in (
                b"EHLO client.test",
                f"MAIL FROM:<{reverse_path(marked)}>".encode(),
                f"RCPT TO:<{marked.recipient}>".encode(),
                b"DATA",
                message_for(marked) + b".",
                b"QUIT",
            ):
                tls.sendall(line + b"\r\n")
                tls.recv(4000)


async def test_signature_of_the_key_exchange_ignored(lab: Lab) -> None:
    found = await proven(lab, SmallClient(lab), "goto-fail")
    assert verdicts(found) == {"good": ENFORCED, "goto-fail": ENFORCED}
    found = await proven(lab, IgnoresSignatures(lab), "goto-fail")
    assert verdicts(found)["goto-fail"] is LEAKED
    assert proving_line(found["goto-fail"]).startswith("<~~ MAIL FROM:<rlp-")
