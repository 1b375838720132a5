"""The chain that a peer showed, read from the SSL object, whether or not it was accepted.

Python hands over a chain in public only since 3.13, and none at all with a failed verification.
`ChainKeepingObject` reads it while the SSL object is still at hand and lays it on the exception, so
that it survives asyncio and aiosmtplib.
"""

from __future__ import annotations

import ssl
from typing import Any, Final

_ATTRIBUTE: Final = "relay_peer_chain"


class ChainKeepingObject(ssl.SSLObject):
    """An SSL object whose handshake errors carry the peer's chain; see `kept_chain`.

    Given to a context as `sslobject_class` (a documented hook of `ssl.SSLContext`).
    """

    def getpeercert(self, binary_form: bool = False) -> Any:
        """Return the peer's certificate as DER; None where its fields are asked for.

        asyncio asks for them behind each handshake, and nobody reads them: `peer_chain` has more.
        """
        return super().getpeercert(binary_form=True) if binary_form else None

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            setattr(error, _ATTRIBUTE, peer_chain(self))
            raise


def kept_chain(error: BaseException) -> tuple[str, ...]:
    """Return the chain that a `ChainKeepingObject` laid on its error, as PEM; () without one."""
    chain: tuple[str, ...] = getattr(error, _ATTRIBUTE, ())
    return chain


def peer_chain(ssl_object: ssl.SSLObject | ssl.SSLSocket) -> tuple[str, ...]:
    """Return what the peer sent, in its order, as PEM; () when nothing can be read.

    The public method exists from Python 3.13; before, the object underneath has it (as truststore
    and urllib3 use it). Where both are missing, the leaf alone is returned.
    """
    source: Any = ssl_object
    if not hasattr(source, "get_unverified_chain"):
        source = getattr(ssl_object, "_sslobj", None)
    try:
        chain = source.get_unverified_chain() or ()
    except (AttributeError, ValueError):
        return _leaf_alone(ssl_object)
    return tuple(_as_pem(certificate) for certificate in chain)


def _as_pem(certificate: Any) -> str:
    # 3.13 gives DER; before, an object whose `public_bytes()` is PEM text.
    if isinstance(certificate, bytes):
        return ssl.DER_cert_to_PEM_cert(certificate)
    pem: str = certificate.public_bytes()
    return pem


def _leaf_alone(ssl_object: ssl.SSLObject | ssl.SSLSocket) -> tuple[str, ...]:
    try:
        der = ssl_object.getpeercert(binary_form=True)
    except ValueError:
        return ()
    return (ssl.DER_cert_to_PEM_cert(der),) if der else ()
