"""A 250 is a promise: the relay is killed at random moments, and nothing it took is lost.

The client keeps its own list of what was answered with 250, and the next hop its own of what it
took; the relay is asked for neither. What kill -9 can't show is whether the disk had the message:
see test_durability_trace.py.
"""

from __future__ import annotations

import os
import random
import smtplib
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from itertools import count
from pathlib import Path

import pytest
from flufl.bounce import all_failures
from reliability_host import Host, Taken, without_received
from reliability_serve import smtp_port, spawned

from relay.core.outcomes import Delivered
from relay.journal.api import RecipientState
from relay.journal.sqlite_reader import open_reader

ROUNDS = 50 if os.environ.get("CI") else 5
CLIENTS = 3
MESSAGES_OF_A_CLIENT = 8
LATEST_KILL = 0.7
"""Seconds after the clients begin."""
IN_START_UP = 0.15
"""How often the relay is killed while it starts, before anybody could send."""
SENDER = "sender@origin.test"


@dataclass(frozen=True)
class Sent:
    """A message as the client knows it."""

    mark: str
    recipients: tuple[str, ...]
    content: bytes


@dataclass
class Client:
    """What the client has sent: all of it, and what was answered with 250."""

    numbers: count[int] = field(default_factory=count)
    sent: dict[str, Sent] = field(default_factory=dict)
    promised: dict[str, Sent] = field(default_factory=dict)

    def send_until_cut_off(self, port: int, chance: random.Random) -> None:
        try:
            with smtplib.SMTP("127.0.0.1", port, timeout=20) as smtp:
                smtp.ehlo("client.test")
                for _ in range(MESSAGES_OF_A_CLIENT):
                    self._send(smtp, make_message(next(self.numbers), chance))
        except (OSError, smtplib.SMTPException):
            return  # the relay was killed

    def _send(self, smtp: smtplib.SMTP, message: Sent) -> None:
        self.sent[message.mark] = message
        smtp.mail(SENDER, ["BODY=8BITMIME"])
        for recipient in message.recipients:
            smtp.rcpt(recipient)
        code, text = smtp.data(message.content)
        assert (code, text[:6]) == (250, b"2.0.0 "), text
        self.promised[message.mark] = message


def make_message(number: int, chance: random.Random) -> Sent:
    mark = f"m{number}x"
    to = chance.choice(
        [
            (f"{mark}@good.test",),
            (f"{mark}@later.test",),
            (f"{mark}@refused.test",),
            (f"{mark}@good.test", f"{mark}@later.test", f"{mark}@refused.test"),
        ]
    )
    body = b"".join(
        chance.choice([b".", b"..leading", "\u00e9\u4e2d".encode(), b"", b"x" * 900]) + b"\r\n"
        for _ in range(chance.choice([3, 30, 150, 600]))
    )
    head = f"From: {SENDER}\r\nSubject: {mark}\r\nMessage-ID: <{mark}@client.test>\r\n\r\n"
    return Sent(mark=mark, recipients=to, content=head.encode() + body)


class Receivers:
    """One host for every domain: takes, refuses, or takes at the second time of asking."""

    def __init__(self) -> None:
        self._asked: set[str] = set()

    def answer(self, recipient: str) -> bytes:
        if recipient.endswith("@refused.test"):
            return b"550 5.1.1 No such user\r\n"
        if recipient.endswith("@later.test") and recipient not in self._asked:
            self._asked.add(recipient)
            return b"450 4.2.1 Later\r\n"
        return b"250 2.1.5 Recipient ok\r\n"


def policy_of(host: Host) -> str:
    """The policy of this life: every other one keeps sessions for more than one message."""
    routes = "".join(
        f"  - {{match: {name}.test, to: '127.0.0.1:{host.port}'}}\n"
        for name in ("good", "later", "refused", "origin")
    )
    return (
        "tls: Off\nreply: queued\n"
        "retry: {attempts: 60, first_delay: 1s, factor: 1, expire_after: 24h}\n"
        f"routes:\n{routes}reuse: {'on' if host.life % 2 else 'off'}\n"
    )


