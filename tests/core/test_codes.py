"""Codes agree in class by construction; books are complete; a peer's words are passed on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relay.core.codebook import CodeBook, CodeEntry
from relay.core.codebook_data import CODE_BOOKS, SALESFORCE
from relay.core.failure_kinds import FailureKind, failure_kind
from relay.core.failure_remedies import REMEDIES
from relay.core.fault_cards import FAULTS
from relay.core.faults import FaultClass, FaultKind, ResultType, TlsFault
from relay.core.outcomes import LocalProblem, LocalRefusal, PeerRefusal, Stage, TlsRefusal
from relay.core.replies import Reply, StatusCode
from relay.core.salesforce import RefusedStarttls
from relay.core.settings import TlsSetting


@pytest.mark.parametrize(
    ("code", "enhanced"),
    [(451, "5.7.5"), (550, "4.1.1"), (250, "3.0.0"), (451, "4.7"), (451, "4.07.5"), (451, ""),
     (99, "2.0.0"), (600, "5.0.0"), (354, "3.0.0"), (451, "4.7.1000"), (451, "4.7.5 x")],
)  # fmt: skip
def test_a_code_that_contradicts_itself_cannot_be_made(code: int, enhanced: str) -> None:
    with pytest.raises(ValueError, match=r"code"):
        StatusCode(code, enhanced)


@pytest.mark.parametrize(
    ("code", "text", "status", "words"),
    [
        (550, "5.1.1 no such user", "550 5.1.1", "no such user"),
        (550, "no such user", "550 5.0.0", "no such user"),
        (450, "4.7.321 starttls", "450 4.7.321", "starttls"),
        (550, "4.7.1 contradicts itself", "550 5.0.0", "4.7.1 contradicts itself"),
        (451, "4.07.05 zeros", "451 4.7.5", "zeros"),
        (-1, "garbage", "451 4.5.0", "garbage"),
        (354, "go on", "451 4.5.0", "go on"),
        (250, "2.0.0 first\n2.0.0 second", "250 2.0.0", "first 2.0.0 second"),
        (554, "5.7.1", "554 5.7.1", ""),
    ],
)
def test_a_peers_reply_as_a_code(code: int, text: str, status: str, words: str) -> None:
    reply = Reply(code=code, text=text)
    assert (str(reply.status), reply.words) == (status, words)


@pytest.mark.parametrize("book", CODE_BOOKS.values(), ids=lambda book: book.name)
def test_books_are_complete_and_ascii(book: CodeBook) -> None:
    assert set(book.entries) == set(FailureKind)
    for entry in book.entries.values():
        assert CodeEntry.parse(str(entry)) == entry
        assert len(str(entry)) < 500


def test_a_reply_for_people_holds_nothing_that_a_terminal_obeys() -> None:
    reply = Reply(code=-1, text="a\x00b\nc\x1b[31m")
    assert str(reply) == r"(no code) a\x00b c\x1b[31m"


@pytest.mark.parametrize("text", ["5.1.1 no\x1b[2J\u202eway\x00", "\x9b31m 5.1.1 =1+1", "\udcff"])
def test_a_hosts_words_as_a_code_of_ours_hold_nothing_that_a_terminal_obeys(text: str) -> None:
    refusal = PeerRefusal(reply=Reply(code=550, text=text), stage=Stage.RCPT)
    entry = SALESFORCE.entry(refusal)
    assert str(entry).isprintable()
    assert entry.text.startswith(("no\\x1b[2J\\u202eway\\x00", "\\x9b31m", "\\udcff"))


def test_an_incomplete_book_is_refused() -> None:
    with pytest.raises(ValueError, match="no entry for queue-expired"):
        CodeBook(
            name="x",
            entries={k: v for k, v in SALESFORCE.entries.items() if k.value != "queue-expired"},
        )


def test_one_entry_can_be_replaced() -> None:
    changed = SALESFORCE.overridden({FailureKind.TLS_NOT_OFFERED: CodeEntry.parse("554 5.7.0 no")})
    assert str(changed.entries[FailureKind.TLS_NOT_OFFERED]) == "554 5.7.0 no"
    assert changed.entries[FailureKind.INTERNAL] == SALESFORCE.entries[FailureKind.INTERNAL]


@pytest.mark.parametrize("book", CODE_BOOKS.values(), ids=lambda book: book.name)
def test_a_refused_starttls_in_the_hosts_own_words(book: CodeBook) -> None:
    host_reply = replace(book, refused_starttls=RefusedStarttls.HOST_REPLY)
    reply = Reply(code=502, text="5.5.1 not today")

    def refusal(kind: FaultKind, peer_reply: Reply | None) -> TlsRefusal:
        return TlsRefusal(
            setting=TlsSetting.REQUIRED,
            faults=(TlsFault(kind=kind, detail="x"),),
            stage=Stage.STARTTLS,
            peer_reply=peer_reply,
        )

    refused = refusal(FaultKind.STARTTLS_REFUSED, reply)
    assert str(host_reply.entry(refused)) == "502 5.5.1 not today"
    assert book.entry(refused) == book.entries[FailureKind.TLS_REFUSED]
    for other in (
        refusal(FaultKind.STARTTLS_REFUSED, None),
        refusal(FaultKind.STARTTLS_NO_ANSWER, Reply(code=421, text="bye")),
        refusal(FaultKind.CERTIFICATE_EXPIRED, Reply(code=220, text="go")),
    ):
        assert host_reply.entry(other) == book.entry(other)
    changed = host_reply.overridden({FailureKind.INTERNAL: CodeEntry.parse("451 4.3.0 x")})
    assert changed.refused_starttls is RefusedStarttls.HOST_REPLY


def test_a_peers_own_code_is_never_rewritten() -> None:
    reply = Reply(code=550, text="5.2.1 mailbox disabled")
    refusal = PeerRefusal(reply=reply, stage=Stage.RCPT)
    for book in CODE_BOOKS.values():
        assert str(book.entry(refusal)) == "550 5.2.1 mailbox disabled"


@pytest.mark.parametrize("problem", LocalProblem)
def test_every_local_problem_has_code_and_remedy(problem: LocalProblem) -> None:
    kind = failure_kind(LocalRefusal(problem=problem, detail="x"))
    assert kind in REMEDIES


# Typed by hand from RFC 8460 section 4.3.
RESULT_TYPES = {
    FaultKind.STARTTLS_NOT_OFFERED: ResultType.STARTTLS_NOT_SUPPORTED,
    FaultKind.STARTTLS_REFUSED: ResultType.STARTTLS_NOT_SUPPORTED,
    FaultKind.HANDSHAKE_CLOSED: ResultType.VALIDATION_FAILURE,
    FaultKind.CERTIFICATE_EXPIRED: ResultType.CERTIFICATE_EXPIRED,
    FaultKind.CERTIFICATE_NAME_MISMATCH: ResultType.CERTIFICATE_HOST_MISMATCH,
    FaultKind.CERTIFICATE_UNTRUSTED_ROOT: ResultType.CERTIFICATE_NOT_TRUSTED,
    FaultKind.CERTIFICATE_MISSING_INTERMEDIATE: ResultType.CERTIFICATE_NOT_TRUSTED,
    FaultKind.CERTIFICATE_NAME_CONSTRAINT: ResultType.CERTIFICATE_NOT_TRUSTED,
    FaultKind.CERTIFICATE_REVOKED: ResultType.VALIDATION_FAILURE,
}


def test_every_fault_has_a_card_that_says_something() -> None:
    assert list(FAULTS) == list(FaultKind)
    for kind, card in FAULTS.items():
        assert card.meaning.endswith(".")
        assert card.remedy.endswith(".")
        of_certificate = kind.value.startswith("certificate-")
        assert (card.fault_class is FaultClass.CERTIFICATE) is of_certificate
        injected = kind is FaultKind.STARTTLS_INJECTION
        assert (card.fault_class is FaultClass.INJECTION) is injected
    for kind, expected in RESULT_TYPES.items():
        assert FAULTS[kind].result_type is expected
