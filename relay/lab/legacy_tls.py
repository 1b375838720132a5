"""TLS as a server that OpenSSL 3 can't or won't be: RC4, 3DES, and a key exchange signed wrongly.

By tlslite-ng, which is optional (`relaylab[legacy-tls]`) and reads and writes a socket of its own
accord; here that is a pair of buffers.
"""

from __future__ import annotations

import errno
from collections.abc import Generator, Iterator
from contextlib import suppress
from functools import cache
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tlslite.api import HandshakeSettings, TLSConnection, X509CertChain, parsePEMKey
from tlslite.errors import BaseTLSException

from relay.lab.authority import IssuedCertificate
from relay.lab.scripts import LegacyCipher, ServeLegacyTls, SigningKey
from relay.lab.tls_layer import HandshakeError, NeedsOctets, TlsBrokenError

_CHUNK: Final = 16384
_TLS_1_2: Final = (3, 3)
_SUITES: Final = {
    LegacyCipher.RC4: "ECDHE-ECDSA-RC4-SHA",
    LegacyCipher.TRIPLE_DES: "ECDHE-ECDSA-DES-CBC3-SHA",
    LegacyCipher.AES_128_GCM: "ECDHE-ECDSA-AES128-GCM-SHA256",
}
"""OpenSSL's names of the suites."""


class _Buffers:
    """What tlslite-ng takes for a socket that does not block."""

    def __init__(self) -> None:
        self.incoming = bytearray()
        self.outgoing = bytearray()
        self.ended = False

    def recv(self, size: int) -> bytes:
        if not self.incoming and not self.ended:
            raise OSError(errno.EWOULDBLOCK, "no octets yet")
        octets = bytes(self.incoming[:size])
        del self.incoming[:size]
        return octets

    def send(self, octets: bytes) -> int:
        self.outgoing += octets
        return len(octets)

    def sendall(self, octets: bytes) -> None:
        self.outgoing += octets

    def close(self) -> None:
        self.ended = True


class LegacyLayer:
    """One connection's TLS 1.2; the certificate's key is on an elliptic curve."""

    def __init__(self, issued: IssuedCertificate, script: ServeLegacyTls) -> None:
        settings = HandshakeSettings()
        settings.minVersion = settings.maxVersion = _TLS_1_2
        settings.cipherNames = [script.cipher.value]
        chain = X509CertChain()
        chain.parsePemList(issued.chain_pem.decode("ascii"))
        another = script.signing_key is SigningKey.ANOTHER
        key = _another_key() if another else issued.key_pem.decode("ascii")
        self._buffers = _Buffers()
        self._tls: Any = TLSConnection(self._buffers)
        self._cipher = _SUITES[script.cipher]
        self._steps: Iterator[int] = self._tls.handshakeServerAsync(
            certChain=chain,
            privateKey=parsePEMKey(key, private=True, implementations=["python"]),
            settings=settings,
        )
        self._reading: Generator[int | bytes, None, None] | None = None
        self._done = False

    @property
    def version(self) -> str | None:
        return "TLSv1.2" if self._done else None

    @property
    def cipher(self) -> str | None:
        return self._cipher if self._done else None

    def feed(self, octets: bytes) -> None:
        self._buffers.incoming += octets

    def feed_eof(self) -> None:
        self._buffers.ended = True

    def take(self) -> bytes:
        octets = bytes(self._buffers.outgoing)
        self._buffers.outgoing.clear()
        return octets

    def handshake(self) -> None:
        try:
            for state in self._steps:
                if state == 0:
                    raise NeedsOctets
        except (BaseTLSException, OSError) as error:
            raise HandshakeError(str(error) or type(error).__name__) from error
        self._done = True

    def read(self) -> bytes:
        if self._reading is None:
            self._reading = self._tls.readAsync(_CHUNK)
        try:
            state = next(self._reading)
        except (BaseTLSException, OSError) as error:
            raise TlsBrokenError(str(error) or type(error).__name__) from error
        if isinstance(state, int):
            raise NeedsOctets
        self._reading = None
        if not state:
            raise TlsBrokenError("the client closed the session")
        return bytes(state)

    def write(self, octets: bytes) -> None:
        try:
            self._run(self._tls.writeAsync(octets))
        except (BaseTLSException, OSError) as error:
            raise TlsBrokenError(str(error) or type(error).__name__) from error

    def close(self) -> None:
        with suppress(BaseTLSException, OSError):
            self._run(self._tls.closeAsync())

    @staticmethod
    def _run(steps: Iterator[int]) -> None:
        # The buffers take whatever is written, so that only reading would have to wait.
        for state in steps:
            if state == 0:
                return


@cache
def _another_key() -> str:
    """Return a key that no certificate of the lab bears; the same one for as long as we run."""
    return (
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        .decode("ascii")
    )
