"""docs/ci.md: its steps, as a CI service takes them, in a project that has Relaylab beside it."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from page_commands import REPOSITORY, Command, Shell, fences, follow, published

PAGE = (REPOSITORY / "docs/ci.md").read_text("utf-8")
TEST = """\
import os
import smtplib


def test_it():
    with smtplib.SMTP(os.environ["SMTP_HOST"], int(os.environ["SMTP_PORT"])) as client:
        client.sendmail("app@example.test", "jo@good.lab.test", "Subject: hello\\r\\n")
        try:
            client.sendmail("app@example.test", "jo@no-starttls.lab.test", "Subject: hello\\r\\n")
        except smtplib.SMTPDataError as refused:
            assert refused.smtp_code == 451
"""


@pytest.mark.judge("bash")
def test_the_steps_beside_the_tests(tmp_path: Path) -> None:
    (document,) = (y for y in map(yaml.safe_load, fences(PAGE, "yaml")) if "steps" in y)
    install, *steps = document["steps"]
    own = tmp_path / "environment"
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "-q", own], check=True, timeout=60)
    published(tmp_path / "relaylab")
    words = [*uv, *shlex.split(install["run"]), "-q", "--python", str(own / "bin/python")]
    assert words[3:6] == ["pip", "install", "./relaylab"]
    subprocess.run(words, check=True, timeout=120, cwd=tmp_path)

    (tmp_path / "policies").mkdir()
    (tmp_path / "policies/required.yaml").write_text("tls: Required\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_mail.py").write_text(TEST)
    # The project's own pytest is ours.
    shell = Shell(tmp_path, path=(own / "bin", Path(sys.executable).parent))
    script = []
    for step in steps:
        given = [f"{name}={shlex.quote(value)}" for name, value in step.get("env", {}).items()]
        text = step["run"].strip() if not given else " ".join([*given, step["run"], "tests"])
        script.append(Command(text=text))
    follow(shell, script)
    bounces = (tmp_path / "bounces.json").read_text("utf-8")
    assert bounces.count('"recipient": "jo@no-starttls.lab.test"') == 1
