"""The commands that a page shows, and a shell that runs them as a reader would: in their order."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

REPOSITORY: Final = Path(__file__).parents[2]
CLONED: Final = ("Makefile", "pyproject.toml", "uv.lock", "README.md", "LICENSE", ".gitignore")
FOLDERS: Final = ("relay", "policies", "certs", "examples")
LANGUAGES: Final = {"console", "sh", "bash", "shell"}
"""What a block of commands may be marked as; `$` begins a command, all else is output."""
SERVERS: Final = ("relay serve", "relay lab serve", "make run")
"""What a reader starts in a terminal of its own; it says so when it is ready."""
READY: Final = "Ctrl-C stops"
PORTS: Final = re.compile(r"\b(?:1025|1465|1587|8025|8026|9321|26\d\d)\b")
"""The ports that pages name. A test takes others, because tests run side by side."""
SLOT: Final = 250
SLOTS: Final = 48
"""Rows of ports for shells that run side by side, below those that the system gives out."""
CHANGING: Final = re.compile(
    r"\b\d+\.\d+\.\d+\.\d+:\d+|\]:\d+"  # ports
    r"|\d{4}-\d\d-\d\d(?: \d\d:\d\d(?::\d\d)?)?(?: to \d\d:\d\d:\d\d)?(?: UTC)?|\d\d:\d\d:\d\d\b"
    r"|\b[0-9a-z]{17}\b|\b[0-9a-f]{8}\b|rlp-[0-9a-f]+-[0-9a-f]+"  # ids
    r"|\bSIZE=\d+"
    r"|OpenSSL \d\S+ \d+ \w+ \d+|python \d\S+"
)
"""What differs from run to run, or from machine to machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command of a page, the output that the page shows for it, and its exit code."""

    text: str
    shown: str = ""
    code: int | None = 0
    """None takes any; a server's is 0 once it is ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What became of a command."""

    command: Command
    code: int
    output: str


