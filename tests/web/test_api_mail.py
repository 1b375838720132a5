"""Mail over the API: lists, ways, content, deletion, retry."""

from __future__ import annotations

import asyncio
from email.message import EmailMessage
from typing import Any

import aiosmtplib
import pytest
from relay_port import API, Port


async def sent(port: Port) -> None:
    await port.send("a@expired.lab.test", mark="first")
    await port.send("b@good.lab.test", mark="second")


async def test_a_list_is_filtered_and_paged(port: Port) -> None:
    await sent(port)
    newest, oldest = await port.ids()
    assert await port.ids(domain="expired.lab.test") == [oldest]
    assert await port.ids(recipient="B@GOOD.lab.test") == [newest]
    assert await port.ids(state="failed") == [oldest]
    assert await port.ids(code="4.7.5") == [oldest]
    assert await port.ids(code="451 4.7.5") == [oldest]
    assert await port.ids(outcome="delivered") == [newest]
    assert await port.ids(protection="verified") == [newest]
    assert await port.ids(text="FIRST") == [oldest]
    assert await port.ids(since="1h") == [newest, oldest]
    assert await port.ids(until="1h") == []
    page = await port.get("/mail", limit=1)
    assert page["next"] == newest
    page = await port.get("/mail", limit=1, before=page["next"])
    assert [m["envelope"]["id"] for m in page["items"]] == [oldest]


@pytest.mark.parametrize(
    "parameters",
    [
        {"since": "yesterday"},
        {"since": "9" * 30 + "d"},
        {"limit": 0},
        {"limit": 1001},
        {"domain": "no domain"},
        {"recipient": "nobody"},
        {"state": "lost"},
        {"code": "4.7"},
        {"text": "x" * 501},
    ],
    ids=str,
)
async def test_bad_marks_are_told(port: Port, parameters: dict[str, Any]) -> None:
    problem = await port.get("/mail", status=422, **parameters)
    assert problem["type"].endswith(":bad-parameters")
    (found,) = problem["problems"]
    assert found["where"] == f"query.{next(iter(parameters))}"


async def test_a_way_has_rule_evidence_faults_verdict_and_dialog(port: Port) -> None:
    await sent(port)
    (expired,) = await port.ids(domain="expired.lab.test")
    way = await port.get(f"/mail/{expired}")
    (attempt,) = way["attempts"]
    assert attempt["rule"]["file"] == str(port.policy_file)
    assert attempt["rule"]["line"] == 1
    assert attempt["verdict"]["kind"] == "terminate"
    outbound = next(s for s in way["sessions"] if s["direction"] == "outbound")
    assert outbound["faults"][0]["kind"] == "certificate-expired"
    assert outbound["evidence"]["handshake"]["kind"] == "failed"
    assert any(line["text"].startswith("EHLO") for line in outbound["transcript"])
    (bounce,) = way["bounces"]
    assert bounce["status"] == {"code": 451, "enhanced": "4.7.5"}
    assert (await port.get("/mail/latest"))["envelope"]["id"] != expired
    assert (await port.get(f"/mail/{expired[:16]}"))["envelope"]["id"] == expired


async def test_what_is_not_there_is_a_problem(port: Port) -> None:
    for path in ("/mail/latest", "/mail/0000", "/bounces/x", "/sessions/x", "/attempts/latest"):
        problem = await port.get(path, status=404)
        assert problem["type"].endswith(":unknown-record")


async def send_hostile(port: Port) -> None:
    message = EmailMessage()
    message["From"] = "a@b.test"
    message["To"] = "c@good.lab.test"
    message["Subject"] = "Grüße <script>"
    message.set_content("plain")
    message.add_alternative("<script>alert(1)</script>", subtype="html")
    message.add_attachment(b"\x00\x01", maintype="image", subtype="svg+xml", filename="x.svg")
    name = b"filename*=utf-8''x%22%0D%0AEvil%3A%201.svg"
    octets = message.as_bytes().replace(b'filename="x.svg"', name)
    assert name in octets
    client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port.running.port(), start_tls=False)
    async with client:
        await client.sendmail("a@b.test", ["c@good.lab.test"], octets)