def one_life(state: Path, policy: Path, client: Client, chance: random.Random) -> None:
    """Start a relay, send to it, and kill it at a random moment."""
    with spawned(state, policy) as process:
        if chance.random() < IN_START_UP:
            threading.Event().wait(chance.uniform(0, 2))
            return
        port = smtp_port(state)
        threads = [
            threading.Thread(
                target=client.send_until_cut_off, args=(port, random.Random(chance.random()))
            )
            for _ in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        threading.Event().wait(chance.uniform(0, LATEST_KILL))
        process.kill()
        for thread in threads:
            thread.join()


def drain(state: Path, policy: Path, host: Host) -> None:
    """Let a last relay work until nothing is queued."""
    with spawned(state, policy):
        smtp_port(state)
        reader = open_reader(state / "journal.sqlite3")

        def drained() -> bool:
            return reader.counts().recipients[RecipientState.QUEUED] == 0

        while not drained():
            host.wait_for(drained, 0.2)
        reader.close()


@pytest.mark.timeout(900)
def test_nothing_that_was_answered_with_250_is_lost(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    chance, client = random.Random(seed), Client()
    state, policy = tmp_path / "state", tmp_path / "policy.yaml"
    with Host(answer=Receivers().answer) as host:
        for host.life in range(ROUNDS):
            policy.write_text(policy_of(host))
            one_life(state, policy, client, chance)
        host.life = ROUNDS
        drain(state, policy, host)
        taken = list(host.taken)
    repeated = check_promises(client, taken)
    check_records(state, client)
    told = (
        f"{ROUNDS} rounds, {len(client.sent)} messages begun, {len(client.promised)} answered "
        f"with 250, 0 lost, {repeated} delivered again"
    )
    record_property("kill-9", told)
    print(told)  # noqa: T201 - shown by -rP
    assert len(client.promised) >= ROUNDS


def check_promises(client: Client, taken: list[Taken]) -> int:
    """Compare the client's list with the host's; return how many deliveries were repetitions."""
    lives = defaultdict[tuple[str, str], list[int]](list)
    for message in taken:
        if message.reverse_path == SENDER:
            content = without_received(message.content)
            mark = message_from_bytes(content)["Subject"]
            assert content == client.sent[mark].content
            for recipient in message.recipients:
                lives[mark, recipient].append(message.life)
        else:
            assert (message.reverse_path, message.recipients) == ("", (SENDER,))
            for recipient in all_failures(_parsed(message))[1]:
                address = recipient.decode()
                lives[address.partition("@")[0], address].append(message.life)
    for mark, sent in client.promised.items():
        for recipient in sent.recipients:
            assert lives[mark, recipient], f"{mark} to {recipient} is lost"
    # The window of RFC 5321 section 4.5.4.1: the host took it, and the relay was killed before it
    # could write that down. One life of the relay never delivers twice.
    for where, found in lives.items():
        assert len(set(found)) == len(found), (where, found)
    return sum(len(found) - 1 for found in lives.values() if found)


def _parsed(message: Taken) -> Message:
    return message_from_bytes(message.content)


def check_records(state: Path, client: Client) -> None:
    """The journal never delivered again what it knew to be delivered, and left nobody waiting."""
    reader = open_reader(state / "journal.sqlite3")
    kept = reader.messages(1_000_000)
    known = {message.envelope.subject for message in kept}
    assert set(client.promised) <= known <= {*client.sent, *_notifications(known)}
    for message in kept:
        for status in message.recipients:
            refused = status.recipient.endswith("@refused.test")
            wanted = RecipientState.FAILED if refused else RecipientState.DELIVERED
            assert status.state is wanted, (message.envelope.id, status)
            delivered = [
                entry
                for attempt in reader.attempts_of(message.envelope.id, status.recipient)
                for entry in attempt.outcomes
                if entry.recipient == status.recipient and isinstance(entry.outcome, Delivered)
            ]
            assert len(delivered) == (0 if refused else 1)
    reader.close()


def _notifications(subjects: set[str | None]) -> set[str | None]:
    return {subject for subject in subjects if subject and not subject.startswith("m")}
