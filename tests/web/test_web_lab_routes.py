"""The lab over HTTP: every route's answer is the lab's own, in the one JSON form."""

from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import suppress

import dns.rdatatype
import dns.zone
import httpx
import pytest
from cryptography import x509
from web_client import deliver

from relay.core.jsonform import to_json
from relay.core.scenarios import Family
from relay.lab.authority import LabAuthority
from relay.lab.availability import why_unavailable
from relay.lab.catalogue import LAB_SCENARIOS, SCENARIOS
from relay.lab.lab import Lab
from relay.lab.outlook import card_json
from relay.lab.zone import lab_zone

LAB = "/api/v1/lab"


async def test_the_root_and_the_revocation_list_are_the_authoritys(
    client: httpx.AsyncClient, authority: LabAuthority
) -> None:
    root = await client.get(f"{LAB}/ca.pem")
    assert root.content == authority.root_pem
    assert root.headers["content-disposition"] == 'attachment; filename="lab-root.pem"'
    ssl.create_default_context(cadata=root.text)
    as_pem = (await client.get(f"{LAB}/crl.pem")).content
    as_der = await client.get(f"{LAB}/crl.der")
    assert as_pem == authority.crl_path.read_bytes()
    assert as_der.headers["content-type"] == "application/pkix-crl"
    assert x509.load_der_x509_crl(as_der.content) == x509.load_pem_x509_crl(as_pem)


async def test_the_zone_is_what_the_name_server_would_serve(
    client: httpx.AsyncClient, lab: Lab
) -> None:
    good, expired = await lab.address("good"), await lab.address("expired")
    await lab.capture_address()
    records = lab_zone({"good": good, "expired": expired})
    as_json = await client.get(f"{LAB}/zone")
    assert as_json.headers["content-type"] == "application/json"
    assert as_json.json() == {name: list(lines) for name, lines in records.items()}
    by_accept = await client.get(f"{LAB}/zone", headers={"Accept": "text/dns"})
    by_query = await client.get(f"{LAB}/zone", params={"format": "text"})
    assert by_accept.text == by_query.text
    assert by_accept.headers["content-type"].startswith("text/dns")
    zone = dns.zone.from_text(by_accept.text, "lab.test.", relativize=False, check_origin=False)
    (exchanger,) = zone.find_rdataset("expired.lab.test.", dns.rdatatype.MX)
    (address,) = zone.find_rdataset("mx.expired.lab.test.", dns.rdatatype.A)
    assert exchanger.exchange.to_text() == "mx.expired.lab.test."
    assert address.to_text() == expired.address
    both = await client.get(f"{LAB}/zone?format=json", headers={"Accept": "text/dns"})
    assert both.json() == as_json.json()


async def test_the_cards_are_those_of_the_command_line(client: httpx.AsyncClient, lab: Lab) -> None:
    host = await lab.address("expired")
    listed = (await client.get(f"{LAB}/scenarios")).json()
    assert [entry["name"] for entry in listed] == list(SCENARIOS)
    for entry in listed:
        scripted = LAB_SCENARIOS.get(entry["name"])
        assert entry.pop("unavailable") == (why_unavailable(scripted) if scripted else None)
        listens = entry.pop("listens")
        assert listens == (to_json(host) if entry["name"] == "expired" else None)
        assert entry == json.loads(json.dumps(card_json(SCENARIOS[entry["name"]])))
    one = (await client.get(f"{LAB}/scenarios/expired")).json()
    assert one["verdicts"]["required-verify"]["kind"] == "terminate"
    assert one["listens"]["port"] == host.port


@pytest.mark.parametrize("family", list(Family))
async def test_a_family_alone(client: httpx.AsyncClient, family: Family) -> None:
    listed = (await client.get(f"{LAB}/scenarios", params={"family": family.value})).json()
    assert [e["name"] for e in listed] == [n for n, c in SCENARIOS.items() if c.family is family]


