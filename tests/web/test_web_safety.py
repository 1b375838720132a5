"""Each guard on its own: what it refuses, what it lets through, and that nothing was changed."""

from __future__ import annotations

import asyncio
from base64 import b64encode

import httpx
import pytest
from test_web_problems import assert_problem
from web_client import deliver, hear, lines, serving

from relay.lab.lab import Lab
from relay.web.bodies import MAX_BODY
from relay.web.problems import ProblemKind
from relay.web.safety import Access, allowed_hosts

RESET = "/api/v1/lab/reset"
SESSIONS = "/api/v1/lab/scenarios/good/sessions"


async def sessions_kept(lab: Lab) -> int:
    """Have one session that a reset would forget."""
    await deliver(await lab.address("good"), b"x\r\n")
    await lab.wait_until_idle("good")
    return len(lab.received("good"))


@pytest.mark.parametrize("path", ["/livez", "/readyz", SESSIONS, "/api/v1/openapi.json", "/none"])
@pytest.mark.parametrize(
    "host", ["evil.test", "evil.test:8025", "localhost.evil.test", "127.0.0.1.evil.test", "", "0"]
)
async def test_a_name_that_was_rebound_to_loopback_reads_nothing(
    client: httpx.AsyncClient, path: str, host: str
) -> None:
    answer = await client.get(path, headers={"Host": host})
    assert_problem(answer, ProblemKind.HOST_NOT_ALLOWED, 421)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:80", "[::1]:8025"])
async def test_loopbacks_own_names_are_served(client: httpx.AsyncClient, host: str) -> None:
    assert (await client.get("/livez", headers={"Host": host})).status_code == 200


async def test_two_hosts_are_no_host(client: httpx.AsyncClient) -> None:
    answer = await hear(
        client.base_url,
        lines("GET /livez HTTP/1.1", "Host: localhost", "Host: evil.test", "Connection: close"),
    )
    assert answer.split(b" ")[1] in {b"400", b"421"}


async def test_further_names_are_served_when_they_were_given(lab: Lab) -> None:
    async with serving(lab, Access(names=("Relay", "[fd00::1]:80"))) as client:
        for host in ("relay", "relay.:8025", "[fd00::1]"):
            assert (await client.get("/livez", headers={"Host": host})).status_code == 200
        answer = await client.get("/livez", headers={"Host": "other"})
        assert_problem(answer, ProblemKind.HOST_NOT_ALLOWED, 421)


def test_the_bound_address_is_served_and_every_address_is_not() -> None:
    loopback = {"localhost", "127.0.0.1", "[::1]"}
    assert allowed_hosts("192.0.2.1", ()) == loopback | {"192.0.2.1"}
    assert allowed_hosts("fd00::1", ()) == loopback | {"[fd00::1]"}
    assert allowed_hosts("0.0.0.0", ()) == loopback
    assert allowed_hosts("::", ()) == loopback


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.test"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": ""},
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_another_origin_changes_nothing(
    client: httpx.AsyncClient, lab: Lab, method: str, headers: dict[str, str]
) -> None:
    kept = await sessions_kept(lab)
    answer = await client.request(method, RESET, headers=headers)
    assert_problem(answer, ProblemKind.CROSS_ORIGIN, 403)
    assert len(lab.received("good")) == kept


async def test_our_own_page_and_programs_may_write(client: httpx.AsyncClient) -> None:
    own = str(client.base_url).rstrip("/")
    for headers in (
        {},
        {"Sec-Fetch-Site": "none"},
        {"Origin": own, "Sec-Fetch-Site": "same-origin"},
    ):
        assert (await client.post(RESET, headers=headers)).status_code == 204


