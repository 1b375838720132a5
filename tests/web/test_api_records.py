"""Bounces, sessions, attempts, evidence, contacts, codes and metrics over the API."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from prometheus_client.parser import text_string_to_metric_families
from relay_port import API, INLINE, Port

from relay.core.contacts import Contact, ContactObject
from relay.core.settings import TlsSetting

INJECTIONS = ("' OR 1=1 --", "%", "_", "\\", "a@b.test'; DROP TABLE messages; --")


async def test_bounces_are_filtered_and_reported(port: Port) -> None:
    await port.send("a@expired.lab.test", mark="one")
    await port.send("b@expired.lab.test", mark="two")
    await port.send("c@user-unknown.lab.test", mark="three")
    assert len((await port.get("/bounces"))["items"]) == 3
    (unknown,) = (await port.get("/bounces", code="5.1.1"))["items"]
    assert unknown["recipient"] == "c@user-unknown.lab.test"
    assert await port.get(f"/bounces/{unknown['id']}") == unknown
    page = await port.get("/bounces", limit=2, domain="expired.lab.test")
    assert len(page["items"]) == 2
    rows = await port.get("/bounces/report", by="domain")
    assert [(row["what"], row["count"]) for row in rows] == [
        ("expired.lab.test", 2),
        ("user-unknown.lab.test", 1),
    ]
    rows = await port.get("/bounces/report", by="code", since="1h")
    assert [(row["what"], row["hard"]) for row in rows] == [("451 4.7.5", 0), ("550 5.1.1", 1)]
    rows = await port.get("/bounces/report", by="contact")
    assert all(row["contacts"] == [] for row in rows)


async def test_failed_handshakes_are_sessions_too(port: Port) -> None:
    await port.send("a@handshake-drop.lab.test")
    (session,) = (await port.get("/sessions", handshake="failed"))["items"]
    assert session["direction"] == "outbound"
    assert session["transcript"]
    assert await port.get(f"/sessions/{session['id']}") == session
    (inbound,) = (await port.get("/sessions", direction="inbound"))["items"]
    assert inbound["id"] != session["id"]
    (attempt,) = (await port.get("/attempts", outcome="deferred"))["items"]
    assert attempt["session_id"] == session["id"]
    assert await port.get(f"/attempts/{attempt['id'][:15]}") == attempt
    assert (await port.get("/attempts", domain="good.lab.test"))["items"] == []


async def test_evidence_tells_what_each_setting_makes_of_a_domain(port: Port) -> None:
    await port.send("a@expired.lab.test", mark="one")
    await port.send("b@no-starttls.lab.test", mark="two")
    grid = {entry["domain"]: entry for entry in await port.get("/evidence")}
    assert set(grid) == {"expired.lab.test", "no-starttls.lab.test"}
    words = grid["no-starttls.lab.test"]["settings"]
    assert words == {
        "off": "clear",
        "preferred": "clear",
        "preferred-verify": "clear",
        "required": "451 4.7.6",
        "required-verify": "451 4.7.6",
    }
    one = await port.get("/evidence/expired.lab.test")
    assert {told["setting"] for told in one["settings"]} == {s.value for s in TlsSetting}
    assert one["record"]["seen"][0]["evidence"]["starttls_offered"] is True
    await port.get("/evidence/good.lab.test", status=404)
    await port.get("/evidence/no%20domain", status=422)


async def test_contacts_are_listed_shown_and_cleared(port: Port) -> None:
    port.policy_file.write_text(f"{INLINE}salesforce: {{bounce_management: {{}}}}\n")
    await port.ask("POST", "/policy/reload")
    port.served.contacts.add(
        Contact(object=ContactObject.CONTACT, id=f"003{n}", email=e, first_name="", last_name=e)
        for n, e in enumerate(("c@user-unknown.lab.test", "b@good.lab.test"))
    )
    await port.send("c@user-unknown.lab.test")
    (bounced,) = await port.get("/contacts", bounced="true")
    assert bounced["contact"]["email"] == "c@user-unknown.lab.test"
    assert len(await port.get("/contacts")) == 2
    address = "/contacts/C@user-unknown.lab.test"
    assert (await port.get(address))["is_email_bounced"] is True
    cleared = await port.ask("POST", f"{address}/clear")
    assert cleared["is_email_bounced"] is False
    assert cleared["cleared_at"]
    assert await port.get("/contacts", bounced="true") == []
    await port.get("/contacts/stranger@x.test", status=404)
    await port.ask("POST", "/contacts/stranger@x.test/clear", status=404)


async def test_codes_are_explained(port: Port) -> None:
    books = await port.get("/codes")
    assert books["salesforce"]["tls-not-offered"].startswith("451 4.7.6 ")
    told = await port.get("/codes/explain", line="451 4.7.6 STARTTLS required but not advertised")
    assert (told["reply"], told["enhanced"], told["finality"]) == (451, "4.7.6", "transient")
    assert told["causes"]
    await port.get("/codes/explain", status=422)


async def test_metrics_count_without_names_of_anybody(port: Port) -> None:
    await port.send("a@expired.lab.test", mark="one")
    await port.send("b@good.lab.test", mark="two")
    answer = await port.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert found["relaylab_messages_total",] == 2
    assert found["relaylab_bounces_total", ("action", "failed"), ("code", "451 4.7.5")] == 1
    delivered = ("outcome", "delivered"), ("protection", "verified")
    assert found["relaylab_outcomes_total", *delivered] == 1
    failed = ("direction", "outbound"), ("handshake", "failed"), ("tls_version", "none")
    assert found["relaylab_sessions_total", *failed] == 1
    assert found["relaylab_queued_recipients",] == 0
    assert found["relaylab_handshake_seconds_count",] == 2
    assert found["relaylab_journal_write_seconds_count",] >= 4
    assert "lab.test" not in answer.text


@pytest.mark.parametrize("text", INJECTIONS)
async def test_no_text_is_ever_a_part_of_a_statement(port: Port, text: str) -> None:
    await port.send("b@good.lab.test")
    assert (await port.get("/mail", text=text))["items"] == []
    await port.get(f"/mail/{quote(text, safe='')}", status=404)
    await port.get("/mail", status=404, before=text)
    for field in ("recipient", "domain", "code", "state", "since"):
        answer = await port.client.get(f"{API}/mail", params={field: text})
        assert answer.status_code in {200, 422}
    assert len(await port.ids()) == 1
