"""What the management port says when it refuses: one form, with what to do next."""

from __future__ import annotations

import logging

import httpx
import pytest
from web_client import hear, lines, serving

from relay.lab.lab import Lab
from relay.web import lab_routes
from relay.web.problems import ProblemKind

LAB = "/api/v1/lab"


def assert_problem(answer: httpx.Response, kind: ProblemKind, status: int) -> dict[str, object]:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, object] = answer.json()
    assert body["type"] == f"urn:relaylab:problem:{kind.value}"
    assert body["status"] == status
    for member in ("title", "detail", "next"):
        assert body[member]
    return body


@pytest.mark.parametrize("rest", ["", "/sessions", "/messages", "/messages/1/raw"])
async def test_an_unknown_scenario_gets_a_suggestion(client: httpx.AsyncClient, rest: str) -> None:
    answer = await client.get(f"{LAB}/scenarios/expird{rest}")
    body = assert_problem(answer, ProblemKind.UNKNOWN_SCENARIO, 404)
    assert body["suggestions"] == ["expired"]
    assert "Did you mean expired?" in str(body["next"])


async def test_a_name_like_nothing_gets_the_list(client: httpx.AsyncClient) -> None:
    body = assert_problem(
        await client.get(f"{LAB}/scenarios/%3Cscript%3E"), ProblemKind.UNKNOWN_SCENARIO, 404
    )
    assert body["suggestions"] == []
    assert "/api/v1/lab/scenarios" in str(body["next"])


@pytest.mark.parametrize("number", ["1", "latest", "99"])
async def test_a_message_that_is_not_kept(client: httpx.AsyncClient, number: str) -> None:
    answer = await client.get(f"{LAB}/scenarios/good/messages/{number}/raw")
    body = assert_problem(answer, ProblemKind.UNKNOWN_MESSAGE, 404)
    assert "keeps 0 messages" in str(body["detail"])


@pytest.mark.parametrize(
    ("path", "where"),
    [
        (f"{LAB}/scenarios?family=starttsl", "query.family"),
        (f"{LAB}/scenarios/good/sessions?limit=0", "query.limit"),
        (f"{LAB}/scenarios/good/sessions?limit=1001&offset=-1", "query.offset"),
        (f"{LAB}/scenarios/good/messages/0/raw", "path.number"),
        (f"{LAB}/scenarios/good/messages/first/raw", "path.number"),
        (f"{LAB}/zone?format=xml", "query.format"),
    ],
)
async def test_bad_parameters_are_named(client: httpx.AsyncClient, path: str, where: str) -> None:
    body = assert_problem(await client.get(path), ProblemKind.BAD_PARAMETERS, 422)
    problems = body["problems"]
    assert isinstance(problems, list)
    assert any(problem["where"].startswith(where) for problem in problems)


async def test_paths_and_methods_that_are_not_there(client: httpx.AsyncClient) -> None:
    for path in ("/", "/docs", "/redoc", "/openapi.json", f"{LAB}/nothing"):
        assert_problem(await client.get(path), ProblemKind.UNKNOWN_PATH, 404)
    refused = await client.delete(f"{LAB}/reset")
    assert_problem(refused, ProblemKind.METHOD_NOT_ALLOWED, 405)
    assert refused.headers["allow"] == "POST"


async def test_a_defect_is_told_without_its_text(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret of the house")

    monkeypatch.setattr(lab_routes, "card_json", broken)
    async with serving(lab) as client:
        answer = await client.get(f"{LAB}/scenarios/good")
        body = assert_problem(answer, ProblemKind.INTERNAL, 500)
        assert "secret" not in str(body)
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert (await client.get("/livez")).status_code == 200
    assert [r.levelno for r in caplog.records if r.exc_info] == [logging.ERROR]


async def test_what_is_no_http_is_refused(client: httpx.AsyncClient) -> None:
    answer = await hear(client.base_url, b"EHLO me.test\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Traceback" not in answer
    old = await hear(client.base_url, lines("GET /livez HTTP/1.0"))
    assert old.startswith(b"HTTP/1.1 421 ")
