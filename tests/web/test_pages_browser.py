"""Pages in a real browser: each one's main use, by hand and by keys, with and without script.

Debian's Chromium is the browser, axe-core the judge of what people with other senses can't use.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest
from judge_node import installed_modules
from playwright.async_api import Page, async_playwright, expect
from relay_port import Port

from relay.formats.report import Cell, Mark, Report, ReportRow, Section, to_html

pytestmark = [pytest.mark.judge("chromium"), pytest.mark.timeout(240)]

expect.set_options(timeout=20_000)
AXE = Path(__file__).parent / "axe"
CACHE = Path(__file__).parents[2] / ".cache/axe"
PATHS = (
    "/",
    "/mail/latest",
    "/bounces",
    "/destinations",
    "/policy?address=a@b.test",
    "/lab",
    "/live",
)
HOSTILE = (
    b"Subject: An offer\r\nFrom: a@x.test\r\nMessage-ID: <offer@example.test>\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n"
    b"<h1>An offer</h1><script>parent.document.title = 'owned'; document.title = 'owned'</script>"
    b"<form action='/lab/reset' method=post><button id=b>Go</button></form>"
    b"<img src='http://tracker.test/x.png'>\r\n"
)


@asynccontextmanager
async def browsing(port: Port, **options: Any) -> AsyncIterator[tuple[Page, list[str]]]:
    """Open a browser; yield a page and the list of everything that its console complains of."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        try:
            page = await browser.new_page(base_url=str(port.client.base_url), **options)
            complaints: list[str] = []
            page.on(
                "console",
                lambda said: (
                    complaints.append(said.text) if said.type in {"error", "warning"} else None
                ),
            )
            page.on("pageerror", lambda error: complaints.append(str(error)))
            yield page, complaints
        finally:
            await browser.close()


async def some_mail(port: Port) -> None:
    for name in ("good", "self-signed", "no-starttls", "missing-intermediate"):
        await port.send(f"anyone@{name}.lab.test", mark=name)


@pytest.mark.judge("node", "npm")
@pytest.mark.parametrize(("scheme", "empty"), [("light", True), ("light", False), ("dark", False)])
async def test_nothing_serious_for_other_senses_and_no_complaint(
    port: Port, scheme: str, empty: bool
) -> None:
    axe = installed_modules(AXE, CACHE) / "axe-core/axe.min.js"
    paths = PATHS
    if empty:
        paths = tuple(path for path in PATHS if path != "/mail/latest")
    else:
        await some_mail(port)
        await port.client.put(
            "/api/v1/lab/scripts",
            content="scripts: [{scenario: good, rules: [{phase: data, reply: 451 4.3.0 no}]}]",
        )
    # axe is our judge's own script, which our policy rightly refuses: it comes in by the debugger.
    async with browsing(port, color_scheme=scheme) as (page, complaints):
        for path in paths:
            await page.goto(path)
            for details in (await page.locator("details").all())[:12]:
                await details.evaluate("it => { it.open = true }")
            await page.evaluate(axe.read_text())
            found = await page.evaluate("axe.run(document, {iframes: false})")
            serious = [
                (path, each["id"], [node["html"][:200] for node in each["nodes"][:3]])
                for each in found["violations"]
                if each["impact"] in {"serious", "critical"}
            ]
            assert serious == []
        assert complaints == []


@pytest.mark.judge("node", "npm")
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_path_that_is_not_there_leads_to_those_that_are(port: Port, scheme: str) -> None:
    axe = installed_modules(AXE, CACHE) / "axe-core/axe.min.js"
    size = {"width": 390, "height": 800}
    async with browsing(port, color_scheme=scheme, viewport=size) as (page, complaints):
        answer = await page.goto("/maill")
        assert answer is not None
        assert answer.status == 404
        over = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert await page.evaluate(over) <= 0
        await page.evaluate(axe.read_text())
        found = await page.evaluate("axe.run(document)")
        assert [
            e["id"] for e in found["violations"] if e["impact"] in {"serious", "critical"}
        ] == []
        # Chromium itself complains of the status, and of nothing else.
        assert all("404" in said for said in complaints)
        await page.get_by_role("link", name="All mail").click()
        await expect(page).to_have_title("Mail · Relaylab")


