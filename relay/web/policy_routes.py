"""The policy over HTTP: the one in force, what it says of an address, and drafts of others.

No request names a file: the relay reads the one that it was started with, and a draft is the body
of the request.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from relay.config.explain import explain_address
from relay.config.masking import masked
from relay.config.problems import PolicyFileError, Problem
from relay.core.delivery import Policy
from relay.core.jsonform import Json, to_json
from relay.web.answers import json_document
from relay.web.parameters import MailAddress, ReversePath
from relay.web.posted_policy import problems_of, problems_of_file, read_posted
from relay.web.problems import Problem as Refusal
from relay.web.problems import ProblemError, ProblemKind
from relay.web.schemas import PROBLEM, json_answer
from relay.web.served import ServedRelay

POLICY_BODY: Final = {
    "requestBody": {
        "required": True,
        "description": "A policy, as in a policy file.",
        "content": {
            "application/yaml": {"schema": {"type": "string"}},
            "application/json": {"schema": {"type": "object"}},
        },
    }
}
"""What an operation says of its body; FastAPI knows JSON alone."""

Address = Annotated[MailAddress, Query(description="A recipient's address.")]
Sender = Annotated[
    ReversePath, Query(alias="from", description="Reverse path; empty for the null one.")
]
_SENDER: Final = "sender@example.test"


def policy_json(served: ServedRelay) -> dict[str, Json]:
    """Return the policy in force, and the text that its file has by now; None where it has none.

    `in_force` tells whether that text is what is in force; `problems` are those of the text.
    """
    policy, file = served.relay.policy, served.policy_file
    try:
        octets: bytes | None = file.read_bytes()
        problems = problems_of_file(file)
    except OSError:
        octets, problems = None, ()
    return {
        "source": policy.source,
        "sha256": policy.sha256,
        "reply": policy.delivery.reply.value,
        "text": None if octets is None else masked(octets.decode("utf-8-sig", "replace")),
        "in_force": octets is not None and sha256(octets).hexdigest() == policy.sha256,
        "problems": problems_json(problems),
    }


def problems_json(problems: Iterable[Problem]) -> list[Json]:
    """Return problems of a policy, each with its line and column."""
    return [
        {
            "line": problem.place.line,
            "column": problem.place.column,
            "path": problem.path,
            "severity": problem.severity.value,
            "message": problem.message,
            "hint": problem.hint,
        }
        for problem in problems
    ]


def posted(served: ServedRelay, octets: bytes) -> Policy:
    """Read a posted policy; raise ProblemError with every problem in it."""
    try:
        return read_posted(octets, folder=served.policy_file.parent).policy
    except PolicyFileError as error:
        problems = error.problems
    raise ProblemError(
        Refusal(
            kind=ProblemKind.BAD_POLICY,
            detail=f"Problems of the policy: {len(problems)}.",
            next="Mend each of them and post the whole again.",
            also={"problems": problems_json(problems)},
        )
    )


def _refusal(kind: ProblemKind, problems: Sequence[str]) -> ProblemError:
    return ProblemError(
        Refusal(
            kind=kind,
            detail=f"Problems of the files that were read again: {len(problems)}.",
            next="Mend each of them in its file and reload again.",
            also={"problems": list(problems)},
        )
    )


def policy_router(served: ServedRelay) -> APIRouter:
    """Return the routes below `/policy`."""
    router = APIRouter(prefix="/policy", tags=["policy"])

    @router.get("", responses={200: json_answer("As it is.", "PolicyInForce")})
    async def policy() -> Response:
        """Show the policy in force and its file's text, passwords left out."""
        return await json_document(lambda: policy_json(served))

    @router.get("/explain", responses={200: json_answer("What holds.", "AddressPolicy")})
    async def explain(address: Address, sender: Sender = _SENDER) -> Response:
        """Say what the policy in force makes of mail to an address; nothing is sent."""
        in_force = served.relay.policy
        return await json_document(
            lambda: to_json(explain_address(in_force, address, sender=sender))
        )

    @router.post(
        "/explain",
        responses={200: json_answer("What would hold.", "AddressPolicy"), 422: PROBLEM},
        openapi_extra=POLICY_BODY,
    )
    async def explain_posted(
        request: Request, address: Address, sender: Sender = _SENDER
    ) -> Response:
        """Say what the policy in the body would make of mail to an address; nothing is sent."""
        octets = await request.body()
        return await json_document(
            lambda: to_json(explain_address(posted(served, octets), address, sender=sender))
        )

    @router.post(
        "/lint",
        responses={200: json_answer("Errors, or warnings.", "PolicyProblems"), 422: PROBLEM},
        openapi_extra=POLICY_BODY,
    )
    async def lint_posted(request: Request) -> Response:
        """List every problem of the policy in the body, with line and column. Changes nothing."""
        octets = await request.body()
        folder = served.policy_file.parent
        return await json_document(lambda: problems_json(problems_of(octets, folder=folder)))

    @router.post(
        "/reload", responses={200: json_answer("In force.", "PolicyInForce"), 409: PROBLEM}
    )
    async def reload() -> Response:
        """Read the policy's file again, and that of the fault scripts where there is one.

        A file with problems leaves in force what was before; neither waits for the other.
        """
        kept = await served.reload()
        if kept.policy:
            raise _refusal(ProblemKind.POLICY_KEPT, (*kept.policy, *kept.scripts))
        if kept.scripts:
            raise _refusal(ProblemKind.SCRIPTS_KEPT, kept.scripts)
        return await json_document(lambda: policy_json(served))

    return router
