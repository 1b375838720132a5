"""A real Postfix on loopback, with a configuration, queue and mailbox of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import re
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from e2e_ports import free_port

MAIN = """
compatibility_level = 3.6
queue_directory = {base}/queue
data_directory = {base}/data
maillog_file = {base}/log
maillog_file_prefixes = {base}
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.partner.test
mydestination =
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
virtual_mailbox_domains = partner.test
virtual_mailbox_base = {base}/mail
virtual_mailbox_maps = static:inbox/
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
smtpd_relay_restrictions = reject_unauth_destination
smtpd_tls_security_level = may
smtpd_tls_received_header = yes
smtpd_tls_loglevel = 1
"""

MASTER = """
cleanup    unix  n - n - 0 cleanup
qmgr       unix  n - n 300 1 qmgr
tlsmgr     unix  - - n 1000? 1 tlsmgr
rewrite    unix  - - n - - trivial-rewrite
bounce     unix  - - n - 0 bounce
defer      unix  - - n - 0 bounce
trace      unix  - - n - 0 bounce
error      unix  - - n - - error
retry      unix  - - n - - error
discard    unix  - - n - - discard
virtual    unix  - n n - - virtual
proxymap   unix  - - n - - proxymap
anvil      unix  - - n - 1 anvil
postlog    unix-dgram n - n - 1 postlogd
"""


@dataclass(frozen=True, slots=True)
class Postfix:
    """A running Postfix: one listener for each certificate that it was given."""

    base: Path
    ports: Mapping[str, int]

    @property
    def log(self) -> str:
        file = self.base / "log"
        # The daemon that writes it starts with the first line.
        return file.read_text() if file.exists() else ""

    def stored(self) -> list[bytes]:
        return [file.read_bytes() for file in (self.base / "mail/inbox/new").glob("*")]

    async def until(self, *words: str) -> None:
        """Wait until one line of the log has all the words."""
        async with asyncio.timeout(30):
            while not any(all(w in line for w in words) for line in self.log.splitlines()):
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def postfix(certificates: Mapping[str, bytes | None]) -> AsyncIterator[Postfix]:
    """Start Postfix with a listener for each entry: key and chain as PEM, or None for no TLS."""
    ports = {name: free_port() for name in certificates}
    files = {f"{name}.pem": pem for name, pem in certificates.items() if pem is not None}
    master = MASTER
    for name, port in ports.items():
        option = "smtpd_tls_security_level=none"
        if certificates[name] is not None:
            option = f"smtpd_tls_chain_files={{base}}/{name}.pem"
        master += f"127.0.0.1:{port} inet n - n - - smtpd\n  -o {option}\n"
        master += f"  -o syslog_name=postfix/{name}\n"
    async with started(MAIN, master, files=files, ports=ports.values()) as base:
        yield Postfix(base, ports)


@contextlib.asynccontextmanager
async def started(
    main: str, master: str, *, files: Mapping[str, bytes], ports: Iterable[int]
) -> AsyncIterator[Path]:
    """Run Postfix under this configuration until the end; return its directory.

    `{base}` in the configuration stands for the directory, `{uid}` and `{gid}` for Postfix's own
    user and group. Every one of `ports` greets when it has started.
    """
    base = Path(tempfile.mkdtemp(prefix="relaylab-postfix-"))
    owner = pwd.getpwnam("postfix")
    process = None
    try:
        base.chmod(0o755)
        for name in ("conf", "queue", "data", "mail"):
            (base / name).mkdir()
        for name in ("data", "mail"):
            os.chown(base / name, owner.pw_uid, owner.pw_gid)
        for name, content in files.items():
            (base / name).write_bytes(content)
        for name, text in (("main.cf", main), ("master.cf", master)):
            filled = text.format(base=base, uid=owner.pw_uid, gid=owner.pw_gid)
            (base / "conf" / name).write_text(filled)
        process = await asyncio.create_subprocess_exec(
            "/usr/sbin/postfix", "-c", str(base / "conf"), "start-fg",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        name = re.search(r"^myhostname = (\S+)$", main, re.MULTILINE)
        assert name is not None
        for port in ports:
            await greeting(port, name[1])
        yield base
    finally:
        if process is not None:
            # The command's own process is only the parent of the daemon that it leaves behind.
            with contextlib.suppress(OSError, ValueError):
                os.kill(int((base / "queue/pid/master.pid").read_text()), signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), 30)
            except TimeoutError:
                process.kill()
                await process.wait()
                raise
        shutil.rmtree(base, ignore_errors=True)


async def greeting(port: int, host: str) -> None:
    """Wait until the host greets on this port; fail where another one does."""
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                line = await reader.readline()
                writer.write(b"QUIT\r\n")
                writer.close()
                await writer.wait_closed()
                if line.startswith(b"220"):
                    assert line.split()[1] == host.encode(), (port, line)
                    return
            await asyncio.sleep(0.05)
