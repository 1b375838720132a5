"""Headers and parts of any octets that a client may send."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from relay.core.jsonform import to_json
from relay.web.mail_parts import header_fields, part_content, part_summaries, part_text

PIECES = st.sampled_from(
    [
        b"Content-Type: multipart/mixed; boundary=b\r\n",
        b"Content-Type: multipart/mixed\r\n",
        b"Content-Type: text/plain; charset=no-such\r\n",
        b"Content-Type: text/html; charset*=utf-8''%ff\r\n",
        b"Content-Type: message/rfc822\r\n",
        b"Content-Type: ;;=\xff\r\n",
        b"Content-Transfer-Encoding: base64\r\n",
        b"Content-Transfer-Encoding: x-uuencode\r\n",
        b"Content-Disposition: attachment; filename*0*=a''%zz; filename*1=x\r\n",
        b"Subject: =?utf-8?B?!!!?=\r\n \xff folded\r\n",
        b": no name\r\n",
        b"\r\n",
        b"--b\r\n",
        b"--b--\r\n",
        b"=\xe9YWJj===\r\n",
    ]
)


@given(st.lists(PIECES | st.binary(max_size=20), max_size=12).map(b"".join))
def test_any_octets_have_headers_and_parts(content: bytes) -> None:
    json.dumps(to_json(header_fields(content)), ensure_ascii=False).encode()
    found = part_summaries(content)
    json.dumps(to_json(found), ensure_ascii=False).encode()
    assert [part.number for part in found] == list(range(1, len(found) + 1))
    for part in found:
        assert part_content(content, part.number) is not None
        text = part_text(content, part.number)
        assert text is not None
        text.encode("utf-8", "replace")
    assert part_content(content, len(found) + 1) is None
    assert part_text(content, len(found) + 1) is None


def test_a_folded_field_is_one_line_and_keeps_its_words() -> None:
    (first, second) = header_fields(b"A: one\r\n  two\r\nB: \xe9\r\n\r\nC: body\r\n")
    assert (first.name, first.value) == ("A", "one  two")
    assert second.name == "B"


def test_a_message_within_the_message_is_a_part() -> None:
    content = (
        b"Content-Type: multipart/report; boundary=b\r\n\r\n"
        b"--b\r\n\r\ntold\r\n"
        b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nhello\r\n--b--\r\n"
    )
    first, second, *_ = part_summaries(content)
    assert (first.content_type, second.content_type) == ("text/plain", "message/rfc822")
    found = part_content(content, 2)
    assert found is not None
    assert found[1] == b"Subject: inner\r\n\r\nhello"
