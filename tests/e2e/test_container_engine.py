"""The image is built and the stack goes through its whole cycle, in a real container engine.

`.ci/run` starts one where the machine allows it; by hand: `.ci/engine start FOLDER`, and its folder
in RELAYLAB_ENGINE. Without one, tests/e2e/test_container.py checks what can be checked.
"""

from __future__ import annotations

import fcntl
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from e2e_docker import BASE, POSTFIX_BASE, REPOSITORY, Project, checkout
from page_commands import Command, commands, follow

from relay.lab.layout import BASE_PORT, ports_from

POLICY = """\
tls: {setting}
routes:
  - {{match: partner.example, to: lab/no-starttls}}
"""
BOUNCES = "http://127.0.0.1:8025/api/v1/bounces"
MEGABYTE = 1_000_000

pytestmark = [
    pytest.mark.skipif(
        "RELAYLAB_ENGINE" not in os.environ,
        reason="no container engine: .ci/engine start FOLDER, and RELAYLAB_ENGINE=FOLDER",
    ),
    pytest.mark.timeout(400),
]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """Return a built project whose stack is up, and take everything of it away afterwards."""
    engine = Path(os.environ["RELAYLAB_ENGINE"])
    made = checkout(engine, tmp_path / "clone", "cycle", RELAYLAB_POLICY="mine")
    write_policy(made, "Required Verify")
    # Published ports are documented ones, so that only one stack at a time can have them.
    with (engine / "one-stack").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        made.build()
        try:
            made.compose("up", "--wait")
            yield made
        finally:
            made.compose("--profile", "app", "down", "--volumes", code=None)


def write_policy(project: Project, setting: str) -> None:
    (project.folder / "policies/mine.yaml").write_text(POLICY.format(setting=setting))


def send_from_outside(project: Project, *recipients: str, code: int) -> str:
    program = str(project.folder / "examples/compose-app/send.py")
    return project.outside(sys.executable, program, *recipients, code=code)


def test_the_stacks_whole_cycle(project: Project) -> None:
    # An application inside, and one on the machine outside, meet the same faults.
    inside = project.compose("--profile", "app", "run", "--rm", "app", code=1)
    assert "anyone@good.lab.test: accepted" in inside
    assert "anyone@expired.lab.test: 451 4.7.5" in inside
    routed = send_from_outside(project, "john@partner.example", code=1)
    assert "john@partner.example: 451 4.7.6" in routed

    # A bounce is read from outside, at the published port.
    bounce, *_ = project.read(BOUNCES)["items"]
    assert bounce["recipient"] == "john@partner.example"
    assert bounce["status"] == {"code": 451, "enhanced": "4.7.6"}

    # A policy that is edited outside comes into force without a restart.
    write_policy(project, "Preferred")
    project.compose("exec", "relay", "relay", "policy", "reload")
    assert "accepted" in send_from_outside(project, "john@partner.example", code=0)

    # Each receiver is at its documented port, for clients that go there without the relay.
    port = ports_from(BASE_PORT)["expired"].port
    greet = f"import socket; print(socket.create_connection(('lab', {port})).recv(100))"
    assert "220 mx.expired.lab.test" in project.compose("exec", "relay", "python", "-c", greet)

    # Ended by SIGTERM in order, and what was recorded is there after the next start.
    project.compose("stop", "relay")
    assert project.container("relay")["State"]["ExitCode"] == 0
    project.compose("up", "--wait")
    assert len(project.read(BOUNCES)["items"]) == 2


def test_a_container_can_do_little(project: Project) -> None:
    for service in ("relay", "lab"):
        container = project.container(service)
        assert container["Config"]["User"] == "10001:10001"
        assert container["HostConfig"]["ReadonlyRootfs"] is True
        assert container["HostConfig"]["CapDrop"] == ["ALL"]
        assert container["State"]["Health"]["Status"] == "healthy"
        published = container["HostConfig"]["PortBindings"].values()
        assert {entry["HostIp"] for entries in published for entry in entries} == {"127.0.0.1"}

        status = project.compose("exec", service, "cat", "/proc/1/status")
        words = {line.split(":")[0]: line.split()[1:] for line in status.splitlines() if line}
        assert words["Uid"] == ["10001"] * 4
        assert words["CapEff"] == words["CapBnd"] == ["0" * 16]
        assert words["NoNewPrivs"] == ["1"]
        assert "Read-only file system" in project.compose(
            "exec", service, "touch", "/opt/relaylab/mark", code=1
        )


