"""What a client says that nobody answers: to a receiver that is silent, or has said its last word.

A sender that goes on in clear text on a connection whose handshake did not come about is heard
here. TLS records (RFC 8446 section 5.1) are passed over: they show nothing.
"""

from __future__ import annotations

from typing import Final, Protocol

from relay.core.transcripts import TranscriptLog

_HEADER: Final = 5
_CONTENT_TYPES: Final = range(20, 25)
"""Of TLS records: from change_cipher_spec (20) to heartbeat (24, RFC 6520)."""
_MAJOR: Final = 3
_MAX_LINE: Final = 4096


class Keep(Protocol):
    """Keeps a client's line in the record of its session."""

    def __call__(self, text: str, *, encrypted: bool) -> None:
        """Keep it, or what is fit to be kept of it."""


class Overheard:
    """Gives `keep` the lines among octets, once `feed` was given their line end.

    `log` learns that nobody answers them. `encrypted` says that the octets came under TLS and
    were decrypted.
    """

    def __init__(self, log: TranscriptLog, keep: Keep, *, encrypted: bool) -> None:
        self._log = log
        self._keep = keep
        self._encrypted = encrypted
        self._buffer = bytearray()
        self._record_left = 0
        self._noted = False

    def feed(self, octets: bytes | bytearray) -> None:
        """Take octets of the client's, in their order."""
        self._buffer += octets
        while self._buffer and (self._skip_record() or self._take_line()):
            pass

    def end(self) -> None:
        """Take what is left for a line: no more comes."""
        if self._buffer and not self._begins_record():
            self._add(bytes(self._buffer))
        self._buffer.clear()

    def _begins_record(self) -> bool:
        """Whether a TLS record begins here, as far as can be seen."""
        if self._encrypted or self._buffer[0] not in _CONTENT_TYPES:
            return False
        return len(self._buffer) == 1 or self._buffer[1] == _MAJOR

    def _skip_record(self) -> bool:
        """Pass over a record, or a part of it; return whether there was one."""
        if not self._record_left:
            if not self._begins_record() or len(self._buffer) < _HEADER:
                return False
            self._record_left = _HEADER + int.from_bytes(self._buffer[3:5], "big")
        passed = min(self._record_left, len(self._buffer))
        del self._buffer[:passed]
        self._record_left -= passed
        return True

    def _take_line(self) -> bool:
        """Put a line into the transcript; return whether there was one."""
        if self._begins_record():
            return False
        end = self._buffer.find(b"\n") + 1
        if not end and len(self._buffer) <= _MAX_LINE:
            return False
        end = end or len(self._buffer)
        self._add(bytes(self._buffer[:end]))
        del self._buffer[:end]
        return True

    def _add(self, line: bytes) -> None:
        if not self._noted:
            self._noted = True
            self._log.note("what follows was heard and not answered")
        text = line.decode("utf-8", "backslashreplace").rstrip("\r\n")
        self._keep(text, encrypted=self._encrypted)
