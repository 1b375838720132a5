"""What Salesforce would record of a bounce: a table typed by hand, row by row."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from typed_tables import rows

from relay.core.codebook_data import CODE_BOOKS
from relay.core.outcomes import Failed, LocalProblem, LocalRefusal, Scope, outcome_of, scope_of
from relay.core.replies import StatusCode
from relay.core.salesforce import BounceManagement, BounceRule, FlagContactOn, MatchingRecords
from relay.core.salesforce_view import (
    BounceKind,
    FlagReason,
    SaidBy,
    SalesforceView,
    salesforce_view,
)
from relay.core.user_unknown import says_user_unknown

AT = datetime(2026, 5, 6, tzinfo=UTC)
MANAGED = {
    "any": BounceManagement(),
    "hard": BounceManagement(flag_contact_on=FlagContactOn.HARD),
    "user-unknown": BounceManagement(flag_contact_on=FlagContactOn.USER_UNKNOWN),
    "pardot": BounceManagement(rule=BounceRule.PARDOT),
    "off": None,
}

TABLE = """
# switch      | said by        | code      | text               | earlier | kind | why
any           | this-relay     | 451 4.7.5 | negotiation failed | 0 | soft | any-failure
any           | recipient-host | 550 5.1.1 | user unknown       | 0 | hard | any-failure
any           | suppression    | 550 5.7.1 | suppressed         | 0 | hard | flagged-before
hard          | this-relay     | 451 4.7.5 | negotiation failed | 0 | soft | soft-bounce
hard          | this-relay     | 554 5.4.7 | exceeded max time  | 0 | hard | hard-bounce
hard          | recipient-host | 552 5.2.2 | mailbox full       | 0 | hard | hard-bounce
user-unknown  | this-relay     | 451 4.7.5 | negotiation failed | 0 | soft | soft-bounce
user-unknown  | this-relay     | 554 5.4.7 | exceeded max time  | 0 | hard | not-recipient-host
user-unknown  | recipient-host | 552 5.2.2 | mailbox full       | 0 | hard | not-user-unknown
user-unknown  | recipient-host | 550 5.1.1 | go away            | 0 | hard | user-unknown
user-unknown  | recipient-host | 550 5.0.0 | No SUCH  user here | 0 | hard | user-unknown
user-unknown  | recipient-host | 450 4.2.1 | user unknown       | 0 | soft | soft-bounce
user-unknown  | other-host     | 550 5.1.1 | user unknown       | 0 | hard | not-recipient-host
pardot        | recipient-host | 550 5.1.1 | user unknown       | 0 | hard | hard-bounce
pardot        | this-relay     | 451 4.7.5 | negotiation failed | 3 | soft | too-few-soft-bounces
pardot        | this-relay     | 451 4.7.5 | negotiation failed | 4 | soft | enough-soft-bounces
pardot        | this-relay     | 451 4.7.5 | negotiation failed | 9 | soft | enough-soft-bounces
off           | recipient-host | 550 5.1.1 | user unknown       | 0 | hard | not-active
"""
FLAGGING = {"any-failure", "hard-bounce", "user-unknown", "enough-soft-bounces"}
ROWS = rows(TABLE)


def view(
    switch: str, said_by: str, status: str, text: str, earlier: str = "0", *, final: bool = True
) -> SalesforceView:
    return salesforce_view(
        status=StatusCode.parse(status),
        text=text,
        final=final,
        said_by=SaidBy(said_by),
        earlier_soft=int(earlier),
        management=MANAGED[switch],
        at=AT,
    )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(row[:3]))
def test_a_final_failure(row: tuple[str, ...]) -> None:
    *given, kind, why = row
    found = view(*given)
    assert found.kind is BounceKind(kind)
    assert found.why is FlagReason(why)
    assert found.contact_flagged is (why in FLAGGING)
    assert found.is_bounced is (why not in {"not-active", "flagged-before"})
    assert found.email_bounced_date == AT
    assert found.email_bounced_reason == " ".join(f"{given[2]} {given[3]}".split())
    assert found.why.sentence.endswith(".")


@pytest.mark.parametrize("switch", [s for s in MANAGED if s != "off"])
def test_a_delay_flags_nobody(switch: str) -> None:
    found = view(switch, "recipient-host", "450 4.2.1", "busy", "9", final=False)
    assert found.why is FlagReason.STILL_TRIED
    assert not found.contact_flagged
    assert not found.is_bounced


def test_the_reason_is_cut_and_printable() -> None:
    found = view("any", "recipient-host", "550 5.1.1", "a\x1b\ud800b\r\n c " + "x" * 400)
    assert found.email_bounced_reason.startswith("550 5.1.1 a??b c xxx")
    assert len(found.email_bounced_reason) == 255


def test_which_records_is_the_policy_s_choice() -> None:
    first = BounceManagement(matching_records=MatchingRecords.FIRST)
    found = salesforce_view(
        status=StatusCode(550, "5.1.1"),
        text="x",
        final=True,
        said_by=SaidBy.RECIPIENT_HOST,
        earlier_soft=0,
        management=first,
        at=AT,
    )
    assert found.matching_records is MatchingRecords.FIRST


@pytest.mark.parametrize(
    ("line", "unknown"),
    [
        ("550 5.1.1 <a@b.test>: Recipient address rejected: User unknown in local table", True),
        ("550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP lookup", True),
        ("550 5.0.0 Requested action not taken: mailbox unavailable", True),
        ("554 5.7.1 This account has been disabled or discontinued", True),
        ("550 5.7.1 Message rejected as spam", False),
        ("552 5.2.2 Over quota", False),
        ("450 4.1.1 User unknown, try later", False),
    ],
)
def test_the_words_for_no_such_user(line: str, unknown: bool) -> None:
    code, enhanced, text = line.split(" ", 2)
    assert says_user_unknown(StatusCode(int(code), enhanced), text) is unknown


@pytest.mark.parametrize("book", CODE_BOOKS)
def test_a_suppressed_address_has_a_final_code_in_every_book(book: str) -> None:
    refusal = LocalRefusal(problem=LocalProblem.SUPPRESSED, detail="x")
    assert outcome_of(refusal) == Failed(failure=refusal)
    assert scope_of(refusal) is Scope.RECIPIENT
    assert str(CODE_BOOKS[book].entry(refusal)) == (
        "550 5.7.1 [internal] address has bounced before and is suppressed"
    )
