"""What the figures depend on: the machine, versions, and how this Python was built."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sqlite3
import ssl
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.bench.installing import MAILDEV_COMMAND, POSTFIX, REPOSITORY

LIBRARIES = ("aiosmtpd", "aiosmtplib", "uvloop", "orjson", "cryptography")


def machine() -> dict[str, str]:
    """Return the machine, the load on it, and all versions, in the order in which they are told."""
    libraries = [f"{name} {text}" for name in LIBRARIES if (text := _version(name))]
    return {
        "when": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "machine": f"{_processor()}, {os.cpu_count()} processors, {_memory()} GiB, "
        f"{platform.system()} {platform.release()} {platform.machine()}",
        "load before": load_average(),
        "relaylab": " ".join(filter(None, (_version("relaylab"), _commit()))),
        "python": f"{platform.python_implementation()} {platform.python_version()}, "
        f"{python_build()}",
        "libraries": ", ".join(libraries),
        "openssl, sqlite": f"{ssl.OPENSSL_VERSION}; SQLite {sqlite3.sqlite_version}",
        "postfix": _said([str(POSTFIX.with_name("postconf")), "-dh", "mail_version"]) or "none",
        "node, maildev": f"{_said(['node', '--version']) or 'none'}, {_maildev()}",
        "compiler": (_said(["cc", "--version"]) or "none").splitlines()[0],
    }


def load_average() -> str:
    """Return the load averages of 1, 5 and 15 minutes."""
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def python_build() -> str:
    """Say what decides how fast this Python is: profile-guided and link-time optimisation."""
    words = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    flags = str(sysconfig.get_config_var("PY_CFLAGS") or sysconfig.get_config_var("CFLAGS") or "")
    level = "".join(re.findall(r"-O\w", flags)[-1:]) or "no -O"
    guided = "--enable-optimizations" in words or "-fprofile-use" in flags
    linked = "--with-lto" in words or "-flto" in flags
    debug = ", debug" if hasattr(sys, "gettotalrefcount") else ""
    return f"{level}, {'with' if guided else 'no'} PGO, {'with' if linked else 'no'} LTO{debug}"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str:
    return _said(["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty", "--tags"])


def _processor() -> str:
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.processor()


def _memory() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


def _maildev() -> str:
    if not MAILDEV_COMMAND.exists():
        return "none"
    package = MAILDEV_COMMAND.parents[1] / "package.json"
    found = re.search(r'"version":\s*"([^"]+)"', package.read_text())
    return found[1] if found else "unknown"


def _said(words: Sequence[str]) -> str:
    if shutil.which(words[0]) is None:
        return ""
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip()
