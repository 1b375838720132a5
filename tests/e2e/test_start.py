"""What `relay serve` loads before it takes mail, and `relay --help` at all."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from e2e_command import RELAY, environment
from typer import Context
from typer.main import get_command

from relay.cli.app import app

LATER: Final = {
    "fastapi": "the management port",
    "uvicorn": "the management port",
    "jinja2": "the pages",
    "cryptography": "the first handshake",
    "OpenSSL": "the first handshake",
    "trustme": "the lab's authority, where there is none yet",
    "aiosmtplib.smtp": "the first session with a host",
    "relay.outbound.session": "the first session with a host",
    "relay.tls.certificate": "the first session with a host",
    "httpx": "webhooks",
    "rich": "tables of other commands",
    "dns": "looking up MX records",
    "smtplib": "relay send",
    "flufl": "bounces that come in",
    "relay.notice.notifier": "notices",
    "relay.notice.admin_mail": "notices",
    "relay.core.notices": "notices",
    "relay.lab.listener": "the first receiver",
    "relay.lab.wire": "the first receiver",
    "relay.lab.received": "the first receiver",
    "relay.lab.recipes": "the first receiver",
    "relay.lab.issuing": "the first receiver",
    "relay.core.fault_scripts": "fault scripts",
    "relay.config.lint": "relay policy lint",
    "relay.config.fault_script_shape": "fault scripts",
    "relay.web.app": "the management port",
}
"""What a relay has no use for before somebody asks for it, and what that is."""
SENDS: Final = "relay.outbound.session"
OF_SERVE: Final = {"relay.cli.serve", "relay.cli.policy", "relay.cli.lab_scripts"}
"""The modules of commands that `serve` is made of: itself, --policy and --lab-script."""


def test_a_start_loads_what_it_needs_and_no_other_command(tmp_path: Path) -> None:
    _start(tmp_path)
    loaded = _start(tmp_path)
    # What comes behind the banner's module comes behind the first greeting.
    before = set(loaded[: loaded.index("relay.cli.banner")])
    assert {"relay.engine.relay", "relay.inbound.listeners", "aiosmtpd.smtp"} <= before
    assert {name: use for name, use in LATER.items() if name in before} == {}
    others = _modules(get_command(app)) - OF_SERVE
    assert len(others) > 12
    assert others & set(loaded) == set()
    assert {"cryptography", SENDS} <= set(loaded)


def test_the_help_s_list_needs_no_command(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-X", "importtime", RELAY, "--help"],
        env=environment(tmp_path), capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = set(_loaded(run.stderr))
    assert "relay.cli.app" in loaded
    assert _modules(get_command(app)) & loaded == set()
    heavy = {"asyncio", "ssl", "sqlite3", "pydantic", "rich", "yaml", "cryptography", "smtplib"}
    assert heavy & loaded == set()


def test_a_policy_is_explained_without_what_sends_and_stores(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-X", "importtime", RELAY, "policy", "explain", "a@expired.lab.test"],
        env=environment(tmp_path), capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = set(_loaded(run.stderr))
    assert "relay.config.explain" in loaded
    heavy = {"asyncio", "ssl", "sqlite3", "rich", "cryptography", "orjson", "relay.core.records"}
    assert heavy & loaded == set()
    assert {name.split(".")[1] for name in loaded if name.startswith("relay.")} == {
        "cli", "config", "core", "lab",
    }  # fmt: skip


def test_the_help_s_list_says_of_each_command_what_it_says_itself() -> None:
    root: Any = get_command(app)
    context = Context(root, info_name="relay", terminal_width=200)
    wide = context.make_formatter()
    root.format_commands(context, wide)
    listed = dict(
        re.split(r"  +", line.strip(), maxsplit=1) for line in wide.getvalue().splitlines()[1:]
    )
    assert listed == {
        name: command.get_short_help_str(180) for name, command in root.commands.items()
    }


def _loaded(told: str) -> list[str]:
    return re.findall(r"^import time:.*\| +(\S+)$", told, re.MULTILINE)


def _start(tmp_path: Path) -> list[str]:
    """Start a relay, the first time with new certificates; return what it loads, in order."""
    told = tmp_path / "told"
    ports = ("--smtp-port", "0", "--smtps-port", "0", "--submission-port", "0")
    with (
        told.open("wb") as errors,
        subprocess.Popen(
            [sys.executable, "-X", "importtime", RELAY, "serve", *ports],
            env=environment(tmp_path), stdout=subprocess.PIPE, stderr=errors, text=True,
        ) as process,
    ):  # fmt: skip
        assert process.stdout is not None
        # The last line of the banner: it listens.
        assert any("Ctrl-C stops" in line for line in process.stdout)
        # Nobody's mail waits for what sends it.
        latest = time.monotonic() + 30
        while SENDS not in _loaded(told.read_text()):
            assert time.monotonic() < latest
            time.sleep(0.05)
        process.terminate()
        process.communicate(timeout=30)
    return _loaded(told.read_text())


def _modules(command: Any) -> set[str]:
    """Return the modules that a command, or a group of them, is made of."""
    within = getattr(command, "commands", None)
    if within is None:
        return {command.callback.__module__}
    return set().union(*(_modules(one) for one in within.values()))
