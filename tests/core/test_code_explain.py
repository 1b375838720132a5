"""Lines from logs and bounces are explained by the right first cause; the tables are complete."""

from __future__ import annotations

import re

import pytest

from relay.core.code_causes import CAUSES, CAUSES_OF_KIND, Cause, kind_of
from relay.core.code_explain import Clue, Finality, explain, find_codes, general_meaning
from relay.core.code_lists import PARDOT_ENHANCED_CODES, PARDOT_REPLY_CODES, SALESFORCE_NDR
from relay.core.code_meanings import ENHANCED_CODES, REPLY_CODES, SPECIAL
from relay.core.code_momentum import MOMENTUM, MomentumResponse
from relay.core.code_phrases import BY_ENHANCED, BY_REPLY, BY_WHOLE_CODE, PHRASES
from relay.core.code_sources import Meaning, Source, by_source
from relay.core.codebook import CodeBook
from relay.core.codebook_data import CODE_BOOKS
from relay.core.failure_kinds import FailureKind

# As Salesforce, Postfix, Exim, Exchange Online, Symantec, SendGrid, Gmail and others write them.
REAL_LINES = [
    ("451 4.7.5 [internal] remote node SSL certificate not signed by a valid CA",
     "certificate-untrusted", "transient"),
    ("451 4.7.5 [internal] TLS negotiation failed", "tls-handshake-failed", "transient"),
    ("451 4.7.6 [internal] STARTTLS required but not advertised", "tls-not-offered", "transient"),
    (("3/06/2026 13:37,16/A4-20983-88E21E84,T,u@bank.test,app@crm.test,192.0.2.7,550,,<1@crm.test>,"
     "0,421,handshaking TLS,192.0.2.1,25,"
     "451 4.7.5 [internal] SSL cert common name does not match host,,"),
     "certificate-name-mismatch", "transient"),
    ("554 5.4.7 [internal] exceeded max time without delivery", "queue-expired", "final"),
    (("Nov 21 22:02:03 mx postfix/smtp[1451]: 4XyZ450: to=<u@bank.test>, "
     "relay=mx.bank.test[192.0.2.1]:25, delay=4.5, delays=0.1/0/0.1/0, dsn=4.7.4, status=deferred "
     "(TLS is required, but was not offered by host mx.bank.test[192.0.2.1])"),
     "tls-not-offered", "transient"),
    (("dsn=4.7.0, status=deferred (TLS is required, but host mx.bank.test[192.0.2.1] refused to "
     "start TLS: 454 4.7.0 TLS not available due to local problem)"), "tls-refused", "transient"),
    ("dsn=4.7.5, status=deferred (Cannot start TLS: handshake failure)",
     "tls-handshake-failed", "transient"),
    ("dsn=4.7.5, status=deferred (Server certificate not verified)",
     "certificate-untrusted", "transient"),
    ("server certificate verification failed for mx.bank.test: num=62:hostname mismatch",
     "certificate-name-mismatch", "unknown"),
    ("dsn=4.4.1, status=deferred (connect to mx.bank.test[192.0.2.1]:25: Connection refused)",
     "connection-refused", "transient"),
    (("dsn=4.4.2, status=deferred (lost connection with mx.bank.test[192.0.2.1] while performing "
     "the EHLO handshake)"), "connection-lost", "transient"),
    (("2026-11-21 10:11:12 1sAbc-0001 == u@bank.test R=out T=smtp defer (-38) H=mx.bank.test "
     "[192.0.2.1]: a TLS session is required, but the server did not offer TLS support"),
     "tls-not-offered", "transient"),
    (("defer (-37) H=mx.bank.test [192.0.2.1]: TLS session: (certificate verification failed): "
     "certificate invalid"), "certificate-untrusted", "transient"),
    ("defer (-37) H=mx.bank.test [192.0.2.1]: TLS session: (certificate verification failed)",
     "certificate-name-mismatch", "transient"),
    ("defer (-37) H=mx.bank.test [192.0.2.1]: TLS session: (gnutls_handshake): timed out",
     "tls-handshake-failed", "transient"),
    ("450 4.7.320 Certificate validation failed", "certificate-untrusted", "transient"),
    (("450 4.7.321 starttls-not-supported: Destination mail server must support TLS to receive "
     "mail."), "tls-not-offered", "transient"),
    ("450 4.7.322 certificate-expired: Destination mail server's certificate is expired.",
     "certificate-expired", "transient"),
    (("450 4.7.325 certificate-host-mismatch: Remote certificate MUST have a common name or "
     "subject alternative name matching the hostname (DANE)"),
     "certificate-name-mismatch", "transient"),
    (("450 4.4.317 Cannot connect to remote server [Message=451 5.7.3 STARTTLS is required to send "
     "mail]"), "tls-not-offered", "transient"),
    ("451 4.7.5 [internal] ssl cert must be signed by a valid ca",
     "certificate-untrusted", "transient"),
    ("TLS required but not supported", "tls-not-offered", "unknown"),
    ("tls policy is Required but STARTTLS is not advertised by 192.0.2.1:25",
     "tls-not-offered", "unknown"),
    ("550-5.1.1 The email account that you tried to reach does not exist. Please try",
     "mailbox-unknown", "final"),
    (("host mx.bank.test[192.0.2.1] said: 550 5.1.1 <u@bank.test>: Recipient address rejected: "
     "User unknown in local recipient table (in reply to RCPT TO command)"),
     "mailbox-unknown", "final"),
    ("530 5.7.0 Must issue a STARTTLS command first", "host-demands-tls", "final"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "cause", "finality"), REAL_LINES)
