"""The API and what is said of it agree: OpenAPI, a fuzzer that reads it, and the page."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from e2e_command import relay, serving
from fastapi.openapi.models import OpenAPI
from jsonschema import Draft202012Validator
from relay_port import Port

PAGE = (Path(__file__).parents[2] / "docs/api.md").read_text()
ANY = ("--web", "--web-port", "0")
POLICY = "tls: Required\nreply: queued\n"

READS = {
    "/mail": "/mail",
    "/mail/latest": "/mail/{id}",
    "/mail/latest/headers": "/mail/{id}/headers",
    "/mail/latest/parts": "/mail/{id}/parts",
    "/bounces": "/bounces",
    "/bounces/latest": "/bounces/{id}",
    "/bounces/report": "/bounces/report",
    "/bounces/report?by=cause": "/bounces/report",
    "/sessions": "/sessions",
    "/sessions/latest": "/sessions/{id}",
    "/attempts": "/attempts",
    "/attempts/latest": "/attempts/{id}",
    "/evidence": "/evidence",
    "/evidence/expired.lab.test": "/evidence/{domain}",
    "/policy": "/policy",
    "/policy/explain?address=a@b.test": "/policy/explain",
    "/contacts": "/contacts",
    "/contacts/a@expired.lab.test": "/contacts/{email}",
    "/codes": "/codes",
    "/codes/explain?line=451": "/codes/explain",
    "/wait?outcome=bounced&since=1h": "/wait",
    "/wait?outcome=none&timeout=50ms": "/wait",
}


def validator(document: dict[str, Any], operation: dict[str, Any], status: int) -> Any:
    described = operation["responses"].get(str(status), operation["responses"]["default"])
    (media,) = described["content"].values()
    return Draft202012Validator({**media["schema"], "components": document["components"]})


async def test_every_answer_fits_its_schema(port: Port) -> None:
    port.policy_file.write_text(
        "tls: Required Verify\nreply: inline\nsalesforce: {bounce_management: {}}\n"
    )
    await port.ask("POST", "/policy/reload")
    await port.send("a@expired.lab.test", mark="one")
    document = await port.get("/openapi.json")
    for path, route in READS.items():
        answer = await port.get(path)
        checked = validator(document, document["paths"][f"/api/v1{route}"]["get"], 200)
        checked.validate(answer)
        assert not checked.is_valid({"items": 1}) or route == "/codes"
    changed = await port.ask("POST", "/what-if", content="tls: Off\n")
    validator(document, document["paths"]["/api/v1/what-if"]["post"], 200).validate(changed)
    deleted = await port.ask("DELETE", "/mail")
    validator(document, document["paths"]["/api/v1/mail"]["delete"], 200).validate(deleted)


async def test_the_document_is_openapi_31_and_complete(port: Port) -> None:
    document = await port.get("/openapi.json")
    OpenAPI.model_validate(document)
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    text = str(document)
    assert set(re.findall(r"#/components/schemas/(\w+)", text)) <= set(schemas)
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["description"]
            assert operation["tags"]
            for parameter in operation.get("parameters", ()):
                assert parameter.get("description") or "/lab/" in path, parameter


async def test_the_page_has_every_route(port: Port) -> None:
    document = await port.get("/openapi.json")
    routes = {
        (method.upper(), path)
        for path, methods in document["paths"].items()
        for method in methods
        if not path.startswith("/api/v1/lab/") and path not in {"/livez", "/readyz"}
    }
    told = set(re.findall(r"^\| `(GET|POST|DELETE) (/\S+)` \|", PAGE, re.MULTILINE))
    assert told == routes


CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance",
    "response_schema_conformance", "unsupported_method",
)  # fmt: skip
"""All but those that know no meaning beyond a schema: that `a` is no address, for one."""


@pytest.mark.timeout(300)
def test_a_fuzzer_that_reads_the_document_finds_no_answer_that_it_does_not_have(
    tmp_path: Path,
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    config = tmp_path / "schemathesis.toml"
    config.write_text(
        '[parameters]\n"path.id" = "latest"\n"path.domain" = "expired.lab.test"\n'
        '"path.name" = "expired"\n"query.timeout" = "10ms"\n'
    )
    state = tmp_path / "state"
    with serving(state, *ANY, "--policy", str(policy)) as server:
        assert server.note.web is not None
        relay(state, "send", "anyone@expired.lab.test")
        relay(state, "send", "anyone@no-starttls.lab.test")
        common = [
            sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run",
            f"{server.note.web}/api/v1/openapi.json", "--checks", ",".join(CHECKS),
            "--exclude-path", "/api/v1/events", "--exclude-path", "/readyz",
            "--phases", "examples,coverage,fuzzing", "--max-examples", "3", "--seed", "1",
            "--continue-on-failure", "--no-color", "--warnings", "off",
        ]  # fmt: skip
        for methods in (("--exclude-method", "DELETE"), ("--include-method", "DELETE")):
            run = subprocess.run(
                [*common, *methods],
                cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False,
            )  # fmt: skip
            assert run.returncode == 0, run.stdout[-5000:] + run.stderr
            assert re.search(r"[1-9]\d* generated", run.stdout), run.stdout[-2000:]
        code, _, err = server.stop()
    assert code == 0
    assert "Traceback" not in err
