"""Notices as a part of the running relay: their channels, their task, and its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relay.core.clock import Clock
from relay.core.delivery import Policy
from relay.journal.api import JournalReader, NewMessage

if TYPE_CHECKING:
    from relay.notice.channel import Channel
    from relay.notice.notifier import Notifier
    from relay.notice.options import NoticeOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Teller:
    """Opens what notices need; `submit` queues a message as if a client had sent it."""

    hostname: str
    allow_external: bool
    journal: JournalReader
    policy: Callable[[], Policy]
    submit: Callable[[NewMessage], Awaitable[None]]
    clock: Clock
    new_id: Callable[[], str]

    async def open(
        self,
        options: NoticeOptions,
        stack: contextlib.AsyncExitStack,
        *,
        also: Sequence[Channel] = (),
    ) -> Notifier:
        """Return a notifier, its channels open until `stack` closes; raise NoticeError.

        `also` are channels besides those that the options name.
        """
        # Only who wants notices pays for loading what tells them, and who wants a webhook, for an
        # HTTP client.
        from relay.notice.admin_mail import AdminMail
        from relay.notice.notifier import Notifier

        channels: list[Channel] = [*also]
        if options.webhook is not None:
            from relay.notice.webhook import Webhook

            webhook = Webhook(
                options.webhook,
                allow_external=self.allow_external,
                clock=self.clock,
                new_id=self.new_id,
            )
            channels.append(await stack.enter_async_context(webhook))
        if options.mail is not None:
            channels.append(
                AdminMail(
                    to=options.mail,
                    hostname=self.hostname,
                    policy=self.policy,
                    submit=self.submit,
                    clock=self.clock,
                    new_id=self.new_id,
                )
            )
        return Notifier(
            channels,
            history=lambda domain, messages: self.journal.attempts_to(domain, messages=messages),
            codes=lambda: self.policy().codes,
            clock=self.clock,
            window=options.window,
            own=options.mail,
        )


async def end_telling(notifier: Notifier, running: asyncio.Task[None], *, until: float) -> None:
    """Let what is to be told be told until that time of the event loop, then cut it off."""
    notifier.finish()
    left = until - asyncio.get_running_loop().time()
    await asyncio.wait({running}, timeout=max(0.0, left))
    running.cancel()
