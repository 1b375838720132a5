"""A real Exim on loopback, with a configuration, spool and mailbox of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from e2e_ports import free_port
from e2e_postfix import greeting

CONFIG = """
exim_path = {program}
spool_directory = {base}/spool
log_file_path = {base}/log/%s
pid_file_path = {base}/exim.pid
primary_hostname = mx.partner.test
local_interfaces = 127.0.0.1
daemon_smtp_ports = {ports}
domainlist local_domains = partner.test
host_lookup =
rfc1413_query_timeout = 0s
recipient_unqualified_hosts =
keep_environment =
deliver_drop_privilege = true
tls_advertise_hosts = {advertise}
tls_certificate = {certificate}
log_selector = +tls_cipher +smtp_no_mail +incoming_port +incoming_interface
acl_smtp_rcpt = check_rcpt
acl_smtp_data = accept

begin acl
check_rcpt:
  accept domains = +local_domains
  deny message = relay not permitted

begin routers
inbox:
  driver = accept
  domains = +local_domains
  transport = maildir

begin transports
maildir:
  driver = appendfile
  directory = {base}/mail
  maildir_format
  create_directory
  envelope_to_add
  return_path_add
"""


@dataclass(frozen=True, slots=True)
class Exim:
    """A running Exim: one port for each certificate that it was given."""

    base: Path
    ports: Mapping[str, int]

    @property
    def log(self) -> list[str]:
        file = self.base / "log/main"
        return file.read_text().splitlines() if file.exists() else []

    def stored(self) -> list[bytes]:
        return [file.read_bytes() for file in (self.base / "mail/new").glob("*")]

    def without_mail(self, name: str) -> list[set[str]]:
        """Return the commands of every session at this port in which Exim saw no MAIL."""
        at_port = f"I=[127.0.0.1]:{self.ports[name]} "
        return [
            set(line.rpartition(" C=")[2].split(","))
            for line in self.log
            if "no MAIL in SMTP connection" in line and at_port in line
        ]

    async def until(self, *words: str) -> str:
        """Wait until one line of the log has all the words; return that line."""
        async with asyncio.timeout(30):
            while True:
                for line in self.log:
                    if all(word in line for word in words):
                        return line
                await asyncio.sleep(0.02)

    async def until_without_mail(self, name: str, count: int) -> list[set[str]]:
        """Wait for this many sessions without MAIL at this port; return their commands."""
        async with asyncio.timeout(30):
            while len(self.without_mail(name)) < count:
                await asyncio.sleep(0.02)
        return self.without_mail(name)


def _by_port(values: Mapping[int, str]) -> str:
    """Return an expansion that has a value of its own for each port that Exim listens on."""
    text = ""
    for port, value in values.items():
        text = f"${{if eq{{$received_port}}{{{port}}}{{{value}}}{{{text}}}}}"
    return text


@contextlib.asynccontextmanager
async def exim(program: Path, certificates: Mapping[str, bytes | None]) -> AsyncIterator[Exim]:
    """Start Exim with a port for each entry: key and chain as PEM, or None for no TLS."""
    base = Path(tempfile.mkdtemp(prefix="relaylab-exim-"))
    owner = pwd.getpwnam("Debian-exim")
    ports = {name: free_port() for name in certificates}
    process = None
    try:
        base.chmod(0o755)
        for name in ("spool", "log", "mail"):
            (base / name).mkdir()
            os.chown(base / name, owner.pw_uid, owner.pw_gid)
        for name, pem in certificates.items():
            if pem is not None:
                (base / f"{name}.pem").write_bytes(pem)
        config = base / "exim.conf"
        config.write_text(
            CONFIG.format(
                program=program,
                base=base,
                ports=":".join(str(port) for port in ports.values()),
                advertise=_by_port({ports[n]: "*" for n, pem in certificates.items() if pem}),
                certificate=_by_port(
                    {ports[n]: f"{base}/{n}.pem" for n, pem in certificates.items() if pem}
                ),
            )
        )
        process = await asyncio.create_subprocess_exec(
            str(program), "-C", str(config), "-bdf",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        for port in ports.values():
            await greeting(port, "mx.partner.test")
        yield Exim(base, ports)
    finally:
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
        shutil.rmtree(base, ignore_errors=True)
