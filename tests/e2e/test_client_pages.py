"""docs/mailpit.md and docs/salesforce-api.md: their lines work, their tables are complete."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from e2e_command import RELAY, environment, serving
from fastapi.routing import APIRoute

from relay.formats.soql_tokens import SoqlErrorCode
from relay.web.mailpit import mailpit_router
from relay.web.mailpit_search import Bound, Part, Trait
from relay.web.salesforce_api_rows import OBJECTS

DOCS = Path(__file__).parents[2] / "docs"
MAILPIT = (DOCS / "mailpit.md").read_text("utf-8")
SALESFORCE = (DOCS / "salesforce-api.md").read_text("utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def run_lines(
    page: str, directory: Path, url: str, more: dict[str, str] | None = None
) -> list[str]:
    """Run every line in its order against the port; return what each printed."""
    state = directory / "state"
    ours = {**environment(state), "NO_PROXY": "localhost,127.0.0.1", **(more or {})}
    ours["PATH"] = f"{Path(RELAY).parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    printed = []
    for block in blocks(page, "console"):
        for line in re.findall(r"^\$ (.*)$", block, re.MULTILINE):
            run = subprocess.run(
                line.replace("http://127.0.0.1:8025", url).replace("https://localhost:8025", url),
                shell=True, cwd=directory, env=ours,
                capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            refused_mail = line.startswith("relay send") and run.returncode == 1
            assert run.returncode == 0 or refused_mail, (line, run.stdout, run.stderr)
            printed.append(run.stdout)
    return printed


@pytest.mark.judge("curl")
def test_the_lines_about_mailpit_work(tmp_path: Path) -> None:
    with serving(tmp_path / "state", "--web", "--web-port", "0") as running:
        url = running.note.web
        assert url is not None
        printed = run_lines(MAILPIT, tmp_path, url)
    listed, found = printed[2:4]
    assert '"messages_count": 2' in listed
    assert '"messages_count": 1' in found
    assert printed[-1] == "ok"


@pytest.mark.judge("curl")
def test_the_lines_about_salesforce_work(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("salesforce: {bounce_management: {}}\n")
    words = ("--policy", str(policy), "--web", "--web-port", "0", "--web-tls")
    with serving(tmp_path / "state", *words) as running:
        url = running.note.web
        assert url is not None
        url = url.replace("127.0.0.1", "localhost")
        (program,) = blocks(SALESFORCE, "python")
        (tmp_path / "poll.py").write_text(program.replace("https://localhost:8025", url))
        *_, asked, polled = run_lines(SALESFORCE, tmp_path, url)
    assert '"totalSize": 1' in asked
    assert "550 5.1.1 User unknown" in asked
    assert polled == "ann@user-unknown.lab.test 550 5.1.1 User unknown\n"


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
