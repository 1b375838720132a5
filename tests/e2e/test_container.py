"""The image's and Compose's own command lines, without an engine: each part of them works.

tests/e2e/test_container_engine.py builds and runs them for real.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import httpx
import pytest
import yaml
from e2e_command import RELAY, environment, relay

from relay.cli.web_port import DEFAULT_PORT
from relay.lab.layout import BASE_PORT

REPOSITORY = Path(__file__).parents[2]
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
SERVICE = COMPOSE["services"]["relay"]


def instruction(name: str) -> str:
    found = re.findall(rf"^(?:HEALTHCHECK .*\\\n\s*)?{name} (.+)$", DOCKERFILE, re.MULTILINE)
    return str(found[-1])


def test_the_image_runs_as_nobody_and_serves_by_default() -> None:
    assert instruction("USER") == "10001:10001"
    assert json.loads(instruction("ENTRYPOINT")) == ["relay"]


@pytest.mark.parametrize(
    "command",
    [json.loads(re.findall(r"^CMD (.+)$", DOCKERFILE, re.MULTILINE)[-1]), SERVICE["command"]],
    ids=["image", "compose"],
)
def test_the_command_line_serves_and_its_health_check_passes(
    tmp_path: Path, command: list[str]
) -> None:
    inside = "/policies/${RELAYLAB_POLICY:-required-verify}"
    words = [w.replace(inside, f"{REPOSITORY}/policies/required-verify") for w in command]
    env = environment(tmp_path) | {
        "RELAY_LISTEN": "127.0.0.1",
        "RELAY_SUBMISSION": str(SERVICE["environment"]["RELAY_SUBMISSION"]),
        "RELAY_SMTP_PORT": "0",
        "RELAY_SMTPS_PORT": "0",
        "RELAY_WEB": "true",
        "RELAY_WEB_PORT": "0",
        "RELAY_WEB_HOST": str(SERVICE["environment"]["RELAY_WEB_HOST"]),
    }
    health = SERVICE["healthcheck"]["test"]
    assert health[0] == "CMD"
    assert shlex.join(health[1:]) in " ".join(
        json.loads(re.findall(r"^\s+CMD (\[.+\])$", DOCKERFILE, re.MULTILINE)[0])
    )
    with subprocess.Popen([RELAY, *words], env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert relay(tmp_path, "readyz", "--wait").returncode == 0
            note = json.loads((tmp_path / "serving.json").read_text())
            assert [entry["kind"] for entry in note["listeners"]] == ["smtp", "smtps"]
            # Another container calls the management port by the service's name.
            named = httpx.get(f"{note['web']}/livez", headers={"Host": "relay:8025"})
            assert named.status_code == 200
            process.terminate()
            assert process.wait(timeout=30) == 0
        finally:
            if process.poll() is None:
                process.kill()


def test_compose_publishes_to_loopback_alone_and_drops_privileges() -> None:
    for service in COMPOSE["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        assert service["cap_drop"] == ["ALL"]
        assert service["read_only"] is True
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_compose_publishes_the_management_port_where_the_service_listens() -> None:
    for name, port in (("relay", DEFAULT_PORT), ("lab", DEFAULT_PORT + 1)):
        service = COMPOSE["services"][name]
        assert service["environment"]["RELAY_WEB_HOST"] == name
        assert service["environment"]["RELAY_WEB_LISTEN"] == "0.0.0.0"
        assert service["environment"]["RELAY_WEB_TOKEN"] is None
        assert any(published.endswith(f":-{port}}}:{port}") for published in service["ports"])


def test_the_labs_ports_are_the_documented_ones() -> None:
    command = COMPOSE["services"]["lab"]["command"]
    assert command[command.index("--base-port") + 1] == str(BASE_PORT)


def test_the_health_check_imports_next_to_nothing() -> None:
    """It runs every five seconds, beside the relay that it asks."""
    program = "import sys, relay.cli.readyz; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    heavy = {"asyncio", "typer", "rich", "pydantic", "yaml", "cryptography", "sqlite3", "fastapi"}
    assert heavy.isdisjoint(run.stdout.split())


def test_the_image_names_the_version_that_it_holds() -> None:
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    assert f'org.opencontainers.image.version="{version}"' in DOCKERFILE


def test_everything_that_the_image_copies_exists() -> None:
    wanted = re.findall(r"^!(\S+)$", (REPOSITORY / ".dockerignore").read_text(), re.MULTILINE)
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        wanted += sources.split()
    for source in set(wanted) - {"wheels/", "wheel[s]"}:
        assert (REPOSITORY / source).exists(), source


def test_the_public_address_needs_credentials_for_auth(tmp_path: Path) -> None:
    """Any credentials are for loopback alone: serving them to a network is refused."""
    run = relay(
        tmp_path, "serve", "--listen", "0.0.0.0",
        "--smtp-port", "0", "--smtps-port", "0", "--submission-port", "0",
    )  # fmt: skip
    assert run.returncode == 3
    assert "which only a loopback address may do" in run.stderr
    assert "--credentials" in run.stderr


def test_compose_file_is_valid_by_the_specification() -> None:
    check = subprocess.run(
        [
            str(Path(RELAY).with_name("check-jsonschema")),
            "--builtin-schema", "vendor.compose-spec", str(REPOSITORY / "docker-compose.yml"),
        ],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert check.returncode == 0, check.stdout + check.stderr
