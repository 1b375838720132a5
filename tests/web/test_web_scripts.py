"""Fault scripts over HTTP: in force at once, or refused with every problem in its place."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from test_web_problems import assert_problem

from relay.core.jsonform import to_json
from relay.core.routing import HostAddress
from relay.lab.lab import Lab
from relay.web.problems import ProblemKind

SCRIPTS = "/api/v1/lab/scripts"
BUSY = {
    "scripts": [
        {
            "scenario": "good",
            "seed": 7,
            "rules": [{"phase": "greeting", "next": 1, "reply": "421 4.3.2 Not now"}],
        }
    ]
}
AS_YAML = """
scripts:
  - scenario: good
    seed: 7
    rules:
      - {phase: greeting, next: 1, reply: 421 4.3.2 Not now}
"""


async def greeting(host: HostAddress) -> bytes:
    reader, writer = await asyncio.open_connection(host.address, host.port)
    line = await reader.readline()
    writer.close()
    return line


@pytest.mark.parametrize("body", [AS_YAML, json.dumps(BUSY)], ids=["yaml", "json"])
async def test_a_script_is_in_force_at_once_and_until_it_is_deleted(
    client: httpx.AsyncClient, lab: Lab, body: str
) -> None:
    host = await lab.address("good")
    put = await client.put(SCRIPTS, content=body)
    assert put.status_code == 200
    assert put.json() == to_json(lab.scripts) == (await client.get(SCRIPTS)).json()
    assert put.json()[0]["seed"] == 7
    assert [(await greeting(host))[:4] for _ in range(2)] == [b"421 ", b"220 "]
    assert (await client.post("/api/v1/lab/reset")).status_code == 204
    assert (await greeting(host)).startswith(b"421 ")
    await client.put(SCRIPTS, content=body)
    assert (await client.delete(SCRIPTS)).status_code == 204
    assert (await greeting(host)).startswith(b"220 ")
    assert (await client.get(SCRIPTS)).json() == []


async def test_every_problem_is_told_with_its_place_and_nothing_changes(
    client: httpx.AsyncClient, lab: Lab
) -> None:
    await client.put(SCRIPTS, content=AS_YAML)
    before = lab.scripts
    wrong = AS_YAML.replace("good", "goood").replace("greeting", "greetign")
    body = assert_problem(await client.put(SCRIPTS, content=wrong), ProblemKind.BAD_SCRIPTS, 422)
    problems = body["problems"]
    assert isinstance(problems, list)
    assert [(p["line"], p["path"]) for p in problems] == [
        (3, "scripts[0].scenario"),
        (6, "scripts[0].rules[0].phase"),
    ]
    assert problems[0]["column"] == 15
    assert problems[0]["hint"] == "did you mean 'good'?"
    assert lab.scripts == before


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe\x00", b"{", b"[]", b"scripts: &a [*a]", b"x: 1"], ids=repr
)
async def test_what_is_no_script_is_refused(
    client: httpx.AsyncClient, lab: Lab, body: bytes
) -> None:
    assert_problem(await client.put(SCRIPTS, content=body), ProblemKind.BAD_SCRIPTS, 422)
    assert lab.scripts == ()
