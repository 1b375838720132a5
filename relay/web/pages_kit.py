"""What all pages share: templates, the files beside them, and the headers that they go out with.

A page may run our own script files and style sheet, and nothing else: no inline script or style, no
frame but one of this port's, no form to anywhere else. Every page works without script; script only
spares a click. Everything that a template prints is escaped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from fastapi.responses import Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from relay import __version__
from relay.core.settings import TlsSetting
from relay.formats.report import Mark
from relay.journal.api import NotFound

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of every page."""
_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    # Without a referrer, browsers send our own forms with an opaque origin, which is refused.
    "Referrer-Policy": "same-origin",
}
_HTML: Final = "text/html; charset=utf-8"
_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_SYMBOLS: Final = {
    Mark.GOOD: "✓",
    Mark.WARNING: "!",
    Mark.BAD: "✕",
    Mark.UNKNOWN: "?",
    Mark.PLAIN: "·",
}
_MENU: Final = (
    ("/", "Mail"),
    ("/bounces", "Bounces"),
    ("/destinations", "Destinations"),
    ("/policy", "Policy"),
    ("/lab", "Lab"),
    ("/live", "Live"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Badge:
    """A word or two, and what a reader should make of it; a sign says the same as the colour."""

    text: str
    mark: Mark

    @property
    def symbol(self) -> str:
        """The sign that goes with the mark."""
        return _SYMBOLS[self.mark]


class Pages:
    """Renders pages. `read_only` leaves out the buttons that the port would refuse."""

    def __init__(self, *, read_only: bool) -> None:
        self._static = _static_files()
        self._environment = Environment(
            loader=PackageLoader("relay.web", "pages/templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            moment=_moment, clock=_clock, size=size_words, breakable=_breakable
        )
        self._environment.globals.update(
            menu=_MENU,
            version=__version__,
            read_only=read_only,
            Mark=Mark,
            symbol=_SYMBOLS,
            settings=tuple(TlsSetting),
            static=self._address,
        )

    def response(self, template: str, status: int = 200, **values: Any) -> Response:
        """Return a page; `here` among the values is the menu's address that it belongs to."""
        html = self._environment.get_template(template).render(**values)
        # What mail brought may hold lone surrogates, which no page can.
        octets = html.encode("utf-8", "replace")
        return Response(octets, status_code=status, media_type=_HTML, headers=dict(_HEADERS))

    def not_found(self, here: str) -> Response:
        """Return the page that says that something is not on record."""
        return self.response("not_found.html", 404, here=here)

    async def answer(self, make: Callable[[], Response], *, here: str) -> Response:
        """Return what `make` makes, in a thread; a page of its own where it finds nothing."""
        try:
            return await asyncio.to_thread(make)
        except NotFound:
            return await asyncio.to_thread(self.not_found, here)

    def static_router(self) -> APIRouter:
        """Return the route of style sheet and scripts."""
        router = APIRouter(include_in_schema=False)

        @router.get("/static/{name}")
        async def static(name: str) -> Response:
            found = self._static.get(name)
            if found is None:
                return await asyncio.to_thread(self.not_found, "")
            return Response(
                found,
                media_type=_TYPES[name.rpartition(".")[2]],
                # The address changes with the content.
                headers={"Cache-Control": "private, max-age=31536000, immutable"},
            )

        return router

    def _address(self, name: str) -> str:
        return f"/static/{name}?v={sha256(self._static[name]).hexdigest()[:12]}"


async def form_of(request: Request) -> Mapping[str, str]:
    """Return the fields of a posted form, the last one of a name; raises nothing."""
    body = (await request.body()).decode("utf-8", "replace")
    return dict(parse_qsl(body, keep_blank_values=True))


def see_other(where: str) -> Response:
    """Return the way to the page that shows what a form did (RFC 9110 section 15.4.4)."""
    return Response(status_code=303, headers={"Location": where, **_HEADERS})


def size_words(octets: int) -> str:
    """Return a size for people."""
    if octets < 1024:
        return f"{octets} B"
    if octets < 1024 * 1024:
        return f"{octets / 1024:.1f} KiB"
    return f"{octets / 1024 / 1024:.1f} MiB"


def _moment(at: datetime) -> Markup:
    """Return a point in time in the server's own time, to the second."""
    local = at.astimezone()
    return Markup('<time datetime="{}">{}</time>').format(
        at.isoformat(), f"{local:%Y-%m-%d %H:%M:%S}"
    )


def _clock(at: datetime) -> str:
    return f"{at.astimezone():%H:%M:%S.%f}"[:-3]


def _breakable(address: str) -> Markup:
    """Return an address or path that may be broken behind its signs on a narrow screen."""
    text = Markup.escape(address)
    for sign in ("@", "/", "."):
        text = text.replace(sign, Markup(f"{sign}<wbr>"))  # noqa: S704 - one of three signs
    return text


def _static_files() -> dict[str, bytes]:
    folder = files("relay.web").joinpath("pages/static")
    return {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.is_file()}
