"""A real Exim that sends each domain at its level of TLS to its port of this machine."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from judge_programs import Ended, run

CONFIG = """
exim_path = {program}
spool_directory = {base}/spool
log_file_path = {base}/log/%s
primary_hostname = client.test
keep_environment = LD_PRELOAD : NSS_WRAPPER_HOSTS
host_lookup =
deliver_drop_privilege = true

begin routers
by_level:
  driver = manualroute
  route_data = ${{extract{{2}}{{ }}{{${{lookup{{$domain}}lsearch{{{base}/routes}}}}}}}} byname
  transport = ${{extract{{1}}{{ }}{{${{lookup{{$domain}}lsearch{{{base}/routes}}}}}}}}
  self = send

begin transports
may:
  driver = smtp
  command_timeout = 2s
  tls_verify_certificates = {base}/ca.pem
req:
  driver = smtp
  command_timeout = 2s
  tls_verify_certificates = {base}/ca.pem
  hosts_require_tls = *
req12:
  driver = smtp
  command_timeout = 2s
  tls_verify_certificates = {base}/ca.pem
  tls_require_ciphers = NORMAL:-VERS-TLS1.0:-VERS-TLS1.1
  hosts_require_tls = *
ver:
  driver = smtp
  command_timeout = 2s
  tls_verify_certificates = {base}/ca.pem
  hosts_require_tls = *
  tls_verify_hosts = *
  tls_verify_cert_hostnames = *

begin retry
* * F,1h,10m
"""


@dataclass(frozen=True, slots=True)
class EximClient:
    """An Exim that can be told to send."""

    base: Path
    program: Path

    @property
    def log(self) -> str:
        return (self.base / "log/main").read_text()

    async def send(self, to: str, message: bytes, *, sender: str = "sender@example.test") -> Ended:
        """Send a message; return when the first try of it has ended."""
        return await self._run(
            "-odf", "-i", "-f", sender, to, stdin=message.replace(b"\r\n", b"\n")
        )

    async def try_again(self, recipient: str) -> Ended:
        """Try once more, at once, whatever is still queued for a recipient."""
        return await self._run("-Rff", recipient)

    async def _run(self, *words: str, stdin: bytes = b"") -> Ended:
        environment = {
            **os.environ,
            # Lets Exim find the receivers' host, which no DNS has.
            "LD_PRELOAD": str(_nss_wrapper()),
            "NSS_WRAPPER_HOSTS": str(self.base / "hosts"),
        }
        return await run(
            str(self.program), "-C", str(self.base / "exim.conf"), *words,
            stdin=stdin, environment=environment,
        )  # fmt: skip


@contextlib.contextmanager
def exim_by_level(
    program: Path, routes: Mapping[str, tuple[str, int]], *, host: str, ca: bytes
) -> Iterator[EximClient]:
    """Lay out an Exim that takes `host` for 127.0.0.1 and verifies for that name by `ca`."""
    hosts = {domain: (level, host, port) for domain, (level, port) in routes.items()}
    with exim_by_host(program, hosts, ca=ca) as exim:
        yield exim


@contextlib.contextmanager
def exim_by_host(
    program: Path, routes: Mapping[str, tuple[str, str, int]], *, ca: bytes
) -> Iterator[EximClient]:
    """Lay out an Exim that sends each domain, at a level, to a host and port of 127.0.0.1."""
    base = Path(tempfile.mkdtemp(prefix="relaylab-exim-"))
    owner = pwd.getpwnam("Debian-exim")
    try:
        base.chmod(0o755)
        for name in ("spool", "log"):
            (base / name).mkdir()
            os.chown(base / name, owner.pw_uid, owner.pw_gid)
        hosts = {host for _, host, _ in routes.values()}
        (base / "hosts").write_text("".join(f"127.0.0.1 {host}\n" for host in sorted(hosts)))
        (base / "ca.pem").write_bytes(ca)
        (base / "routes").write_text(
            "".join(f"{d}: {lvl} {host}::{port}\n" for d, (lvl, host, port) in routes.items())
        )
        (base / "exim.conf").write_text(CONFIG.format(program=program, base=base))
        yield EximClient(base, program)
    finally:
        shutil.rmtree(base, ignore_errors=True)


def _nss_wrapper() -> Path:
    found = sorted(Path("/usr/lib").glob("*/libnss_wrapper.so"))
    if not found:
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up("Exim can't be told where the receivers are: libnss-wrapper is not installed")
    return found[0]
