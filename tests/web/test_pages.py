"""Pages over HTTP: what they say, what they escape, and what they let nobody do."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from relay_port import INLINE, Port, relay_port

from relay.journal.api import JournalError
from relay.lab.authority import LabAuthority
from relay.web.pages_mail import PAGE
from relay.web.safety import Access

PATHS = ("/", "/bounces", "/destinations", "/policy", "/lab", "/live")
HTML_MAIL = (
    b"Subject: =?utf-8?q?=3Cscript=3Ealert(1)=3C/script=3E?=\r\nFrom: a@x.test\r\n"
    b"Message-ID: <hostile@example.test>\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/html\r\n\r\n<script>alert(2)</script><p>words</p>\r\n"
)


async def page(port: Port, path: str, *, status: int = 200, **parameters: str) -> str:
    answer = await port.client.get(path, params=parameters or None)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return answer.text


def words(html: str) -> str:
    """Return what a page says, without its tags, with single blanks."""
    return " ".join(re.sub(r"<[^>]*>", " ", html.replace("<wbr>", "")).split())


async def newest(port: Port) -> str:
    return (await port.ids())[0]


@pytest.mark.parametrize("path", [*PATHS, "/mail/none"])
async def test_a_page_runs_nothing_but_our_own_files(port: Port, path: str) -> None:
    await port.send("anyone@expired.lab.test")
    answer = await port.client.get(path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["cache-control"] == "no-store"
    html = answer.text
    assert not re.search(r"<script(?![^>]*\bsrc=\"/static/)", html)
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", html)
    assert re.search(r"<html lang=\"en\">", html)
    assert html.count("<h1>") == 1
    assert len(re.findall(r"<title>[^<]+ · Relaylab</title>", html)) == 1


async def test_empty_pages_teach_the_next_step(port: Port) -> None:
    assert "relay send anyone@expired.lab.test" in await page(port, "/")
    assert f"127.0.0.1:{port.running.port()}" in await page(port, "/")
    assert "relay send" in await page(port, "/bounces")
    assert "relay send" in await page(port, "/destinations")
    assert "relay send" in await page(port, "/live")


async def test_the_list_names_outcomes_and_finds(port: Port) -> None:
    await port.send("anyone@good.lab.test", mark="first")
    await port.send("anyone@expired.lab.test", mark="second")
    listed = words(await page(port, "/"))
    assert "✓ verified first" in listed
    assert "✕ 451 4.7.5 second" in listed
    assert "second" not in await page(port, "/", q="FIRST")
    assert "first" not in words(await page(port, "/", code="4.7.5"))
    assert "second" not in words(await page(port, "/", protection="verified"))
    assert "first" not in words(await page(port, "/", state="failed", domain="expired.lab.test"))
    assert "Nothing matches" in await page(port, "/", q="neither")


@pytest.mark.parametrize(
    ("marks", "said"),
    [
        ({"state": "lost"}, "is none of: queued"),
        ({"domain": "a..b"}, "is not a domain's name"),
        ({"code": "9x"}, "is not a code"),
        ({"protection": "<b>"}, "“&lt;b&gt;” is none of"),
    ],
)
async def test_a_search_that_nobody_understands_says_so(
    port: Port, marks: dict[str, str], said: str
) -> None:
    assert said in (await page(port, "/", **marks)).replace("&#39;", "'")


async def test_a_list_goes_on_at_the_next_page(port: Port) -> None:
    for number in range(PAGE + 1):
        await port.send("anyone@good.lab.test", mark=f"n{number}")
    first = await page(port, "/", q="n")
    assert first.count("data-row") == PAGE
    older = re.search(r'href="/(\?q=n&amp;before=[^"]+)">Older', first)
    assert older is not None
    second = await page(port, f"/{older[1].replace('&amp;', '&')}")
    assert second.count("data-row") == 1
    assert ">n0<" in second
    assert "Older" not in second


async def test_a_message_tells_its_way(port: Port) -> None:
    await port.send("anyone@missing-intermediate.lab.test")
    html = await page(port, "/mail/latest")
    said = words(html)
    assert "Why did this bounce? The host does not send the intermediate certificate" in said
    assert "What to do: The host must send its full chain" in said
    assert re.search(r"Required Verify \S*test\.yaml:1 : no rule names this domain", said)
    assert "✕ broken here: not sent, and not trusted" in said
    assert 'class="broken"' in html
    assert "certificate-missing-intermediate" in said
    assert "RFC 8460: certificate-not-trusted" in said
    assert "session terminated: nothing of the message was sent" in said
    assert re.search(r"Required Verify ! 451 4.7.5", said)
    assert re.search(r"Required \? unknown", said)
    assert "~~&gt;" in html or "--&gt;" in html
    assert "220 2.0.0 Ready to start TLS" in said
    assert "451 4.7.5 [internal]" in said


async def test_a_good_chain_is_whole_and_leads_to_the_trusted_root(port: Port) -> None:
    await port.send("anyone@good.lab.test")
    html = await page(port, "/mail/latest")
    assert 'class="broken"' not in html
    assert html.count('class="whole"') == 2
    assert "issued by the next one" in html
    assert "trusted root" in html
    assert "Why did this bounce?" not in html


async def test_what_mail_brings_is_never_ours(port: Port) -> None:
    host, number = "127.0.0.1", port.running.port()
    import aiosmtplib

    await aiosmtplib.send(
        HTML_MAIL, sender='"<i>"@x.test', recipients=["anyone@good.lab.test"],
        hostname=host, port=number, start_tls=False,
    )  # fmt: skip
    own = await newest(port)
    html = await page(port, f"/mail/{own}")
    assert "<script>alert" not in html
    assert "<i>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert f'sandbox="" src="/view/{own}.html"' in html
    assert "<i>" not in await page(port, "/")
    frame = await port.client.get(f"/view/{own}.html")
    assert frame.headers["content-security-policy"].startswith("sandbox; default-src 'none'")


async def test_what_is_not_on_record_is_a_page_too(port: Port) -> None:
    assert "Not on record" in await page(port, "/mail/none", status=404)
    for path in ("/mail/none/retry", "/mail/none/delete", "/lab/try/none"):
        assert (await port.client.post(path)).status_code == 404


BROWSERS = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    ("method", "path", "status", "says"),
    [
        ("GET", "/maill", 404, "Nothing is at this path"),
        ("GET", "/mail/one/two/%3Cb%3E", 404, "Nothing is at this path"),
        ("POST", "/nowhere", 404, "Nothing is at this path"),
        ("GET", "/policy/reload", 405, "This path has no such method"),
    ],
)
async def test_a_browser_is_told_by_a_page_what_is_not_there(
    port: Port, method: str, path: str, status: int, says: str
) -> None:
    answer = await port.client.request(method, path, headers={"Accept": BROWSERS})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src")
    assert f"<h1>{says}</h1>" in answer.text
    assert '<a href="/policy">' in answer.text
    assert "<b>" not in answer.text
    assert answer.headers.get("allow") == ("POST" if status == 405 else None)


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("/maill", "*/*"),
        ("/maill", "application/json"),
        ("/maill", "application/json, text/html;q=0.9"),
        ("/maill", "application/problem+json, text/html"),
        ("/maill", "text/html;q=0, */*"),
        ("/maill", "text/html;q=high"),
        ("/maill", ""),
        ("/api/v1/maill", BROWSERS),
        ("/services/data/v60.0/maill", BROWSERS),
    ],
)
async def test_a_program_gets_problem_details(port: Port, path: str, accept: str) -> None:
    answer = await port.client.get(path, headers={"Accept": accept})
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("application/")
    assert "<h1>" not in answer.text


async def test_a_journal_that_can_not_be_read_is_told_by_a_page(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_: object, **__: object) -> None:
        raise JournalError("/home/somebody/journal.sqlite3 is broken")

    monkeypatch.setattr(type(port.served.journal), "find_records", unreadable)
    answer = await port.client.get("/", headers={"Accept": BROWSERS})
    assert answer.status_code == 503
    assert "The journal can&#39;t be read or written just now." in answer.text
    assert "somebody" not in answer.text


async def test_a_queued_message_is_tried_again_at_once(queued_port: Port) -> None:
    port = queued_port
    await port.send("anyone@expired.lab.test")
    waited = await port.get("/wait", outcome="deferred", timeout="10s")
    own = waited["happened"]["message_id"]
    html = await page(port, f"/mail/{own}")
    assert "Why is this delayed?" in html
    assert "Try again now" in html
    answer = await port.client.post(f"/mail/{own}/retry")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/mail/{own}")
    await port.running.relay.lab.wait_for_change(within=5)
    async with httpx.AsyncClient(base_url=port.client.base_url, trust_env=False) as client:
        while len((await client.get(f"/api/v1/mail/{own}")).json()["attempts"]) < 2:
            await port.running.relay.lab.wait_for_change(within=0.1)
    assert "Try 2:" in await page(port, f"/mail/{own}")


async def test_a_message_is_deleted(port: Port) -> None:
    await port.send("anyone@good.lab.test")
    own = await newest(port)
    answer = await port.client.post(f"/mail/{own}/delete")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    await page(port, f"/mail/{own}", status=404)


async def test_bounces_are_counted_and_kept_as_csv(port: Port) -> None:
    await port.send("anyone@expired.lab.test")
    await port.send("anyone@no-starttls.lab.test")
    assert "expired.lab.test" in words(await page(port, "/bounces"))
    assert "certificate-expired" in words(await page(port, "/bounces", by="cause"))
    only = words(await page(port, "/bounces", code="4.7.6"))
    assert "The newest" in only
    assert "anyone@expired" not in only.partition("The newest")[2]
    answer = await port.client.get("/bounces/report.csv", params={"by": "code"})
    lines = answer.text.splitlines()
    assert lines[0] == "what,count,hard,addresses,first_at,last_at,latest"
    assert {line.split(",")[0] for line in lines[1:]} == {"451 4.7.5", "451 4.7.6"}
    assert "bounces-by-code.csv" in answer.headers["content-disposition"]


async def test_a_spreadsheet_takes_no_address_for_a_formula(port: Port) -> None:
    await port.send("=cmd@expired.lab.test")
    answer = await port.client.get("/bounces/report.csv", params={"by": "contact"})
    assert answer.text.splitlines()[1].startswith("'=cmd@expired.lab.test,1")


async def test_destinations_show_each_setting_and_what_is_unknown(port: Port) -> None:
    await port.send("anyone@self-signed.lab.test")
    said = words(await page(port, "/destinations"))
    row = said.partition("self-signed.lab.test")[2]
    assert re.search(r"· clear .*\? unknown .*! 451 4.7.5 .*\? unknown .*! 451 4.7.5", row)
    assert "in force" in row


@pytest.mark.parametrize("offset", ["9" * 9, "9" * 10, "9" * 5000, "\u0669", "-1", ""], ids=len)
async def test_destinations_from_a_number_that_is_none_or_too_long(port: Port, offset: str) -> None:
    assert "Destinations" in await page(port, "/destinations", offset=offset)


async def test_a_draft_is_checked_explained_and_compared_but_never_kept(port: Port) -> None:
    await port.send("anyone@good.lab.test")
    before = port.policy_file.read_bytes()

    async def draft(text: str, **fields: str) -> str:
        answer = await port.client.post("/policy", data={"text": text, **fields})
        assert answer.status_code == 200
        return words(answer.text)

    assert re.search(
        r"1 error 1:6 ✕ error tls : 'Requird'",
        (await draft("tls: Requird\n")).replace("&#39;", "'"),
    )
    said = await draft("tls: Off\n", action="explain", address="x@y.test")
    assert "Mail to x@y.test Under the draft. Setting Off" in said
    said = await draft("tls: Preferred\r\n", action="what-if")
    assert "Of 1 domain" in said
    assert "Would be protected less (1)" in said
    assert "not an address" in await draft("tls: Off\n", action="explain", address="x y")
    answer = await port.client.post(
        "/policy", data={"action": "setting", "setting": "off", "address": "a@good.lab.test"}
    )
    assert "tls: &#34;Off&#34;" in answer.text
    assert "Would be protected less (1)" in answer.text
    assert port.policy_file.read_bytes() == before


async def test_a_draft_reads_no_file_elsewhere(port: Port) -> None:
    text = "tls: {setting: Required Verify, trust: /etc/passwd}\n"
    answer = await port.client.post("/policy", data={"text": text, "action": "what-if"})
    assert answer.status_code == 200
    assert "What would change</h2>" not in answer.text
    assert "root:" not in answer.text


async def test_a_policy_that_was_saved_is_read_again(port: Port) -> None:
    port.policy_file.write_text("tls: Off\nreply: inline\n")
    assert "the file has changed since" in await page(port, "/policy")
    assert (await port.client.post("/policy/reload")).headers["location"] == "/policy"
    assert "the file has changed since" not in await page(port, "/policy")
    port.policy_file.write_text("tls: Nonsense\n")
    answer = await port.client.post("/policy/reload")
    assert "The policy of before stays in force" in answer.text


async def test_a_password_is_shown_to_nobody(tmp_path: Path, authority: LabAuthority) -> None:
    policy = INLINE + (
        "email_relays:\n  - {name: r, host: 127.0.0.1, port: 2525, tls: Required Verify, "
        "auth: {mechanism: PLAIN, username: u, password: s3cr3t-word}}\n"
    )
    async with relay_port(tmp_path, authority, policy) as port:
        assert "s3cr3t-word" not in await page(port, "/policy")
        assert "********" in await page(port, "/policy")


async def test_a_card_is_tried_through_the_relay(port: Port) -> None:
    html = await page(port, "/lab")
    assert html.count('class="card"') > 90
    heads = re.findall(r"<h2[^>]*>([^<]*)</h2>", html)
    assert heads[1:] == ["Honest", "STARTTLS", "Handshake", "Certificate", "SMTP", "DNS"]
    answer = await port.client.post("/lab/try/expired")
    assert answer.status_code == 303
    html = await page(port, answer.headers["location"])
    assert "A try of expired" in html
    assert "Why did this bounce?" in html
    assert "1 session, 0 messages" in await page(port, "/lab")
    assert (await port.client.post("/lab/reset")).headers["location"] == "/lab"
    assert "1 session, 0 messages" not in await page(port, "/lab")


async def test_fault_scripts_are_shown_and_put_out_of_force(port: Port) -> None:
    scripts = "scripts: [{scenario: good, rules: [{phase: data, reply: 451 4.3.0 no}]}]"
    await port.client.put("/api/v1/lab/scripts", content=scripts)
    assert "good : 1 rule" in words(await page(port, "/lab"))
    assert (await port.client.post("/lab/scripts/clear")).status_code == 303
    assert "None are in force" in await page(port, "/lab")


async def test_the_live_page_tells_what_happened(port: Port) -> None:
    await port.send("anyone@expired.lab.test")
    said = words(await page(port, "/live"))
    assert "1 tries in the last 30 minutes, 1 of them not delivered." in said
    assert "✕ bounced anyone@expired.lab.test 451 4.7.5" in said
    assert "· accepted anyone@expired.lab.test from sender@example.test" in said
    assert re.search(r"\d+ TLS handshakes? since the start", said)


async def test_another_origin_can_press_no_button(port: Port) -> None:
    await port.send("anyone@good.lab.test")
    own = await newest(port)
    for path in (f"/mail/{own}/delete", "/lab/reset", "/lab/try/good", "/policy", "/policy/reload"):
        for given in ({"Origin": "http://evil.test"}, {"Sec-Fetch-Site": "cross-site"}):
            assert (await port.client.post(path, headers=given)).status_code == 403
    assert await newest(port) == own


async def test_a_read_only_port_has_no_buttons(tmp_path: Path, authority: LabAuthority) -> None:
    async with relay_port(tmp_path, authority, INLINE, access=Access(read_only=True)) as port:
        await port.send("anyone@good.lab.test")
        for path in (*PATHS, "/mail/latest"):
            html = await page(port, path)
            assert 'method="post"' not in html, path
            assert "hx-post" not in html, path
        assert (await port.client.post("/lab/reset")).status_code == 403
        assert "Setting Required Verify" in words(await page(port, "/policy", address="a@b.test"))


async def test_files_beside_pages_are_kept_by_browsers_until_they_change(port: Port) -> None:
    html = await page(port, "/")
    for address in re.findall(r'(?:src|href)="(/static/[^"]+)"', html):
        answer = await port.client.get(address)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert (await port.client.get("/static/../app.py")).status_code == 404
    assert (await port.client.get("/static/none.css")).status_code == 404
