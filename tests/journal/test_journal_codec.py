from __future__ import annotations

import json
import typing
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journal_records import a_bounce, a_session, an_attempt, an_envelope, any_of

from relay.core.evidence import Handshake
from relay.core.jsonform import to_json
from relay.core.outcomes import Deferred, Failed, Failure, Outcome
from relay.core.records import Attempt, Bounce, Envelope, RecipientOutcome, Session
from relay.core.verdicts import Verdict
from relay.journal.api import JournalError
from relay.journal.codec import decode, encode, from_microseconds, to_microseconds

KINDS = (Envelope, Session, Attempt, Bounce)
some = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def there_and_back(record: Any) -> Any:
    text = encode(record)
    assert "\n" not in text
    assert text.isascii()
    assert json.loads(text) == to_json(record)
    return decode(type(record), text)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@some
@given(data=st.data())
def test_any_record_comes_back_equal(kind: Any, data: st.DataObject) -> None:
    record = data.draw(any_of(kind))
    assert there_and_back(record) == record


@pytest.mark.parametrize("kind", typing.get_args(Failure), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("outcome", [Deferred, Failed])
@some
@given(data=st.data())
def test_each_failure_comes_back_as_itself(outcome: Any, kind: Any, data: st.DataObject) -> None:
    failure = data.draw(any_of(kind))
    record = replace(
        an_attempt(),
        outcomes=(RecipientOutcome(recipient="u@bank.test", outcome=outcome(failure=failure)),),
    )
    (found,) = there_and_back(record).outcomes
    assert type(found.outcome) is outcome
    assert type(found.outcome.failure) is kind
    assert found.outcome.failure == failure


@pytest.mark.parametrize(
    ("kind", "put"),
    [
        *((k, lambda v: replace(an_attempt(), verdict=v)) for k in typing.get_args(Verdict)),
        *(
            (
                k,
                lambda v: replace(
                    an_attempt(), outcomes=(RecipientOutcome(recipient="", outcome=v),)
                ),
            )
            for k in typing.get_args(Outcome)
        ),
        *(
            (k, lambda v: replace(a_session(), evidence=replace(a_session().evidence, handshake=v)))
            for k in typing.get_args(Handshake)
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
@some
@given(data=st.data())
def test_each_member_of_a_union_comes_back_as_itself(
    kind: Any, put: Any, data: st.DataObject
) -> None:
    record = put(data.draw(any_of(kind)))
    assert there_and_back(record) == record


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"id": "x"}', "null"])
def test_damaged_text_is_a_journal_error(text: str) -> None:
    with pytest.raises(JournalError, match="damaged bounce"):
        decode(Bounce, text)


def test_an_envelope_is_no_bounce() -> None:
    with pytest.raises(JournalError):
        decode(Bounce, encode(an_envelope()))
    assert decode(Bounce, encode(a_bounce())) == a_bounce()


@some
@given(first=any_of(datetime), second=any_of(datetime))
def test_microseconds_keep_the_time_and_its_order(first: Any, second: Any) -> None:
    assert from_microseconds(to_microseconds(first)) == first
    assert (to_microseconds(first) < to_microseconds(second)) == (first < second)


def test_a_session_from_before_advisories_still_comes_back() -> None:
    session = replace(a_session(1), advisories=())
    assert session.evidence is not None
    data = to_json(session)
    assert isinstance(data, dict)
    del data["advisories"]
    seen = data["evidence"]
    assert isinstance(seen, dict)
    del seen["starttls_offered_under_tls"]
    expected = replace(session, evidence=replace(session.evidence, starttls_offered_under_tls=None))
    assert decode(Session, json.dumps(data)) == expected
