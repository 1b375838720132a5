"""docs/mailpit.md and docs/salesforce-api.md: their tables are complete."""

from __future__ import annotations

import re
from pathlib import Path

from fastapi.routing import APIRoute

from relay.formats.soql_tokens import SoqlErrorCode
from relay.web.mailpit import mailpit_router
from relay.web.mailpit_search import Bound, Part, Trait
from relay.web.salesforce_api_rows import OBJECTS

DOCS = Path(__file__).parents[2] / "docs"
MAILPIT = (DOCS / "mailpit.md").read_text("utf-8")
SALESFORCE = (DOCS / "salesforce-api.md").read_text("utf-8")


def test_the_table_of_mailpits_routes_is_complete() -> None:
    router = mailpit_router(None, None)  # type: ignore[arg-type]
    served = {
        (method, re.sub(r"\{(message_|part_)?(id|tag)\}", "{x}", route.path))
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods
        if "chaos" not in route.path
    }
    told = set()
    for row in re.findall(r"^\| (`.*?`.*?) \|", MAILPIT, re.MULTILINE):
        *methods, path = re.findall(
            r"(GET|PUT|DELETE|/(?:api|view)[^`]*)", row.replace("` and `", " ")
        )
        paths = [p for p in (*methods, path) if p.startswith("/")]
        verbs = [m for m in methods if not m.startswith("/")]
        pairs = (
            [(v, paths[-1]) for v in verbs] if len(paths) == 1 else zip(verbs, paths, strict=True)
        )
        told |= {(verb, re.sub(r"\{(id|part|tag)\}", "{x}", p)) for verb, p in pairs}
    assert told == served


def test_every_word_of_the_search_is_told() -> None:
    words = [f"{part.value}:" for part in Part if part.value]
    words += [trait.value for trait in Trait] + [f"{bound.value}:" for bound in Bound]
    assert [word for word in words if f"`{word}`" not in MAILPIT] == []


def test_every_field_and_error_of_salesforces_is_told() -> None:
    for entity in OBJECTS:
        (row,) = re.findall(rf"^\|.*`{entity.name}`.*\| (.*) \|$", SALESFORCE, re.MULTILINE)
        assert re.findall(r"`(\w+)`", row) == [*entity.fields]
    codes = set(re.findall(r"^\| `([A-Z_]+)` \| \d{3} \|", SALESFORCE, re.MULTILINE))
    assert codes == {code.value for code in SoqlErrorCode} | {"INVALID_QUERY_LOCATOR", "NOT_FOUND"}
