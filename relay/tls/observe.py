"""How a handshake ended, as evidence: the only place that looks at TLS exceptions.

The reason is read from types, reason codes and verify codes, never from message texts. aiosmtplib
wraps some errors and lets others through, so the whole chain of causes is searched, the TLS
library's own words first:

    certificate refused       ssl.SSLCertVerificationError (bare, or under SMTPConnectError)
    everything else in TLS    ssl.SSLError with a reason
    handshake timed out       SMTPTimeoutError <- ConnectionAbortedError (asyncio's timer)
    connection closed         SMTPServerDisconnected <- ConnectionResetError
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from typing import Final

from relay.core.evidence import HandshakeDone, HandshakeFailed, HandshakeProblem
from relay.tls.peer_chain import kept_chain, peer_chain

_P = HandshakeProblem

_REASONS: Final = {
    "TLSV1_ALERT_PROTOCOL_VERSION": _P.PROTOCOL_VERSION,
    "UNSUPPORTED_PROTOCOL": _P.PROTOCOL_VERSION,
    "NO_PROTOCOLS_AVAILABLE": _P.PROTOCOL_VERSION,
    "WRONG_SSL_VERSION": _P.PROTOCOL_VERSION,
    "NO_SHARED_CIPHER": _P.NO_SHARED_CIPHER,
    "NO_CIPHERS_AVAILABLE": _P.NO_SHARED_CIPHER,
    "WRONG_CIPHER_RETURNED": _P.NO_SHARED_CIPHER,
    "UNKNOWN_CIPHER_RETURNED": _P.NO_SHARED_CIPHER,
    # What OpenSSL calls a record whose first octets are not a TLS header.
    "WRONG_VERSION_NUMBER": _P.NOT_TLS,
    "HTTP_REQUEST": _P.NOT_TLS,
    "HTTPS_PROXY_REQUEST": _P.NOT_TLS,
    "UNKNOWN_PROTOCOL": _P.NOT_TLS,
    "BAD_RECORD_TYPE": _P.NOT_TLS,
    "PACKET_LENGTH_TOO_LONG": _P.NOT_TLS,
    "RECORD_LAYER_FAILURE": _P.NOT_TLS,
    "UNEXPECTED_EOF_WHILE_READING": _P.CLOSED,
    "DH_KEY_TOO_SMALL": _P.WEAK_PARAMETERS,
    "LEGACY_SIGALG_DISALLOWED_OR_UNSUPPORTED": _P.WEAK_PARAMETERS,
    "WRONG_SIGNATURE_TYPE": _P.WEAK_PARAMETERS,
    "BAD_SIGNATURE": _P.BAD_SIGNATURE,
}

_NO_ACCEPTABLE_PARAMETERS: Final = frozenset(
    {"SSLV3_ALERT_HANDSHAKE_FAILURE", "TLSV1_ALERT_INSUFFICIENT_SECURITY"}
)
"""RFC 8446 section 6.2: no common set of parameters, or none that is strong enough."""


def observe_done(
    ssl_object: ssl.SSLObject | ssl.SSLSocket,
) -> tuple[HandshakeDone, tuple[str, ...]]:
    """Return how a handshake succeeded, and the chain that the peer sent, as PEM.

    `ssl_object` is a transport's extra info of that name, after the handshake.
    """
    cipher = ssl_object.cipher()
    done = HandshakeDone(
        version=ssl_object.version() or "unknown", cipher=cipher[0] if cipher else "unknown"
    )
    return done, peer_chain(ssl_object)


def observe_failed(error: BaseException) -> tuple[HandshakeFailed, tuple[str, ...]]:
    """Return how a handshake failed, and the chain that the peer sent, as far as it came.

    `error` is whatever came out of aiosmtplib, asyncio or ssl; any exception has an answer.
    """
    errors = tuple(_with_causes(error))
    chain = next((chain for e in errors if (chain := kept_chain(e))), ())
    return _classify(errors, chain_came=bool(chain)), chain


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        hidden = None if current.__suppress_context__ else current.__context__
        current = current.__cause__ or hidden


def _classify(errors: tuple[BaseException, ...], *, chain_came: bool) -> HandshakeFailed:
    for error in errors:
        if isinstance(error, ssl.SSLError):
            return _classify_tls(error, chain_came=chain_came)
    for error in errors:
        # asyncio's handshake timer aborts without an errno; the operating system gives one.
        if isinstance(error, ConnectionAbortedError):
            return _closed(error) if error.errno else _timed_out()
    for error in errors:
        if isinstance(error, TimeoutError):
            return _timed_out()
        if isinstance(error, ConnectionError | EOFError):
            return _closed(*errors)
    return HandshakeFailed(problem=_P.OTHER, detail=type(errors[0]).__name__)


def _classify_tls(error: ssl.SSLError, *, chain_came: bool) -> HandshakeFailed:
    # Errors that OpenSSL did not raise itself lack these attributes.
    if isinstance(error, ssl.SSLCertVerificationError):
        code = getattr(error, "verify_code", None)
        return HandshakeFailed(
            problem=_P.CERTIFICATE_REFUSED,
            detail=f"{getattr(error, 'verify_message', 'no reason')} (OpenSSL verify code {code})",
            verify_code=code,
        )
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError):
        return _closed(error)
    reason = getattr(error, "reason", None) or ""
    problem = _REASONS.get(reason)
    if reason in _NO_ACCEPTABLE_PARAMETERS and not chain_came:
        # A host that has sent its certificate had found a cipher; its alert is about more.
        problem = _P.NO_SHARED_CIPHER
    if problem is None:
        problem = _P.ALERT if "_ALERT_" in reason else _P.OTHER
    return HandshakeFailed(problem=problem, detail=_readable(reason))


def _readable(reason: str) -> str:
    """Return a reason code of OpenSSL as words, such as 'alert: certificate required'."""
    if not reason:
        return "OpenSSL gives no reason"
    _, alert, name = reason.partition("_ALERT_")
    words = (name if alert else reason).replace("_", " ").lower()
    return f"the host sent the alert: {words}" if alert else f"OpenSSL: {words}"


def _timed_out() -> HandshakeFailed:
    return HandshakeFailed(problem=_P.TIMEOUT, detail="the handshake did not end in time")


def _closed(*errors: BaseException) -> HandshakeFailed:
    codes = (e.errno for e in errors if isinstance(e, OSError) and not isinstance(e, ssl.SSLError))
    code = next((code for code in codes if code), None)
    why = f": {os.strerror(code).lower()}" if code else ""
    return HandshakeFailed(
        problem=_P.CLOSED, detail=f"the connection was closed during the handshake{why}"
    )
