"""`relay messages` and `relay bounces` on journals that the tests fill."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from journal_records import (
    EXPIRED,
    NOON,
    a_bounce,
    a_message,
    a_session,
    a_story,
    an_attempt,
    an_envelope,
)
from record_builders import HOP, TEXT
from typer.testing import CliRunner, Result

from relay.cli.app import app
from relay.core.evidence import HandshakeFailed, HandshakeProblem, NotTried, TlsEvidence
from relay.core.jsonform import to_json
from relay.core.outcomes import (
    ConnectionFailure,
    ConnectionProblem,
    Deferred,
    Delivered,
    DnsFailure,
    DnsProblem,
    Failed,
    LocalProblem,
    LocalRefusal,
    PeerRefusal,
    Stage,
)
from relay.core.records import BounceAction, Notified, RecipientOutcome, SessionDirection
from relay.core.replies import Reply, StatusCode
from relay.core.settings import Protection, TlsMode
from relay.core.transcripts import Direction, Line
from relay.core.verdicts import Deliver
from relay.journal.api import Batch, MessageSummary, RecipientState, RecipientStatus
from relay.journal.sqlite_journal import open_journal


async def keep(state: Path, *batches: Batch) -> None:
    async with open_journal(state / "journal.sqlite3", bounce_lines=None) as journal:
        for batch in batches:
            await journal.writer.write(batch)


def run(state: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--state", str(state)])


def shown(result: Result) -> str:
    """The output on one line, its foldings undone."""
    assert result.exit_code == 0, result.output
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    return " ".join(result.stdout.split())


@pytest.mark.parametrize(
    "command",
    [
        ("messages", "list"),
        ("messages", "show", "latest"),
        ("bounces", "list", "--json"),
        ("bounces", "show", "latest"),
    ],
)
def test_without_a_journal_the_next_step_is_told(tmp_path: Path, command: tuple[str, ...]) -> None:
    result = run(tmp_path / "nothing", *command)
    assert result.exit_code == 3
    assert result.stdout == ""
    assert "no journal yet at" in result.stderr
    assert "Start one with `relay serve`." in result.stderr
    assert not (tmp_path / "nothing").exists()


async def test_empty_lists_teach_the_next_step(tmp_path: Path) -> None:
    await keep(tmp_path)
    for name in ("messages", "bounces"):
        assert "relay send anyone@expired.lab.test" in shown(run(tmp_path, name, "list"))
        assert json.loads(run(tmp_path, name, "list", "--json").stdout) == []
        latest = run(tmp_path, name, "show", "latest")
        assert latest.exit_code == 3
        assert f"no {name[:-1]} yet" in latest.stderr


async def test_lists_and_their_filters(tmp_path: Path) -> None:
    await keep(
        tmp_path,
        a_story(1),
        Batch(
            messages=(
                a_message(
                    2, recipients=("who@aco.test",), state=RecipientState.QUEUED, next_at=NOON
                ),
            ),
            bounces=(
                a_bounce(
                    2,
                    message=2,
                    recipient="who@aco.test",
                    action=BounceAction.DELAYED,
                    status=StatusCode(451, "4.7.6"),
                ),
            ),
        ),
    )
    text = shown(run(tmp_path, "messages", "list"))
    assert text.index(an_envelope(2).id) < text.index(an_envelope(1).id)
    assert "app@crm.test: Statement 1 failed u@bank.test" in text
    assert "queued who@aco.test next try" in text
    for options in (
        ("--recipient-state", "Queued"),
        ("--recipient", "WHO@aco.test"),
        ("--domain", "aco.test"),
        ("--limit", "1"),
    ):
        text = shown(run(tmp_path, "messages", "list", *options))
        assert an_envelope(2).id in text
        assert an_envelope(1).id not in text
    assert an_envelope(1).id in shown(run(tmp_path, "messages", "list", "--before", "latest"))
    assert json.loads(run(tmp_path, "messages", "list", "--json", "-n1").stdout) == to_json(
        (
            MessageSummary(
                envelope=an_envelope(2, recipients=("who@aco.test",)),
                recipients=(
                    RecipientStatus(
                        recipient="who@aco.test", state=RecipientState.QUEUED, next_at=NOON
                    ),
                ),
            ),
        )
    )
    text = shown(run(tmp_path, "bounces", "list"))
    assert f"{a_bounce(1).id} failed u@bank.test 451 4.7.5 {TEXT}" in text
    assert f"{a_bounce(2).id} delayed who@aco.test 451 4.7.6 {TEXT}" in text
    for options in (("--code", "4.7.6"), ("--domain", "aco.test"), ("--recipient", "who@aco.test")):
        text = shown(run(tmp_path, "bounces", "list", *options))
        assert a_bounce(2).id in text
        assert a_bounce(1).id not in text
    found = json.loads(run(tmp_path, "bounces", "list", "--json", "--code", "4.7.5").stdout)
    assert [bounce["id"] for bounce in found] == [a_bounce(1).id]
    for name in ("messages", "bounces"):
        text = shown(run(tmp_path, name, "list", "--domain", "nowhere.test"))
        assert f"`relay {name} list` shows what there is" in text


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (("messages", "list", "--recipient-state", "lost"), 2, "queued, inline, delivered"),
        (("messages", "list", "--limit", "0"), 2, "--limit"),
        (("messages", "show", "latest", "--raw", "--json"), 2, "exclude each other"),
        (("messages", "show", "nope"), 3, "`relay messages list`"),
        (("messages", "list", "--before", "nope"), 3, "`relay messages list`"),
        (("bounces", "show", "nope"), 3, "`relay bounces list`"),
        (("bounces", "list", "--code", "TLS"), 2, "not a code"),
    ],
)
async def test_what_can_not_be_answered(
    tmp_path: Path, command: tuple[str, ...], code: int, words: str
) -> None:
    await keep(tmp_path, a_story(1))
    result = run(tmp_path, *command)
    assert result.exit_code == code
    assert result.stdout == ""
    assert words in result.stderr


async def test_a_message_shows_its_way(tmp_path: Path) -> None:
    await keep(tmp_path, a_story(1))
    text = shown(run(tmp_path, "messages", "show", "m0"))
    noon = f"{NOON.astimezone():%H:%M:%S}"
    for part in (
        "Message m0000000000000001",
        "From app@crm.test",
        "Subject Statement 1",
        "failed u@bank.test",
        "Rule Required Verify (policies/required-verify.yaml:7): the rule for bank.test",
        "Route the route for bank.test",
        f"Try 1 {noon} mx.bank.test[127.0.0.1]:2525",
        "Seen TLSv1.3 TLS_AES_256_GCM_SHA384",
        "Fault certificate-expired (RFC 8460: certificate-expired): not valid after 2026-02-01",
        "Verdict session terminated: nothing of the message was sent",
        "Outcome deferred handshaking TLS: refused by the TLS policy",
        f"Bounce b0000000000000001 failed: 451 4.7.5 {TEXT}",
        "Remedy The host's administrator must renew the certificate.",
        "Session s0000000000000001 to 127.0.0.1:2525",
        f"{noon} <-- 220 mx.bank.test {noon} --> EHLO relay {noon} * TLSv1.3",
        f"{noon} ~~> QUIT {noon} <~~ 221 bye",
    ):
        assert part in text
    record = json.loads(run(tmp_path, "messages", "show", "latest", "--json").stdout)
    assert list(record) == ["envelope", "recipients", "attempts", "sessions", "bounces"]
    assert record["attempts"] == to_json((an_attempt(1),))
    assert record["sessions"] == to_json((a_session(1),))


async def test_raw_is_the_message_octet_by_octet(tmp_path: Path) -> None:
    content = b"Subject: x\r\n\r\n\xff\x00.\r\n"
    await keep(tmp_path, Batch(messages=(a_message(1, content=content),)))
    assert run(tmp_path, "messages", "show", "latest", "--raw").stdout_bytes == content


async def test_a_bounce_shows_why_and_what_to_do(tmp_path: Path) -> None:
    expired = a_bounce(
        2,
        status=StatusCode(554, "5.4.7"),
        text="[internal] exceeded max time without delivery",
        attempts=3,
        notified=Notified.SENDER,
        session_id="s-never-recorded",
    )
    await keep(tmp_path, a_story(1), Batch(bounces=(expired,)))
    text = shown(run(tmp_path, "bounces", "show", a_bounce(1).id))
    for part in (
        "Message m0000000000000001 from app@crm.test",
        f"Code 451 4.7.5 {TEXT} Action failed at",
        "after 1 try",
        "the client was told",
        "Stage handshaking TLS",
        "Cause The host's certificate has expired.",
        "Remedy The host's administrator must renew",
        "Fault certificate-expired (RFC 8460: certificate-expired): not valid after",
        "~~> QUIT",
    ):
        assert part in text
    text = shown(run(tmp_path, "bounces", "show", "latest"))
    for part in (
        "Code 554 5.4.7 [internal] exceeded max time without delivery",
        f"Cause code 451 4.7.5 {TEXT}",
        "after 3 tries",
        "a notification went to the sender",
    ):
        assert part in text
    assert json.loads(run(tmp_path, "bounces", "show", "latest", "--json").stdout) == to_json(
        expired
    )


HOSTILE = "[bold red]x[/] [/nope] :smile: \x1b[2J\x1b]0;owned\x07\r\x00\x9b31m \u202egnp"


async def test_the_words_of_others_are_shown_and_not_obeyed(tmp_path: Path) -> None:
    line = Line(direction=Direction.RECEIVED, encrypted=False, at=NOON, text=HOSTILE)
    outcome = Failed(
        failure=PeerRefusal(reply=Reply(code=550, text=HOSTILE + "\nsecond"), stage=Stage.RCPT)
    )
    batch = Batch(
        messages=(
            a_message(1, state=RecipientState.FAILED, subject=HOSTILE, message_id_header=HOSTILE),
        ),
        sessions=(
            a_session(
                1,
                peer=HOSTILE,
                transcript=(line, replace(line, direction=Direction.NOTE)),
                faults=(replace(EXPIRED, detail=HOSTILE),),
            ),
        ),
        attempts=(
            an_attempt(
                1,
                hop=replace(HOP, host=HOSTILE),
                route=HOSTILE,
                outcomes=(RecipientOutcome(recipient="u@bank.test", outcome=outcome),),
            ),
        ),
        bounces=(
            a_bounce(
                1,
                recipient=HOSTILE,
                text=HOSTILE,
                cause=HOSTILE,
                host=HOSTILE,
                faults=(replace(EXPIRED, detail=HOSTILE),),
            ),
        ),
    )
    await keep(tmp_path, batch)
    for command in (
        ("messages", "list"),
        ("messages", "show", "latest"),
        ("bounces", "list"),
        ("bounces", "show", "latest"),
    ):
        result = run(tmp_path, *command)
        text = shown(result)
        assert "[bold red]x[/] [/nope] :smile: \\x1b[2J\\x1b]0;owned\\x07\\r\\x00" in text
        assert all(c.isprintable() or c == "\n" for c in result.stdout)
        document = run(tmp_path, *command, "--json").stdout
        assert all(c.isprintable() or c == "\n" for c in document)
        assert any(HOSTILE in text for text in every_text(json.loads(document)))


def every_text(data: object) -> list[str]:
    match data:
        case str():
            return [data]
        case list():
            return [text for item in data for text in every_text(item)]
        case dict():
            return [text for item in data.values() for text in every_text(item)]
        case _:
            return []


def a_certificate() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mx.\x1bbank.test")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Some CA")]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2026, 2, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM).decode()


async def test_the_chain_is_shown_by_name(tmp_path: Path) -> None:
    evidence = replace(
        a_session(1).evidence or TlsEvidence(mode=TlsMode.STARTTLS, observed_at=NOON),
        chain=(a_certificate(), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
    )
    await keep(tmp_path, replace(a_story(1), sessions=(a_session(1, evidence=evidence),)))
    text = shown(run(tmp_path, "messages", "show", "latest"))
    assert "Chain CN=mx.\\x1bbank.test, issued by CN=Some CA, until 2026-02-01 00:00 UTC" in text
    assert "Chain a certificate that can't be read" in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"starttls_offered": False}, "Seen STARTTLS not offered"),
        ({"starttls_offered": None}, "Seen no answer to EHLO"),
        ({"starttls_offered": True}, "Seen STARTTLS not used"),
        ({"starttls_offered": True, "starttls_sent": True}, "Seen STARTTLS not answered"),
        (
            {
                "starttls_offered": True,
                "starttls_sent": True,
                "starttls_reply": Reply(code=454, text="4.7.0 No entropy"),
            },
            "Seen STARTTLS answered 454 4.7.0 No entropy",
        ),
        ({"mode": TlsMode.IMPLICIT}, "Seen no TLS handshake begun"),
        (
            {
                "handshake": HandshakeFailed(
                    problem=HandshakeProblem.PROTOCOL_VERSION, detail="alert protocol version"
                )
            },
            "Seen TLS handshake failed: protocol-version (alert protocol version)",
        ),
    ],
)
async def test_what_was_seen_of_tls(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    evidence = replace(
        TlsEvidence(mode=TlsMode.STARTTLS, observed_at=NOON, handshake=NotTried()),
        **changes,  # type: ignore[arg-type]
    )
    await keep(tmp_path, replace(a_story(1), sessions=(a_session(1, evidence=evidence),)))
    assert words in shown(run(tmp_path, "messages", "show", "latest"))


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (
            Delivered(reply=Reply(code=250, text="2.0.0 Kept"), protection=Protection.CLEAR),
            "Outcome delivered: 250 2.0.0 Kept",
        ),
        (
            Failed(failure=PeerRefusal(reply=Reply(code=550, text="5.1.1 No"), stage=Stage.RCPT)),
            "Outcome failed during RCPT TO: 550 5.1.1 No",
        ),
        (
            Deferred(failure=DnsFailure(problem=DnsProblem.NO_HOST, name="bank.test")),
            "Outcome deferred while not connected: no-host (bank.test)",
        ),
        (
            Deferred(
                failure=ConnectionFailure(
                    problem=ConnectionProblem.LOST, stage=Stage.BANNER, detail="reset"
                )
            ),
            "Outcome deferred reading BANNER: connection lost (reset)",
        ),
        (
            Failed(failure=LocalRefusal(problem=LocalProblem.HOST_NOT_ALLOWED, detail="192.0.2.1")),
            "Outcome failed while not connected: host-not-allowed (192.0.2.1)",
        ),
    ],
)
async def test_how_a_try_ended(tmp_path: Path, outcome: Failed, words: str) -> None:
    attempt = an_attempt(
        1,
        clear=True,
        session_id=None,
        verdict=Deliver(protection=Protection.CLEAR),
        outcomes=(RecipientOutcome(recipient="u@bank.test", outcome=outcome),),
    )
    await keep(tmp_path, replace(a_story(1), attempts=(attempt,)))
    text = shown(run(tmp_path, "messages", "show", "latest"))
    assert words in text
    assert "mx.bank.test[127.0.0.1]:2525 without TLS" in text


async def test_the_null_reverse_path_and_an_inbound_session(tmp_path: Path) -> None:
    inbound = a_session(7, direction=SessionDirection.INBOUND, hop=None, peer="127.0.0.1:5555")
    envelope = {"reverse_path": "", "session_id": inbound.id, "subject": None}
    await keep(
        tmp_path,
        Batch(
            messages=(a_message(1, notification_for="m0000000000000009", **envelope),),
            sessions=(inbound,),
            attempts=(an_attempt(1, hop=None, session_id=None, verdict=None),),
            bounces=(
                a_bounce(
                    1,
                    reverse_path="",
                    host=None,
                    address=None,
                    session_id=None,
                    will_retry_at=NOON + timedelta(minutes=1),
                ),
            ),
        ),
    )
    text = shown(run(tmp_path, "messages", "show", "latest"))
    for part in (
        "From <>",
        "About message m0000000000000009",
        "no host",
        "Verdict not judged: nothing of the message was sent",
        f"Session {inbound.id} from 127.0.0.1:5555",
    ):
        assert part in text
    text = shown(run(tmp_path, "bounces", "show", "latest"))
    assert "from <>" in text
    assert "Host none" in text
    assert "Next try" in text
    assert "<>" in shown(run(tmp_path, "messages", "list"))


async def test_the_commands_work_beside_a_writer(tmp_path: Path) -> None:
    async with open_journal(tmp_path / "journal.sqlite3", bounce_lines=None) as journal:
        await journal.writer.write(a_story(1))
        assert a_bounce(1).id in shown(run(tmp_path, "bounces", "show", "latest"))
        await journal.writer.write(a_story(2))
        assert a_bounce(2).id in shown(run(tmp_path, "bounces", "show", "latest"))


@pytest.mark.parametrize("module", ["messages", "bounces", "reading"])
def test_help_stays_light(module: str) -> None:
    code = (
        f"import sys, relay.cli.{module}; "
        "print([m for m in ('rich.table', 'sqlite3', 'pydantic', 'relay.journal', 'relay.core') "
        "if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert found.strip() == "[]"
