"""The page of the policy: its file, a draft that is checked as it is written, explain and what-if.

Nothing here changes the file. A draft is judged and forgotten; what is in force changes by
reloading the file that the relay was started with.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from relay.audit.asking import By
from relay.audit.what_if_report import what_if_report
from relay.config.explain import AddressPolicy, explain_address
from relay.config.problems import PolicyFileError, Problem, Severity
from relay.core.delivery import Policy
from relay.core.settings import TlsSetting
from relay.formats.report import Report
from relay.tls.trust import TrustError
from relay.web.pages_kit import Pages, form_of, see_other
from relay.web.policy_routes import policy_json
from relay.web.posted_policy import problems_of, read_posted
from relay.web.served import Kept, ServedRelay
from relay.web.what_if_routes import what_if

MESSAGES: Final = 2000
"""The newest messages, which a page's what-if asks about; the API and the command ask about all."""
_SENDER: Final = "sender@example.test"
_TLS: Final = re.compile(r"^tls:.*$", re.MULTILINE)


def policy_pages(served: ServedRelay, pages: Pages) -> APIRouter:
    """Return the routes `/policy` and below it."""
    router = APIRouter(include_in_schema=False)

    @router.get("/policy")
    async def policy(request: Request) -> Response:
        given = dict(request.query_params)
        return await pages.answer(lambda: _page(served, pages, given, None), here="/policy")

    @router.post("/policy")
    async def draft(request: Request) -> Response:
        given = await form_of(request)

        def page() -> Response:
            if given.get("action") == "setting":
                return _page(served, pages, given, _with_setting(served, given.get("setting", "")))
            text = given.get("text", "").replace("\r\n", "\n")
            return _page(served, pages, given, text)

        return await pages.answer(page, here="/policy")

    @router.post("/policy/reload")
    async def reload() -> Response:
        kept = await served.reload()
        if kept == Kept():
            return see_other("/policy")
        return await pages.answer(lambda: _page(served, pages, {}, None, kept=kept), here="/policy")

    return router


def _page(
    served: ServedRelay,
    pages: Pages,
    given: Mapping[str, str],
    draft: str | None,
    *,
    kept: Kept | None = None,
) -> Response:
    """Return the page; `draft` is what somebody wrote, `kept` what a reload left as it was."""
    in_force: Any = policy_json(served)
    text = draft if draft is not None else in_force["text"] or ""
    octets = text.encode("utf-8", "replace")
    problems = problems_of(octets, folder=served.policy_file.parent)
    judged = served.relay.policy
    if draft is not None and not _errors(problems):
        judged = read_posted(octets, folder=served.policy_file.parent).policy
    address, sender = given.get("address", "").strip(), given.get("from", _SENDER).strip()
    explained, unexplained = _explained(judged, address, sender)
    report, unknown = None, None
    if given.get("action") in {"what-if", "setting"} and not _errors(problems):
        report, unknown = _what_if(served, judged)
    return pages.response(
        "policy.html",
        here="/policy",
        in_force=in_force,
        is_draft=draft is not None and draft != in_force["text"],
        text=text,
        problems=problems,
        errors=len(_errors(problems)),
        Severity=Severity,
        address=address,
        sender=sender,
        explained=explained,
        unexplained=unexplained,
        report=report,
        unknown=unknown,
        kept=kept or Kept(),
        examples=tuple(setting.label for setting in TlsSetting),
    )


def _with_setting(served: ServedRelay, setting: str) -> str:
    """Return the file's text with another setting of the policy's own; its rules stay."""
    in_force: Any = policy_json(served)
    text = in_force["text"] or ""
    try:
        line = f"tls: {TlsSetting.parse(setting).label}"
    except ValueError:
        return text
    # Off alone would be read as a truth value by other readers of YAML.
    line = line.replace("tls: Off", 'tls: "Off"')
    return _TLS.sub(line, text, count=1) if _TLS.search(text) else f"{line}\n{text}"


def _errors(problems: tuple[Problem, ...]) -> list[Problem]:
    return [problem for problem in problems if problem.severity is Severity.ERROR]


def _explained(policy: Policy, address: str, sender: str) -> tuple[AddressPolicy | None, str]:
    if not address:
        return None, ""
    try:
        return explain_address(policy, address, sender=sender), ""
    except ValueError:
        return None, "One of the two is not an address; one is jane@partner.example."


def _what_if(served: ServedRelay, then: Policy) -> tuple[Report | None, str | None]:
    try:
        found = what_if(served, then, by=By.DOMAIN, since=None, newest_messages=MESSAGES)
    except (TrustError, PolicyFileError):
        return None, "A file that one of the policies trusts can't be used."
    asked = sum(row.asked.messages for row in found.rows)
    notes = (f"Asked about the newest {MESSAGES} messages alone.",) if asked >= MESSAGES else ()
    return what_if_report(found, notes=notes), None
