"""What the management port says when it refuses or fails: problem details by RFC 9457.

Every answer of status 400 or more has this form, but for pages that a browser asked for. `type` is
stable and what programs compare; `detail` says what happened and `next` what to do about it, for
people. It never has an exception's text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, unique
from http import HTTPStatus
from types import MappingProxyType
from typing import Final, NamedTuple

from starlette.responses import Response

from relay.core.jsonform import Json

MEDIA_TYPE: Final = "application/problem+json"


@unique
class ProblemKind(Enum):
    """What can be wrong; the value ends the `type` that programs compare."""

    UNKNOWN_PATH = "unknown-path"
    UNKNOWN_SCENARIO = "unknown-scenario"
    UNKNOWN_MESSAGE = "unknown-message"
    UNKNOWN_RECORD = "unknown-record"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    BAD_PARAMETERS = "bad-parameters"
    BAD_REQUEST = "bad-request"
    BAD_SCRIPTS = "bad-scripts"
    BAD_POLICY = "bad-policy"
    POLICY_KEPT = "policy-kept"
    SCRIPTS_KEPT = "scripts-kept"
    NOTHING_HAPPENED = "nothing-happened"
    SOMETHING_HAPPENED = "something-happened"
    TOO_MANY_WAITING = "too-many-waiting"
    HOST_NOT_ALLOWED = "host-not-allowed"
    CROSS_ORIGIN = "cross-origin"
    TOKEN_REQUIRED = "token-required"  # noqa: S105 - a name, not a token
    READ_ONLY = "read-only"
    BODY_TOO_LARGE = "body-too-large"
    NOT_READY = "not-ready"
    JOURNAL_UNAVAILABLE = "journal-unavailable"
    INTERNAL = "internal"

    @property
    def type(self) -> str:
        """The problem's `type` (RFC 9457 section 3.1.1)."""
        return f"urn:relaylab:problem:{self.value}"

    @property
    def title(self) -> str:
        """The problem in a few words, the same each time."""
        return _MEANINGS[self].title

    @property
    def status(self) -> int:
        """The HTTP status that goes with it."""
        return _MEANINGS[self].status.value


class _Meaning(NamedTuple):
    status: HTTPStatus
    title: str


_MEANINGS: Final[Mapping[ProblemKind, _Meaning]] = MappingProxyType(
    {
        ProblemKind.UNKNOWN_PATH: _Meaning(HTTPStatus.NOT_FOUND, "Nothing is at this path"),
        ProblemKind.UNKNOWN_SCENARIO: _Meaning(HTTPStatus.NOT_FOUND, "No such scenario"),
        ProblemKind.UNKNOWN_MESSAGE: _Meaning(HTTPStatus.NOT_FOUND, "No such message"),
        ProblemKind.UNKNOWN_RECORD: _Meaning(HTTPStatus.NOT_FOUND, "No such record"),
        ProblemKind.METHOD_NOT_ALLOWED: _Meaning(
            HTTPStatus.METHOD_NOT_ALLOWED, "This path has no such method"
        ),
        ProblemKind.BAD_PARAMETERS: _Meaning(
            HTTPStatus.UNPROCESSABLE_ENTITY, "The parameters can't be used"
        ),
        ProblemKind.BAD_REQUEST: _Meaning(HTTPStatus.BAD_REQUEST, "The request can't be read"),
        ProblemKind.BAD_SCRIPTS: _Meaning(
            HTTPStatus.UNPROCESSABLE_ENTITY, "The fault scripts can't be used"
        ),
        ProblemKind.BAD_POLICY: _Meaning(
            HTTPStatus.UNPROCESSABLE_ENTITY, "The policy can't be used"
        ),
        ProblemKind.POLICY_KEPT: _Meaning(
            HTTPStatus.CONFLICT, "The policy of before stays in force"
        ),
        ProblemKind.SCRIPTS_KEPT: _Meaning(
            HTTPStatus.CONFLICT, "The fault scripts of before stay in force"
        ),
        ProblemKind.NOTHING_HAPPENED: _Meaning(
            HTTPStatus.REQUEST_TIMEOUT, "It did not happen in that time"
        ),
        ProblemKind.SOMETHING_HAPPENED: _Meaning(
            HTTPStatus.CONFLICT, "What should not happen has happened"
        ),
        ProblemKind.TOO_MANY_WAITING: _Meaning(
            HTTPStatus.SERVICE_UNAVAILABLE, "Too many wait already"
        ),
        ProblemKind.HOST_NOT_ALLOWED: _Meaning(
            HTTPStatus.MISDIRECTED_REQUEST, "This host name is not served"
        ),
        ProblemKind.CROSS_ORIGIN: _Meaning(
            HTTPStatus.FORBIDDEN, "Another site may not change anything"
        ),
        ProblemKind.TOKEN_REQUIRED: _Meaning(HTTPStatus.UNAUTHORIZED, "A token is required"),
        ProblemKind.READ_ONLY: _Meaning(HTTPStatus.FORBIDDEN, "Nothing may be changed here"),
        ProblemKind.BODY_TOO_LARGE: _Meaning(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large"
        ),
        ProblemKind.NOT_READY: _Meaning(HTTPStatus.SERVICE_UNAVAILABLE, "Not ready"),
        ProblemKind.JOURNAL_UNAVAILABLE: _Meaning(
            HTTPStatus.SERVICE_UNAVAILABLE, "The journal can't be used"
        ),
        ProblemKind.INTERNAL: _Meaning(HTTPStatus.INTERNAL_SERVER_ERROR, "This is our own fault"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One refusal or failure.

    `also` are further members, such as `suggestions`; `headers` those that the status asks for.
    """

    kind: ProblemKind
    detail: str
    next: str
    also: Mapping[str, Json] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        """Return the answer, which is an ASGI application."""
        body: dict[str, Json] = {
            "type": self.kind.type,
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
            "next": self.next,
            **self.also,
        }
        return Response(
            json.dumps(body).encode(),
            status_code=self.kind.status,
            media_type=MEDIA_TYPE,
            headers=dict(self.headers),
        )


class ProblemError(Exception):
    """Ends a request with a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.kind.value)
        self.problem = problem
