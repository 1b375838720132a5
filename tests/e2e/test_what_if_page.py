"""docs/what-if.md: its commands work in their order, and print what it shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from e2e_command import relay, serving

PAGE = (Path(__file__).parents[2] / "docs/what-if.md").read_text("utf-8")
NOW = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0]
LOG = (
    "Mar  6 13:37:00 mx postfix/smtp[2]: 4X1: to=<a@bank.example>, relay=none, delay=1, "
    "delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)\n"
)


def shown() -> dict[str, str]:
    """Return each command of the page with what it shows of its output."""
    blocks = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    parts = [part for block in blocks for part in re.split(r"^\$ ", block, flags=re.MULTILINE)]
    return {
        command: output for command, _, output in (part.partition("\n") for part in parts if part)
    }


def told(text: str) -> list[str]:
    """Return lines without what differs each time: ports, and blanks at the end."""
    return [re.sub(r"\]:\d+", "]:PORT", line).rstrip() for line in text.strip().splitlines()]


def test_its_commands_work(tmp_path: Path) -> None:
    (tmp_path / "now.yaml").write_text(NOW)
    (tmp_path / "then.yaml").write_text(NOW.replace("\ntls: Preferred", "\ntls: Required"))
    (tmp_path / "partners.txt").write_text("ann@bank.example\npartner-x.com\n")
    (tmp_path / "email-log.csv").write_text("Recipient\nann@bank.example\n")
    (tmp_path / "mail.log").write_text(LOG)
    state = tmp_path / "state"
    commands = shown()
    assert len(commands) == 13
    with serving(state, "--policy", "now.yaml", cwd=tmp_path):
        for command, output in commands.items():
            words, _, stdin = command.partition(" < ")
            done = relay(
                state,
                *shlex.split(words)[1:],
                cwd=tmp_path,
                stdin=(tmp_path / stdin).read_text() if stdin else None,
            )
            # The last one has nothing to sum up: the page's policy is not tested.
            wanted = 3 if "--report-only" in command else 0
            assert done.returncode == wanted, (command, done.stdout, done.stderr)
            if output:
                assert told(done.stdout) == told(output)
    assert (tmp_path / "what-if.html").exists()
