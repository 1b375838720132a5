"""The listeners: opened together or not at all, closed without losing what was accepted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique
from typing import assert_never

from relay.inbound.credentials import Credentials
from relay.inbound.incoming import Accept, Incoming, ListenerKind, SessionSink
from relay.inbound.limits import InboundLimits

__all__ = [
    "Accept",
    "Credentials",
    "Endpoint",
    "InboundLimits",
    "Incoming",
    "ListenError",
    "ListenProblem",
    "ListenerConfig",
    "ListenerKind",
    "SessionSink",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerConfig:
    """A listener to open; port 0 takes any free port. A host name stands for its first address."""

    kind: ListenerKind
    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A listener that accepts connections: `host` is numeric, `port` the real one."""

    kind: ListenerKind
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def tls_state(self) -> str:
        """How TLS and AUTH stand here, in a few words for people."""
        match self.kind:
            case ListenerKind.SMTP:
                return "clear, STARTTLS offered"
            case ListenerKind.SMTPS:
                return "TLS from the first octet"
            case ListenerKind.SUBMISSION:
                return "STARTTLS and AUTH required"
            case _:
                assert_never(self.kind)


@unique
class ListenProblem(Enum):
    """Why a listener can't be opened."""

    PORT_IN_USE = "port-in-use"
    NOT_PERMITTED = "not-permitted"
    NO_SUCH_ADDRESS = "no-such-address"
    ANY_CREDENTIALS = "any-credentials"
    OTHER = "other"


class ListenError(Exception):
    """A listener can't be opened; none was. The text is one clear sentence."""

    def __init__(
        self, *, kind: ListenerKind, host: str, port: int, reason: ListenProblem, detail: str = ""
    ) -> None:
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        super().__init__(f"cannot listen on {where} ({kind.value}): {_sentence(reason, detail)}")
        self.kind = kind
        self.host = host
        self.port = port
        self.reason = reason


def _sentence(reason: ListenProblem, detail: str) -> str:
    match reason:
        case ListenProblem.PORT_IN_USE:
            return "another program uses this port"
        case ListenProblem.NOT_PERMITTED:
            return "the system does not permit it; ports below 1024 often need privileges"
        case ListenProblem.NO_SUCH_ADDRESS:
            return "this machine has no such address"
        case ListenProblem.ANY_CREDENTIALS:
            return "any user and password are accepted, which only a loopback address may do"
        case ListenProblem.OTHER:
            return detail
        case _:
            assert_never(reason)
