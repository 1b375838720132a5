"""The webhook against a real web server: signed, retried, bounded, and kept on this machine."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import trustme
from e2e_relay import TurnedClock
from notice_records import SECRET, Hook, a_hook, a_notice

from relay.core.clock import Clock
from relay.core.ids import make_id
from relay.core.jsonform import to_json
from relay.engine.clock import SystemClock
from relay.notice.options import NoticeError, Target, WebhookOptions
from relay.notice.webhook import Webhook

Lookup = Callable[[str, int], Awaitable[tuple[str, ...]]]


def answers(*addresses: str) -> Lookup:
    async def lookup(host: str, port: int) -> tuple[str, ...]:
        if not addresses:
            raise OSError("no such host")
        return addresses

    return lookup


def a_webhook(
    hook: Hook,
    *,
    url: str = "http://127.0.0.1:{port}/notices?token=hidden",
    waits: tuple[timedelta, ...] = (timedelta(0),) * 4,
    timeout: timedelta = timedelta(seconds=10),
    allow_external: bool = False,
    clock: Clock | None = None,
    lookup: Lookup | None = None,
) -> Webhook:
    clock = clock or SystemClock()
    return Webhook(
        WebhookOptions(
            target=Target.parse(url.format(port=hook.port)),
            secret=SECRET,
            waits=waits,
            timeout=timeout,
        ),
        allow_external=allow_external,
        clock=clock,
        new_id=lambda: make_id(clock.now(), len(hook.requests) + 7),
        **({"lookup": lookup} if lookup else {}),
    )


class WatchedClock(TurnedClock):
    """A turned clock that tells when somebody sleeps by it."""

    def __init__(self) -> None:
        super().__init__()
        self.sleeper = asyncio.Event()

    async def sleep_until(self, when: datetime) -> None:
        self.sleeper.set()
        await super().sleep_until(when)


def openssl_hmac(message: bytes) -> str:
    done = subprocess.run(
        ["openssl", "dgst", "-sha256", "-hmac", SECRET.decode()],
        input=message,
        capture_output=True,
        check=True,
    )
    return done.stdout.decode().split("= ")[1].strip()


@pytest.mark.judge("openssl")
async def test_a_delivery_is_the_notices_json_and_openssl_confirms_its_signature() -> None:
    clock = TurnedClock()
    async with a_hook(204) as hook, a_webhook(hook, clock=clock) as webhook:
        assert await webhook.deliver(a_notice())
    (request,) = hook.requests
    assert request.path == "/notices?token=hidden"
    assert json.loads(request.body) == to_json(a_notice())
    assert request.headers["content-type"] == "application/json"
    signature = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", request.headers["relaylab-signature"])
    assert signature is not None
    assert int(signature[1]) == int(clock.now().timestamp())
    assert signature[2] == openssl_hmac(signature[1].encode() + b"." + request.body)


async def test_a_server_that_fails_twice_gets_it_the_third_time_as_the_same_delivery() -> None:
    async with a_hook(500, 429, 200) as hook, a_webhook(hook) as webhook:
        assert await webhook.deliver(a_notice(1))
        assert await webhook.deliver(a_notice(2))
    ids = [request.headers["relaylab-delivery"] for request in hook.requests]
    assert len(ids) == 4
    assert len(set(ids[:3])) == 1
    assert ids[3] != ids[0]
    assert len({request.body for request in hook.requests[:3]}) == 1


async def test_the_pauses_are_kept_by_the_clock_and_each_try_is_signed_anew() -> None:
    clock, minute = WatchedClock(), timedelta(minutes=1)
    async with a_hook(503, 200) as hook, a_webhook(hook, waits=(minute,), clock=clock) as webhook:
        async with asyncio.TaskGroup() as tasks:
            delivery = tasks.create_task(webhook.deliver(a_notice()))
            await clock.sleeper.wait()
            assert len(hook.requests) == 1
            await clock.turn_to(clock.now() + 2 * minute)
        assert delivery.result()
    first, second = (request.headers["relaylab-signature"] for request in hook.requests)
    assert first != second


async def test_the_tries_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    async with a_hook(500) as hook, a_webhook(hook) as webhook:
        assert not await webhook.deliver(a_notice())
    assert len(hook.requests) == 5
    assert "about bank.test is given up" in caplog.text


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 404, 410])
async def test_a_refusal_or_a_redirect_ends_it(status: int) -> None:
    async with a_hook(status, 200) as hook, a_webhook(hook) as webhook:
        assert not await webhook.deliver(a_notice())
    assert len(hook.requests) == 1


async def test_no_answer_and_no_server_count_as_later() -> None:
    short = timedelta(milliseconds=200)
    async with a_hook(0, 200) as hook, a_webhook(hook, timeout=short) as webhook:
        assert await webhook.deliver(a_notice())
    assert len(hook.requests) == 2
    async with a_webhook(hook) as webhook:
        assert not await webhook.deliver(a_notice())


async def test_neither_secret_nor_path_is_in_log_or_repr(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="relay")
    async with a_hook(500, 404) as hook, a_webhook(hook) as webhook:
        await webhook.deliver(a_notice())
        shown = f"{caplog.text}{webhook._options!r}{webhook}"
    assert "answered 500" in shown
    assert SECRET.decode() not in shown
    assert "hidden" not in shown


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7", "169.254.169.254", "0.0.0.0"])
async def test_a_target_off_these_networks_is_refused_at_the_start(address: str) -> None:
    async with a_hook(200) as hook:
        for url, given in (
            ("http://hook.example:{port}/", False),
            ("https://hook.example:{port}/", False),
            ("http://hook.example:{port}/", True),
        ):
            with pytest.raises(NoticeError, match=r"off this machine|https only"):
                await a_webhook(
                    hook, url=url, allow_external=given, lookup=answers(address)
                ).__aenter__()
    assert hook.requests == []


async def test_a_name_that_leads_away_later_is_refused_then() -> None:
    found = [("127.0.0.1",), ("127.0.0.1",), ("192.0.2.7",)]

    async def lookup(host: str, port: int) -> tuple[str, ...]:
        return found.pop(0)

    url = "http://hook.example:{port}/"
    async with a_hook(200) as hook, a_webhook(hook, url=url, lookup=lookup) as webhook:
        assert await webhook.deliver(a_notice(1))
        assert not await webhook.deliver(a_notice(2))
    assert len(hook.requests) == 1
    assert hook.requests[0].headers["host"] == f"hook.example:{hook.port}"


async def test_of_several_addresses_only_those_at_home_are_used() -> None:
    url = "http://hook.example:{port}/"
    lookup = answers("192.0.2.7", "127.0.0.1")
    async with a_hook(200) as hook, a_webhook(hook, url=url, lookup=lookup) as webhook:
        assert await webhook.deliver(a_notice())


@pytest.mark.parametrize(("named", "taken"), [("hook.example", True), ("other.example", False)])
async def test_https_proves_the_name_though_the_address_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str, taken: bool
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(named).configure_cert(server)
    url, lookup = "https://hook.example:{port}/", answers("127.0.0.1")
    async with (
        a_hook(200, tls=server) as hook,
        a_webhook(hook, url=url, lookup=lookup, waits=()) as webhook,
    ):
        assert await webhook.deliver(a_notice()) is taken
    assert len(hook.requests) == taken


async def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with a_hook(200) as hook, a_webhook(hook) as webhook:
        assert await webhook.deliver(a_notice())


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://127.0.0.1/", "looks like"),
        ("127.0.0.1:9000", "looks like"),
        ("http://user:pw@127.0.0.1/", "can't name a user"),
        ("http://127.0.0.1/#part", "no fragment"),
        ("http://127.0.0.1/\r\nX: y", "printable ASCII"),
        ("http://127.0.0.1:99999/", "Port"),
    ],
)
def test_a_url_that_is_none(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Target.parse(url)


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16 octets"):
        WebhookOptions(target=Target.parse("http://127.0.0.1/"), secret=b"x" * 15)
