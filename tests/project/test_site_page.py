"""The documentation's site: a dead link is a failure, nothing comes from elsewhere, all is near."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest
from playwright.async_api import async_playwright

pytestmark = pytest.mark.timeout(240)

REPOSITORY = Path(__file__).parents[2]
FRONT = REPOSITORY / "docs/README.md"
PAGES = sorted(
    [
        *REPOSITORY.glob("*.md"),
        *(REPOSITORY / "docs").rglob("*.md"),
        *(REPOSITORY / "examples").glob("*.md"),
        *(REPOSITORY / "examples").glob("*/*.md"),
    ]
)
ELSEWHERE = {
    "https://github.com/MagicStack/uvloop",
    "https://keepachangelog.com/en/1.1.0/",
    "https://mailpit.axllent.org",
    "https://semver.org/",
}
"""Links that only `make docs-links` can follow."""
NARROW = 400
SHOWN = ("index", "README", "docs/cli", "docs/policy", "docs/codes", "docs/agreement")
LOADING = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src"}


def build(source: Path, site: Path, target: str = "docs") -> subprocess.CompletedProcess[str]:
    """Build as `make docs`, or another target, does."""
    makefile = (REPOSITORY / "Makefile").read_text("utf-8")
    (line,) = re.findall(rf"^{target}:.*\n.*-m sphinx (.*) \. \S+$", makefile, re.MULTILINE)
    words = re.sub(r"\.cache/\S+", str(site / ".doctrees"), line).split()
    return subprocess.run(
        [sys.executable, "-m", "sphinx", *words, ".", str(site)],
        cwd=source, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("site")
    built = build(REPOSITORY, site)
    assert built.returncode == 0, built.stderr
    return site


class Loaded(HTMLParser):
    """What a browser fetches for a page, and its links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        target = dict(attrs).get(LOADING.get(tag, ""))
        if target is not None:
            self.fetched.add(target)


