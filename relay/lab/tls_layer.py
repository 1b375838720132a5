"""TLS as a server over memory buffers: OpenSSL's, behind a face that another library can wear."""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import Final, Protocol

_CHUNK: Final = 65536


class NeedsOctets(Exception):  # noqa: N818 - a state, not an error
    """The layer can't go on before the client has sent more."""


class HandshakeError(Exception):
    """The TLS handshake did not succeed; the text is the library's reason, for the transcript."""


class TlsBrokenError(Exception):
    """The TLS session ended, in order or not; the text is the library's reason."""


class TlsLayer(Protocol):
    """One connection's TLS. `feed` gives it what came, `take` returns what has to be sent."""

    @property
    def version(self) -> str | None:
        """The protocol version by OpenSSL's name, None before the handshake."""
        ...

    @property
    def cipher(self) -> str | None:
        """The cipher suite, None before the handshake."""
        ...

    def feed(self, octets: bytes) -> None:
        """Take octets of the client's."""
        ...

    def feed_eof(self) -> None:
        """Learn that the client sends no more."""
        ...

    def take(self) -> bytes:
        """Return what has to be sent, empty for nothing; it is not returned again."""
        ...

    def handshake(self) -> None:
        """Go on with the handshake; raise NeedsOctets or HandshakeError."""
        ...

    def read(self) -> bytes:
        """Return some decrypted octets; raise NeedsOctets or TlsBrokenError."""
        ...

    def write(self, octets: bytes) -> None:
        """Encrypt octets; raise TlsBrokenError."""
        ...

    def close(self) -> None:
        """Say goodbye by a closure alert, where that is possible."""
        ...


class OpenSslLayer:
    """A layer by the standard library."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    @property
    def version(self) -> str | None:
        return self._tls.version()

    @property
    def cipher(self) -> str | None:
        found = self._tls.cipher()
        return found[0] if found else None

    def feed(self, octets: bytes) -> None:
        self._incoming.write(octets)

    def feed_eof(self) -> None:
        self._incoming.write_eof()

    def take(self) -> bytes:
        return self._outgoing.read()

    def handshake(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            raise NeedsOctets from None
        except ssl.SSLError as error:
            raise HandshakeError(error.reason or "unknown reason") from error

    def read(self) -> bytes:
        try:
            octets = self._tls.read(_CHUNK)
        except ssl.SSLWantReadError:
            raise NeedsOctets from None
        except ssl.SSLError as error:
            raise TlsBrokenError(error.reason) from error
        if not octets:
            raise TlsBrokenError("the client closed the session")
        return octets

    def write(self, octets: bytes) -> None:
        try:
            self._tls.write(octets)
        except ssl.SSLError as error:
            raise TlsBrokenError(error.reason) from error

    def close(self) -> None:
        with suppress(ssl.SSLError):
            self._tls.unwrap()
