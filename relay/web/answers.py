"""Answers that routes share: JSON documents, and files to keep."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Final

from starlette.responses import Response

from relay.core.jsonform import Json

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
