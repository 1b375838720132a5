"""The arguments of MAIL and RCPT: whatever a client says is a value or a refusal, never a crash."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from relay.core.addresses import parse_address
from relay.core.codebook import CodeEntry
from relay.inbound.commands import parse_mail, parse_rcpt

words = st.sampled_from(
    [
        *("FROM:", "TO:", "<a@b.test>", "<>", " ", "  ", "=", ";", "+", "\\", "<", ">", '"'),
        *("RET=", "ENVID=", "NOTIFY=", "ORCPT=", "SIZE=", "BODY=", "SMTPUTF8", "AUTH=<>"),
        *("FULL", "hdrs", "never", "SUCCESS", ",", "rfc822;", "utf-8;", "+2B", "+0A", r"\x{FC}"),
        *("ü", "\x85", "\u2028", "\xa0", "\0", "\t", "\r", "\n", "x"),
    ]
)
arguments = st.lists(words | st.text(max_size=3), max_size=10).map("".join)


def said_in_one_word(value: str | None) -> bool:
    """Whether a value can stand in a command without ending it or its parameter."""
    return value is None or (value.isprintable() and not any(c.isspace() for c in value))


@given(rest=arguments, esmtp=st.booleans())
def test_mail(rest: str, esmtp: bool) -> None:
    for argument in (rest, f"FROM:<a@b.test> {rest}"):
        mail = parse_mail(argument, size_limit=1000, esmtp=esmtp, auth_offered=True)
        if isinstance(mail, CodeEntry):
            assert mail.status.code in {501, 552, 553, 555}
            continue
        assert not mail.reverse_path or parse_address(mail.reverse_path)
        assert said_in_one_word(mail.envelope_id)
        assert mail.envelope_id is None or mail.envelope_id.isascii()
        assert esmtp or (mail.ret, mail.envelope_id, mail.smtputf8) == (None, None, False)


@example(rest="ORCPT=utf-8;a\u2028b", esmtp=True, smtputf8=True)
@example(rest="ORCPT=rfc822;a+0Ab", esmtp=True, smtputf8=True)
@given(rest=arguments, esmtp=st.booleans(), smtputf8=st.booleans())
def test_rcpt(rest: str, esmtp: bool, smtputf8: bool) -> None:
    for argument in (rest, f"TO:<a@b.test> {rest}"):
        request = parse_rcpt(argument, hostname="relay.test", esmtp=esmtp, smtputf8=smtputf8)
        if isinstance(request, CodeEntry):
            assert request.status.code in {501, 553, 555}
            continue
        assert parse_address(request.recipient)
        assert said_in_one_word(request.original)
        assert smtputf8 or request.original is None or request.original.isascii()
        assert esmtp or (request.notify, request.original) == (None, None)
