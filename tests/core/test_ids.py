"""Identifiers: their form, their order, and where their random part comes from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from relay.core.ids import ID_FORM, IdMaker, make_id

TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
ENTROPIES = st.integers(0, 2**40 - 1)
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def number_of(text: str) -> int:
    number = 0
    for digit in text:
        number = number * 32 + ALPHABET.index(digit)
    return number


@given(at=TIMES, entropy=ENTROPIES)
def test_an_id_is_its_time_and_its_random_bits_in_base_32(at: datetime, entropy: int) -> None:
    made = make_id(at, entropy)
    assert ID_FORM.fullmatch(made)
    assert divmod(number_of(made), 2**40) == (int(at.timestamp() * 1000), entropy)


@given(first=TIMES, second=TIMES, one=ENTROPIES, other=ENTROPIES)
def test_ids_sort_as_their_milliseconds_do(
    first: datetime, second: datetime, one: int, other: int
) -> None:
    early, late = sorted((int(at.timestamp() * 1000), at) for at in (first, second))
    if early[0] < late[0]:
        assert make_id(early[1], one) < make_id(late[1], other)


@given(times=st.lists(TIMES, min_size=1, max_size=5))
def test_the_maker_makes_the_same_ids(times: list[datetime]) -> None:
    octets = bytes(range(5)) * 1000
    maker = IdMaker(lambda size: octets[:size])
    entropy = int.from_bytes(octets[:5], "big")
    assert [maker(at) for at in times] == [make_id(at, entropy) for at in times]


def test_no_random_bit_is_used_twice() -> None:
    count = 0

    def counted(size: int) -> bytes:
        nonlocal count
        parts = range(count, count + size // 5)
        count += size // 5
        return b"".join(part.to_bytes(5, "big") for part in parts)

    maker = IdMaker(counted)
    made = {maker(NOON + timedelta(milliseconds=n // 7)) for n in range(500)}
    entropies = sorted(number_of(text) % 2**40 for text in made)
    assert len(made) == 500
    assert len(set(entropies)) == 500
    assert entropies[-1] < count
