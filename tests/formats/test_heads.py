"""A head that is read at one look says what the library's parser says of it."""

from __future__ import annotations

from email import feedparser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.formats.heads import MAX_FIELD, Head, read_head, read_head_fully

NAMES = [b"Message-ID", b"message-id", b"SUBJECT", b"Subject", b"Sender", b"From", b"X-Subject"]
names = st.sampled_from(NAMES) | st.binary(max_size=4)
values = st.lists(
    st.sampled_from(
        [b" ", b"\t", b"a", b"<1@x.test>", b"=?utf-8?q?h=C3=A4?=", b"=?x?q?b?=", b"=?", b"?=",
         b"=?utf-8?b?x?=", b"=?\xff?q?a?=", b"=?punycode?q?-9a?=",
         b"\r\n ", b"\r\n\t", b"\r\n", b"\r", b"\n", b"\n ", b"\0", b"\x0c", b"\x1c", b"\x7f",
         b"\xc3\xa4", b"\xff", b"\xe2\x80\xa8", b":", b"Subject: b"]
    )
    | st.binary(max_size=6),
    max_size=6,
).map(b"".join)  # fmt: skip
lines = st.tuples(names, st.sampled_from([b": ", b":", b" :", b""]), values).map(b"".join)
heads = st.lists(lines, max_size=6).map(lambda them: b"".join(line + b"\r\n" for line in them))


@given(heads, st.sampled_from([b"", b"\r\n", b"\r\nSubject: of the body\r\n\r\n"]))
@example(b" Subject: a\r\n", b"\r\n")
@example(b"From someone\r\nSubject: a\r\n", b"\r\n")
@example(b"Subject:\r\n a\r\n \r\n b\r\n", b"\r\n")
@example(b":a\r\nSubject: b\r\n", b"\r\n")
@example(b"Subject: a" + b"\r\n b" * 9000 + b"\r\n", b"\r\n")
def test_both_readers_agree(head: bytes, rest: bytes) -> None:
    assert read_head(head + rest) == read_head_fully(head + rest)


@pytest.mark.parametrize(
    ("content", "head"),
    [
        (
            b"Subject: one\r\nMessage-ID:\r\n <1@x.test>\r\nSubject: two\r\n\r\nSender: no\r\n",
            Head(message_id="<1@x.test>", subject="one"),
        ),
        (
            b"sender: a@b.test\r\nSUBJECT: =?utf-8?q?h=C3=A4?=\r\n =?utf-8?q?_t?=\r\n\r\n",
            Head(message_id=None, subject="hä t", has_sender=True),
        ),
        (
            b"Subject: a \x1b[31m\tb\r\nX-Sender: c\r\n\r\n",
            Head(message_id=None, subject="a \ufffd[31m b"),
        ),
        (b"Subject: " + b"x" * 3000 + b"\r\n", Head(message_id=None, subject="x" * MAX_FIELD)),
        (b"\r\nSubject: of the body\r\n\r\n", Head(message_id=None, subject=None)),
        (
            b"Subject: =?utf-8?b?x?= as it is\r\n\r\n",
            Head(message_id=None, subject="=?utf-8?b?x?= as it is"),
        ),
        (
            b"Subject: =?\xff?q?a?=\r\n\r\n",
            Head(message_id=None, subject="=?\ufffd?q?a?="),
        ),
        (
            b"Subject: =?punycode?q?-9a?=\r\n\r\n",
            Head(message_id=None, subject="=?punycode?q?-9a?="),
        ),
    ],
    ids=[
        "first-and-folded",
        "encoded-words",
        "controls",
        "long",
        "no-head",
        "bad-base64",
        "bad-charset",
        "no-charset",
    ],
)
def test_what_is_read(content: bytes, head: Head) -> None:
    assert read_head(content) == head


def test_the_library_is_not_asked_for_what_most_mail_has(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(feedparser.FeedParser, "feed", never)
    head = read_head(b"From: a\r\nSubject: =?utf-8?q?=C3=A4?= and\r\n\tmore\r\n\r\nb\r\n")
    assert head == Head(message_id=None, subject="ä and more")
