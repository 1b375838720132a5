"""Sessions of receivers, written down line by line, and what a proof says of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from relay.audit.proof import Reported, ScenarioProof, Told, judge_scenario
from relay.audit.prove import promises_of
from relay.audit.shown import Marked, mark_of
from relay.audit.tries import Origins
from relay.core.settings import TlsSetting
from relay.core.transcripts import Direction, TranscriptLog
from relay.lab.received import ReceivedMessage, ReceivedSession

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
MARK, OTHER = mark_of(1, 1), mark_of(1, 2)
FINAL = Reported(by=Told.REPLY, text="451 4.7.5 no", final=True)
LATER = AT + timedelta(days=1)
LOCAL = Origins(addresses=frozenset({"127.0.0.1"}), domains=frozenset())
TAKEN = Reported(by=Told.REPLY, text="250 ok", final=False)


def session(
    *lines: str, receiver: str = "expired", clear: int = 0, content: bytes | None = None
) -> ReceivedSession:
    """Return a session; a line that begins with ~ came under TLS."""
    log = TranscriptLog(lambda: AT)
    log.reply(Direction.SENT, 220, "ready", encrypted=False)
    commands = []
    for line in lines:
        if line.startswith("note "):
            log.note(line.removeprefix("note "))
            continue
        text = line.removeprefix("~")
        log.command(Direction.RECEIVED, text, encrypted=line.startswith("~"))
        log.reply(Direction.SENT, 250, "ok", encrypted=line.startswith("~"))
        commands.append(text.partition(" ")[0])
    encrypted = any(line.startswith("~") for line in lines)
    recipients = tuple(
        line.partition("<")[2].removesuffix(">") for line in lines if "RCPT TO" in line
    )
    message = ReceivedMessage(
        reverse_path="x@example.test",
        recipients=recipients,
        content=content or b"",
        encrypted=encrypted,
        at=AT,
    )
    return ReceivedSession(
        id="s1", receiver=receiver, peer="127.0.0.1:1", started_at=AT, ended_at=AT,
        transcript=log.lines, tls_version="TLSv1.3" if encrypted else None, cipher=None,
        handshake_error=None, auth_seen="AUTH" in commands, commands=tuple(commands),
        octets_received=len(lines) * 10, data_octets=len(content or b""),
        plaintext_discarded=clear, messages=(message,) if content is not None else (),
        messages_forgotten=0,
    )  # fmt: skip


def envelope(mark: str = MARK, prefix: str = "") -> list[str]:
    return [
        f"{prefix}MAIL FROM:<{mark}@good.lab.test>",
        f"{prefix}RCPT TO:<{mark}@x.lab.test>",
        f"{prefix}DATA",
        "note 9 octets of message data received",
    ]


NOTHING = session("EHLO a", "STARTTLS")


def tries(*sessions: ReceivedSession, apart: float = 60.0) -> list[ReceivedSession]:
    """Return the sessions so many seconds apart."""
    return [
        replace(one, started_at=(at := AT + timedelta(seconds=apart * number)), ended_at=at)
        for number, one in enumerate(sessions)
    ]


def judged(
    *sessions: ReceivedSession,
    scenario: str = "expired",
    claim: TlsSetting = TlsSetting.REQUIRED_VERIFY,
    reported: Reported | None = FINAL,
    known_good: bool = True,
    whole: tuple[str, ...] = (),
    until: datetime = LATER,
    origins: Origins = LOCAL,
) -> ScenarioProof:
    return judge_scenario(
        Marked(scenario=scenario, mark=MARK, recipient=f"{MARK}@x.lab.test", whole=whole),
        promises_of(claim),
        sessions,
        origins=origins,
        until=until,
        reported=reported,
        known_good=known_good,
    )
