"""What is remembered of a chain, and until when: the same answers as without a memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from tls_authority import DAY, HOST, NOW, Recipe, issue
from tls_cases import WORLD

from relay.core.addresses import Domain
from relay.core.evidence import HandshakeDone, TlsEvidence
from relay.core.replies import Reply
from relay.core.settings import TlsMode, TlsSetting
from relay.core.tls_policy import TlsPolicy
from relay.tls import advise as advise_module
from relay.tls import certificate
from relay.tls.advise import advise
from relay.tls.examine import examine
from relay.tls.examined import ExaminedChains, Result
from relay.tls.pool import CertificatePool
from relay.tls.trust_store import TrustStore

POLICY = TlsPolicy.for_setting(TlsSetting.REQUIRED_VERIFY)
SECOND = timedelta(seconds=1)
DOMAIN = Domain("partner.test")


def store() -> TrustStore:
    return TrustStore(
        anchors=CertificatePool([WORLD.root.certificate]), known_intermediates=CertificatePool()
    )


def shown() -> TlsEvidence:
    leaf = issue(Recipe(), WORLD.intermediate)
    return TlsEvidence(
        mode=TlsMode.STARTTLS,
        observed_at=NOW,
        starttls_offered=True,
        starttls_sent=True,
        starttls_reply=Reply(code=220, text="go ahead"),
        handshake=HandshakeDone(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384"),
        chain=(leaf.pem, WORLD.intermediate.pem),
    )


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """The times at which a chain was really examined."""
    times: list[datetime] = []
    real = certificate.chain_faults

    def faults(*args: object, at: datetime, **named: object) -> object:
        times.append(at)
        return real(*args, at=at, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(certificate, "chain_faults", faults)
    return times


def test_a_memory_changes_no_answer_at_any_time(counted: list[datetime]) -> None:
    evidence, anchors, examined = shown(), store(), ExaminedChains()
    leaf = certificate.read_certificate(evidence.chain[0])
    assert leaf is not None
    begins, ends = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    soon = advise_module.EXPIRES_SOON
    moments = [begins, ends, ends - soon, NOW, NOW + DAY, ends + 400 * DAY]
    seen: set[str] = set()
    times = sorted(m + d for m in moments for d in (-SECOND, timedelta(0), SECOND))
    for at in (*times, *reversed(times), *times):
        remembered, found = (
            [
                examine(
                    evidence,
                    POLICY,
                    host=HOST,
                    recipient_domain=DOMAIN,
                    at=at,
                    store=anchors,
                    examined=memory,
                ),
                advise(
                    evidence, POLICY, host=HOST, recipient_domain=DOMAIN, at=at, examined=memory
                ),
            ]
            for memory in (examined, None)
        )
        assert remembered == found
        seen.add(str(found))
    # Not yet valid, honest, near its end, expired: there was something to tell apart.
    assert len(seen) > 4
    assert len(examined) <= len(times) * 2 + 2


def test_what_is_the_same_is_examined_once(counted: list[datetime]) -> None:
    evidence, anchors, examined = shown(), store(), ExaminedChains()

    def ask(
        host: str = HOST, at: datetime = NOW, by: TrustStore = anchors, seen: TlsEvidence = evidence
    ) -> int:
        examine(
            seen, POLICY, host=host, recipient_domain=DOMAIN, at=at, store=by, examined=examined
        )
        return len(counted)

    assert [ask(), ask(), ask(at=NOW + SECOND), ask(at=NOW - SECOND)] == [1, 1, 1, 1]
    assert ask(host="other.test") == 2
    assert ask(by=store()) == 3
    assert ask(seen=replace(evidence, chain=evidence.chain[:1])) == 4
    assert ask() == 4


def test_the_memory_is_bounded_and_forgets_what_is_asked_for_least() -> None:
    examined, found = ExaminedChains(most=3), []

    def ask(key: str) -> None:
        def find() -> Result[str]:
            found.append(key)
            return Result(key, (), dated=False)

        assert examined.recall(key, about=None, at=NOW, find=find) == key

    for key in "abcacda":
        ask(key)
    assert len(examined) == 3
    assert found == ["a", "b", "c", "d"]
    ask("b")
    assert found[-1] == "b"
