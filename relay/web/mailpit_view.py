"""A message's HTML for a browser, kept away from everything else of this port.

It may be anybody's, so it gets an origin of its own without scripts, forms or anything from
elsewhere: `sandbox` in Content-Security-Policy, whether a frame shows it or a tab. Images that come
with the message stand inside the document, for nothing else can be fetched.
"""

from __future__ import annotations

import base64
import re
from typing import Final
from urllib.parse import unquote

from starlette.responses import Response

from relay.web.mailpit_message import MailMessage, MailPart

SANDBOX: Final = (
    "sandbox; default-src 'none'; img-src data:; font-src data:; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
"""Content-Security-Policy of mail's own HTML."""
MAX_IMAGES: Final = 16 * 1024 * 1024
"""Octets of images in one document, counted as often as they occur; further ones are left out."""
_IMAGES: Final = re.compile(r"image/(?:avif|bmp|gif|jpeg|png|webp)")
_CID: Final = re.compile(r"(?i)(?<=[\"'(=\s])cid:([^\"'()<>\s]+)")


def html_view(message: MailMessage) -> Response:
    """Return a message's HTML as a document in a sandbox."""
    return Response(
        _with_images(message).encode("utf-8", "replace"),
        media_type="text/html; charset=utf-8",
        headers={"Content-Security-Policy": SANDBOX, "X-Frame-Options": "SAMEORIGIN"},
    )


def _with_images(message: MailMessage) -> str:
    images = {
        part.content_id: part
        for part in message.parts
        if part.content_id and _IMAGES.fullmatch(part.content_type)
    }
    left = MAX_IMAGES

    def image(found: re.Match[str]) -> str:
        nonlocal left
        part = images.get(unquote(found[1])) or images.get(found[1])
        if part is None or len(part.content) > left:
            return found[0]
        left -= len(part.content)
        return _data(part)

    return _CID.sub(image, message.html)


def _data(part: MailPart) -> str:
    return f"data:{part.content_type};base64,{base64.b64encode(part.content).decode('ascii')}"
