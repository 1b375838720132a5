"""The built wheel, installed in the three ways that people install programs, works away from here.

Packages come from the registry or from the installers' own caches.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from relay.config.policy_file import shipped_policies
from relay.lab.recipes import shipped_recipes

REPOSITORY = Path(__file__).parents[2]
UV = [sys.executable, "-m", "uv"]

# An installer makes an environment of its own and fetches thirty packages.
pytestmark = pytest.mark.timeout(400)


def clean_environment(home: Path) -> dict[str, str]:
    """Return this process's environment without what could lead back to the repository."""
    ours = ("RELAY_", "PYTHON", "VIRTUAL_ENV", "UV_PROJECT", "COV_", "COVERAGE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {
        **kept,
        "RELAY_STATE": str(home / "state"),
        "UV_TOOL_DIR": str(home / "uv"),
        "UV_TOOL_BIN_DIR": str(home / "bin"),
        "PIPX_HOME": str(home / "pipx"),
        "PIPX_BIN_DIR": str(home / "bin"),
        "PIPX_MAN_DIR": str(home / "man"),
    }


def run(home: Path, *command: str | Path) -> str:
    """Run a program in an empty place and return what it printed; it must succeed."""
    ended = subprocess.run(
        [str(word) for word in command],
        env=clean_environment(home),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the source distribution, and from that the wheel, as a release is built."""
    out = tmp_path_factory.mktemp("dist")
    run(out, *UV, "build", "--quiet", "--out-dir", out, REPOSITORY)
    (built,) = out.glob("*.whl")
    return built


def with_uv(home: Path, wheel: Path) -> Path:
    run(home, *UV, "tool", "install", "--python", sys.executable, wheel)
    return home / "bin/relay"


def with_pipx(home: Path, wheel: Path) -> Path:
    run(home, *UV, "tool", "run", "pipx", "install", "--python", sys.executable, wheel)
    return home / "bin/relay"


def with_pip(home: Path, wheel: Path) -> Path:
    run(home, sys.executable, "-m", "venv", home / "environment")
    run(home, home / "environment/bin/python", "-m", "pip", "install", "--quiet", wheel)
    return home / "environment/bin/relay"


def test_the_wheel_has_the_pages(wheel: Path) -> None:
    folder = REPOSITORY / "relay/web/pages"
    files = {str(f.relative_to(REPOSITORY)) for f in folder.rglob("*") if f.is_file()}
    assert {"relay/web/pages/templates/base.html", "relay/web/pages/static/pages.js"} <= files
    assert files <= set(zipfile.ZipFile(wheel).namelist())


@pytest.mark.parametrize("install", [with_uv, with_pipx, with_pip])
def test_an_installed_relay_has_all_that_it_needs(
    install: Callable[[Path, Path], Path], wheel: Path, tmp_path: Path
) -> None:
    relay = install(tmp_path, wheel)
    assert not relay.resolve().is_relative_to(REPOSITORY)
    assert run(tmp_path, relay, "--version").startswith("relaylab ")

    listed = json.loads(run(tmp_path, relay, "policy", "list", "--json"))
    assert [row["name"] for row in listed] == sorted(file.stem for file in shipped_policies())
    schema = (REPOSITORY / "policies/policy.schema.json").read_text("utf-8")
    assert json.loads(run(tmp_path, relay, "policy", "schema")) == json.loads(schema)

    # The lab's certificates come from recipes, and the proof's page from a template.
    page = tmp_path / "proof.html"
    run(tmp_path, relay, "prove", "--scenarios", "expired", "--html", page)
    assert "expired.lab.test" in page.read_text("utf-8")


def test_an_installed_relay_serves_its_management_port(wheel: Path, tmp_path: Path) -> None:
    relay = with_uv(tmp_path, wheel)
    ports = ("--smtp-port", "0", "--smtps-port", "0", "--submission-port", "0", "--web-port", "0")
    with subprocess.Popen(
        [relay, "serve", *ports],
        env=clean_environment(tmp_path),
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            run(tmp_path, relay, "readyz", "--wait")
            base = json.loads((tmp_path / "state/serving.json").read_text("utf-8"))["web"]
            schema = httpx.get(f"{base}/api/v1/openapi.json")
            assert schema.json()["info"]["title"]
            process.terminate()
            assert process.wait(timeout=30) == 0
        finally:
            if process.poll() is None:
                process.kill()


def test_the_wheel_has_every_file_that_is_no_module(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    skipped = {".py", ".pyc"}
    data = {
        path.relative_to(REPOSITORY).as_posix()
        for path in (REPOSITORY / "relay").rglob("*")
        if path.is_file() and path.suffix not in skipped
    }
    assert {"relay/py.typed", "relay/formats/report.html"} <= data <= inside
    shipped = {name for name in inside if name.startswith("relay/shipped/certs/")}
    assert len(shipped) >= len(shipped_recipes())
    assert {Path(name).name for name in inside} >= {"LICENSE", "policy.schema.json"}


def test_the_wheel_has_nothing_of_the_tests(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"relay"}