def test_every_page_is_there_and_fetches_from_the_site_alone(site: Path) -> None:
    for page in PAGES:
        made = site / page.relative_to(REPOSITORY).with_suffix(".html")
        text = made.read_text("utf-8")
        fetched = Loaded(text).fetched
        assert fetched, page
        assert not [target for target in fetched if urlsplit(target).netloc], page
        # What scrolls is reached by keys, and a heading says of which level it is.
        assert "<pre>" not in text, page
        assert text.count('role="heading"') == text.count('role="heading" aria-level="2"') > 0, page
    for sheet in site.rglob("*.css"):
        assert not re.findall(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//", sheet.read_text()), sheet
    # Two hyphens are what an option begins with, and no dash.
    assert "\N{EN DASH}" not in (site / "docs/cli.html").read_text("utf-8")
    assert 'url=docs/README.html"' in (site / "index.html").read_text()


@pytest.mark.judge("chromium")
async def test_a_browser_without_network_shows_and_searches_it(site: Path) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        try:
            page = await browser.new_page(viewport={"width": NARROW, "height": 800})
            asked: list[str] = []
            said: list[str] = []
            page.on("request", lambda request: asked.append(request.url))
            page.on("pageerror", lambda error: said.append(str(error)))
            for name in SHOWN:
                await page.goto((site / f"{name}.html").as_uri())
                await page.wait_for_selector("h1")
                assert await page.evaluate("document.documentElement.scrollWidth") == NARROW, name
            assert said == []
            await page.goto((site / "search.html").as_uri() + "?q=greylisting")
            found = page.locator("#search-results a", has_text="greylist")
            await found.first.wait_for()
            assert {urlsplit(url).scheme for url in asked} <= {"file", "data"}
        finally:
            await browser.close()


def small_site(
    directory: Path, front: str, target: str = "docs"
) -> subprocess.CompletedProcess[str]:
    docs = directory / "docs"
    docs.mkdir()
    shutil.copy(REPOSITORY / "docs/conf.py", docs)
    shutil.copytree(REPOSITORY / "docs/site", docs / "site")
    (docs / "README.md").write_text(f"# Front\n\n{front}\n")
    (docs / "other.md").write_text("# Other\n\n## A part\n\nText.\n")
    return build(directory, directory / "out", target)


def test_every_dead_link_is_told_and_is_a_failure(tmp_path: Path) -> None:
    dead = {
        "[gone](gone-page.md)": "gone-page",
        "[no such part](other.md#gone-there)": "gone-there",
        "[no such part](#gone-here)": "gone-here",
        "[no such folder](../gone-folder)": "gone-folder",
        "[no such file](../policies/gone-file.yaml)": "gone-file.yaml",
        "![no such picture](gone-picture.png)": "gone-picture.png",
    }
    built = small_site(tmp_path, "\n".join(["## Pages", "", "- [Other](other.md)", "", *dead]))
    assert built.returncode != 0
    assert [word for word in dead.values() if word not in built.stderr] == []


def test_links_that_lead_somewhere_are_no_failure(tmp_path: Path) -> None:
    fine = "[a part](other.md#a-part) [a folder](../docs)"
    built = small_site(tmp_path, f"## Pages\n\n- [Other](other.md)\n\n{fine}")
    assert built.returncode == 0, built.stderr
    shown = (tmp_path / "out/docs/README.html").read_text("utf-8")
    assert '<a class="reference internal" href="other.html#a-part">' in shown
    assert "a folder" in shown


def test_a_page_that_no_list_has_is_a_failure(tmp_path: Path) -> None:
    built = small_site(tmp_path, "[A link](other.md) alone is no place.")
    assert built.returncode != 0
    assert "isn't included in any toctree" in built.stderr


class Web(BaseHTTPRequestHandler):
    """Elsewhere, with one page."""

    def do_HEAD(self) -> None:
        self.send_response(200 if self.path == "/there" else 404)
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def test_links_to_elsewhere_are_followed_where_that_is_asked_for(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Web) as server:
        Thread(target=server.serve_forever).start()
        there, gone = (
            f"http://127.0.0.1:{server.server_port}/{name}" for name in ("there", "gone")
        )
        front = f"## Pages\n\n- [Other](other.md)\n\n[there]({there}) [gone]({gone})"
        asked = small_site(tmp_path, front, "docs-links")
        server.shutdown()
    assert asked.returncode != 0
    told = asked.stdout + asked.stderr
    assert gone in told
    assert there not in told


def links(page: Path) -> Iterator[str]:
    """Yield where a page's links lead, but for those in examples of program text."""
    text = re.sub(
        r"^```.*?^```$|`[^`\n]*`", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    yield from re.findall(r"\]\(([^)\s]+)\)", text)
    yield from re.findall(r"<(https?:[^>]+)>", text)


def test_every_page_is_two_clicks_from_the_front() -> None:
    near = {FRONT}
    for _ in range(2):
        targets = ((page.parent / link.partition("#")[0]) for page in near for link in links(page))
        near |= {path.resolve() for path in targets if path.suffix == ".md"}
    assert [page for page in PAGES if page not in near] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_follows_a_table_is_no_row_of_it(page: Path) -> None:
    """In Markdown a table lasts until a blank line, whether or not a line looks like a row."""
    assert re.findall(r"^\|.*\|\n(?!\||\n).+", page.read_text("utf-8"), re.MULTILINE) == []


def test_links_to_elsewhere_are_these_and_well_formed() -> None:
    away = {link for page in PAGES for link in links(page) if urlsplit(link).scheme}
    assert away == ELSEWHERE
    for link in away:
        parts = urlsplit(link)
        assert (parts.scheme, parts.username, parts.port) == ("https", None, None)
        assert re.fullmatch(r"([a-z0-9-]+\.)+[a-z]{2,}", parts.netloc), link
