"""The OpenAPI document: valid, complete, and true to what the routes answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.openapi.models import OpenAPI
from jsonschema import Draft202012Validator
from web_client import deliver

from relay.config.fault_script_file import load_fault_scripts_text
from relay.lab.lab import Lab

DOCUMENT = "/api/v1/openapi.json"
LAB = "/api/v1/lab"
SCRIPTS = """
scripts:
  - scenario: good
    rules:
      - {phase: rcpt, recipient: "slow*@*.test", after: 30s, delay: 10s}
      - {phase: mail, chance: 20%, reply: 450 4.2.1 Mailbox busy}
      - {phase: data, every: 3, do: drop}
"""


async def document_of(client: httpx.AsyncClient) -> dict[str, Any]:
    document: dict[str, Any] = (await client.get(DOCUMENT)).json()
    return document


def every(node: object, key: str) -> list[Any]:
    match node:
        case dict():
            own = [node[key]] if key in node else []
            return own + [found for value in node.values() for found in every(value, key)]
        case list():
            return [found for value in node for found in every(value, key)]
        case _:
            return []


def with_default(node: object) -> Iterator[dict[str, Any]]:
    """Yield every schema that has a default."""
    match node:
        case {"default": _, **_rest}:
            yield node  # type: ignore[misc]
        case dict():
            for value in node.values():
                yield from with_default(value)
        case list():
            for value in node:
                yield from with_default(value)


async def test_the_document_is_openapi_31_and_every_reference_leads_somewhere(
    client: httpx.AsyncClient,
) -> None:
    document = await document_of(client)
    assert document["openapi"].startswith("3.1.")
    OpenAPI.model_validate(document)
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    for node in with_default(schemas):
        Draft202012Validator({**node, **document}).validate(node["default"])
    references = every(document, "$ref")
    assert references
    assert {r.removeprefix("#/components/schemas/") for r in references} <= set(schemas)
    operations = every(document["paths"], "operationId")
    assert len(set(operations)) == len(operations) == 15
    for operation in [o for path in document["paths"].values() for o in path.values()]:
        assert operation["summary"]
        assert operation["description"]
        assert operation["responses"]["default"]["content"].keys() == {"application/problem+json"}
        refused = operation["responses"].get("422", operation["responses"]["default"])
        assert refused["content"].keys() == {"application/problem+json"}


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/livez", "/livez"),
        ("/readyz", "/readyz"),
        (f"{LAB}/zone", f"{LAB}/zone"),
        (f"{LAB}/scenarios", f"{LAB}/scenarios"),
        (f"{LAB}/scenarios/good", f"{LAB}/scenarios/{{name}}"),
        (f"{LAB}/scenarios/good/sessions", f"{LAB}/scenarios/{{name}}/sessions"),
        (f"{LAB}/scenarios/good/messages", f"{LAB}/scenarios/{{name}}/messages"),
        (f"{LAB}/scenarios/null-mx", f"{LAB}/scenarios/{{name}}"),
        (f"{LAB}/scripts", f"{LAB}/scripts"),
        (f"{LAB}/scenarios/bad", f"{LAB}/scenarios/{{name}}"),
        (f"{LAB}/scenarios/good/sessions?limit=x", f"{LAB}/scenarios/{{name}}/sessions"),
    ],
)
async def test_an_answer_fits_its_schema(
    client: httpx.AsyncClient, lab: Lab, path: str, route: str
) -> None:
    await deliver(await lab.address("good"), b"x\r\n")
    lab.load_scripts(load_fault_scripts_text(SCRIPTS, name="test"))
    document = await document_of(client)
    answer = await client.get(path)
    responses = document["paths"][route]["get"]["responses"]
    described = responses.get(str(answer.status_code), responses["default"])
    media = answer.headers["content-type"].partition(";")[0]
    schema = {
        "$ref": described["content"][media]["schema"]["$ref"],
        "components": document["components"],
    }
    validator = Draft202012Validator(schema)
    validator.validate(answer.json())
    assert not validator.is_valid({"something": "else"}) or path.endswith("/zone")
