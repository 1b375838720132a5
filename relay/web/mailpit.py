"""The messages of this relay in Mailpit's shape, for the clients and test kits that know Mailpit.

Exactly these paths are Mailpit's; Relaylab's own are elsewhere (`/api/v1/mail`):

    /api/v1/messages          GET list, PUT read flags, DELETE some or all
    /api/v1/message/{id}      GET, with /headers, /raw and /part/{part}
    /api/v1/search            GET, DELETE
    /api/v1/tags              GET, PUT; PUT and DELETE of /api/v1/tags/{tag}
    /api/v1/info              GET
    /api/v1/webui             GET
    /api/v1/chaos             refused as by a Mailpit without it: fault scripts do more
    /view/{id}.html, .txt     GET; /view/{id} leads to our own page of the message

`latest` is an id, of the newest message or, with `?query=`, of the newest that matches. Keys are
Mailpit's, plus `Relaylab`: what became of the message. All messages are listed that a client handed
in or that this relay made, whether they were delivered or not. Source: Mailpit's documentation,
"API v1" and "Integration testing".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from relay import __version__
from relay.core.jsonform import Json
from relay.engine.steering import Deleted, Doomed
from relay.journal.api import JournalReader
from relay.web.mailpit_index import MailIndex
from relay.web.mailpit_message import MailMessage, canonical_name
from relay.web.mailpit_requests import (
    bad,
    body_of,
    deleted_answer,
    doomed,
    json_answer,
    list_answer,
    ok,
    or_unknown,
    parse,
    resolve,
    tag_of,
    terms_of,
    texts,
    unknown,
)
from relay.web.mailpit_view import html_view
from relay.web.mailpit_words import message_json

Delete = Callable[[Doomed], Awaitable[Deleted]]
"""Deletes messages, in step with the queue."""

_KEPT_PART: Final = {"Content-Security-Policy": "sandbox; default-src 'none'"}


def mailpit_router(
    journal: JournalReader, delete: Delete, *, stopped: Callable[[], bool] = lambda: False
) -> APIRouter:
    """Return Mailpit's routes, by their full paths; `stopped` says that the program ends."""
    router = APIRouter(include_in_schema=False)
    index = MailIndex(journal, stopped)
    _add_lists(router, index, journal, delete)
    _add_messages(router, index, journal)
    _add_tags(router, index)
    _add_server(router, index)
    return router


def _add_lists(router: APIRouter, index: MailIndex, journal: JournalReader, delete: Delete) -> None:
    @router.get("/api/v1/messages")
    async def messages(request: Request) -> Response:
        return await asyncio.to_thread(lambda: list_answer(index, request, ()))

    @router.get("/api/v1/search")
    async def search(request: Request) -> Response:
        terms = terms_of(request)
        return await asyncio.to_thread(lambda: list_answer(index, request, terms))

    @router.put("/api/v1/messages")
    async def set_read(request: Request) -> Response:
        body = await body_of(request)
        ids, wanted = texts(body, "IDs"), body.get("Search") or ""
        if ids and wanted:
            raise bad("Give IDs or Search, not both.")
        if not isinstance(wanted, str):
            raise bad("Search must be a text.")
        terms = parse(wanted, request.query_params.get("tz"))

        def mark() -> None:
            index.set_read(ids or index.ids(terms), read=body.get("Read") is True)

        await asyncio.to_thread(mark)
        return ok()

    @router.delete("/api/v1/messages")
    async def delete_messages(request: Request) -> Response:
        ids = texts(await body_of(request), "IDs")
        return deleted_answer(await delete(lambda: doomed(journal, ids or index.ids(()))))

    @router.delete("/api/v1/search")
    async def delete_found(request: Request) -> Response:
        terms = terms_of(request)
        return deleted_answer(await delete(lambda: doomed(journal, index.ids(terms))))