def test_a_line_from_the_world_has_its_cause(line: str, cause: str, finality: str) -> None:
    about = explain(line)
    assert (about.causes[0].cause.value, about.finality.value) == (cause, finality)
    assert about.causes[0].reasons[0].clue is Clue.WORDING


def test_the_certificate_text_names_the_other_causes_it_is_used_for() -> None:
    """Knowledge 000388924: an expired certificate is reported by this text too."""
    likely = [ranked.cause for ranked in explain(REAL_LINES[0][0]).causes]
    assert likely[:3] == [
        Cause.CERTIFICATE_UNTRUSTED,
        Cause.CERTIFICATE_EXPIRED,
        Cause.CERTIFICATE_NOT_YET_VALID,
    ]
    assert len(likely) == len(set(likely))


@pytest.mark.parametrize("book", CODE_BOOKS.values(), ids=lambda book: book.name)
@pytest.mark.parametrize("kind", FailureKind)
def test_what_a_book_says_is_explained_as_what_it_means(book: CodeBook, kind: FailureKind) -> None:
    """Where a book says several things in the same words, it may be any of them, and all come."""
    entry = book.entries[kind]
    same = {other for other, text in book.entries.items() if text.text == entry.text}
    about = explain(str(entry))
    assert (about.reply, about.enhanced) == (entry.status.code, entry.status.enhanced)
    assert kind_of(about.causes[0].cause) in same
    by_text = [c for c in about.causes if c.reasons[0].clue is Clue.WORDING]
    assert same <= {kind_of(ranked.cause) for ranked in by_text}


@pytest.mark.parametrize("response", MOMENTUM, ids=str)
def test_what_momentum_says_is_explained(response: MomentumResponse) -> None:
    assert explain(str(response)).causes[0].cause is response.cause


def test_the_salesforce_book_says_what_momentum_says() -> None:
    """Two texts are this relay's own; a failed look-up is transient here, where it is retried."""
    ours = {str(entry) for entry in CODE_BOOKS["salesforce"].entries.values()}
    ours -= {str(entry) for entry in CODE_BOOKS["rfc"].entries.values()}
    assert ours - {str(response) for response in MOMENTUM} == {
        "451 4.4.3 [internal] Domain Lookup Failed",
        "554 5.4.6 [internal] mail for the domain loops back to this relay",
    }


def test_few_texts_are_ambiguous() -> None:
    """Typed by hand: the entries that share their words with another."""
    shared = {
        (book.name, kind.value)
        for book in CODE_BOOKS.values()
        for kind, entry in book.entries.items()
        if sum(other.text == entry.text for other in book.entries.values()) > 1
    }
    assert shared == {
        ("postfix", "certificate-untrusted"), ("postfix", "certificate-name-mismatch"),
        ("exchange", "tls-not-offered"), ("exchange", "tls-refused"),
        ("exchange", "tls-handshake-failed"), ("exchange", "dns-no-host"),
        ("exchange", "dns-lookup-failed"), ("exchange", "connection-lost"),
        ("exchange", "no-banner"), ("rfc", "connection-refused"), ("rfc", "connection-timeout"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "reply", "enhanced"),
    [
        ("451", 451, None),
        ("4.7.5", None, "4.7.5"),
        ("451 4.7.5", 451, "4.7.5"),
        ("550-5.1.1 x", 550, "5.1.1"),
        ("550 4.7.1 contradicts itself", None, "4.7.1"),
        ("450 4.7.321 x", 450, "4.7.321"),
        ("451 4.07.05 zeros", 451, "4.7.5"),
        ("dsn=5.1.1, status=bounced (host m[192.0.2.1] said: 550 no such user)", 550, "5.1.1"),
        ("Diagnostic-Code: smtp;550 mailbox unavailable", 550, None),
        ("Status: 5.4.7", None, "5.4.7"),
        ("499", 499, None),
        ("at 12:34:55 from 192.168.4.5 port 587, 451 octets, ID 550a", 451, None),
        ("connect to [2001:db8::550]:465", None, None),
        ("OpenSSL 3.0.19, Postfix 3.7.11", None, None),
        ("took 0.550 s on 4.5.2026", None, None),
        ("", None, None),
    ],
)
def test_codes_in_a_line(line: str, reply: int | None, enhanced: str | None) -> None:
    found = find_codes(line)
    assert (found.reply, found.enhanced) == (reply, enhanced)


