from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import pytest
from journal_records import a_bounce, a_session, an_attempt, an_envelope
from pydantic import TypeAdapter, ValidationError

from relay.core.records import Attempt, Bounce, Envelope, Session
from relay.journal.codec import decode, encode
from relay.journal.quick_reading import quick_validator, tagged


@dataclass(frozen=True)
class One:
    kind: Literal["one"] = "one"


@dataclass(frozen=True)
class Other:
    number: int
    kind: Literal["other", "another"] = "other"


@dataclass(frozen=True)
class Both:
    told_apart: One | Other | None
    not_told_apart: int | str
    several: tuple[One | Other, ...] = ()


@dataclass(frozen=True)
class Impostor:
    kind: Literal["one"] = "one"


def unions(part: Any) -> Iterator[str]:
    """Yield the kind of each union in a schema."""
    if isinstance(part, dict):
        if part.get("type") in {"union", "tagged-union"}:
            yield part["type"]
        for value in part.values():
            yield from unions(value)
    elif isinstance(part, list | tuple):
        for value in part:
            yield from unions(value)


@pytest.mark.parametrize(
    "record", [an_envelope(), a_session(), an_attempt(), a_bounce()], ids=lambda r: type(r).__name__
)
def test_every_union_of_a_record_is_told_apart_by_its_kind(record: Any) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(type(record))
    assert "union" not in list(unions(tagged(adapter)))
    assert quick_validator(adapter).validate_json(encode(record)) == record


def test_the_records_with_unions_have_them() -> None:
    """Else the test above would say nothing."""
    counts = {
        kind: len([*unions(TypeAdapter(kind).core_schema)])
        for kind in (Envelope, Session, Attempt, Bounce)
    }
    assert counts[Attempt] > 3
    assert counts[Session] > 0


def test_other_unions_stay_as_they_are() -> None:
    adapter = TypeAdapter(Both)
    assert sorted(unions(tagged(adapter))) == ["tagged-union", "tagged-union", "union"]
    quick = quick_validator(adapter)
    text = (
        '{"told_apart": {"kind": "another", "number": 3}, "not_told_apart": "x", '
        '"several": [{"kind": "one"}, {"kind": "other", "number": 4}]}'
    )
    expected = Both(
        told_apart=Other(number=3, kind="another"),
        not_told_apart="x",
        several=(One(), Other(number=4)),
    )
    assert quick.validate_json(text) == adapter.validate_json(text) == expected
    assert quick.validate_json('{"told_apart": null, "not_told_apart": 5}') == Both(None, 5)


def test_a_member_without_its_kind_is_left_to_the_adapter() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(One | Other)
    assert adapter.validate_json('{"number": 3}') == Other(number=3)
    with pytest.raises(ValidationError, match="kind"):
        quick_validator(adapter).validate_json('{"number": 3}')


def test_what_the_quick_way_does_not_read_comes_back_all_the_same() -> None:
    """Lone surrogates are no JSON to pydantic, and are what a peer's octets become."""
    attempt = replace(an_attempt(), route="\udcff")
    with pytest.raises(ValidationError, match="surrogate"):
        quick_validator(TypeAdapter(Attempt)).validate_json(encode(attempt))
    assert decode(Attempt, encode(attempt)) == attempt


def test_two_members_of_one_kind_are_not_told_apart_by_it() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(One | Impostor)
    assert [*unions(tagged(adapter))] == ["union"]
