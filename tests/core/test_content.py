"""What a message's octets are like, found out the fast way and the plain way."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.content import PLAIN, ContentFacts, facts_of, find_leading_dot, only_crlf

octets = st.lists(
    st.sampled_from([b"\r\n", b"\r", b"\n", b".", b"x", b"\xff", b". " * 150, b"y" * 5000]),
    max_size=14,
).map(b"".join)
lines = st.lists(
    st.sampled_from([b"", b".", b"..", b"x", b"x.", b"\xff", b". " * 150, b"y" * 5000]),
    max_size=14,
).map(lambda parts: b"".join(part + b"\r\n" for part in parts))


def looked_at_plainly(content: bytes) -> ContentFacts:
    rest = content.split(b"\r\n")
    return ContentFacts(
        whole_lines=not rest[-1] and not any(b"\r" in line or b"\n" in line for line in rest),
        leading_dot=any(line.startswith(b".") for line in rest),
        eight_bit=any(octet > 127 for octet in content),
    )


@given(content=octets | lines)
def test_facts_are_those_of_a_plain_look(content: bytes) -> None:
    assert facts_of(content) == looked_at_plainly(content)


@given(content=octets)
def test_only_crlf_means_no_cr_and_no_lf_alone(content: bytes) -> None:
    bare = re.search(rb"\r(?!\n)|(?<!\r)\n", content)
    assert only_crlf(content) is (bare is None)


@given(content=octets, start=st.integers(0, 6000))
def test_a_leading_dot_is_found_where_a_search_finds_it(content: bytes, start: int) -> None:
    assert find_leading_dot(content, start) == content.find(b"\r\n.", start)
    assert find_leading_dot(bytearray(content), start) == content.find(b"\r\n.", start)


@given(front=lines, content=lines)
def test_facts_with_lines_in_front(front: bytes, content: bytes) -> None:
    assert facts_of(content).behind(front) == facts_of(front + content)


@pytest.mark.parametrize("content", [b"", b"\r\n", b"Subject: x\r\n\r\na.b\r\n"], ids=repr)
def test_plain_content(content: bytes) -> None:
    assert facts_of(content) is PLAIN
