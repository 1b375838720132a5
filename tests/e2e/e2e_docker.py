"""A container engine that `.ci/engine start` made, and a project in it by Compose."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from page_commands import Shell

REPOSITORY = Path(__file__).parents[2]
BASE = "relaylab-base:bookworm"
"""The base image, made of Debian packages: no container registry is asked."""
POSTFIX_BASE = "relaylab-postfix:bookworm"
"""The same with Postfix."""


DOCKER = """\
#!/bin/sh
if [ "$1" = compose ]; then
  shift
  exec {engine}/docker-compose --project-name {name} "$@"
fi
exec /usr/bin/docker "$@"
"""
"""Compose is no part of the engine that Debian has; as a plug-in it has this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A copy of what a user has after a clone, with an engine to run it."""

    engine: Path
    folder: Path
    name: str
    settings: dict[str, str]

    def compose(self, *words: str, code: int | None = 0) -> str:
        """Run Compose and return what it printed; None as the code takes any."""
        command = [str(self.engine / "docker-compose"), "--project-name", self.name, *words]
        return self._run(command, code=code, cwd=self.folder)

    def build(self) -> None:
        """Build the image without network, from the wheels that the engine came with."""
        arguments = {"BASE": BASE, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels"}
        given = [
            word for key, value in arguments.items() for word in ("--build-arg", f"{key}={value}")
        ]
        self.compose("build", *given)

    def by_words(self, folder: Path) -> Shell:
        """Return a shell in which `docker compose` is this project's Compose."""
        programs = self.folder / "programs"
        programs.mkdir(exist_ok=True)
        docker = programs / "docker"
        docker.write_text(DOCKER.format(engine=self.engine, name=self.name))
        docker.chmod(0o755)
        settings = {**self.settings, "DOCKER_HOST": f"unix://{self.engine}/docker.sock"}
        ours = Path(sys.executable).parent
        return Shell(folder, path=(programs, ours), settings=settings)

    def docker(self, *words: str) -> str:
        return self._run(["docker", *words], code=0, cwd=self.folder)

    def inspect(self, what: str) -> Any:
        (found,) = json.loads(self.docker("inspect", what))
        return found

    def container(self, service: str) -> Any:
        """Return what the engine knows of a service's container, a stopped one too."""
        return self.inspect(self.compose("ps", "--all", "--quiet", service).strip())

    def outside(self, *command: str, code: int | None = 0) -> str:
        """Run a program beside the containers, as the machine that they are published to."""
        daemon = (self.engine / "docker.pid").read_text().strip()
        entered = ["nsenter", f"--net=/proc/{daemon}/ns/net", *command]
        return self._run(entered, code=code, cwd=self.folder)

    def read(self, url: str) -> Any:
        """Return the JSON document at a published port."""
        program = (
            f"import urllib.request as u; print(u.urlopen({url!r}, timeout=10).read().decode())"
        )
        return json.loads(self.outside(sys.executable, "-c", program))

    def _run(self, command: list[str], *, code: int | None, cwd: Path) -> str:
        ended = subprocess.run(
            command,
            cwd=cwd,
            env={
                **os.environ,
                **self.settings,
                "DOCKER_HOST": f"unix://{self.engine}/docker.sock",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        assert code in (None, ended.returncode), f"{command}: {ended.returncode}\n{ended.stdout}"
        return ended.stdout


def checkout(engine: Path, folder: Path, name: str, **settings: str) -> Project:
    """Copy what the image and Compose need, with the wheels for a build without network."""
    folder.mkdir()
    for part in ("Dockerfile", ".dockerignore", "docker-compose.yml", "pyproject.toml", "uv.lock"):
        shutil.copy(REPOSITORY / part, folder)
    for part in ("README.md", "LICENSE"):
        shutil.copy(REPOSITORY / part, folder)
    for part in ("policies", "certs", "relay", "examples"):
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / part, folder / part, ignore=skip)
    shutil.copytree(engine / "wheels", folder / "wheels")
    # A user's files can be read by all, whatever this process's umask is.
    folder.chmod(0o755)
    return Project(engine=engine, folder=folder, name=name, settings=dict(settings))