def _add_messages(router: APIRouter, index: MailIndex, journal: JournalReader) -> None:
    async def read(message_id: str, request: Request) -> tuple[str, MailMessage]:
        def look() -> tuple[str, MailMessage]:
            found = resolve(index, journal, message_id, request)
            return found, MailMessage(journal.content(found))

        return await or_unknown(look)

    @router.get("/api/v1/message/{message_id}")
    async def message(message_id: str, request: Request) -> Response:
        def look() -> Json:
            found = resolve(index, journal, message_id, request)
            record = journal.message(found)
            content = MailMessage(journal.content(found))
            index.set_read([found], read=True)
            return message_json(record, content, index.tags_of(found))

        return json_answer(await or_unknown(look))

    @router.get("/api/v1/message/{message_id}/headers")
    async def headers(message_id: str, request: Request) -> Response:
        _, found = await read(message_id, request)
        values: dict[str, list[str]] = {}
        for name, value in found.headers:
            values.setdefault(canonical_name(name), []).append(value)
        return json_answer({name: values[name] for name in sorted(values)})

    @router.get("/api/v1/message/{message_id}/raw")
    async def raw(message_id: str, request: Request) -> Response:
        def look() -> tuple[str, bytes]:
            found = resolve(index, journal, message_id, request)
            return found, journal.content(found)

        found, content = await or_unknown(look)
        keep = {"Content-Disposition": f'attachment; filename="{found}.eml"'}
        return Response(
            content,
            media_type="text/plain; charset=utf-8",
            headers=keep if request.query_params.get("dl") == "1" else {},
        )

    @router.get("/api/v1/message/{message_id}/part/{part_id}")
    async def part(message_id: str, part_id: str, request: Request) -> Response:
        _, found = await read(message_id, request)
        wanted = next((p for p in found.parts if p.id == part_id), None)
        if wanted is None:
            raise unknown("The message has no such part.")
        name = quote(wanted.file_name or wanted.content_id or "part", safe="")
        # A part may be a page of anybody's; no browser shows it as one of ours.
        disposition = f"attachment; filename*=UTF-8''{name}"
        return Response(
            wanted.content,
            headers={
                **_KEPT_PART,
                "Content-Type": wanted.content_type,
                "Content-Disposition": disposition,
            },
        )

    @router.get("/view/{message_id}.html")
    async def html(message_id: str, request: Request) -> Response:
        found_id, found = await read(message_id, request)
        if not found.html:
            raise unknown("The message has no HTML.")
        await asyncio.to_thread(lambda: index.set_read([found_id], read=True))
        return await asyncio.to_thread(lambda: html_view(found))

    @router.get("/view/{message_id}.txt")
    async def text(message_id: str, request: Request) -> Response:
        found_id, found = await read(message_id, request)
        await asyncio.to_thread(lambda: index.set_read([found_id], read=True))
        return Response(
            found.text.encode("utf-8", "replace"), media_type="text/plain; charset=utf-8"
        )

    @router.get("/view/{message_id}")
    async def page(message_id: str, request: Request) -> Response:
        found = await or_unknown(lambda: resolve(index, journal, message_id, request))
        return RedirectResponse(f"/mail/{found}", status_code=HTTPStatus.FOUND)


def _add_tags(router: APIRouter, index: MailIndex) -> None:
    @router.get("/api/v1/tags")
    async def tags() -> Response:
        totals = await asyncio.to_thread(index.totals)
        return json_answer([*totals.tags])

    @router.put("/api/v1/tags")
    async def set_tags(request: Request) -> Response:
        body = await body_of(request)
        ids, wanted = texts(body, "IDs"), [tag_of(tag) for tag in texts(body, "Tags")]
        await asyncio.to_thread(lambda: index.set_tags(ids, [tag for tag in wanted if tag]))
        return ok()

    @router.put("/api/v1/tags/{tag}")
    async def rename_tag(tag: str, request: Request) -> Response:
        name = (await body_of(request)).get("Name")
        if not isinstance(name, str) or not tag_of(name):
            raise bad("Name must be a tag: letters, digits, spaces and -_.@")
        new = tag_of(name)
        if not await asyncio.to_thread(lambda: index.rename_tag(tag, new)):
            raise bad("No message has this tag.")
        return ok()

    @router.delete("/api/v1/tags/{tag}")
    async def delete_tag(tag: str) -> Response:
        await asyncio.to_thread(lambda: index.rename_tag(tag, None))
        return ok()


def _add_server(router: APIRouter, index: MailIndex) -> None:
    @router.get("/api/v1/info")
    async def info() -> Response:
        totals = await asyncio.to_thread(index.totals)
        tags: dict[str, Json] = {**totals.tags}
        return json_answer(
            {
                "Version": f"v{__version__}",
                "LatestVersion": f"v{__version__}",
                "Database": "journal",
                "DatabaseSize": 0,
                "Messages": totals.messages,
                "Unread": totals.unread,
                "Tags": tags,
                "Relaylab": {"Version": __version__},
            }
        )

    @router.get("/api/v1/webui")
    async def webui() -> Response:
        return json_answer(
            {
                "Label": "Relaylab",
                "MessageRelay": {"Enabled": False},
                "SpamAssassin": False,
                "ChaosEnabled": False,
                "DuplicatesIgnored": False,
                "HideDeleteAllButton": False,
            }
        )

    @router.get("/api/v1/chaos")
    @router.put("/api/v1/chaos")
    async def chaos() -> Response:
        raise bad("Chaos is not enabled here.", "PUT fault scripts to /api/v1/lab/scripts instead.")
