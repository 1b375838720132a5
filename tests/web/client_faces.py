"""Mailpit's and Salesforce's routes over a journal that a test fills."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import record_builders as build

from relay.core.records import BodyType
from relay.engine.steering import Deleted, Doomed
from relay.journal.api import Batch, Deletion, NewMessage, RecipientRef, RecipientState
from relay.journal.contacts_store import ContactsStore
from relay.journal.sqlite_journal import SqliteJournal, open_journal
from relay.web.app import make_api
from relay.web.binding import bind
from relay.web.mailpit import mailpit_router
from relay.web.safety import Access, guarded
from relay.web.salesforce_api import salesforce_router
from relay.web.server import WebServer

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass
class Faces:
    """A client of the routes, and what is behind them."""

    client: httpx.AsyncClient
    journal: SqliteJournal
    contacts: ContactsStore
    taken: int = field(default=0)

    async def put(
        self,
        content: EmailMessage | bytes,
        *,
        to: tuple[str, ...] = ("to@x.test",),
        state: RecipientState = RecipientState.DELIVERED,
        **changes: Any,
    ) -> str:
        """Keep a message, each one a minute later than the one before; return its id."""
        self.taken += 1
        octets = content if isinstance(content, bytes) else content.as_bytes()
        at = NOON + timedelta(minutes=self.taken)
        values: dict[str, Any] = {
            "id": f"m{self.taken:016d}",
            "reverse_path": "bounces@app.test",
            "recipients": to,
            "received_at": at,
            "size": len(octets),
            "sha256": sha256(octets).hexdigest(),
            "body": BodyType.EIGHT_BIT,
            **changes,
        }
        envelope = build.envelope(**values)
        due = at if state is RecipientState.QUEUED else None
        message = NewMessage(envelope=envelope, content=octets, state=state, next_at=due)
        await self.journal.writer.write(Batch(messages=(message,)))
        return envelope.id

    async def found(self, query: str, **parameters: str) -> list[str]:
        """Return the subjects of what a search finds."""
        answer = await self.client.get("/api/v1/search", params={"query": query, **parameters})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["messages_count"] == len(body["messages"])
        return [message["Subject"] for message in body["messages"]]

    async def query(self, soql: str, **headers: str) -> httpx.Response:
        """Ask the Salesforce-shaped routes."""
        return await self.client.get(
            "/services/data/v59.0/query", params={"q": soql}, headers=headers
        )


@contextlib.asynccontextmanager
async def faces(
    directory: Path, access: Access | None = None, *, stopped: Callable[[], bool] = lambda: False
) -> AsyncIterator[Faces]:
    """Serve the routes, behind the guards, over a new journal."""
    bound = bind("127.0.0.1", 0)
    contacts = ContactsStore(directory / "contacts.sqlite3")
    async with open_journal(directory / "journal.sqlite3", bounce_lines=None) as journal:

        async def delete(doomed: Doomed) -> Deleted:
            found = await asyncio.to_thread(doomed)
            deletion = Deletion(messages=tuple(found))
            await journal.writer.write(Batch(deletions=(deletion,)))
            queued = [
                RecipientRef(message_id=own, recipient=status.recipient)
                for own, statuses in found.items()
                for status in statuses
                if status.state is RecipientState.QUEUED
            ]
            return Deleted(deleted=len(found), undelivered=tuple(queued), in_hand=())

        routers = [
            mailpit_router(journal.reader, delete, stopped=stopped),
            salesforce_router(journal.reader, contacts, now=lambda: NOON),
        ]
        app = guarded(make_api(routers, []), access or Access(), bound=bound.host)
        async with (
            WebServer(app, bound),
            httpx.AsyncClient(base_url=bound.url, trust_env=False, timeout=20) as client,
        ):
            yield Faces(client=client, journal=journal, contacts=contacts)


def mail(
    subject: str = "Hello",
    *,
    text: str | None = "Some words.",
    html: str | None = None,
    **headers: str,
) -> EmailMessage:
    """Return a message; `_` in a header's name stands for `-`."""
    message = EmailMessage()
    values = {"From": "Ann Lee <ann@app.test>", "To": "to@x.test", **headers}
    for name, value in values.items():
        message[name.replace("_", "-")] = value
    message["Subject"] = subject
    if text is not None:
        message.set_content(text)
    if html is not None:
        if text is None:
            message.set_content(html, subtype="html")
        else:
            message.add_alternative(html, subtype="html")
    return message
