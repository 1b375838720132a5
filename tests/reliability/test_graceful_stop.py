"""SIGTERM: what is in hand ends, or is queued for the next start; within seconds, with code 0."""

from __future__ import annotations

import signal
import smtplib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e_command import ServingProcess, serving
from reliability_host import Host, without_received

from relay.journal.api import RecipientState
from relay.journal.sqlite_reader import open_reader

CONTENT = b"Subject: in hand\r\n\r\nbody\r\n"


def write_policy(tmp_path: Path, host: Host, reply: str) -> str:
    """Make a policy that waits for a host for a minute, far longer than a stop takes."""
    path = tmp_path / "policy.yaml"
    retry = "retry: {attempts: 9, first_delay: 1s, factor: 1, expire_after: 1h}\n"
    path.write_text(
        "tls: Off\nconnect_timeout: 60s\ncommand_timeout: 60s\nreply_within: 60s\n"
        f"reply: {reply}\n{retry if reply == 'queued' else ''}"
        f"routes: [{{match: slow.test, to: '127.0.0.1:{host.port}'}}]\n"
    )
    return str(path)


@contextmanager
def in_data(port: int, to: str = "a@slow.test") -> Iterator[socket.socket]:
    """Be a client that has sent DATA and read 354."""
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as smtp:
        smtp.ehlo("client.test")
        smtp.mail("sender@slow.test")
        smtp.rcpt(to)
        assert smtp.docmd("DATA")[0] == 354
        assert smtp.sock is not None
        with smtp.sock.dup() as connection:
            smtp.close()
            connection.settimeout(30)
            yield connection


def hears(connection: socket.socket) -> bytes:
    """Return everything that is said until the connection is closed."""
    heard = b""
    while octets := connection.recv(4096):
        heard += octets
    return heard


def begin_to_stop(server: ServingProcess) -> None:
    """Return when the relay has said that it stops."""
    server.process.send_signal(signal.SIGTERM)
    assert server.process.stderr is not None
    assert server.process.stderr.readline().startswith("Stopping:")


def send_queued(server: ServingProcess) -> None:
    with smtplib.SMTP("127.0.0.1", server.port(), timeout=30) as smtp:
        smtp.sendmail("sender@slow.test", ["a@slow.test"], CONTENT)


def states(tmp_path: Path) -> list[RecipientState]:
    reader = open_reader(tmp_path / "journal.sqlite3")
    found = [status.state for message in reader.messages(99) for status in message.recipients]
    reader.close()
    return found


def test_an_attempt_in_flight_is_finished(tmp_path: Path) -> None:
    with Host() as host:
        host.gate.clear()
        policy = write_policy(tmp_path, host, "queued")
        with serving(tmp_path, "--policy", policy) as server:
            send_queued(server)
            assert host.connected.wait(20)
            begin_to_stop(server)
            host.gate.set()
            assert server.process.wait(20) == 0
        assert [without_received(taken.content) for taken in host.taken] == [CONTENT]
    assert states(tmp_path) == [RecipientState.DELIVERED]


def test_an_attempt_at_a_host_that_stalls_is_queued_for_the_next_start(tmp_path: Path) -> None:
    with Host() as host:
        host.gate.clear()
        policy = write_policy(tmp_path, host, "queued")
        with serving(tmp_path, "--policy", policy) as server:
            send_queued(server)
            assert host.connected.wait(20)
            begin_to_stop(server)
            # The host would be waited for a minute; docker gives ten seconds before it kills.
            assert server.process.wait(10) == 0
        assert states(tmp_path) == [RecipientState.QUEUED]
        assert host.taken == []
        host.gate.set()
        with serving(tmp_path, "--policy", policy) as server:
            assert host.wait_for(lambda: bool(host.taken))
            server.stop()
        assert [without_received(taken.content) for taken in host.taken] == [CONTENT]
    assert states(tmp_path) == [RecipientState.DELIVERED]


def test_a_client_in_the_middle_of_its_message_gets_its_answer(tmp_path: Path) -> None:
    with Host() as host:
        policy = write_policy(tmp_path, host, "queued")
        with serving(tmp_path, "--policy", policy) as server, in_data(server.port()) as client:
            client.sendall(CONTENT[:9])
            begin_to_stop(server)
            client.sendall(CONTENT[9:] + b".\r\n")
            answer = hears(client)
            assert server.process.wait(20) == 0
        assert answer.startswith(b"250 2.0.0 Ok: queued as ")
        assert answer.endswith(b"\r\n421 4.3.2 Service is closing\r\n")
        # It is tried where the relay, which had only begun, takes a moment longer to stop.
        assert states(tmp_path) in ([RecipientState.QUEUED], [RecipientState.DELIVERED])
        with serving(tmp_path, "--policy", policy) as server:
            assert host.wait_for(lambda: bool(host.taken))
            server.stop()
        assert [without_received(taken.content) for taken in host.taken] == [CONTENT]
    assert states(tmp_path) == [RecipientState.DELIVERED]


def test_a_client_that_never_ends_its_message_is_told_421(tmp_path: Path) -> None:
    with Host() as host:
        policy = write_policy(tmp_path, host, "queued")
        with serving(tmp_path, "--policy", policy) as server, in_data(server.port()) as client:
            client.sendall(CONTENT)
            begin_to_stop(server)
            assert hears(client) == b"421 4.3.2 Service is closing\r\n"
            assert server.process.wait(10) == 0
    assert states(tmp_path) == []


def test_a_client_that_waits_for_a_slow_host_is_told_421(tmp_path: Path) -> None:
    """It still has the message, and so the next start does not take it up again."""
    with Host() as host:
        host.gate.clear()
        policy = write_policy(tmp_path, host, "inline")
        with serving(tmp_path, "--policy", policy) as server, in_data(server.port()) as client:
            client.sendall(CONTENT + b".\r\n")
            assert host.connected.wait(20)
            begin_to_stop(server)
            assert hears(client) == b"421 4.3.2 Service is closing\r\n"
            assert server.process.wait(10) == 0
        host.gate.set()
        with serving(tmp_path, "--policy", policy) as server:
            server.stop()
        assert host.taken == []
    assert states(tmp_path) == [RecipientState.ABANDONED]


def test_an_idle_client_is_told_421_at_once(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        with socket.create_connection(("127.0.0.1", server.port()), timeout=30) as client:
            assert client.recv(4096).startswith(b"220 ")
            begin_to_stop(server)
            assert hears(client) == b"421 4.3.2 Service is closing\r\n"
        assert server.process.wait(10) == 0
