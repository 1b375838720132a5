from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from email.parser import BytesHeaderParser
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.records import BodyType
from relay.inbound.incoming import Incoming, ListenerKind
from relay.inbound.received import _folded, received_header

AT = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
PLAIN = Incoming(
    reverse_path="a@b.test",
    recipients=("c@d.test",),
    content=b"",
    body=BodyType.SEVEN_BIT,
    smtputf8=False,
    peer="127.0.0.1:50000",
    listener=ListenerKind.SMTP,
    tls=None,
    authenticated_as=None,
    helo="client.test",
    session_id="s1",
)


def header(incoming: Incoming) -> bytes:
    return received_header(incoming, by="relay.test", id="m1", at=AT)


def test_in_clear() -> None:
    assert header(PLAIN) == (
        b"Received: from client.test ([127.0.0.1]) by relay.test with ESMTP id m1\r\n"
        b" for <c@d.test>; Mon, 04 May 2026 03:02:01 +0000\r\n"
    )


def test_with_everything() -> None:
    incoming = replace(
        PLAIN, tls="TLSv1.3 TLS_AES_256_GCM_SHA384", authenticated_as="app", peer="[::1]:50000"
    )
    assert header(incoming) == (
        b"Received: from client.test ([IPv6:::1]) (TLSv1.3/TLS_AES_256_GCM_SHA384)\r\n"
        b" (authenticated as app) by relay.test with ESMTPSA id m1 for <c@d.test>;\r\n"
        b" Mon, 04 May 2026 03:02:01 +0000\r\n"
    )


@pytest.mark.parametrize(
    ("changes", "protocol"),
    [
        ({"esmtp": False}, "SMTP"),
        ({}, "ESMTP"),
        ({"tls": "TLSv1.3 X"}, "ESMTPS"),
        ({"tls": "TLSv1.3 X", "authenticated_as": "app"}, "ESMTPSA"),
        ({"authenticated_as": "app"}, "ESMTPA"),
        ({"smtputf8": True}, "UTF8SMTP"),
        ({"smtputf8": True, "tls": "TLSv1.3 X", "authenticated_as": "app"}, "UTF8SMTPSA"),
    ],
)
def test_protocol_names(changes: dict[str, object], protocol: str) -> None:
    unfolded = " ".join(header(replace(PLAIN, **changes)).decode().split())
    assert f" with {protocol} id " in unfolded


def test_several_recipients_do_not_learn_of_each_other() -> None:
    assert b"for" not in header(replace(PLAIN, recipients=("c@d.test", "e@f.test")))


hostile = st.text(max_size=300)


@given(helo=hostile, user=hostile, tls=hostile)
def test_nothing_that_a_client_says_breaks_the_field(helo: str, user: str, tls: str) -> None:
    found = header(replace(PLAIN, helo=helo, authenticated_as=user, tls=tls))
    assert found.endswith(b"\r\n")
    assert all(line.startswith(b" ") for line in found.split(b"\r\n")[1:-1])
    assert found.isascii()
    assert found.count(b"(") == found.count(b")") == 3
    assert found.count(b";") == 1
    assert BytesHeaderParser().parsebytes(found).keys() == ["Received"]


def test_one_second_has_as_many_dates_as_there_are_zones() -> None:
    west = AT.astimezone(timezone(timedelta(hours=-8)))
    for at, date in [
        (AT, b"Mon, 04 May 2026 03:02:01 +0000"),
        (AT.replace(microsecond=999_999), b"Mon, 04 May 2026 03:02:01 +0000"),
        (west, b"Sun, 03 May 2026 19:02:01 -0800"),
        (AT + timedelta(seconds=1), b"Mon, 04 May 2026 03:02:02 +0000"),
    ]:
        found = received_header(PLAIN, by="relay.test", id="m1", at=at)
        assert found.endswith(b"; " + date + b"\r\n")


@given(st.lists(st.sampled_from(["a", "x" * 30, "é", "y" * 90]), max_size=5))
def test_lines_are_folded_where_a_clause_allows_it(clauses: list[str]) -> None:
    lines = _folded("Received:", clauses).split("\r\n")
    assert "".join(lines) == " ".join(["Received:", *clauses])
    for line, following in pairwise(lines):
        assert len(line) <= 78 or len(line.split()) <= 2
        assert len(line) + 1 + len(following.split()[0]) > 78
