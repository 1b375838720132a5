"""`relay codes` as a user has it, and its promises kept over real sessions."""

from __future__ import annotations

import io
import json
import sys
from email.message import EmailMessage
from types import SimpleNamespace
from typing import Any

import dsn_samples
import pytest
from e2e_relay import Start, Watcher
from typer.testing import CliRunner, Result

from relay.audit.expectations import EXPECTATIONS
from relay.cli.app import app
from relay.cli.codes_input import items_of, items_of_text
from relay.cli.codes_view import reproduced_by, try_it
from relay.core.code_causes import CAUSES, CAUSES_OF_KIND, Cause
from relay.core.code_explain import explain
from relay.core.replies import StatusCode
from relay.core.settings import TlsSetting
from relay.lab.availability import why_unavailable
from relay.lab.catalogue import LAB_SCENARIOS, SCENARIOS

NDR = "451 4.7.5 [internal] remote node SSL certificate not signed by a valid CA"


def codes(*words: str, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["codes", *words], input=stdin)


def shown(result: Result, *, code: int = 0) -> str:
    """The output on one line, its foldings undone."""
    assert result.exit_code == code, result.output
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    return " ".join(result.stdout.split())


def test_a_line_names_cause_settings_and_the_line_that_tries_it() -> None:
    told = shown(codes(NDR))
    assert "Cause 1 certificate-untrusted" in told
    assert "transient" in told
    assert "lab/untrusted-root" in told
    assert "under Preferred Verify, Required Verify" in told
    line = "relay send --policy required-verify anyone@untrusted-root.lab.test"
    assert line in told
    sent = CliRunner().invoke(app, line.split()[1:])
    assert sent.exit_code == 1
    assert NDR in " ".join(sent.output.split())
    assert "Salesforce Knowledge 000388924" in told


def test_words_need_no_quotes() -> None:
    assert codes(*NDR.split()).stdout == codes(NDR).stdout


def test_lines_on_standard_input_are_explained_each_and_counted() -> None:
    log = (
        "Nov 21 22:02:03 mx postfix/smtp[1]: A1: to=<a@b.test>, dsn=2.0.0, status=sent (250 ok)\n"
        "Nov 21 22:02:04 mx postfix/smtp[1]: A2: to=<a@c.test>, dsn=4.7.4, status=deferred "
        "(TLS is required, but was not offered by host c.test[192.0.2.1])\n"
        "Nov 21 22:02:05 mx postfix/qmgr[1]: A2: removed\n"
        "Nov 21 22:07:04 mx postfix/smtp[1]: A3: to=<a@c.test>, dsn=4.7.4, status=deferred "
        "(TLS is required, but was not offered by host c.test[192.0.2.1])\n"
        "Nov 21 22:09:04 mx postfix/smtp[1]: A4: to=<a@d.test>, dsn=4.7.5, status=deferred "
        "(Cannot start TLS: handshake failure)\n"
    )
    first, second = json.loads(codes("--json", stdin=log).stdout)
    assert (first["causes"][0]["cause"], first["count"]) == ("tls-not-offered", 2)
    assert (second["causes"][0]["cause"], second["count"]) == ("tls-handshake-failed", 1)
    assert "Times 2" in shown(codes(stdin=log))


def test_a_bounce_text_that_was_wrapped_is_one_thing() -> None:
    wrapped = "451 4.7.5 [internal] remote node SSL\ncertificate not signed by\n a valid CA\n"
    (item,) = items_of_text(wrapped)
    assert item.explanation.causes == explain(NDR).causes


def test_a_reply_of_several_lines_is_one_thing() -> None:
    (item,) = items_of_text(
        "550-5.1.1 The email account that you tried to reach does not exist.\n"
        "550-5.1.1 Please try double-checking the address\n550 5.1.1 gsmtp\n"
    )
    assert item.explanation.causes[0].cause is Cause.MAILBOX_UNKNOWN


