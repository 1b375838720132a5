"""Commands that are sent one by one, or together where the host takes them so (RFC 2920).

    apart:     MAIL ─▶ 250   RCPT ─▶ 250   DATA ─▶ 354        a command for each answer
    together:  MAIL RCPT DATA ─▶ 250 250 354                  all of them before the first answer

Whoever asks for the answers can't tell the difference, but for one: together, a command is out
already when the one before it is refused. `unwind` brings a host out of that.
"""

from __future__ import annotations

from collections.abc import Sequence

from relay.core.replies import Reply
from relay.outbound.answers import Answer, Broken
from relay.outbound.exchange import CLOSING, Exchange

START_INPUT = 354


class Series:
    """The commands of one transaction up to DATA, with their answers so far."""

    def __init__(self, exchange: Exchange, commands: Sequence[bytes]) -> None:
        self._exchange = exchange
        self._commands = commands
        self._together = "pipelining" in exchange.extensions
        self._answers: list[Answer] = []
        self._asked = 0
        if self._together:
            exchange.send_together(commands)

    async def answer(self) -> Answer:
        """Return the next command's answer; apart, the command goes out now."""
        number = len(self._answers)
        command = self._commands[number]
        if self._together:
            asked_before, self._asked = number < self._asked, number + 1
            answer = await self._exchange.answer_to(command, asked_before=asked_before)
        else:
            answer = await self._exchange.command(command)
        self._answers.append(answer)
        return answer

    def heard(self) -> Answer | None:
        """Return the next command's answer where it came with another's; None where it did not."""
        if not self._together:
            return None
        number = len(self._answers)
        asked_before = number < self._asked
        answer = self._exchange.heard(self._commands[number], asked_before=asked_before)
        if answer is not None:
            self._asked = number + 1
            self._answers.append(answer)
        return answer

    @property
    def _left(self) -> bool:
        return len(self._answers) < len(self._commands)

    @property
    def opened(self) -> bool:
        """Whether the host has begun a transaction: it took MAIL."""
        return bool(self._answers) and positive(self._answers[0])

    async def unwind(self) -> None:
        """Read what is owed for commands that were sent with a refused one.

        A host may answer DATA by 354 though it refused every recipient; it gets the end of data
        and nothing before it (RFC 2920 section 3.1). It must not get that for a message that
        somebody would receive: then, and wherever an answer makes no sense, the connection is cut.
        """
        while self._together and self._left:
            answer = await self.answer()
            if not self._left and isinstance(answer, Reply) and answer.code == START_INPUT:
                if any(map(positive, self._answers[1:-1])):
                    self._exchange.abort()
                    return
                answer = await self._exchange.command(b".")
            if ends_session(answer):
                self._exchange.abort()
                return


def positive(answer: Answer) -> bool:
    """Whether the host did what it was told."""
    return isinstance(answer, Reply) and 200 <= answer.code < 300


def ends_session(answer: Answer) -> bool:
    """Whether nothing sensible can follow: no reply, a closing one, or one out of place."""
    if isinstance(answer, Broken) or answer.code == CLOSING:
        return True
    return not (200 <= answer.code < 300 or 400 <= answer.code < 600)