async def test_a_token_opens_everything_but_health(lab: Lab) -> None:
    async with serving(lab, Access(token="naïve secret")) as client:
        for path in ("/livez", "/readyz"):
            assert (await client.get(path)).status_code == 200
        for given in (
            {},
            {"Authorization": "Bearer"},
            {"Authorization": "Bearer wrong"},
            {"Authorization": "Bearer naïve secre".encode()},
            {"Authorization": "Basic naïve secret".encode()},
            {"Authorization": f"Basic {_basic('naïve secret', 'wrong')}"},
            {"Authorization": f"Basic {_basic('user', '')}"},
            {"Authorization": "Basic !"},
        ):
            for path in (SESSIONS, "/api/v1/openapi.json", "/none"):
                answer = await client.get(path, headers=given)  # type: ignore[arg-type]
                assert_problem(answer, ProblemKind.TOKEN_REQUIRED, 401)
                assert answer.headers["www-authenticate"].startswith("Bearer")
            assert (await client.post(RESET, headers=given)).status_code == 401  # type: ignore[arg-type]
        right = {"Authorization": "bearer naïve secret".encode()}
        assert (await client.get(SESSIONS, headers=right)).status_code == 200  # type: ignore[arg-type]
        assert (await client.post(RESET, headers=right)).status_code == 204  # type: ignore[arg-type]


def _basic(user: str, password: str) -> str:
    return b64encode(f"{user}:{password}".encode()).decode()


async def test_a_browser_gives_the_token_as_a_password(lab: Lab) -> None:
    async with serving(lab, Access(token="naïve: secret")) as client:
        answer = await client.get(SESSIONS)
        assert 'Basic realm="relaylab"' in answer.headers["www-authenticate"]
        for user in ("", "anybody"):
            given = {"Authorization": f"Basic {_basic(user, 'naïve: secret')}"}
            assert (await client.get(SESSIONS, headers=given)).status_code == 200
            assert (await client.post(RESET, headers=given)).status_code == 204


async def test_a_token_does_not_open_other_hosts(lab: Lab) -> None:
    async with serving(lab, Access(token="t")) as client:
        answer = await client.get(
            SESSIONS, headers={"Host": "evil.test", "Authorization": "Bearer t"}
        )
        assert_problem(answer, ProblemKind.HOST_NOT_ALLOWED, 421)


async def test_read_only_refuses_every_write_and_no_read(lab: Lab) -> None:
    kept = await sessions_kept(lab)
    async with serving(lab, Access(read_only=True)) as client:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            answer = await client.request(method, RESET)
            assert_problem(answer, ProblemKind.READ_ONLY, 403)
        assert (await client.get(SESSIONS)).json()["total"] == kept


async def test_a_body_that_says_that_it_is_too_large_is_refused_unread(
    client: httpx.AsyncClient,
) -> None:
    head = lines(f"POST {RESET} HTTP/1.1", "Host: localhost", f"Content-Length: {MAX_BODY + 1}")
    answer = await hear(client.base_url, head)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"body-too-large" in answer


async def test_a_body_that_does_not_say_is_refused_once_it_is_too_large(
    client: httpx.AsyncClient,
) -> None:
    chunk = b"8000\r\n" + bytes(0x8000) + b"\r\n"
    head = lines(f"POST {RESET} HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked")
    answer = await hear(client.base_url, head + chunk * (MAX_BODY // 0x8000 + 1))
    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_a_body_within_the_limit_passes(client: httpx.AsyncClient) -> None:
    assert (await client.post(RESET, content=bytes(MAX_BODY))).status_code == 204


async def test_half_a_request_changes_nothing(client: httpx.AsyncClient, lab: Lab) -> None:
    kept = await sessions_kept(lab)
    head = lines(f"POST {RESET} HTTP/1.1", "Host: localhost", "Content-Length: 9")
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    writer.write(head + b"half")
    writer.write_eof()
    await reader.read()
    writer.close()
    assert (await client.get("/livez")).status_code == 200
    assert len(lab.received("good")) == kept


@pytest.mark.parametrize("path", ["/livez", SESSIONS, "/none", "/api/v1/lab/ca.pem"])
@pytest.mark.parametrize("host", ["localhost", "evil.test"])
async def test_every_answer_tells_browsers_what_not_to_do(
    client: httpx.AsyncClient, path: str, host: str
) -> None:
    headers = (await client.get(path, headers={"Host": host})).headers
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers
    assert not [name for name in headers if name.startswith("access-control-")]