def test_a_notification_is_read_recipient_by_recipient() -> None:
    report = EmailMessage()
    report["From"] = "MAILER-DAEMON@relay.test"
    report["To"] = "app@crm.test"
    report["Subject"] = "Undelivered"
    raw = report.as_bytes() + (
        b'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\n'
        b"MIME-Version: 1.0\n\n--b\nContent-Type: text/plain\n\nSorry.\n"
        b"--b\nContent-Type: message/delivery-status\n\n"
        b"Reporting-MTA: dns; relay.test\n\n"
        b"Final-Recipient: rfc822; a@bank.test\nAction: failed\nStatus: 5.4.7\n"
        b"Remote-MTA: dns; mx.bank.test\nDiagnostic-Code: smtp; " + NDR.encode() + b"\n\n"
        b"Final-Recipient: rfc822; b@shop.test\nAction: delayed\nStatus: 4.7.4\n"
        b"Diagnostic-Code: smtp; 451 4.7.4 TLS is required, but was not offered by host x\n\n"
        b"--b--\n"
    )
    raw = raw.replace(b"\n\nContent-Type: multipart", b"\nContent-Type: multipart", 1)
    first, second = items_of(raw)
    assert (first.recipient, first.host) == ("a@bank.test", "mx.bank.test")
    assert first.explanation.causes[0].cause is Cause.CERTIFICATE_UNTRUSTED
    assert (second.recipient, second.host) == ("b@shop.test", None)
    assert second.explanation.causes[0].cause is Cause.TLS_NOT_OFFERED
    told = shown(codes(stdin=raw))
    assert "Action failed: it is final for this recipient" in told
    assert "Action delayed: it is still being tried" in told


async def test_the_notification_that_a_relay_sends_is_explained(start: Start) -> None:
    watcher = Watcher()
    policy = "tls: Required Verify\nreply: queued\nretry: none\n"
    async with start(policy, observer=watcher) as running:
        await running.send("a@wrong-host.lab.test")
        dsn = await running.lab.wait_for_message("capture")
    (item,) = items_of(dsn.content)
    assert item.recipient == "a@wrong-host.lab.test"
    assert item.explanation.causes[0].cause is Cause.CERTIFICATE_NAME_MISMATCH
    assert "Cause 1 certificate-name-mismatch" in shown(codes(stdin=dsn.content))


# One scenario of each cause that a plain message meets, and the setting that refuses it: what
# `relay codes` promises is tried over a real session, and the reply is explained as that cause.
TRIED = [cause for cause in Cause if try_it(reproduced_by(cause))]


@pytest.mark.parametrize("cause", TRIED, ids=lambda cause: cause.value)
async def test_the_line_that_tries_it_ends_in_the_cause(start: Start, cause: Cause) -> None:
    line = try_it(reproduced_by(cause))
    assert line is not None
    shown_setting, recipient = line.removeprefix("relay send --policy ").split()
    name = recipient.removeprefix("anyone@").removesuffix(".lab.test")
    setting = TlsSetting.parse(shown_setting)
    if (scenario := LAB_SCENARIOS.get(name)) is not None:
        assert why_unavailable(scenario) is None
    policy = f"tls: {setting.label}\ncommand_timeout: 2s\n"
    async with start(policy) as running:
        reply = await running.send(recipient)
    assert StatusCode.parse(str(EXPECTATIONS[name][setting])) == reply.status
    likely = [ranked.cause for ranked in explain(str(reply)).causes]
    same = next((causes for causes in CAUSES_OF_KIND.values() if cause in causes), (cause,))
    assert likely[0] in same, likely
    assert cause in likely


def test_the_causes_that_the_lab_can_show() -> None:
    """Typed by hand: what has no scenario, or none that a plain message meets."""
    assert set(Cause) - set(TRIED) == {
        Cause.DANE_FAILED, Cause.REQUIRETLS_FAILED, Cause.CONNECTION_REFUSED,
        Cause.HOST_NOT_ALLOWED, Cause.QUEUE_EXPIRED, Cause.OUT_OF_TIME, Cause.NEEDS_8BITMIME,
        Cause.NEEDS_SMTPUTF8, Cause.NOT_SENDABLE, Cause.AUTH_UNAVAILABLE, Cause.SUPPRESSED,
        Cause.INTERNAL, Cause.MAILBOX_DISABLED, Cause.MAILBOX_MOVED, Cause.ADDRESS_MALFORMED,
        Cause.TOO_MANY_RECIPIENTS, Cause.SENDER_NOT_PROVEN, Cause.SENDER_REFUSED,
        Cause.HOST_DEMANDS_TLS, Cause.CONTENT_REFUSED, Cause.AUTHENTICATION_FAILED,
    }  # fmt: skip
    for card in CAUSES.values():
        assert set(card.scenarios) <= set(SCENARIOS)


@pytest.mark.parametrize(
    ("words", "exit_code", "says"),
    [
        (("4.7.99",), 3, "not a code that is known here: a persistent transient failure"),
        (("599",), 3, "not a code that is known here"),
        (("465",), 0, "code page"),
        (("250",), 0, "Kind success"),
        (("5.7.6",), 0, "final"),
    ],
)
def test_single_codes(words: tuple[str, ...], exit_code: int, says: str) -> None:
    assert says in shown(codes(*words), code=exit_code)


