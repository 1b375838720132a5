"""The hook for other people's repositories, as docs/ci.md says it and pre-commit runs it there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from page_commands import fences

REPOSITORY = Path(__file__).parents[2]
PRE_COMMIT = [sys.executable, "-m", "uv", "tool", "run", "pre-commit"]


def run(home: Path, *command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program without what a git or a pre-commit around this one would tell it."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "RELAY_", "PYTHON"))}
    return subprocess.run(
        command,
        cwd=cwd,
        env=kept | {"PRE_COMMIT_HOME": str(home / "cache"), "PRE_COMMIT_COLOR": "never"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def commit(home: Path, repository: Path) -> str:
    """Make a git repository of a folder and return its revision."""
    name = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
    for words in (
        ("init", "--quiet"),
        ("add", "--all"),
        (*name, "commit", "--quiet", "--message", "All of it"),
    ):
        done = run(home, "git", *words, cwd=repository)
        assert done.returncode == 0, done.stderr
    return run(home, "git", "rev-parse", "HEAD", cwd=repository).stdout.strip()


@pytest.mark.judge("git")
@pytest.mark.timeout(400)
def test_the_hook_finds_a_policys_mistake_in_another_repository(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "relaylab", tmp_path / "theirs"
    ours.mkdir()
    for name in (".pre-commit-hooks.yaml", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, ours)
    for name in ("relay", "policies", "certs"):
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / name, ours / name, ignore=skip)
    revision = commit(tmp_path, ours)

    (theirs / "mail/policies").mkdir(parents=True)
    config = yaml.safe_load(fences((REPOSITORY / "docs/ci.md").read_text("utf-8"), "yaml")[0])
    (named,) = config["repos"]
    named |= {"repo": str(ours), "rev": revision}
    (theirs / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    (theirs / "mail/policies/mail.yaml").write_text("tls: Required Verify\n")
    (theirs / "compose.yaml").write_text("tls: not a policy, and nobody's business\n")
    commit(tmp_path, theirs)
    clean = run(tmp_path, *PRE_COMMIT, "run", "--all-files", cwd=theirs)
    assert clean.returncode == 0, clean.stdout + clean.stderr
    assert "relay policy lint" in clean.stdout
    assert "Passed" in clean.stdout

    (theirs / "mail/policies/mail.yaml").write_text("tls: Requird\n")
    found = run(tmp_path, *PRE_COMMIT, "run", "--all-files", cwd=theirs)
    assert found.returncode == 1, found.stdout + found.stderr
    assert "mail/policies/mail.yaml:1:6" in found.stdout