async def test_sessions_are_what_the_receiver_remembers(
    client: httpx.AsyncClient, lab: Lab
) -> None:
    empty = (await client.get(f"{LAB}/scenarios/good/sessions")).json()
    assert empty == {"total": 0, "offset": 0, "items": []}
    await deliver(await lab.address("good"), b"Subject: one\r\n\r\nhello\r\n")
    await lab.wait_until_idle("good")
    page = (await client.get(f"{LAB}/scenarios/good/sessions")).json()
    assert page == {"total": 1, "offset": 0, "items": to_json(lab.received("good"))}
    (session,) = page["items"]
    assert "DATA" in [line["text"] for line in session["transcript"]]
    assert session["messages"][0]["content"]["size"] == len(b"Subject: one\r\n\r\nhello\r\n")


async def test_a_failed_handshake_is_a_session_too(client: httpx.AsyncClient, lab: Lab) -> None:
    host = await lab.address("expired")
    reader, writer = await asyncio.open_connection(host.address, host.port)
    writer.write(b"EHLO me.test\r\nSTARTTLS\r\n")
    await reader.readuntil(b"220 ")
    await reader.readuntil(b"220 ")
    with suppress(ssl.SSLError, OSError):
        await writer.start_tls(ssl.create_default_context(), server_hostname=host.name)
    writer.close()
    with suppress(OSError, ssl.SSLError):
        await writer.wait_closed()
    await lab.wait_until_idle("expired")
    (session,) = (await client.get(f"{LAB}/scenarios/expired/sessions")).json()["items"]
    assert session["handshake_error"] is not None
    assert session["tls_version"] is None
    assert session["messages"] == []


async def test_messages_in_pages_and_octet_for_octet(client: httpx.AsyncClient, lab: Lab) -> None:
    contents = [b"Subject: %d\r\n\r\n\xff\x00 eight bit\r\n" % at for at in range(1, 6)]
    await deliver(await lab.capture_address(), *contents)
    path = f"{LAB}/scenarios/capture/messages"
    page = (await client.get(path, params={"offset": 1, "limit": 2})).json()
    assert page == {"total": 5, "offset": 1, "items": to_json(lab.messages("capture")[1:3])}
    for number, content in enumerate(contents, start=1):
        raw = await client.get(f"{path}/{number}/raw")
        assert raw.content == content
        assert raw.headers["content-type"] == "message/rfc822"
        assert raw.headers["content-disposition"].startswith("attachment;")
    latest = await client.get(f"{path}/latest/raw")
    assert latest.content == contents[-1]
    assert latest.headers["content-disposition"].endswith('"capture-5.eml"')


async def test_head_is_get_without_content(client: httpx.AsyncClient) -> None:
    got, head = await client.get(f"{LAB}/ca.pem"), await client.head(f"{LAB}/ca.pem")
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == got.headers["content-length"]


async def test_reset_forgets_for_the_lab_and_for_the_port(
    client: httpx.AsyncClient, lab: Lab
) -> None:
    await deliver(await lab.address("good"), b"x\r\n")
    await lab.wait_until_idle("good")
    assert (await client.post(f"{LAB}/reset")).status_code == 204
    assert lab.received("good") == ()
    assert (await client.get(f"{LAB}/scenarios/good/sessions")).json()["total"] == 0


@pytest.mark.parametrize("name", ["null-mx", "mx-many"])
async def test_a_scenario_about_dns_has_a_card_and_no_sessions(
    client: httpx.AsyncClient, name: str
) -> None:
    card = (await client.get(f"/api/v1/lab/scenarios/{name}")).json()
    assert card["family"] == "dns"
    assert card["listens"] is None
    for kind in ("sessions", "messages"):
        page = await client.get(f"/api/v1/lab/scenarios/{name}/{kind}")
        assert page.json() == {"total": 0, "offset": 0, "items": []}
