"""The webhook's signature: HMAC-SHA256 (RFC 2104) over the time and the body, as octets were sent.

    Relaylab-Signature: t=1772600767,v1=5257a869e7ec...

`t` is the time of the try in seconds since 1970 UTC, `v1` the digest of `t`, a dot and the body, in
hexadecimal. A receiver that compares `t` with its own clock is safe from old deliveries sent again.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime
from typing import Final

SIGNATURE_HEADER: Final = "Relaylab-Signature"
DELIVERY_HEADER: Final = "Relaylab-Delivery"
"""The same for every try of one delivery, and of no other: a receiver knows repetitions by it."""


def sign(secret: bytes, body: bytes, *, at: datetime) -> str:
    """Return the signature header's value for a try at `at`."""
    seconds = int(at.timestamp())
    digest = hmac.new(secret, f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"
