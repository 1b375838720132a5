"""An outcome in words: a host's reply is told where it says something."""

from __future__ import annotations

import pytest

from relay.audit.record_words import outcome_words
from relay.core.faults import FaultKind, TlsFault
from relay.core.outcomes import Deferred, TlsRefusal
from relay.core.replies import Reply
from relay.core.settings import TlsSetting

EXPIRED = TlsFault(kind=FaultKind.CERTIFICATE_EXPIRED, detail="")
REFUSED = TlsFault(kind=FaultKind.STARTTLS_REFUSED, detail="")


@pytest.mark.parametrize(
    ("fault", "reply", "words"),
    [
        (EXPIRED, Reply(code=220, text="Ready"), "handshaking TLS: refused by the TLS policy"),
        (EXPIRED, None, "handshaking TLS: refused by the TLS policy"),
        (
            REFUSED,
            Reply(code=454, text="4.7.0 Not now"),
            "during STARTTLS: refused by the TLS policy; the host said 454 4.7.0 Not now",
        ),
    ],
)
def test_a_refusal_by_policy(fault: TlsFault, reply: Reply | None, words: str) -> None:
    refusal = TlsRefusal.by(TlsSetting.REQUIRED_VERIFY, (fault,), peer_reply=reply)
    assert outcome_words(Deferred(failure=refusal)) == f"deferred {words}"
