"""The DSN extension towards a host: what a relaying MTA says (RFC 3461 sections 5.2.1 and 6.1)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from outbound_peer import Conversation, Peer
from outbound_relay import MESSAGE, Relay, envelope

from relay.core.dsn import DsnRequest, Notify, RecipientRequest, ReturnContent
from relay.core.outcomes import Delivered
from relay.core.records import Envelope
from relay.outbound.dsn_parameters import rcpt_options

ONE, TWO = "one@peer.test", "two@peer.test"
ASKED = DsnRequest(
    ret=ReturnContent.HEADERS,
    envelope_id="QQ314159+20x",
    recipients=(
        RecipientRequest(
            recipient=ONE,
            notify=(Notify.DELAY, Notify.SUCCESS),
            original="RFC822;Carol+2Bx@D.test",
        ),
        RecipientRequest(recipient=TWO, notify=()),
    ),
)


async def _send(
    relay: Relay, message: Envelope, *extensions: str
) -> tuple[Conversation, list[bool]]:
    """Send a message; return what the host heard, and what each delivery says of DSN."""
    async with Peer(extensions=extensions).running() as peer:
        session = await relay.open(peer.hop)
        admitted = await relay.admitted(session)
        outcomes = [e.outcome for e in await admitted.send(message, message.recipients, MESSAGE)]
        await session.close()
        await peer.settled()
    taken = [outcome for outcome in outcomes if isinstance(outcome, Delivered)]
    assert len(taken) == len(outcomes)
    return peer.only, [outcome.dsn for outcome in taken]


async def test_what_was_asked_goes_on_as_it_came(relay: Relay) -> None:
    message = replace(envelope(recipients=(ONE, TWO)), dsn=ASKED)
    heard, dsn = await _send(relay, message, "DSN")
    assert heard.commands[1:4] == [
        "MAIL FROM:<sender@origin.test> RET=HDRS ENVID=QQ314159+20x",
        "RCPT TO:<one@peer.test> NOTIFY=DELAY,SUCCESS ORCPT=RFC822;Carol+2Bx@D.test",
        "RCPT TO:<two@peer.test> NOTIFY=NEVER ORCPT=rfc822;two@peer.test",
    ]
    assert dsn == [True, True]


async def test_a_host_without_the_extension_hears_nothing_of_it(relay: Relay) -> None:
    message = replace(envelope(recipients=(ONE, TWO)), dsn=ASKED)
    heard, dsn = await _send(relay, message)
    assert heard.commands[1:4] == [
        "MAIL FROM:<sender@origin.test>",
        "RCPT TO:<one@peer.test>",
        "RCPT TO:<two@peer.test>",
    ]
    assert dsn == [False, False]


async def test_what_was_not_asked_is_not_asked_on(relay: Relay) -> None:
    heard, dsn = await _send(relay, envelope(recipients=(ONE,)), "DSN")
    assert heard.commands[1:3] == [
        "MAIL FROM:<sender@origin.test>",
        "RCPT TO:<one@peer.test> ORCPT=rfc822;one@peer.test",
    ]
    assert dsn == [True]


async def test_a_notification_of_our_own_asks_for_none(relay: Relay) -> None:
    message = replace(
        envelope(reverse_path="", recipients=(ONE,)), dsn=ASKED, notification_for="message-0"
    )
    heard, _ = await _send(relay, message, "DSN")
    assert heard.commands[1:3] == ["MAIL FROM:<>", "RCPT TO:<one@peer.test> NOTIFY=NEVER"]


async def test_ret_full(relay: Relay) -> None:
    message = replace(envelope(recipients=(ONE,)), dsn=DsnRequest(ret=ReturnContent.FULL))
    heard, _ = await _send(relay, message, "DSN")
    assert heard.commands[1] == "MAIL FROM:<sender@origin.test> RET=FULL"


@pytest.mark.parametrize(
    ("recipient", "expected"),
    [
        ("a+b=c@peer.test", b"ORCPT=rfc822;a+2Bb+3Dc@peer.test"),
        ('"a b"@peer.test', b'ORCPT=rfc822;"a+20b"@peer.test'),
        ("jürgen+x@peer.test", rb"ORCPT=utf-8;j\x{FC}rgen\x{2B}x@peer.test"),
        ("anna@bücher.test", rb"ORCPT=utf-8;anna@b\x{FC}cher.test"),
        ("\U0001f600@peer.test", rb"ORCPT=utf-8;\x{1F600}@peer.test"),
    ],
)
def test_an_orcpt_that_is_added_is_the_recipient_in_ascii(recipient: str, expected: bytes) -> None:
    assert rcpt_options(envelope(), recipient, smtputf8=True) == (expected,)


@pytest.mark.parametrize(
    ("original", "smtputf8", "expected"),
    [
        (r"utf-8;jürgen\x{2B}x@d.test", True, r"utf-8;jürgen\x{2B}x@d.test"),
        (r"utf-8;jürgen\x{2B}x@d.test", False, r"utf-8;j\x{FC}rgen\x{2B}x@d.test"),
        (r"utf-8;j\x{FC}rgen@d.test", False, r"utf-8;j\x{FC}rgen@d.test"),
    ],
)
def test_an_orcpt_in_utf8_for_a_host_without_it(
    original: str, smtputf8: bool, expected: str
) -> None:
    asked = DsnRequest(recipients=(RecipientRequest(recipient=ONE, original=original),))
    message = replace(envelope(), dsn=asked)
    assert rcpt_options(message, ONE, smtputf8=smtputf8) == (f"ORCPT={expected}".encode(),)


async def test_utf8_in_orcpt_goes_out_under_smtputf8_alone(relay: Relay) -> None:
    asked = DsnRequest(recipients=(RecipientRequest(recipient=ONE, original="utf-8;ü@d.test"),))
    message = replace(envelope(recipients=(ONE,), smtputf8=True), dsn=asked)
    heard, _ = await _send(relay, message, "DSN", "SMTPUTF8")
    assert heard.commands[1:3] == [
        "MAIL FROM:<sender@origin.test> SMTPUTF8",
        "RCPT TO:<one@peer.test> ORCPT=utf-8;ü@d.test",
    ]
    heard, _ = await _send(relay, message, "DSN")
    assert heard.commands[1:3] == [
        "MAIL FROM:<sender@origin.test>",
        r"RCPT TO:<one@peer.test> ORCPT=utf-8;\x{FC}@d.test",
    ]


def test_an_orcpt_too_long_for_the_wire_is_left_out() -> None:
    long = "ü" * 32 + "@" + ".".join(["ü" * 20] * 5)
    asked = DsnRequest(recipients=(RecipientRequest(recipient=ONE, original=f"utf-8;{long}"),))
    longest = replace(envelope(), dsn=asked)
    assert rcpt_options(longest, ONE, smtputf8=True) == (f"ORCPT=utf-8;{long}".encode(),)
    assert rcpt_options(longest, ONE, smtputf8=False) == ()