def fences(page: str, *languages: str) -> list[str]:
    """Return the contents of a page's fenced blocks that are marked as one of these languages."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return [content for language, content in found if language in languages]


def commands(page: str) -> list[list[Command]]:
    """Return each block of commands."""
    return [list(_commands(block)) for block in fences(page, *LANGUAGES)]


def _commands(block: str) -> Iterator[Command]:
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        last = 0
        while lines[last].endswith("\\"):
            last += 1
        if (opened := re.search(r"<<'(\w+)'", part)) is not None:
            last = lines.index(opened[1])
        yield Command(text="\n".join(lines[: last + 1]), shown="\n".join(lines[last + 1 :]))


def _slot() -> tuple[int, socket.socket]:
    """Return where a row of ports begins, and what keeps other shells from taking the same one."""
    first = os.getpid()
    for number in range(SLOTS):
        base = 20000 + SLOT * ((first + number) % SLOTS)
        try:
            return base, socket.create_server(("127.0.0.1", base + SLOT - 1))
        except OSError:
            continue
    raise AssertionError("every row of ports is taken")


def _moved(port: int, base: int) -> int:
    small = (1025, 1465, 1587, 8025, 8026, 9321)
    return base + small.index(port) if port in small else base + 10 + port - 2600


def _xdg(kind: str) -> Path:
    return Path(os.environ.get(f"XDG_{kind}_HOME") or Path.home() / f".{kind.lower()}")


def published(folder: Path) -> Path:
    """Make a folder with what a clone has, as far as pages use it."""
    folder.mkdir(parents=True)
    for name in CLONED:
        shutil.copy(REPOSITORY / name, folder)
    for name in FOLDERS:
        skip = shutil.ignore_patterns("__pycache__", "node_modules", ".pytest_cache")
        shutil.copytree(REPOSITORY / name, folder / name, ignore=skip)
    return folder


class Shell:
    """Runs a script of commands in a folder, once, on ports of its own."""

    def __init__(
        self,
        folder: Path,
        *,
        path: tuple[Path, ...] = (),
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._folder = folder
        self._base, self._held = _slot()
        kinds = {"SMTP": 1025, "SMTPS": 1465, "SUBMISSION": 1587, "WEB": 8025}
        # This suite may have been started by make, which tells its descendants so.
        ours = ("RELAY_", "PYTEST_", "MAKE", "MFLAGS")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        programs = path or (Path(sys.executable).parent,)
        self._environment = {
            **kept,
            **{f"RELAY_{kind}_PORT": self.here(str(port)) for kind, port in kinds.items()},
            "RELAY_STATE": str(folder / ".state"),
            # Nobody's own home is written to; installers keep their caches.
            "HOME": str(folder),
            **{f"XDG_{kind}_HOME": str(_xdg(kind)) for kind in ("CACHE", "CONFIG")},
            "npm_config_cache": str(Path.home() / ".npm"),
            "PATH": ":".join([*map(str, programs), os.environ["PATH"]]),
            "COLUMNS": "80",
            "NO_PROXY": "localhost,127.0.0.1",
            "PYTHONUNBUFFERED": "1",
            **settings,
        }

    def here(self, text: str) -> str:
        """Return a text of a page with this shell's ports in place of the page's."""
        return PORTS.sub(lambda port: str(_moved(int(port[0]), self._base)), text)

    def run(self, script: list[Command], *, timeout: float = 300) -> list[Ran]:
        """Run commands one after the other, until one ends with another code; then stop servers."""
        self._folder.mkdir(exist_ok=True)
        notes = Path(tempfile.mkdtemp(prefix=".notes-", dir=self._folder))
        # Everything that was started is in the shell's process group.
        lines = ["finish() { trap '' TERM; kill -TERM 0; wait; exit; }"]
        lines += [self._line(number, one, notes) for number, one in enumerate(script)]
        lines += ["finish"]
        (notes / "script").write_text("\n".join(lines), "utf-8")
        with (
            self._held,
            subprocess.Popen(
                ["bash", notes / "script"],
                cwd=self._folder,
                env=self._environment,
                start_new_session=True,
            ) as process,
        ):
            try:
                process.wait(timeout)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
        return [
            Ran(
                command=one,
                code=int((notes / f"{number}.code").read_text()),
                output=(notes / f"{number}.out").read_text("utf-8"),
            )
            for number, one in enumerate(script)
            if (notes / f"{number}.code").exists()
        ]

    def _line(self, number: int, command: Command, notes: Path) -> str:
        out, code, ready = (notes / f"{number}.{kind}" for kind in ("out", "code", "ready"))
        group = f"{{ {self.here(command.text)}\n}}"
        if self._serves(command.text):
            tell = f"grep -q -m1 {READY!r}; echo $? > {ready}; cat > /dev/null"
            line = (
                f"mkfifo {ready}\n{group} > >(tee {out} | {{ {tell}; }}) 2>&1 </dev/null &\n"
                f"read -r code < {ready}"
            )
        else:
            line = f"{group} > {out} 2>&1 </dev/null\ncode=$?"
        end = "" if command.code is None else f'\n[ "$code" = {command.code} ] || finish'
        return f'{line}\necho "$code" > {code}{end}'

    @staticmethod
    def _serves(text: str) -> bool:
        return text.removeprefix(".venv/bin/").startswith(SERVERS) and not re.search(
            "&$", text, re.MULTILINE
        )


def differs(ran: Ran) -> str | None:
    """Return a part of what a page shows that the command did not print there; None for none.

    Blanks and what differs each time are left out of it. A line of three dots stands for lines that
    the page leaves out; all else must be there. A page that shows nothing says nothing.
    """
    if not ran.command.shown:
        return None
    printed = _plain(ran.output)
    parts = re.split(r"^ *\.\.\.$", ran.command.shown, flags=re.MULTILINE)
    if len(parts) == 1:
        return None if printed == _plain(parts[0]) else parts[0]
    first, *others, last = parts
    if not printed.startswith(_plain(first)):
        return first
    at = len(_plain(first))
    for part in others:
        found = printed.find(_plain(part), at)
        if found < 0:
            return part
        at = found + len(_plain(part))
    return None if printed[at:].endswith(_plain(last)) else last


def follow(shell: Shell, script: list[Command], *, timeout: float = 300) -> list[Ran]:
    """Run commands; each must end with its code, and print what is shown for it."""
    ran = shell.run(script, timeout=timeout)
    for done in ran:
        told = f"$ {done.command.text}\n{done.output}"
        assert done.command.code in (None, done.code), told
        assert differs(done) is None, told
    assert len(ran) == len(script)
    return ran


def _plain(text: str) -> str:
    return " ".join(CHANGING.sub("#", " ".join(text.split())).split())
