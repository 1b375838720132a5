"""Opening a session: from the connection to the EHLO that a transaction may follow.

Gathers evidence and judges nothing. What goes wrong with TLS is evidence; what goes wrong with
anything else is a failure, returned as a value.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from relay.core.addresses import parse_domain
from relay.core.evidence import ClientOffer, TlsEvidence
from relay.core.outcomes import (
    ConnectionFailure,
    ConnectionProblem,
    Failure,
    LocalProblem,
    LocalRefusal,
    Stage,
)
from relay.core.replies import Reply
from relay.core.routing import Hop
from relay.core.settings import Starttls, TlsMode
from relay.core.tls_policy import TlsPolicy
from relay.core.transcripts import TranscriptLog
from relay.outbound.answers import Answer, Broken, failure_of
from relay.outbound.client import Client
from relay.outbound.connect import connect_to, refuse_unless_allowed
from relay.outbound.exchange import CLOSING
from relay.outbound.tap import COMPLETED, GO_AHEAD
from relay.tls.contexts import ClientContexts
from relay.tls.observe import observe_done, observe_failed
from relay.tls.trust import TrustError

_EHLO_UNKNOWN: Final = frozenset({500, 502, 504})
"""Replies by which a host says that it does not know EHLO (RFC 5321 section 3.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """How this relay opens sessions.

    `local_hostname` is what EHLO says. `connect_timeout` bounds the TCP connection,
    `command_timeout` each answer and the handshake. `allow_external` permits hosts off this machine
    and its private network.
    """

    local_hostname: str
    connect_timeout: timedelta
    command_timeout: timedelta
    allow_external: bool

    def __post_init__(self) -> None:
        name = self.local_hostname
        if not name or not name.isascii() or not name.isprintable() or " " in name:
            raise ValueError(f"{name!r} can not be said in EHLO")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Handshake:
    """What a handshake would be made with."""

    context: ssl.SSLContext
    offer: ClientOffer


class Opening:
    """The dialog that opens one session; `evidence` grows with it."""

    def __init__(
        self,
        hop: Hop,
        *,
        options: SessionOptions,
        now: Callable[[], datetime],
        transcript: TranscriptLog,
    ) -> None:
        self.connected = False
        self._seen: dict[str, Any] = {"mode": hop.mode, "observed_at": now()}
        self._evidence: TlsEvidence | None = None
        self.client = Client(
            host=hop.host,
            local_hostname=options.local_hostname,
            timeout=options.command_timeout.total_seconds(),
            transcript=transcript,
        )
        self._hop = hop
        self._options = options
        self._now = now
        self._transcript = transcript

    @property
    def evidence(self) -> TlsEvidence:
        """What was seen until now; the same object as long as it is the same."""
        if self._evidence is None:
            self._evidence = TlsEvidence(**self._seen)
        return self._evidence

    async def run(self, policy: TlsPolicy, contexts: ClientContexts) -> Failure | None:
        """Open the session; return why there is none, unless TLS is the reason."""
        refusal = refuse_unless_allowed(self._hop, allow_external=self._options.allow_external)
        if refusal is not None:
            return refusal
        handshake = self._plan(policy, contexts)
        if isinstance(handshake, LocalRefusal):
            return handshake
        within = self._options.connect_timeout.total_seconds()
        sock = await connect_to(self._hop, within=within)
        if isinstance(sock, ConnectionFailure):
            return sock
        self.connected = True
        self._transcript.note(f"connected to {self._hop}")
        if self._hop.mode is TlsMode.IMPLICIT:
            assert handshake is not None
            self._see(offer=handshake.offer)
            greeting = await self.client.greet(sock, handshake.context)
            if self._implicit_handshake_failed(greeting):
                return None
            failure = await self._introduce(greeting)
            if failure is None:
                self._see_offer_under_tls()
            return failure
        greeting = await self.client.greet(sock, None)
        failure = await self._introduce(greeting)
        if failure is not None:
            return failure
        offered = self._offers_starttls
        self._see(starttls_offered=offered)
        if handshake is None or not offered:
            return None
        return await self._start_tls(handshake)

    def _plan(
        self, policy: TlsPolicy, contexts: ClientContexts
    ) -> _Handshake | LocalRefusal | None:
        """Return what to shake hands with, known before anything is sent; None to stay in clear."""
        if self._hop.mode is TlsMode.STARTTLS and policy.starttls is Starttls.NEVER:
            return None
        try:
            context = contexts.context(policy)
            name = _server_name(self._hop.host)
        except (TrustError, ValueError) as error:
            return LocalRefusal(problem=LocalProblem.INTERNAL, detail=str(error))
        offer = ClientOffer(
            minimum_tls=policy.minimum_tls,
            verifying=context.verify_mode is ssl.CERT_REQUIRED,
            server_name=name,
        )
        return _Handshake(context=context, offer=offer)

    async def _introduce(self, greeting: Answer) -> Failure | None:
        if not (isinstance(greeting, Reply) and greeting.code == GO_AHEAD):
            return failure_of(greeting, Stage.BANNER)
        hello = await self._hello()
        return None if _completed(hello) else failure_of(hello, Stage.EHLO)

    async def _hello(self) -> Answer:
        answer = await self.client.ehlo()
        if isinstance(answer, Reply) and answer.code in _EHLO_UNKNOWN:
            return await self.client.helo()
        return answer

    async def _start_tls(self, handshake: _Handshake) -> Failure | None:
        result = await self.client.starttls(handshake.context, handshake.offer.server_name)
        self._see(
            offer=handshake.offer,
            starttls_sent=True,
            starttls_reply=result.reply,
            plaintext_after_go_ahead=self.client.plaintext_after_go_ahead,
        )
        if result.reply is None:
            return None
        if result.reply.code != GO_AHEAD:
            if result.reply.code == CLOSING or not 200 <= result.reply.code <= 599:
                self.client.abort()
            return None
        if result.error is not None:
            self._see_failed_handshake(result.error)
            return None
        self._see_handshake()
        hello = await self._hello()
        if _completed(hello):
            self._see_offer_under_tls()
            return None
        return None if self._refused_behind_handshake(hello) else failure_of(hello, Stage.EHLO)

    def _implicit_handshake_failed(self, greeting: Answer) -> bool:
        """Take the evidence of a handshake that came before the greeting."""
        if self.client.ssl_object is None:
            assert isinstance(greeting, Broken)
            self._see_failed_handshake(greeting.error)
            return True
        self._see_handshake()
        return self._refused_behind_handshake(greeting)

    def _refused_behind_handshake(self, first_answer: Answer) -> bool:
        """Whether the host ended the session right behind the handshake.

        In TLS 1.3 a client is done before the host has judged what it sent: a refusal, such as that
        of a missing client certificate, shows on the first read (RFC 8446 section 4.4.2.4).
        """
        if isinstance(first_answer, Broken) and first_answer.problem is ConnectionProblem.LOST:
            self._see_failed_handshake(first_answer.error)
            return True
        return False

    @property
    def _offers_starttls(self) -> bool:
        return "starttls" in self.client.extensions

    def _see_offer_under_tls(self) -> None:
        self._see(starttls_offered_under_tls=self._offers_starttls)

    def _see_handshake(self) -> None:
        assert self.client.ssl_object is not None
        done, chain = observe_done(self.client.ssl_object)
        self._see(handshake=done, chain=chain)
        self._transcript.note(f"TLS handshake done: {done.version}, {done.cipher}")

    def _see_failed_handshake(self, error: BaseException) -> None:
        failed, chain = observe_failed(error)
        self._see(handshake=failed, chain=chain or self._seen.get("chain", ()))
        self._transcript.note(f"TLS handshake failed: {failed.problem.value} ({failed.detail})")

    def _see(self, **seen: Any) -> None:
        self._seen.update(seen, observed_at=self._now())
        self._evidence = None


def _completed(answer: Answer) -> bool:
    return isinstance(answer, Reply) and answer.code == COMPLETED


@lru_cache(maxsize=1024)
def _server_name(host: str) -> str:
    """Return the name to ask for and to verify; raise ValueError for what can't be one."""
    try:
        return str(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        return parse_domain(host)
