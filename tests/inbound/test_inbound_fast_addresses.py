"""The fast path for plain addresses: the full parser's results, for whatever is said."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from inbound_harness import House

from relay.inbound import commands
from relay.inbound.commands import parse_mail, parse_mail_fully, parse_rcpt, parse_rcpt_fully
from relay.inbound.fast_addresses import plain_mail, plain_rcpt

pieces = st.sampled_from(
    ["a", "b.c", ".", "..", "-", "_", "+tag", "!", "x" * 40, "9", "@", " ", '"', "\\", "é", "\0"]
)
locals_ = st.lists(pieces, max_size=4).map("".join)
labels = st.sampled_from(
    ["a", "d", "test", "-a", "a-", "a-b", "_x", "y" * 62, "z" * 63, "z" * 64, "", "ü", "1", "[1]"]
)
domains = st.lists(labels, max_size=6).map(".".join)
paths = st.one_of(
    st.builds("{}@{}".format, locals_, domains),
    st.emails(),
    st.sampled_from(["", "postmaster", "Postmaster", "a@[127.0.0.1]", "@x:a@b.test", '"a b"@c.d']),
)
brackets = st.sampled_from(["<{}>", " <{}>", "  <{}>", "<{}", "{}", "<{}>>", "\t<{}>"])
parameters = st.lists(
    st.sampled_from(
        [
            " SIZE=10",
            " size=99999",
            " SIZE=",
            " SIZE=" + "9" * 21,
            " BODY=8BITMIME",
            " body=8bitmime",
            " BODY=7BIT",
            " SMTPUTF8",
            " RET=HDRS",
            " ENVID=x",
            " NOTIFY=NEVER",
            " X=Y",
            "  ",
            "SIZE=1",
        ]
    ),
    max_size=3,
).map("".join)


@given(
    keyword=st.sampled_from(["FROM:", "from:", "From:", "TO:", "FROM :"]),
    bracket=brackets,
    path=paths,
    parameters=parameters,
    esmtp=st.booleans(),
)
@example(keyword="FROM:", bracket="<{}>", path="a@b.test", parameters=" SIZE=10", esmtp=False)
@example(
    keyword="FROM:", bracket="<{}>", path=f"a@{'z' * 62}.{'d.' * 96}t", parameters="", esmtp=True
)
@settings(max_examples=400)
def test_mail_is_read_as_by_the_full_parser(
    keyword: str, bracket: str, path: str, parameters: str, esmtp: bool
) -> None:
    argument = f"{keyword}{bracket.format(path)}{parameters}"
    assert parse_mail(
        argument, size_limit=1000, esmtp=esmtp, auth_offered=False
    ) == parse_mail_fully(argument, size_limit=1000, esmtp=esmtp, auth_offered=False)


@given(
    keyword=st.sampled_from(["TO:", "to:", "To:", "FROM:", "TO"]),
    bracket=brackets,
    path=paths,
    parameters=parameters,
    esmtp=st.booleans(),
    smtputf8=st.booleans(),
)
@settings(max_examples=400)
def test_rcpt_is_read_as_by_the_full_parser(
    keyword: str, bracket: str, path: str, parameters: str, esmtp: bool, smtputf8: bool
) -> None:
    argument = f"{keyword}{bracket.format(path)}{parameters}"
    assert parse_rcpt(
        argument, hostname="relay.test", esmtp=esmtp, smtputf8=smtputf8
    ) == parse_rcpt_fully(argument, hostname="relay.test", esmtp=esmtp, smtputf8=smtputf8)


@pytest.mark.parametrize(
    "path",
    ["a@b.test", "first.last+tag@sub.example.com", f"{'x' * 64}@b.test", f"a@{'z' * 63}.test"],
)
def test_plain_addresses_take_the_fast_path(path: str) -> None:
    assert plain_mail(f"FROM:<{path}>") == (path, 0, False)
    assert plain_mail(f"FROM:<{path}> SIZE=42 BODY=8BITMIME") == (path, 42, True)
    assert plain_rcpt(f"TO:<{path}>") == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        '"a b"@c.test',
        "é@b.test",
        "a@ü.test",
        "postmaster",
        f"{'x' * 65}@b.test",
        f"a@{'z' * 64}.test",
        f"a@{'y.' * 127}tt",
        "a@[127.0.0.1]",
        "a..b@c.test",
        "a@b.",
    ],
)
def test_others_do_not(path: str) -> None:
    assert plain_mail(f"FROM:<{path}>") is None
    assert plain_rcpt(f"TO:<{path}>") is None


async def test_the_full_parser_is_not_called_for_plain_addresses(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []

    def counted(argument: str, **options: Any) -> object:
        called.append(argument)
        return original(argument, **options)

    original = commands.parse_mail_fully
    monkeypatch.setattr(commands, "parse_mail_fully", counted)
    client = await house.connect()
    await client.say_all("EHLO client.test", "MAIL FROM:<a@b.test> SIZE=10 BODY=8BITMIME", "RSET")
    assert called == []
    assert (await client.say("MAIL FROM:<> SIZE=10")).startswith("250 ")
    assert called == ["FROM:<> SIZE=10"]