async def test_html_never_comes_as_html_and_files_keep_to_names_of_ours(port: Port) -> None:
    await send_hostile(port)
    parts = await port.get("/mail/latest/parts")
    assert [part["content_type"] for part in parts] == ["text/plain", "text/html", "image/svg+xml"]
    for part in parts:
        path = f"{API}/mail/latest/parts/{part['number']}"
        octets = await port.client.get(path)
        assert octets.headers["content-type"] == "application/octet-stream"
        assert octets.headers["content-disposition"] == (
            f'attachment; filename="part-{part["number"]}.bin"'
        )
        text = await port.client.get(f"{path}/text")
        assert text.headers["content-type"] == "text/plain; charset=utf-8"
        for answer in (octets, text):
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["content-security-policy"].startswith("default-src 'none'")
            assert "evil" not in answer.headers
    assert (await port.client.get(f"{API}/mail/latest/parts/2/text")).text == (
        "<script>alert(1)</script>\r\n"
    )
    raw = await port.client.get(f"{API}/mail/latest/raw")
    assert raw.headers["content-type"] == "message/rfc822"
    assert raw.content == port.running.relay.journal.content("latest")
    names = [field["name"] for field in await port.get("/mail/latest/headers")]
    assert names[0] == "Received"
    assert "Subject" in names
    await port.get("/mail/latest/parts/4", status=404)


async def test_deleting_forgets_the_way_and_tells_who_gets_nothing(queued_port: Port) -> None:
    port = queued_port
    await port.send("a@expired.lab.test", mark="first")
    await port.get("/wait", outcome="deferred", since="1h")
    await port.send("b@good.lab.test", mark="second")
    await port.get("/wait", outcome="delivered", since="1h")
    await port.get("/wait", outcome="none", timeout="50ms")
    (first,) = await port.ids(text="first")
    deleted = await port.ask("DELETE", f"/mail/{first}")
    undelivered = [{"message_id": first, "recipient": "a@expired.lab.test"}]
    assert deleted == {"deleted": 1, "undelivered": undelivered, "in_hand": []}
    await port.get(f"/mail/{first}", status=404)
    assert (await port.get("/bounces"))["items"] == []
    everything = await port.ask("DELETE", "/mail")
    assert everything == {"deleted": 1, "undelivered": [], "in_hand": []}
    assert (await port.get("/sessions"))["items"] == []
    await port.send("c@good.lab.test", mark="third")
    await port.get("/wait", outcome="delivered", since="1h", recipient="c@good.lab.test")


async def test_a_message_in_hand_is_left_alone(port: Port) -> None:
    scripts = "scripts: [{scenario: good, rules: [{phase: mail, delay: 1500ms}]}]"
    await port.ask("PUT", "/lab/scripts", content=scripts)
    sending = asyncio.get_running_loop().create_task(port.send("b@good.lab.test"))
    while not (found := await port.ids()):
        await asyncio.sleep(0)
    deleted = await port.ask("DELETE", "/mail")
    assert deleted == {"deleted": 0, "undelivered": [], "in_hand": found}
    await sending
    assert port.running.record().attempts[0].outcomes[0].outcome.kind == "delivered"


async def test_a_retry_is_at_once_and_only_for_who_waits(queued_port: Port) -> None:
    port = queued_port
    await port.send("a@expired.lab.test", "b@good.lab.test")
    await port.get("/wait", outcome="deferred", since="1h")
    await port.get("/wait", outcome="delivered", since="1h")
    (found,) = await port.ids()
    port.policy_file.write_text("tls: Required\nreply: queued\n")
    await port.ask("POST", "/policy/reload")
    # The queue may still be writing down what came of the first try.
    retried = {"recipients": []}
    while not retried["recipients"]:
        retried = await port.ask("POST", "/mail/latest/retry")
    assert retried == {"message_id": found, "recipients": ["a@expired.lab.test"]}
    happened = await port.get(
        "/wait", outcome="delivered", since="1h", recipient="a@expired.lab.test"
    )
    assert happened["happened"]["record"]["round"] == 2
