"""A run: what is sent in which order, what ends the wait, which certificates are shown."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiosmtplib
import pytest
from prove_harness import SmallClient, proven, verdicts

from relay.audit.proof import Reported, ScenarioProof, Told, Verdict
from relay.audit.prove import Prover
from relay.audit.prove_sender import (
    Login,
    OutsideSender,
    RelaySender,
    marked_messages,
    message_for,
    reverse_path,
)
from relay.audit.shown import Marked, mark_of, marks_in
from relay.audit.tries import LINGER
from relay.core.settings import TlsSetting
from relay.lab.authority import LabAuthority
from relay.lab.lab import Lab
from relay.lab.recipes import shipped_recipes

BRIEF = timedelta(milliseconds=200)


@dataclass
class Remembers(SmallClient):
    """Notes whom it was to send to, and sends nothing."""

    asked: list[str] = field(default_factory=list)

    async def send(self, marked: Marked) -> Reported | None:
        self.asked.append(marked.scenario)
        return Reported(by=Told.REPLY, text="250 ok", final=False)


async def test_nothing_follows_a_known_good_message_that_does_not_arrive(lab: Lab) -> None:
    sender = Remembers(lab)
    found = await proven(lab, sender, "expired", "no-starttls", wait=BRIEF)
    assert sender.asked == ["good"]
    assert set(verdicts(found).values()) == {Verdict.INCONCLUSIVE}


async def test_where_nobody_connects_nothing_is_enforced(lab: Lab) -> None:
    found = await proven(lab, OutsideSender(), "expired", claim=TlsSetting.OFF, wait=BRIEF)
    assert set(verdicts(found).values()) == {Verdict.INCONCLUSIVE}


async def test_a_relay_that_is_not_there_is_inconclusive(lab: Lab, unused_port: int) -> None:
    """It is told at once: what was never handed over is not waited for."""
    hours = timedelta(hours=9)
    sender = RelaySender(host="127.0.0.1", port=unused_port, wait=hours)
    async with asyncio.timeout(30):
        found = await proven(lab, sender, "expired", wait=hours)
    record = found["good"]
    assert record.proof.verdict is Verdict.INCONCLUSIVE
    assert record.reported is not None
    assert not record.reported.final
    assert record.reported.text == (
        f"nothing takes a connection at 127.0.0.1:{unused_port} (Connection refused)"
    )


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_what_a_receiver_saw_before_is_no_try_of_this_message(lab: Lab) -> None:
    first = await proven(lab, SmallClient(lab), "expired")
    second = await proven(lab, SmallClient(lab), "expired")
    assert first["expired"].proof.attempts == second["expired"].proof.attempts == 1
    marks = [record["good"].marked.mark for record in (first, second)]
    assert len(set(marks)) == len(marks)
    # The known-good message of the run before is not taken for this one's.
    assert len(second["good"].sessions) == 1


async def test_a_run_begins_with_the_known_good_message(lab: Lab) -> None:
    marked = marked_messages(1, ("expired",), (1,))
    with pytest.raises(ValueError, match="begins with good"):
        Prover(lab, OutsideSender(), TlsSetting.REQUIRED, marked, wait=BRIEF)


def test_a_message_bears_its_mark_in_envelope_header_and_body() -> None:
    (marked,) = marked_messages(7, ("good",), (9,))
    head, _, body = message_for(marked).partition(b"\r\n\r\n")
    mark = mark_of(7, 9).encode()
    assert mark in head
    assert body.startswith(mark)
    assert body.rstrip().endswith(mark + b" ends here.")
    assert reverse_path(marked) == f"{marked.mark}@good.lab.test"
    assert marked.recipient.startswith(marked.mark)


async def test_a_lab_can_bear_another_name_and_show_another_certificate(
    certificates: Path,
) -> None:
    authority = LabAuthority(certificates)
    shown = authority.issue(shipped_recipes()["ecdsa"], "mx.example.com")
    async with Lab(
        authority,
        now=lambda: datetime.now(UTC),
        hosts={"tls13": "mx.example.com", "good": "mx.example.com"},
        certificates={"good": lambda _: shown},
    ) as lab:
        context = ssl.create_default_context(cafile=str(authority.root_path))
        for name in ("tls13", "good"):
            place = await lab.address(name)
            assert place.name == "mx.example.com"
            client = aiosmtplib.SMTP(hostname=place.address, port=place.port, start_tls=False)
            async with client:
                await client.starttls(server_hostname="mx.example.com", tls_context=context)
                der = client.get_transport_info("ssl_object").getpeercert(binary_form=True)
            if name == "good":
                assert ssl.DER_cert_to_PEM_cert(der).encode() in shown.chain_pem


async def test_marks_are_found_in_whatever_case_a_sender_leaves_them(lab: Lab) -> None:
    found = await proven(lab, SmallClient(lab))
    (session,) = found["good"].sessions
    assert marks_in(session) == {found["good"].marked.mark}


async def visit(lab: Lab, scenario: str, source: str) -> None:
    """Do as scanners do: greet, ask for TLS, and leave."""
    place = await lab.address(scenario)
    client = aiosmtplib.SMTP(
        hostname=place.address, port=place.port, start_tls=False, source_address=(source, 0)
    )
    async with client:
        await client.ehlo(hostname="scanner.example.org")
        await client.execute_command(b"STARTTLS")


async def test_visitors_from_elsewhere_settle_nothing(lab: Lab) -> None:
    """Nobody mailed to `expired` yet; whoever looks in must not end the wait for that."""

    @dataclass
    class Visited(SmallClient):
        async def send(self, marked: Marked) -> Reported | None:
            if marked.scenario == "good":
                return await super().send(marked)
            for _ in range(4):
                await visit(lab, "expired", "127.0.0.2")
            return Reported(by=Told.OPERATOR, text="it gave up", final=True)

    found = await proven(lab, Visited(lab), "expired", wait=timedelta(seconds=2))
    record = found["expired"]
    assert record.proof.verdict is Verdict.INCONCLUSIVE
    assert record.proof.attempts == 0
    assert "no connection of the sender's, and 4 of others" in record.proof.because
    assert record.proof.evidence[0].count("127.0.0.2:") == 1


@dataclass
class FallsBackBehindItsWord(SmallClient):
    """Says that it gave up, and sends the message in clear text after that."""

    tasks: asyncio.TaskGroup = field(default_factory=asyncio.TaskGroup)

    async def send(self, marked: Marked) -> Reported | None:
        told = await super().send(marked)
        if marked.scenario == "expired":
            self.tasks.create_task(self.in_clear(marked))
        return told

    async def in_clear(self, marked: Marked) -> None:
        await self.lab.wait_until_idle("expired")
        client, _ = await self.greet(marked)
        await self.deliver(client, marked)


async def test_a_sender_that_says_it_gave_up_is_watched_a_while(lab: Lab) -> None:
    sender = FallsBackBehindItsWord(lab)
    async with sender.tasks:
        found = await proven(lab, sender, "expired", linger=LINGER)
    assert verdicts(found) == {"good": Verdict.ENFORCED, "expired": Verdict.LEAKED}


@dataclass
class LeaksAndIsForgotten(SmallClient):
    """Leaks, and takes care that the receivers keep nothing of it."""

    seen: asyncio.Event = field(default_factory=asyncio.Event)

    def watch(self, proofs: Mapping[str, ScenarioProof]) -> None:
        if proofs["expired"].verdict is Verdict.LEAKED:
            self.seen.set()

    async def send(self, marked: Marked) -> Reported | None:
        if marked.scenario != "expired":
            return await super().send(marked)
        client, _ = await self.greet(marked)
        await self.deliver(client, marked)
        client.close()
        await self.lab.wait_until_idle("expired")
        await self.seen.wait()
        self.lab.reset()
        assert not self.lab.received("expired")
        return await super().send(marked)


async def test_what_receivers_forget_is_remembered(lab: Lab) -> None:
    sender = LeaksAndIsForgotten(lab)
    found = await proven(lab, sender, "expired", progress=sender.watch)
    assert verdicts(found) == {"good": Verdict.ENFORCED, "expired": Verdict.LEAKED}


async def test_what_a_relay_says_is_printable_and_holds_no_password(lab: Lab) -> None:
    login = Login(username="ann", password="opensesame")

    async def repeat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 relay.test\r\n")
        while line := await reader.readline():
            if line.startswith(b"EHLO"):
                writer.write(b"250-relay.test\r\n250 AUTH PLAIN\r\n")
            else:
                said = line.split()[-1]
                heard = base64.b64decode(said).replace(b"\0", b" ")
                writer.write(b"535 5.7.8 \x1b[31m\xff not " + said + b" nor " + heard + b"\r\n")
        writer.close()

    server = await asyncio.start_server(repeat, "127.0.0.1", 0)
    async with server:
        sender = RelaySender(
            host="127.0.0.1",
            port=server.sockets[0].getsockname()[1],
            wait=timedelta(seconds=20),
            login=login,
            may_log_in_clear=True,
        )
        found = await proven(lab, sender)
    reported = found["good"].reported
    assert reported is not None
    assert reported.text == (r"535 5.7.8 \x1b[31m\udcff not [redacted] nor ann [redacted]")


@pytest.mark.parametrize(
    ("greeting", "words"),
    [(b"421 4.7.0 too many connections\r\n", "421"), (b"", "nothing takes a connection")],
)
async def test_a_message_that_no_relay_took_is_not_waited_for(
    lab: Lab, greeting: bytes, words: str
) -> None:
    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        hours = timedelta(hours=9)
        sender = RelaySender(host="127.0.0.1", port=port, wait=hours)
        async with asyncio.timeout(30):
            found = await proven(lab, sender, wait=hours)
    reported = found["good"].reported
    assert reported is not None
    assert reported.by is Told.NOT_HANDED_OVER
    assert words in reported.text
    assert found["good"].proof.verdict is Verdict.INCONCLUSIVE