def test_what_says_nothing_exits_3() -> None:
    result = codes("hello", "there")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "relay codes 451 4.7.5" in result.stderr


def test_without_anything_the_codes_are_listed() -> None:
    told = shown(codes())
    assert "Code book salesforce" in told
    assert "tls-not-offered 451 4.7.6" in told
    assert "stopped by an error while processing" in told
    everything = json.loads(codes("--json").stdout)
    assert set(everything["books"]) == {"salesforce", "postfix", "exchange", "rfc"}
    assert everything["salesforce_ndr"]["575"]["source"] == "Salesforce Knowledge 000385123"


def test_a_book_is_shown_alone_and_keeps_to_itself() -> None:
    assert "450 4.7.321 starttls-not-supported" in shown(codes("--book", "exchange"))
    (about,) = json.loads(codes("--book", "rfc", "4.7.5", "--json").stdout)
    assert {entry["book"] for entry in about["emitted"]} == {"rfc"}
    unknown = codes("--book", "sendmail")
    assert unknown.exit_code == 2
    assert "Allowed: salesforce, postfix, exchange, rfc." in unknown.stderr


def test_the_words_of_others_are_shown_and_not_obeyed() -> None:
    told = shown(codes("550 5.1.1 \x1b[31mno such user\x07"))
    assert "\\x1b[31mno such user\\x07" in told


def test_a_terminal_is_not_waited_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        buffer: Any = SimpleNamespace(read=lambda _: pytest.fail("read from a terminal"))

        def isatty(self) -> bool:
            return True

    from relay.cli.codes_input import piped

    monkeypatch.setattr(sys, "stdin", Terminal())
    assert piped() == b""


async def test_an_exported_log_can_be_pasted_whole(start: Start) -> None:
    async with start("required-verify") as running:
        await running.send("a@good.lab.test", mark="one")
        await running.send("a@expired.lab.test", mark="two")
        await running.send("a@user-unknown.lab.test", mark="three")
        log = CliRunner().invoke(app, ["log", "export", "--state", str(running.state)])
    items = items_of(log.stdout.encode())
    assert [item.explanation.causes[0].cause for item in items] == [
        Cause.CERTIFICATE_UNTRUSTED,
        Cause.MAILBOX_UNKNOWN,
    ]


def test_the_end_of_a_notification_outweighs_the_class_of_its_code() -> None:
    failed = (
        b"From: MAILER-DAEMON@relay.test\nSubject: x\nMIME-Version: 1.0\n"
        b'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n'
        b"--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; relay.test\n\n"
        b"Final-Recipient: rfc822; a@bank.test\nAction: failed\nStatus: 4.7.5\n\n--b--\n"
    )
    told = shown(codes(stdin=failed))
    assert "the sender has given up" in told
    assert "may try again" not in told


def test_a_message_that_is_no_notification_is_read_for_its_lines() -> None:
    mail = EmailMessage()
    mail["From"] = "colleague@crm.test"
    mail["To"] = "you@crm.test"
    mail["Subject"] = "what is this?"
    mail.set_content(f"Hello,\n\nI got this back:\n\n{NDR}\n\nCan you help? 100 thanks\n")
    (item,) = items_of(mail.as_bytes())
    assert item.explanation.given == NDR
    assert item.explanation.causes[0].cause is Cause.CERTIFICATE_UNTRUSTED


@pytest.mark.parametrize("charset", [b"x-unknown", b"utf-8"])
def test_a_message_with_nothing_to_explain_exits_3(charset: bytes) -> None:
    mail = b"From: a@b.test\nTo: c@d.test\nContent-Type: text/plain; charset=" + charset
    result = codes(stdin=mail + b"\n\nHello \xff there\n")
    assert (result.exit_code, result.stdout) == (3, "")


@pytest.mark.parametrize(
    ("sample", "cause"),
    [
        (dsn_samples.POSTFIX, Cause.MAILBOX_UNKNOWN),
        (dsn_samples.EXCHANGE, Cause.MAILBOX_UNKNOWN),
        (dsn_samples.EXIM, Cause.MAILBOX_UNKNOWN),
        (dsn_samples.QMAIL, Cause.MAILBOX_UNKNOWN),
    ],
)
def test_other_servers_notifications(sample: bytes, cause: Cause) -> None:
    (item,) = items_of(sample)
    assert item.explanation.causes[0].cause is cause
