"""A next hop with STARTTLS in threads of its own, so that nothing of it runs in a relay's loop."""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO


@dataclass
class TlsHost:
    """Counts connections, handshakes, messages, and messages that came without TLS."""

    context: ssl.SSLContext
    connections: int = 0
    handshakes: int = 0
    messages: int = 0
    in_clear: int = 0
    port: int = 0
    _count: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def running(self) -> Iterator[TlsHost]:
        host = self

        class Session(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                try:
                    host.converse(self.request)
                except OSError:
                    return  # the relay has gone

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            request_queue_size = 100

        with Server(("127.0.0.1", 0), Session) as server:
            self.port = server.server_address[1]
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()

    def add(self, name: str) -> None:
        with self._count:
            setattr(self, name, getattr(self, name) + 1)

    def converse(self, connection: socket.socket) -> None:
        """Talk in clear text, and from STARTTLS on under TLS."""
        self.add("connections")
        connection.sendall(b"220 host.test ESMTP\r\n")
        with connection.makefile("rb") as read:
            if not self._talk(connection, read):
                return
        with self.context.wrap_socket(connection, server_side=True) as secure:
            self.add("handshakes")
            with secure.makefile("rb") as read:
                self._talk(secure, read)

    def _talk(self, connection: socket.socket, read: BinaryIO) -> bool:
        """Answer until the peer leaves, or begins TLS: then it is True."""
        secure = isinstance(connection, ssl.SSLSocket)
        while line := read.readline():
            match line[:4].upper():
                case b"EHLO":
                    offer = b"" if secure else b"250-STARTTLS\r\n"
                    connection.sendall(b"250-host.test\r\n" + offer + b"250 PIPELINING\r\n")
                case b"STAR":
                    connection.sendall(b"220 2.0.0 Go ahead\r\n")
                    return True
                case b"DATA":
                    connection.sendall(b"354 Go on\r\n")
                    while read.readline() != b".\r\n":
                        pass
                    self.add("messages")
                    if not secure:
                        self.add("in_clear")
                    connection.sendall(b"250 2.0.0 Taken\r\n")
                case b"QUIT":
                    connection.sendall(b"221 2.0.0 Bye\r\n")
                    break
                case _:
                    connection.sendall(b"250 2.0.0 Ok\r\n")
        return False