def test_the_image_adds_little_and_says_what_it_is(project: Project) -> None:
    image = project.inspect("relaylab")
    labels = image["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == "Relaylab"
    assert f"relaylab {labels['org.opencontainers.image.version']}" in project.compose(
        "exec", "relay", "relay", "--version"
    )
    added = (image["Size"] - project.inspect(BASE)["Size"]) // MEGABYTE
    told = re.search(r"(\d+) MB on top of its base", (REPOSITORY / "docs/docker.md").read_text())
    assert told is not None
    assert abs(added - int(told[1])) <= 3


def test_the_commands_of_the_page_work(project: Project) -> None:
    """Those of docs/docker.md, but for the engine's own start, which CI does."""
    stack, listing, reloading, wheels, _ = blocks("docs/docker.md")
    refused = ("docker compose exec relay relay send", "docker compose --profile app run")
    coded = [replace(one, code=int(one.text.startswith(refused))) for one in stack]
    project.docker("tag", BASE, "registry.example/python:3.11")
    again = Command(text="docker compose up --wait")
    follow(
        project.by_words(project.folder),
        [*coded, again, *listing, *reloading, *wheels, *coded[-1:]],
    )


OWN_APP = f"""\
services:
  app:
    image: {BASE}
    pull_policy: never
    command: ["python3", "/app/send.py"]
    volumes: ["{{folder}}/examples/compose-app:/app:ro"]
"""
"""The application of the page's own Compose file, which nobody has built here."""


def test_a_compose_file_of_ones_own_has_all_that_an_application_needs(project: Project) -> None:
    """The one in docs/docker.md: its application sends, and reads why mail was refused."""
    (own,) = re.findall(
        r"```yaml\n(services:.*?)```", (REPOSITORY / "docs/docker.md").read_text(), re.DOTALL
    )
    folder = project.folder / "own"
    folder.mkdir(mode=0o755)
    (folder / "docker-compose.yml").write_text(own)
    override = OWN_APP.format(folder=project.folder)
    (folder / "docker-compose.override.yml").write_text(override)
    (folder / "policy.yaml").write_text("tls: Required Verify\n")
    in_it = replace(project, folder=folder, name="own")
    try:
        said = in_it.compose("run", "--rm", "app", code=1)
    finally:
        in_it.compose("down", "--volumes", code=None)
    assert "anyone@good.lab.test: accepted" in said
    assert "cause:  A certificate of the host's chain has expired." in said


OVERRIDE = f"""\
services:
  maps: {{build: {{args: {{BASE: "{BASE}", PIP_NO_INDEX: "1", PIP_FIND_LINKS: /wheels}}}}}}
  postfix: {{build: {{args: {{BASE: "{POSTFIX_BASE}"}}}}}}
"""
"""What a machine without a container registry needs; Compose reads it by itself."""


def test_a_real_postfix_is_proven_by_the_words_of_its_page(tmp_path: Path) -> None:
    """Those of examples/compose-prove-postfix/README.md, at two levels."""
    engine = Path(os.environ["RELAYLAB_ENGINE"])
    project = checkout(engine, tmp_path / "clone", "proof")
    folder = project.folder / "examples/compose-prove-postfix"
    (folder / "docker-compose.override.yml").write_text(OVERRIDE)
    secure, encrypt = blocks("examples/compose-prove-postfix/README.md")
    leaks = [replace(one, code=int("# 1" in one.text)) for one in encrypt]
    try:
        ran = follow(project.by_words(folder), [*secure, *leaks])
    finally:
        in_it = replace(project, folder=folder)
        in_it.compose("--profile", "prove", "down", "--volumes", code=None)
    said = [one.output for one in ran if "run --rm prove" in one.command.text]
    assert "Required Verify is enforced" in said[0]
    assert "LEAKED" in said[1]
    assert "Required is enforced" in said[2]


def blocks(page: str) -> list[list[Command]]:
    return commands((REPOSITORY / page).read_text("utf-8"))