@pytest.mark.parametrize("width", [400, 1000, 1600])
async def test_pages_fit_their_window(port: Port, width: int) -> None:
    await some_mail(port)
    async with browsing(port, viewport={"width": width, "height": 800}) as (page, complaints):
        for path in PATHS:
            await page.goto(path)
            over = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert await page.evaluate(over) <= 0, path
            hidden = (
                "[...document.querySelectorAll('.scroll')].map(b => b.scrollWidth > b.clientWidth)"
            )
            assert not any(await page.evaluate(hidden)), path
        assert complaints == []


async def test_a_report_is_read_on_a_phone_without_scrolling_sideways(port: Port) -> None:
    host = "mx.missing-intermediate.lab.test[127.0.0.1]:35123"
    row = ReportRow(
        name="missing-intermediate.lab.test",
        mark=Mark.BAD,
        cells=(Cell(text="refused"), Cell(text="451 4.7.5")),
        because="The host does not send the intermediate certificate that leads to its authority.",
        evidence=(f"connected to {host}, where the handshake ended as it should " * 2,),
    )
    section = Section(title=f"Host {host}", columns=("domain", "now", "then"), rows=(row,))
    report = Report(title=host, summary=host, mark=Mark.BAD, facts=(), sections=(section,))
    async with browsing(port, viewport={"width": 390, "height": 800}) as (page, complaints):
        await page.set_content(to_html(report))
        wide = "[document.documentElement, ...document.querySelectorAll('.wide')]"
        over = f"{wide}.map(box => box.scrollWidth - box.clientWidth)"
        assert await page.evaluate(over) == [0, 0]
        assert complaints == []


async def test_mail_is_searched_while_somebody_types_and_comes_by_itself(port: Port) -> None:
    await some_mail(port)
    async with browsing(port) as (page, complaints):
        await page.goto("/")
        rows = page.locator("[data-row]")
        await expect(rows).to_have_count(4)
        await port.send("anyone@good.lab.test", mark="news")
        await expect(rows).to_have_count(5)
        await page.keyboard.press("/")
        await page.keyboard.type("SELF-SIGNED")
        await expect(rows).to_have_count(1)
        await page.wait_for_url("**q=SELF-SIGNED*")
        await port.send("anyone@good.lab.test", mark="again")
        await expect(rows).to_have_count(1)
        await page.get_by_role("searchbox").fill("")
        await expect(rows).to_have_count(6)
        assert complaints == []


async def test_a_list_is_gone_through_by_keys(port: Port) -> None:
    await some_mail(port)
    async with browsing(port) as (page, complaints):
        await page.goto("/")
        for key in ("j", "j", "j", "k"):
            await page.keyboard.press(key)
        await expect(page.locator(":focus")).to_have_text("no-starttls")
        await page.keyboard.press("Enter")
        await expect(page).to_have_title("no-starttls · Relaylab")
        await page.goto("/")
        await page.keyboard.press("Tab")
        await expect(page.locator(":focus")).to_have_text("Skip to the content")
        await expect(page.locator(":focus")).to_be_in_viewport()
        assert complaints == []


async def test_mails_own_html_has_no_power(port: Port) -> None:
    await aiosmtplib.send(
        HOSTILE, sender="a@x.test", recipients=["anyone@good.lab.test"],
        hostname="127.0.0.1", port=port.running.port(), start_tls=False,
    )  # fmt: skip
    async with browsing(port) as (page, complaints):
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        await page.goto("/mail/latest")
        frame = page.frame_locator("iframe.mail-html")
        await expect(frame.locator("h1")).to_have_text("An offer")
        await frame.locator("#b").click()
        await expect(page).to_have_title("An offer · Relaylab")
        assert await page.locator("iframe").evaluate("it => it.contentDocument") is None
        assert not any("/lab/reset" in url for url in asked)
        # Everything that is complained of is what the mail tried.
        assert complaints
        assert all("sandboxed" in said or "tracker.test" in said for said in complaints), complaints


