"""A next hop in threads of the test's own process: it outlives the relay, and keeps every octet."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A message that the host took, in a session that began in this `life`."""

    reverse_path: str
    recipients: tuple[str, ...]
    content: bytes
    life: int


def take_everybody(_recipient: str) -> bytes:
    return b"250 2.1.5 Recipient ok\r\n"


@dataclass
class Host:
    """Takes mail in clear text; `answer` is what it says to a RCPT.

    `gate` holds back the greeting while it is clear. `connected` is set by the first connection.
    `life` may be set by whoever wants to tell one relay's sessions from the next one's.
    """

    answer: Callable[[str], bytes] = take_everybody
    gate: threading.Event = field(default_factory=threading.Event)
    connected: threading.Event = field(default_factory=threading.Event)
    life: int = 0

    def __post_init__(self) -> None:
        self.gate.set()
        self.taken: list[Taken] = []
        self.changed = threading.Condition()
        host = self

        class Session(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                host.connected.set()
                host.gate.wait()
                try:
                    host.converse(self)
                except OSError:
                    return  # the relay was killed

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            request_queue_size = 100

        self._server = Server(("127.0.0.1", 0), Session)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def port(self) -> int:
        port: int = self._server.server_address[1]
        return port

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait_for(self, condition: Callable[[], bool], seconds: float = 20) -> bool:
        with self.changed:
            return self.changed.wait_for(condition, seconds)

    def converse(self, session: socketserver.StreamRequestHandler) -> None:
        say, life = session.wfile.write, self.life
        say(b"220 host.test ESMTP\r\n")
        reverse_path, recipients = "", list[str]()
        while line := session.rfile.readline():
            words = line.decode().strip()
            match words[:4].upper():
                case "EHLO":
                    say(b"250-host.test\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 50000000\r\n")
                case "MAIL":
                    reverse_path, recipients = words[words.index("<") + 1 : words.index(">")], []
                    say(b"250 2.1.0 Sender ok\r\n")
                case "RCPT":
                    recipient = words[words.index("<") + 1 : words.index(">")]
                    reply = self.answer(recipient)
                    if reply.startswith(b"250"):
                        recipients.append(recipient)
                    say(reply)
                case "DATA":
                    say(b"354 Go on\r\n")
                    content = _content(session)
                    if content is None:
                        return
                    taken = Taken(
                        reverse_path=reverse_path,
                        recipients=tuple(recipients),
                        content=content,
                        life=life,
                    )
                    with self.changed:
                        self.taken.append(taken)
                        self.changed.notify_all()
                    say(b"250 2.0.0 Taken\r\n")
                case "QUIT":
                    say(b"221 2.0.0 Bye\r\n")
                    return
                case _:
                    say(b"250 2.0.0 Ok\r\n")


def _content(session: socketserver.StreamRequestHandler) -> bytes | None:
    """Return what came before the final dot, without dot-stuffing; None where it never came."""
    lines = []
    while (line := session.rfile.readline()) != b".\r\n":
        if not line.endswith(b"\r\n"):
            return None
        lines.append(line.removeprefix(b"."))
    return b"".join(lines)


def without_received(content: bytes) -> bytes:
    """Return a message without its first header field, which must be a Received."""
    assert content.startswith(b"Received: ")
    end = content.index(b"\r\n")
    while content[end + 2 : end + 3] in {b" ", b"\t"}:
        end = content.index(b"\r\n", end + 2)
    return content[end + 2 :]