@pytest.mark.parametrize(
    ("line", "finality", "known"),
    [
        ("250 2.0.0 Ok", Finality.SUCCESS, True),
        ("354", Finality.INTERMEDIATE, True),
        ("465", Finality.TRANSIENT, True),  # Salesforce's list alone has it
        ("4.9.9", Finality.TRANSIENT, False),
        ("499", Finality.TRANSIENT, False),
        ("575", Finality.FINAL, True),
        ("status=bounced (User unknown)", Finality.FINAL, True),
        ("nothing in particular", Finality.UNKNOWN, False),
    ],
)
def test_class_and_what_is_known(line: str, finality: Finality, known: bool) -> None:
    about = explain(line)
    assert (about.finality, about.known) == (finality, known)


def test_a_wrapped_line_is_the_same_line() -> None:
    wrapped = "451 4.7.5 [internal] remote node SSL\r\n  certificate not\tsigned by a valid CA"
    assert explain(wrapped).causes == explain(" ".join(wrapped.split())).causes


def test_the_same_code_means_another_thing_to_momentum() -> None:
    assert explain("4.7.6").causes[0].cause is Cause.TLS_NOT_OFFERED
    assert explain("5.7.6").causes == ()


def test_an_unknown_code_still_has_a_class_and_a_subject() -> None:
    assert "later try" in general_meaning("4.7.99")
    assert "security" in general_meaning("4.7.99")
    assert "not assigned" in general_meaning("5.9.9")


def test_every_cause_says_something_and_every_failure_has_one() -> None:
    assert list(CAUSES) == list(Cause)
    for card in CAUSES.values():
        assert card.meaning.endswith(".")
        assert card.remedy.endswith(".")
    assert all(CAUSES_OF_KIND[kind] for kind in FailureKind)
    recognised = {cause for phrase in PHRASES for cause in phrase.causes} | {
        cause
        for table in (BY_ENHANCED, BY_WHOLE_CODE, BY_REPLY)
        for causes in table.values()  # type: ignore[attr-defined]
        for cause in causes
    }
    assert recognised == set(Cause)


def test_every_code_of_the_tables_is_a_code_that_is_explained() -> None:
    assert set(BY_ENHANCED) <= set(ENHANCED_CODES)
    assert {code.partition(".")[2] for code in BY_WHOLE_CODE} <= set(ENHANCED_CODES)
    assert all(explain(code).causes[0].cause is BY_WHOLE_CODE[code][0] for code in BY_WHOLE_CODE)
    assert set(BY_REPLY) <= set(REPLY_CODES) | set(SALESFORCE_NDR)


def test_every_code_that_a_book_uses_has_a_meaning() -> None:
    for book in CODE_BOOKS.values():
        for entry in book.entries.values():
            about = explain(str(entry.status))
            assert about.reply_meaning
            assert about.enhanced_meaning


# Typed by hand: Salesforce Knowledge 000385123, and Help "Common Bounce Codes".
NDR = """
211 214 220 221 250 251 252 354 421 422 431 432 441 442 446 447 449 450 451 452 465 500 501 502 503
504 510 511 512 513 514 515 516 517 521 522 523 524 530 531 532 533 534 535 540 541 542 543 544 546
547 548 550 551 552 553 554 555 563 571 572 573 574 575 576 577
"""
PARDOT = "421 450 451 452 500 501 502 503 504 550 551 552 553 554"
LAST_DETAILS = "5.0.0 5.1.8 5.2.4 5.3.5 5.4.7 5.5.5 5.6.5 5.7.7"


def test_the_published_lists_are_complete() -> None:
    assert [*SALESFORCE_NDR] == [int(code) for code in NDR.split()]
    assert [*PARDOT_REPLY_CODES] == [int(code) for code in PARDOT.split()]
    for last in LAST_DETAILS.split():
        beginning, _, end = last.rpartition(".")
        of_subject = [c for c in PARDOT_ENHANCED_CODES if c.startswith(f"{beginning}.")]
        assert of_subject == [f"{beginning}.{detail}" for detail in range(int(end) + 1)]
    assert len(PARDOT_ENHANCED_CODES) == 49


def test_every_meaning_has_its_source_and_reads_as_part_of_a_sentence() -> None:
    tables = (
        REPLY_CODES, ENHANCED_CODES, SPECIAL, SALESFORCE_NDR, PARDOT_REPLY_CODES,
        PARDOT_ENHANCED_CODES,
    )  # fmt: skip
    for table in tables:
        for code, meaning in table.items():  # type: ignore[attr-defined]
            assert isinstance(meaning, Meaning)
            assert not meaning.text.endswith("."), code
            assert meaning.source in Source
    assert all(re.fullmatch(r"\d\.\d{1,3}", code) for code in ENHANCED_CODES)


def test_a_code_with_two_meanings_is_refused() -> None:
    with pytest.raises(ValueError, match="two meanings"):
        by_source({Source.RFC_5321: {451: "a"}, Source.RFC_3207: {451: "b"}})


@pytest.mark.timeout(20)
def test_a_long_line_of_anything_is_read_in_time() -> None:
    for unit in ("451 4.7.5 ", "a.", "TLS is required, but host ", "lost connection with x", "5."):
        explain(unit * 20_000)