async def test_a_policy_is_checked_while_somebody_writes(port: Port) -> None:
    await port.send("anyone@good.lab.test")
    async with browsing(port) as (page, complaints):
        await page.goto("/policy")
        await expect(page.locator("#problems")).to_contain_text("in order")
        draft = page.get_by_label("A draft")
        await draft.fill("reply: inline\ntls: Requird\n")
        problem = page.locator("#problems li")
        await expect(problem).to_contain_text("did you mean 'Required'?")
        await problem.get_by_role("button", name="2:6").click()
        chosen = await draft.evaluate("it => it.value.slice(it.selectionStart, it.selectionEnd)")
        assert chosen == "Requird"
        await draft.fill("reply: inline\ntls: Preferred\n")
        await expect(page.locator("#problems")).to_contain_text("in order")
        await page.get_by_role("button", name="What would change?").click()
        await expect(
            page.get_by_role("heading", name="Would be protected less (1)")
        ).to_be_visible()
        await page.get_by_label("To").fill("jane@partner.example")
        await page.get_by_role("button", name="Explain").click()
        await expect(page.locator(".answers")).to_contain_text("Mail to jane@partner.example")
        await expect(page.locator(".answers")).to_contain_text("Under the draft")
        assert complaints == []


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
async def test_from_a_card_to_the_reason_to_what_would_help(port: Port, script: bool) -> None:
    async with browsing(port, java_script_enabled=script) as (page, complaints):
        await page.goto("/lab")
        await page.get_by_role("button", name="Try it: expired", exact=True).click()
        await expect(page).to_have_title("A try of expired · Relaylab")
        await expect(page.locator(".why")).to_contain_text("has expired")
        await expect(page.locator(".chain .bad").first).to_contain_text("EXPIRED 1 day ago")
        await page.get_by_label("What if the setting were").select_option("Preferred Verify")
        await page.get_by_role("button", name="What would change?").click()
        await expect(page.locator("#text")).to_have_value("tls: Preferred Verify\nreply: inline\n")
        await expect(page.locator(".answers")).to_contain_text("Not delivered to now, and not then")
        await page.goto("/?q=expired")
        await page.get_by_role("link", name="A try of expired").click()
        await page.get_by_role("button", name="Delete").click()
        await expect(page.get_by_role("heading", name="No mail yet")).to_be_visible()
        assert complaints == []


async def test_a_search_works_without_script(port: Port) -> None:
    await some_mail(port)
    async with browsing(port, java_script_enabled=False) as (page, _):
        await page.goto("/")
        await page.get_by_role("searchbox").fill("no-starttls")
        await page.get_by_label("Code").fill("4.7.6")
        await page.get_by_role("button", name="Search").click()
        await expect(page.locator("[data-row]")).to_have_count(1)
        await page.goto("/bounces")
        await page.get_by_role("link", name="by cause").click()
        await expect(page.locator("#report")).to_have_text("Failures by cause")


async def test_the_live_page_goes_on_by_itself(port: Port) -> None:
    async with browsing(port) as (page, complaints):
        await page.goto("/live")
        await expect(page.locator("#live")).to_contain_text("Nothing happened yet")
        await port.send("anyone@self-signed.lab.test")
        await expect(page.locator(".events li")).to_have_count(3)
        await expect(page.locator("#live")).to_contain_text("1 of them not delivered")
        assert await page.locator("svg.plot rect").count() == 3
        await page.get_by_role("link", name="anyone@self-signed.lab.test").first.click()
        await expect(page.locator(".why")).to_contain_text("signed by itself")
        assert complaints == []
