"""What a client says in a session that stands: commands, a message's content, a farewell."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from relay.core.email_relays import Credentials
from relay.core.transcripts import Direction, TranscriptLog
from relay.outbound.answers import Answer, Broken, readable
from relay.outbound.dialog import Dialog

CLOSING: Final = 421
CLOSE_TIMEOUT: Final = 1.0
"""Seconds that a farewell may take before the connection is cut."""
END_OF_DATA: Final = b".\r\n"
CHUNK: Final = 65_536
"""Octets of a message that are written at once."""
_CONTROLS: Final = re.compile(rb"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyResult:
    """The answer to a message's content; `sent` tells whether all of it went out before."""

    answer: Answer
    sent: bool


class Exchange:
    """Speaks over one connection, and keeps the transcript of it.

    `dialog` is None where the connection was gone already. `timeout` counts seconds and bounds each
    answer. `extensions` are the keywords of the last EHLO reply in lower case, with their
    parameters.
    """

    def __init__(
        self,
        dialog: Dialog | None,
        *,
        extensions: Mapping[str, str],
        encrypted: bool,
        timeout: float,
        transcript: TranscriptLog,
    ) -> None:
        self.extensions = extensions
        self.encrypted = encrypted
        self.logged_in: Credentials | None = None
        self._dialog = dialog
        self._timeout = timeout
        self._transcript = transcript
        self._hidden: tuple[str, ...] = ()
        self._noted = 0

    @property
    def idle(self) -> bool:
        """Whether a command can be sent: connected, and none was left without its answer."""
        return self._dialog is not None and self._dialog.usable

    @property
    def trusted(self) -> bool:
        """Whether it is idle, and the host has said nothing that it was not asked."""
        return self._dialog is not None and self._dialog.trusted

    def end_by(self, until: float | None) -> None:
        """Raise TimeoutError from now on where a wait would last longer; None for no such time.

        `until` is a time of the event loop.
        """
        if self._dialog is not None:
            self._dialog.until = math.inf if until is None else until

    def turn_to(self, transcript: TranscriptLog) -> None:
        """Keep the dialog in another transcript from now on."""
        if self._hidden:
            transcript.hide(*self._hidden)
        self._transcript = transcript

    def hide(self, *secrets: str) -> None:
        """Keep these texts out of transcripts and answers from now on, whoever says them."""
        self._hidden = (*self._hidden, *secrets)
        self._transcript.hide(*secrets)

    async def command(self, *words: bytes) -> Answer:
        """Send a command as it stands; raise ValueError for control characters in it."""
        line = b" ".join(words)
        broken = self._send((line,))
        self._transcript.command(Direction.SENT, readable(line), encrypted=self.encrypted)
        return broken or await self._answer()

    def send_together(self, lines: Sequence[bytes]) -> None:
        """Send commands at once; each is then asked for by `answer_to`, in their order.

        ValueError as in `command`, and nothing is sent.
        """
        self._transcript.note(f"{len(lines)} commands sent together (PIPELINING)")
        self._send(lines)

    async def answer_to(self, line: bytes, *, asked_before: bool) -> Answer:
        """Return the answer to a command that was sent with others.

        `asked_before`: somebody waited for it already, and gave up.
        """
        if not asked_before:
            self._transcript.command(Direction.SENT, readable(line), encrypted=self.encrypted)
        if self._dialog is None:
            return _gone()
        return self._told(await self._dialog.answer(self._timeout))

    def heard(self, line: bytes, *, asked_before: bool) -> Answer | None:
        """Return what `answer_to` does where the answer has come; None where it has not."""
        reply = None if self._dialog is None else self._dialog.heard()
        if reply is None:
            return None
        if not asked_before:
            self._transcript.command(Direction.SENT, readable(line), encrypted=self.encrypted)
        return self._told(reply)

    async def body(self, stuffed: bytes, *, note: str) -> BodyResult:
        """Send the lines of a message, dots doubled, and the end of data; read the confirmation.

        The transcript gets `note` in their stead. Sending stops when the host answers early; the
        time-out starts anew whenever the host has taken another `CHUNK`.
        """
        dialog = self._dialog
        if dialog is None:
            return BodyResult(answer=_gone(), sent=False)
        self._transcript.note(note)
        owed = 1
        last = max(0, len(stuffed) - 1) // CHUNK * CHUNK
        for start in range(0, last + 1, CHUNK):
            chunk: bytes | memoryview
            if start < last:
                # No copy of a big message, even for its end.
                chunk = memoryview(stuffed)[start : start + CHUNK]
            else:
                chunk = stuffed[start:] + END_OF_DATA
            broken = dialog.write(chunk, replies=owed)
            owed = 0
            broken = broken or await dialog.room(self._timeout)
            if dialog.answered:
                sent = start == last and dialog.flushed
                return BodyResult(answer=await self._answer(), sent=sent)
            if broken is not None:
                return BodyResult(answer=broken, sent=False)
        return BodyResult(answer=self._told(await dialog.answer(self._timeout)), sent=True)

    async def quit(self) -> None:
        """Say QUIT, and wait up to `CLOSE_TIMEOUT` for an answer, whatever it is."""
        self._timeout = min(self._timeout, CLOSE_TIMEOUT)
        await self.command(b"QUIT")

    async def close(self) -> None:
        """Close the connection; cut it when that takes longer than `CLOSE_TIMEOUT`."""
        if self._dialog is None:
            return
        self._dialog.close()
        if not await self._dialog.gone(CLOSE_TIMEOUT):
            self._dialog.abort()

    def abort(self) -> None:
        """Cut the connection at once."""
        if self._dialog is not None:
            self._dialog.abort()

    def _send(self, lines: Sequence[bytes]) -> Broken | None:
        if any(map(_CONTROLS.search, lines)):
            raise ValueError("a command can not have control characters")
        if self._dialog is None:
            return _gone()
        return self._dialog.write(b"\r\n".join((*lines, b"")), replies=len(lines))

    async def _answer(self) -> Answer:
        if self._dialog is None:
            return _gone()
        return self._told(await self._dialog.answer(self._timeout))

    def _told(self, answer: Answer) -> Answer:
        """Keep an answer in the transcript, and return it without what is to be hidden."""
        dialog = self._dialog
        assert dialog is not None
        if isinstance(answer, Broken):
            if rest := dialog.take_rest():
                self._transcript.note(f"received without an end: {readable(rest)}")
            return answer
        if self._hidden:
            answer = replace(answer, text=self._transcript.without_secrets(answer.text))
        self._transcript.reply(
            Direction.RECEIVED, answer.code, answer.text, encrypted=self.encrypted
        )
        if extra := dialog.unasked - self._noted:
            self._noted += extra
            self._transcript.note(f"discarded {extra} octets that followed the reply")
        return answer


def _gone() -> Broken:
    return Broken.by(ConnectionError("the host closed the connection"))
