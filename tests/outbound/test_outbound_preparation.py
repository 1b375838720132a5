"""What goes into MAIL, RCPT and the data, for what a host offers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outbound_relay import MESSAGE, envelope

from relay.core.content import facts_of
from relay.core.outcomes import LocalProblem, LocalRefusal
from relay.outbound.preparation import Prepared, dots_doubled, prepare

EVERYTHING = {"size": "1000", "8bitmime": "", "smtputf8": ""}
EIGHT_BIT = "Subject: é\r\n\r\né\r\n".encode()
EIGHT_BIT_BODY = "Subject: e\r\n\r\né\r\n".encode()


def _prepared(
    content: bytes = MESSAGE,
    extensions: dict[str, str] | None = None,
    recipients: tuple[str, ...] = ("one@peer.test",),
    *,
    reverse_path: str = "sender@origin.test",
    smtputf8: bool = False,
) -> Prepared:
    message = envelope(reverse_path=reverse_path, smtputf8=smtputf8)
    prepared = prepare(
        message, recipients, content, EVERYTHING if extensions is None else extensions
    )
    assert isinstance(prepared, Prepared)
    return prepared


def _refused(
    content: bytes = MESSAGE,
    extensions: dict[str, str] | None = None,
    *,
    reverse_path: str = "sender@origin.test",
    smtputf8: bool = False,
) -> LocalProblem:
    message = envelope(reverse_path=reverse_path, smtputf8=smtputf8)
    refusal = prepare(message, ("one@peer.test",), content, extensions or {})
    assert isinstance(refusal, LocalRefusal)
    return refusal.problem


def test_only_what_is_offered_and_needed_is_asked_for() -> None:
    assert _prepared().options == (b"SIZE=25",)
    assert _prepared(extensions={}).options == ()
    assert _prepared(EIGHT_BIT).options == (b"SIZE=%d" % len(EIGHT_BIT), b"BODY=8BITMIME")
    assert _prepared(smtputf8=True).options == (b"SIZE=25", b"SMTPUTF8")
    assert _prepared(recipients=("jürgen@peer.test",)).options == (b"SIZE=25", b"SMTPUTF8")
    assert _prepared(reverse_path="jürgen@x.test").options == (b"SIZE=25", b"SMTPUTF8")


@pytest.mark.parametrize("limit", ["", "0", "abc", "-5", "25", "²", "9" * 5000])
def test_a_size_that_sets_no_limit_here(limit: str) -> None:
    assert _prepared(extensions={"size": limit}).size == 25


@pytest.mark.parametrize("limit", ["24", "1", " 24 "])
def test_bigger_than_the_host_takes(limit: str) -> None:
    assert _refused(extensions={"size": limit}) is LocalProblem.TOO_BIG_FOR_HOST


def test_8_bit_octets_need_8bitmime() -> None:
    assert _refused(EIGHT_BIT_BODY) is LocalProblem.NEEDS_8BITMIME
    assert _prepared(EIGHT_BIT_BODY, {"8bitmime": ""}).options == (b"BODY=8BITMIME",)


def test_utf8_needs_smtputf8_where_it_is_used() -> None:
    eight_bit_only = {"8bitmime": ""}
    assert _refused(EIGHT_BIT, eight_bit_only, smtputf8=True) is LocalProblem.NEEDS_SMTPUTF8
    assert (
        _refused(extensions=eight_bit_only, reverse_path="jürgen@x.test")
        is LocalProblem.NEEDS_SMTPUTF8
    )
    # A client may say SMTPUTF8 for a message that does without.
    assert _prepared(EIGHT_BIT_BODY, eight_bit_only, smtputf8=True).refused == {}
    assert _prepared(MESSAGE, {}, smtputf8=True).options == ()


def test_a_domain_in_utf8_has_an_ascii_form_for_hosts_without_smtputf8() -> None:
    recipients = ("anna@bücher.test", "Anna@PEER.test")
    plain = _prepared(extensions={}, recipients=recipients)
    assert plain.forward_paths == {
        "anna@bücher.test": b"TO:<anna@xn--bcher-kva.test>",
        "Anna@PEER.test": b"TO:<Anna@PEER.test>",
    }
    assert _prepared(recipients=recipients).forward_paths == {
        "anna@bücher.test": "TO:<anna@bücher.test>".encode(),
        "Anna@PEER.test": b"TO:<Anna@PEER.test>",
    }


@pytest.mark.parametrize("reverse_path", ["<>", "no-domain", "a b@x.test", "a@x.test\r\nDATA"])
def test_a_reverse_path_that_can_not_be_said(reverse_path: str) -> None:
    assert _refused(reverse_path=reverse_path) is LocalProblem.NOT_SENDABLE


@pytest.mark.parametrize(
    ("content", "stuffed"),
    [
        (b"", b""),
        (b"\r\n", b"\r\n"),
        (b".\r\n", b"..\r\n"),
        (b"a\r\n.\r\n..\r\n.b\r\n", b"a\r\n..\r\n...\r\n..b\r\n"),
        (b"a.\r\n b.c\r\n", b"a.\r\n b.c\r\n"),
    ],
)
def test_dots(content: bytes, stuffed: bytes) -> None:
    assert dots_doubled(content) == stuffed
    assert _prepared(content).stuffed == stuffed


@given(st.lists(st.binary().map(lambda b: b.replace(b"\r", b"").replace(b"\n", b""))))
def test_stuffing_is_undone_line_by_line_and_ends_nothing(lines: list[bytes]) -> None:
    sent = _prepared(b"".join(line + b"\r\n" for line in lines)).stuffed.split(b"\r\n")
    assert sent.pop() == b""
    assert b"." not in sent
    assert [line.removeprefix(b".") for line in sent] == lines


@given(st.lists(st.sampled_from([b"\r\n", b"\r\n.", b"x", b"\xff"])).map(b"".join))
def test_facts_that_came_with_the_content_change_nothing(content: bytes) -> None:
    message = envelope(smtputf8=True)
    for extensions in ({}, EVERYTHING):
        looked = prepare(message, ("one@peer.test",), content, extensions)
        told = prepare(message, ("one@peer.test",), content, extensions, facts=facts_of(content))
        assert told == looked


@given(st.binary())
def test_nothing_that_could_end_the_data_early_is_sent(content: bytes) -> None:
    prepared = prepare(envelope(), ("one@peer.test",), content, {"8bitmime": ""})
    without_pairs = content.replace(b"\r\n", b"")
    proper = not content or content.endswith(b"\r\n")
    proper = proper and b"\r" not in without_pairs and b"\n" not in without_pairs
    assert isinstance(prepared, Prepared) is proper


@given(st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b"x", b".", b"\xff"])).map(b"".join))
def test_only_lines_that_end_in_crlf_are_sent(content: bytes) -> None:
    rest = content.replace(b"\r\n", b"")
    ends = not content or content.endswith(b"\r\n")
    proper = ends and b"\r" not in rest and b"\n" not in rest
    prepared = prepare(envelope(), ("one@peer.test",), content, EVERYTHING)
    assert isinstance(prepared, Prepared) is proper
    if not proper:
        assert isinstance(prepared, LocalRefusal)
        assert prepared.problem is LocalProblem.NOT_SENDABLE
