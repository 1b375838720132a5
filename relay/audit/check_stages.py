"""How long each stage of a session's opening took, read from its transcript."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, unique

from relay.core.evidence import HandshakeDone, NotTried
from relay.core.records import Session
from relay.core.settings import TlsMode
from relay.core.transcripts import Direction, Line


@unique
class CheckStage(Enum):
    """A stage, in the order of a session."""

    RESOLVE = "resolve"
    CONNECT = "connect"
    GREETING = "greeting"
    EHLO = "EHLO"
    STARTTLS = "STARTTLS"
    HANDSHAKE = "handshake"
    HANDSHAKE_AND_GREETING = "handshake and greeting"
    """With implicit TLS; the client's library tells of both at once."""
    EHLO_UNDER_TLS = "EHLO under TLS"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedStage:
    """One stage: `seconds` that it took, and whether it ended as it should."""

    stage: CheckStage
    seconds: float
    done: bool


def stages_of(session: Session) -> tuple[TimedStage, ...]:
    """Return the stages that a session went through; the last one may not be done."""
    return tuple(_stages(session))


def handshake_of(session: Session) -> TimedStage | None:
    """Return the stage that the TLS handshake was a part of; None where there was none."""
    for timed in _stages(session):
        if timed.stage is CheckStage.HANDSHAKE or timed.stage is CheckStage.HANDSHAKE_AND_GREETING:
            return timed
    return None


def _stages(session: Session) -> Iterator[TimedStage]:
    began = session.started_at
    if session.evidence is None:
        yield _timed(CheckStage.CONNECT, began, session.ended_at, done=False)
        return
    handshake = session.evidence.handshake
    waiting: CheckStage | None = CheckStage.CONNECT
    implicit = session.evidence.mode is TlsMode.IMPLICIT
    for line in session.transcript:
        match line.direction:
            case Direction.NOTE if waiting is CheckStage.CONNECT:
                yield _timed(waiting, began, line.at)
                began = line.at
                waiting = CheckStage.HANDSHAKE_AND_GREETING if implicit else CheckStage.GREETING
            case Direction.NOTE if waiting is CheckStage.HANDSHAKE and _tells_of_tls(line):
                yield _timed(waiting, began, line.at, done=isinstance(handshake, HandshakeDone))
                waiting = None
            case Direction.SENT:
                waiting, began = _sent(line), line.at
            case Direction.RECEIVED if waiting is not None and _ends(line):
                yield _timed(waiting, began, line.at, done=_positive(line))
                shaking = waiting is CheckStage.STARTTLS and not isinstance(handshake, NotTried)
                waiting, began = (CheckStage.HANDSHAKE if shaking else None), line.at
            case _:
                continue
    if waiting is not None:
        yield _timed(waiting, began, session.ended_at, done=False)


def _sent(line: Line) -> CheckStage | None:
    match line.text.split(" ")[0].upper():
        case "EHLO" | "HELO":
            return CheckStage.EHLO_UNDER_TLS if line.encrypted else CheckStage.EHLO
        case "STARTTLS":
            return CheckStage.STARTTLS
        case _:
            return None


def _tells_of_tls(line: Line) -> bool:
    return line.text.startswith("TLS handshake ")


def _ends(line: Line) -> bool:
    """Whether a line is the last of its reply (RFC 5321 section 4.2.1)."""
    return line.text[3:4] != "-"


def _positive(line: Line) -> bool:
    return line.text.startswith("2")


def _timed(stage: CheckStage, began: datetime, ended: datetime, *, done: bool = True) -> TimedStage:
    return TimedStage(stage=stage, seconds=round((ended - began).total_seconds(), 4), done=done)
