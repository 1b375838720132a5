"""Answers that routes share: JSON documents, and files to keep."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Final

from starlette.responses import Response

from relay.core.jsonform import Json, to_json

JSON: Final = "application/json"


async def json_document(make: Callable[[], Json]) -> Response:
    """Return what `make` makes, in a thread, as a JSON document."""
    return Response(await asyncio.to_thread(lambda: json.dumps(make()).encode()), media_type=JSON)


def download(content: bytes, media_type: str, name: str) -> Response:
    """Return a file to keep, which no browser shows as a page of ours."""
    return Response(
        content,
        media_type=media_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def cursor_page(items: Sequence[object], limit: int, *, last: str | None) -> Json:
    """Return a page of records; `next` is the id to go on `before`, None at the end of the list.

    `last` is the id of the page's last record, None for an empty page.
    """
    return {
        "items": [to_json(item) for item in items],
        "next": last if len(items) == limit else None,
    }
