"""The journal's disk is full: mail is refused for now, nothing taken is lost or sent again."""

from __future__ import annotations

import contextlib
import smtplib
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from e2e_command import relay
from reliability_host import Host, without_received
from reliability_serve import output_of, smtp_port, spawned

from relay.journal.api import RecipientState
from relay.journal.sqlite_reader import open_reader

pytestmark = [pytest.mark.judge("mount", root=True), pytest.mark.timeout(120)]
KEPT_BACK = "what happened is written down later"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of three megabytes; it is the relay's state directory."""
    path = tmp_path / "state"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "none", path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if mounted.returncode != 0:
        pytest.fail(
            "a tmpfs can't be mounted here "
            f"(in a container: --cap-add SYS_ADMIN): {mounted.stderr.strip()}",
            pytrace=False,
        )
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


def fill(disk: Path) -> Path:
    """Write a file until nothing more fits; return it."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    return filler


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for what another process does; the test's own time-out ends it."""
    while not condition():
        threading.Event().wait(0.05)


def write_policy(tmp_path: Path, host: Host, reply: str) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(
        f"tls: Off\nreply: {reply}\nroutes: [{{match: to.test, to: '127.0.0.1:{host.port}'}}]\n"
    )
    return path


def send(port: int, mark: str, size: int = 20_000) -> tuple[int, bytes]:
    content = f"Subject: {mark}\r\n\r\n".encode()
    content += b"".join(b"line of the body\r\n" for _ in range(size // 18))
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as smtp:
        smtp.ehlo("client.test")
        smtp.mail("sender@to.test")
        smtp.rcpt("a@to.test")
        return smtp.data(content)


def states(disk: Path) -> list[RecipientState]:
    reader = open_reader(disk / "journal.sqlite3")
    found = [status.state for message in reader.messages(99) for status in message.recipients]
    reader.close()
    return found


def marks(host: Host) -> list[bytes]:
    return [without_received(taken.content).splitlines()[0] for taken in host.taken]


@pytest.mark.parametrize("reply", ["queued", "inline"])
def test_a_client_is_asked_to_come_again(tmp_path: Path, disk: Path, reply: str) -> None:
    with Host() as host, spawned(disk, write_policy(tmp_path, host, reply)) as process:
        port = smtp_port(disk)
        assert send(port, "before")[0] == 250
        eventually(lambda: states(disk) == [RecipientState.DELIVERED])
        filler = fill(disk)
        for number in range(3):
            told = send(port, f"full-{number}")
            assert told == (452, b"4.3.1 the journal can not be written, try again later")
        assert process.poll() is None
        filler.unlink()
        assert send(port, "after")[0] == 250
        eventually(lambda: states(disk) == [RecipientState.DELIVERED] * 2)
    assert marks(host) == [b"Subject: before", b"Subject: after"]


def test_queued_mail_is_delivered_once_and_recorded_when_there_is_room(
    tmp_path: Path, disk: Path
) -> None:
    """The disk fills between the 250 and the delivery: the record waits, the mail does not."""
    with Host() as host, spawned(disk, write_policy(tmp_path, host, "queued")):
        port = smtp_port(disk)
        host.gate.clear()
        assert send(port, "queued")[0] == 250
        assert host.connected.wait(20)
        filler = fill(disk)
        host.gate.set()
        # Twice: the record was tried again, and the message was not.
        eventually(lambda: output_of(disk).read_text().count(KEPT_BACK) >= 2)
        assert states(disk) == [RecipientState.QUEUED]
        assert marks(host) == [b"Subject: queued"]
        filler.unlink()
        eventually(lambda: states(disk) == [RecipientState.DELIVERED])
    assert marks(host) == [b"Subject: queued"]


def test_an_inline_client_is_told_what_became_of_its_mail(tmp_path: Path, disk: Path) -> None:
    """The disk fills while the client waits: it is delivered, and that is what the client hears."""
    with Host() as host, spawned(disk, write_policy(tmp_path, host, "inline")):
        port = smtp_port(disk)
        host.gate.clear()
        told: list[tuple[int, bytes]] = []
        client = threading.Thread(target=lambda: told.append(send(port, "inline")))
        client.start()
        assert host.connected.wait(20)
        filler = fill(disk)
        host.gate.set()
        client.join()
        assert told[0][0] == 250
        assert states(disk) == [RecipientState.INLINE]
        filler.unlink()
        eventually(lambda: states(disk) == [RecipientState.DELIVERED])
    assert marks(host) == [b"Subject: inline"]


@pytest.mark.parametrize("web", ["true", "false"])
def test_readyz_knows_that_the_disk_is_full(tmp_path: Path, disk: Path, web: str) -> None:
    """With a management port the relay tells it, without one the disk itself."""
    also = {"RELAY_WEB": web, "RELAY_WEB_PORT": "0"}
    with Host() as host, spawned(disk, write_policy(tmp_path, host, "queued"), also=also):
        assert send(smtp_port(disk), "before")[0] == 250
        assert relay(disk, "readyz").stdout == "ready\n"
        filler = fill(disk)
        full = relay(disk, "readyz")
        assert full.returncode == 1
        assert full.stderr.startswith("relay: not ready: the journal can't be written")
        filler.unlink()
        assert relay(disk, "readyz").stdout == "ready\n"


def test_a_relay_does_not_start_on_a_full_disk_and_says_why(tmp_path: Path, disk: Path) -> None:
    fill(disk)
    with Host() as host, spawned(disk, write_policy(tmp_path, host, "queued")) as process:
        assert process.wait(60) == 3
    said = output_of(disk).read_text()
    assert "Traceback" not in said
    assert str(disk) in said
