"""Fault scripts over HTTP: what goes wrong at the lab's receivers, put in force at once.

The body is a file of fault scripts, as YAML or as JSON, which YAML includes.
"""

from __future__ import annotations

import asyncio
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from relay.config.fault_script_file import load_fault_scripts_text
from relay.config.problems import PolicyFileError
from relay.config.yaml_source import decode_yaml
from relay.core.fault_scripts import FaultScript
from relay.core.jsonform import to_json
from relay.lab.catalogue import CAPTURE, LAB_SCENARIOS
from relay.lab.lab import Lab
from relay.web.answers import json_document
from relay.web.problems import Problem, ProblemError, ProblemKind
from relay.web.schemas import PROBLEM, json_answer

YAML: Final = "application/yaml"  # RFC 9512
_BODY: Final = {
    "requestBody": {
        "required": True,
        "description": "A file of fault scripts.",
        "content": {
            YAML: {"schema": {"type": "string"}},
            "application/json": {"schema": {"type": "object"}},
        },
    }
}


def script_router(lab: Lab) -> APIRouter:
    """Return the routes of `/lab/scripts`."""
    router = APIRouter(prefix="/lab/scripts", tags=["lab"])

    @router.get("", responses={200: json_answer("The scripts in force.", "FaultScripts")})
    async def scripts() -> Response:
        """List the fault scripts in force, each with its seed."""
        return await json_document(lambda: to_json(lab.scripts))

    @router.put(
        "",
        responses={200: json_answer("They are in force.", "FaultScripts"), 422: PROBLEM},
        openapi_extra=_BODY,
    )
    async def load_scripts(request: Request) -> Response:
        """Put fault scripts in the place of all others, or list every problem in them."""
        found = await asyncio.to_thread(_read, await request.body())
        lab.load_scripts(found)
        return await json_document(lambda: to_json(found))

    @router.delete("", status_code=204, response_class=Response)
    async def clear_scripts() -> Response:
        """Put all fault scripts out of force."""
        lab.clear_scripts()
        return Response(status_code=204)

    return router


def _read(body: bytes) -> tuple[FaultScript, ...]:
    try:
        return load_fault_scripts_text(
            decode_yaml(body, name="body"),
            name="body",
            known_scenarios={*LAB_SCENARIOS, CAPTURE.card.name},
        )
    except PolicyFileError as error:
        problems = error.problems
    raise ProblemError(
        Problem(
            kind=ProblemKind.BAD_SCRIPTS,
            detail=f"Problems of the fault scripts: {len(problems)}. Nothing was changed.",
            next="Mend each of them and send the whole again.",
            also={
                "problems": [
                    {
                        "line": problem.place.line,
                        "column": problem.place.column,
                        "path": problem.path,
                        "message": problem.message,
                        "hint": problem.hint,
                    }
                    for problem in problems
                ]
            },
        )
    )
