"""Waiting for outcomes on the server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from relay_port import API, Port, relay_port

from relay.lab.authority import LabAuthority
from relay.web.live import Live


async def waiting(port: Port, **wish: Any) -> asyncio.Task[Any]:
    """Begin to wait; return when the server has the request."""
    room = port.served.live._room
    task = asyncio.get_running_loop().create_task(port.get("/wait", **wish))
    while port.served.live._room == room:
        await asyncio.sleep(0)
    return task


@pytest.mark.parametrize(
    ("address", "wish", "code"),
    [
        ("b@good.lab.test", {"outcome": "delivered"}, None),
        ("a@expired.lab.test", {"outcome": "bounced", "code": "4.7.5"}, "4.7.5"),
        ("a@expired.lab.test", {"outcome": "tls-failed"}, "4.7.5"),
        ("a@no-starttls.lab.test", {"outcome": "tls-failed", "code": "451 4.7.6"}, "4.7.6"),
        ("a@mailbox-busy.lab.test", {"outcome": "deferred", "code": "450"}, "4.2.1"),
        ("a@user-unknown.lab.test", {"outcome": "bounced", "code": "550"}, "5.1.1"),
    ],
)
async def test_what_happens_later_answers_the_one_who_waits(
    port: Port, address: str, wish: dict[str, str], code: str | None
) -> None:
    task = await waiting(port, recipient=address.upper(), timeout="15s", **wish)
    await port.send(address)
    found = await task
    assert found["outcome"] == wish["outcome"]
    happened = found["happened"]
    assert happened["recipient"] == address
    assert (happened["code"] or {}).get("enhanced") == code
    assert happened["record"]["message_id"] == happened["message_id"]


async def test_what_is_on_record_counts_only_from_since_on(port: Port) -> None:
    await port.send("b@good.lab.test")
    problem = await port.get("/wait", status=408, outcome="delivered", timeout="50ms")
    assert problem["type"].endswith(":nothing-happened")
    found = await port.get("/wait", outcome="delivered", timeout="50ms", since="1h")
    (own,) = await port.ids()
    assert found["happened"]["message_id"] == own
    for marks in (
        {"recipient": "c@good.lab.test"},
        {"domain": "bad.lab.test"},
        {"code": "451"},
    ):
        await port.get(
            "/wait", status=408, outcome="delivered", timeout="50ms", since="1h", **marks
        )
    await port.get("/wait", outcome="delivered", since="1h", message=own, domain="good.lab.test")
    await port.get("/wait", status=404, outcome="delivered", since="1h", message="unknown")


async def test_absence_is_asserted_until_time_is_up(port: Port) -> None:
    nothing = await port.get("/wait", outcome="none", timeout="50ms")
    assert nothing == {"outcome": "none", "happened": None}
    await port.send("a@expired.lab.test")
    await port.get("/wait", outcome="none", timeout="50ms", since="1h", domain="good.lab.test")
    problem = await port.get("/wait", status=409, outcome="none", timeout="15s", since="1h")
    assert problem["type"].endswith(":something-happened")
    assert problem["happened"]["recipient"] == "a@expired.lab.test"


@pytest.mark.parametrize(
    "wish",
    [
        {},
        {"outcome": "lost"},
        {"outcome": "delivered", "timeout": "soon"},
        {"outcome": "delivered", "timeout": "-1s"},
        {"outcome": "delivered", "code": "x"},
    ],
    ids=str,
)
async def test_a_wish_that_can_not_be_read_is_told(port: Port, wish: dict[str, str]) -> None:
    problem = await port.get("/wait", status=422, **wish)
    assert problem["type"].endswith(":bad-parameters")


async def test_those_who_wait_are_bounded_and_make_room_again(
    tmp_path: Path, authority: LabAuthority
) -> None:
    async with relay_port(tmp_path, authority, live=Live(readers=1)) as port:
        task = await waiting(port, outcome="delivered", timeout="15s")
        for path in ("/wait?outcome=delivered", "/events"):
            refused = await port.client.get(f"{API}{path}")
            assert refused.status_code == 503
            assert refused.json()["type"].endswith(":too-many-waiting")
        await port.send("b@good.lab.test")
        await task
        await port.get("/wait", outcome="delivered", since="1h")


async def test_the_port_closes_at_once_under_those_who_wait(
    tmp_path: Path, authority: LabAuthority
) -> None:
    async with relay_port(tmp_path, authority) as port:
        task = await waiting(port, outcome="delivered", timeout="5m")
        port.served.live.close()
        with pytest.raises(AssertionError, match="nothing-happened"):
            await task


@pytest.mark.parametrize("path", ["/wait?outcome=none&timeout=50ms", "/events"])
async def test_a_page_of_another_origin_can_not_hold_a_place(port: Port, path: str) -> None:
    for headers in ({"Origin": "http://evil.test"}, {"Sec-Fetch-Site": "cross-site"}):
        refused = await port.client.get(f"{API}{path}", headers=headers)
        assert refused.status_code == 403
