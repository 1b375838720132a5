"""What is not on this machine yet: installed where we may, named with its command where not."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
CACHE = REPOSITORY / ".cache/bench"
POSTFIX = Path("/usr/sbin/postfix")
SMTP_SINK = Path("/usr/sbin/smtp-sink")
MAILDEV = REPOSITORY / "benchmarks/peers/maildev"
MAILDEV_COMMAND = CACHE / "maildev/node_modules/maildev/bin/maildev"


def why_no_postfix(*, needs_root: bool) -> str | None:
    """Install Postfix, smtp-sink with it, where it is missing; say why it can't be used."""
    if needs_root and os.geteuid() != 0:
        return "Postfix can be started by root alone: sudo make bench"
    if POSTFIX.exists() and SMTP_SINK.exists():
        return None
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return "Postfix is not installed: apt-get install postfix"
    # Without a configuration Debian's package starts nothing.
    answer = "postfix postfix/main_mailer_type select No configuration\n"
    _quietly(["debconf-set-selections"], said=answer)
    words = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "postfix"]
    done = _quietly(words) or (_quietly(["apt-get", "update", "-qq"]) and _quietly(words))
    return None if done and POSTFIX.exists() else "apt-get install postfix failed"


def why_no_maildev() -> str | None:
    """Install MailDev into .cache where it is missing; say why it can't be used."""
    lock = (MAILDEV / "package-lock.json").read_bytes()
    installed = CACHE / "maildev/package-lock.json"
    if MAILDEV_COMMAND.exists() and installed.exists() and installed.read_bytes() == lock:
        return None
    if shutil.which("npm") is None or shutil.which("node") is None:
        return "MailDev needs Node and npm: apt-get install nodejs npm"
    installed.parent.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(MAILDEV / name, installed.parent / name)
    words = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = _quietly([*words, "--prefix", str(installed.parent)])
    return None if done and MAILDEV_COMMAND.exists() else f"{' '.join(words)} of MailDev failed"


def _quietly(words: Sequence[str], *, said: str = "") -> bool:
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            words,
            input=said,
            text=True,
            capture_output=True,
            check=False,
            timeout=300,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
