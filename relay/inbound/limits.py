"""What a client may use up, and the reply to one that asks for more."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundLimits:
    """The limits of every listener; octets and seconds unless said otherwise.

    The defaults are above the least that RFC 5321 section 4.5.3.1 asks a server to take.
    """

    message_size: int = 26_214_400
    """Announced in SIZE (RFC 1870); beyond it 552 5.3.4, at MAIL or at the end of data."""
    line_length: int = 65_536
    """One line of content with its CRLF; beyond it 500 5.6.0. RFC 5321 says 1000, mail has more."""
    command_line: int = 2048
    """One command with its CRLF; beyond it 500 5.5.2. AUTH may take 12288 (RFC 4954 section 4)."""
    hops: int = 100
    """`Received:` fields of one message (RFC 5321 section 6.3); beyond it 554 5.4.6."""
    recipients: int = 1000
    """Recipients of one message; beyond it 452 4.5.3."""
    sessions: int = 200
    """Sessions at one time, over all listeners; beyond it 421 4.3.2."""
    client_sessions: int = 100
    """Sessions at one time from one client address; beyond it 421 4.7.0."""
    buffered: int = 268_435_456
    """Content of all sessions that is not yet answered; beyond it 452 4.3.1."""
    bad_commands: int = 20
    """Commands of one session refused with 500 to 504; at this many 421 4.7.0."""
    commands_without_message: int = 100
    """Commands of one session since its last message, but for RCPT, DATA and QUIT, of which every
    message needs its own; beyond it 421 4.7.0."""
    failed_logins: int = 3
    """Failed AUTH of one session; at this many 421 4.7.0."""
    idle_seconds: float = 300.0
    """Waiting for one command (RFC 5321 section 4.5.3.2.7); beyond it 421 4.4.2."""
    data_seconds: float = 600.0
    """From 354 to the end of data; beyond it 421 4.4.2."""
    session_seconds: float = 3600.0
    """One session; beyond it 421 4.4.2 to its next command, never in the middle of a message."""
    handshake_seconds: float = 60.0
    """One TLS handshake; beyond it the connection is closed."""
