"""Programs that nobody here wrote, run against a receiver of the lab."""

from __future__ import annotations

import asyncio

from relay.core.routing import HostAddress
from relay.lab.authority import LabAuthority


async def run(*command: str, within: float = 20) -> tuple[int | None, str]:
    """Return the exit code and all output; None when the program had to be stopped."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(b"QUIT\r\n"), within)
    except TimeoutError:
        process.kill()
        await process.wait()
        return None, ""
    return process.returncode, output.decode(errors="replace")


async def s_client(
    host: HostAddress, authority: LabAuthority, *more: str, within: float = 20
) -> tuple[int | None, str]:
    """Shake hands as OpenSSL's own client does, verifying chain and name."""
    return await run(
        *("openssl", "s_client", "-starttls", "smtp", "-brief"),
        *("-connect", f"{host.address}:{host.port}", "-CAfile", str(authority.root_path)),
        *("-verify_hostname", host.name, *more),
        within=within,
    )


async def swaks(host: HostAddress, to: str, *more: str) -> tuple[int | None, str]:
    """Send a message; the exit code says where that ended, 0 for delivered."""
    return await run(
        *("swaks", "--server", host.address, "--port", str(host.port), "--timeout", "1"),
        *("--from", "sender@example.test", "--to", to, "--helo", "client.test", *more),
    )
