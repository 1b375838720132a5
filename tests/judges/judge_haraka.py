"""A Haraka of our own, for tests: one process, with routes, and nothing kept."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from e2e_ports import free_port
from judge_node import installed_modules

PACKAGES = Path(__file__).parent / "haraka"
CACHE = Path(__file__).parents[2] / ".cache/haraka"


@contextlib.asynccontextmanager
async def haraka(base: Path, routes: str) -> AsyncIterator[int]:
    """Start it with these routes; yield its port once it listens."""
    program = installed_modules(PACKAGES, CACHE) / "Haraka"
    port = free_port()
    config = base / "config"
    config.mkdir(parents=True)
    shutil.copy(program / "config/connection.ini", config)
    for name, text in {
        "plugins": "queue/smtp_forward",
        "smtp.ini": f"listen=127.0.0.1:{port}\nnodes=0",
        "me": "haraka.example.test",
        "loglevel": "LOGNOTICE",
        "smtp_forward.ini": routes,
    }.items():
        (config / name).write_text(f"{text}\n")
    (base / "package.json").write_text('{"name": "judge", "version": "1.0.0"}')
    process = await asyncio.create_subprocess_exec(
        *("node", str(program / "bin/haraka"), "-c", str(base)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            seen = b""
            while b"Listening on" not in seen:
                line = await process.stdout.readline()
                assert line, seen.decode()
                seen += line
        yield port
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
