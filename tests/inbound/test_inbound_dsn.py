"""The DSN extension (RFC 3461): what a client asks is handed on as it came."""

from __future__ import annotations

import pytest
from inbound_harness import House

from relay.core.dsn import DsnRequest, Notify, RecipientRequest, ReturnContent

LONGEST_ENVID = "x" * 97 + "+2B"
LONGEST_ORCPT = "rfc822;" + "x" * 493


async def asked(house: House, mail: str, *recipients: str) -> DsnRequest:
    """Send a message with these commands; return what was handed on."""
    client = await house.connect()
    reply = await client.say_all("EHLO client.test", mail, *recipients, "DATA")
    assert reply.startswith("354 "), reply
    assert (await client.say(b".\r\n")).startswith("250 ")
    return house.accepted[-1].dsn


async def test_nothing_was_asked(house: House) -> None:
    assert await asked(house, "MAIL FROM:<a@b.test>", "RCPT TO:<c@d.test>") == DsnRequest()


async def test_values_keep_their_case_and_their_encoding(house: House) -> None:
    request = await asked(
        house,
        "MAIL FROM:<a@b.test> RET=hdrs ENVID=QQ314159+20x",
        "RCPT TO:<c@d.test> ORCPT=RFC822;Carol+2Bx@D.test NOTIFY=Delay,SUCCESS",
        "RCPT TO:<d@d.test>",
        "RCPT TO:<e@d.test> NOTIFY=never",
    )
    assert request == DsnRequest(
        ret=ReturnContent.HEADERS,
        envelope_id="QQ314159+20x",
        recipients=(
            RecipientRequest(
                recipient="c@d.test",
                notify=(Notify.DELAY, Notify.SUCCESS),
                original="RFC822;Carol+2Bx@D.test",
            ),
            RecipientRequest(recipient="e@d.test", notify=()),
        ),
    )


async def test_the_longest_values(house: House) -> None:
    request = await asked(
        house,
        f"MAIL FROM:<a@b.test> RET=FULL ENVID={LONGEST_ENVID}",
        f"RCPT TO:<c@d.test> ORCPT={LONGEST_ORCPT}",
    )
    assert request.ret is ReturnContent.FULL
    assert request.envelope_id == LONGEST_ENVID
    assert request.of("c@d.test").original == LONGEST_ORCPT


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(f"MAIL FROM:<a@b.test> ENVID=x{LONGEST_ENVID}", id="ENVID"),
        pytest.param(f"RCPT TO:<c@d.test> ORCPT={LONGEST_ORCPT}x", id="ORCPT"),
    ],
)
async def test_longer_than_the_longest(command: str, house: House) -> None:
    client = await house.connect()
    await client.say("EHLO client.test")
    if command.startswith("RCPT"):
        await client.say("MAIL FROM:<a@b.test>")
    assert (await client.say(command)).startswith("501 5.5.4 ")


@pytest.mark.parametrize(
    ("original", "reply"),
    [
        ("utf-8;jürgen@d.test", "250 2.1.5 "),
        (r"UTF-8;j\x{FC}rgen@d.test", "250 2.1.5 "),
        ("utf-8;jürgen+x@d.test", "501 5.5.4 "),
        ("utf-8;jür\\gen@d.test", "501 5.5.4 "),
        ("utf-8;jür\x85gen@d.test", "501 5.5.4 "),
        ("utf-8;jür\u2028gen@d.test", "501 5.5.4 "),
        ("utf-8;jür\xa0gen@d.test", "501 5.5.4 "),
        ("rfc822;jürgen@d.test", "501 5.5.4 "),
    ],
)
async def test_utf8_under_smtputf8_alone(original: str, reply: str, house: House) -> None:
    client = await house.connect()
    await client.say_all("EHLO client.test", "MAIL FROM:<a@b.test> SMTPUTF8")
    assert (await client.say(f"RCPT TO:<c@d.test> ORCPT={original}")).startswith(reply)


async def test_a_recipient_named_twice_asked_what_it_asked_first(house: House) -> None:
    request = await asked(
        house,
        "MAIL FROM:<a@b.test>",
        "RCPT TO:<c@d.test>",
        "RCPT TO:<c@d.test> NOTIFY=NEVER",
        "RCPT TO:<d@d.test> NOTIFY=SUCCESS",
        "RCPT TO:<d@d.test> NOTIFY=NEVER",
    )
    assert request.of("c@d.test").wants(Notify.FAILURE)
    assert request.of("d@d.test").notify == (Notify.SUCCESS,)


async def test_the_next_message_asks_anew(house: House) -> None:
    client = await house.connect()
    await client.say_all(
        "EHLO client.test",
        "MAIL FROM:<a@b.test> RET=FULL ENVID=one",
        "RCPT TO:<c@d.test> NOTIFY=NEVER",
        "RSET",
        "MAIL FROM:<a@b.test>",
        "RCPT TO:<c@d.test>",
        "DATA",
    )
    await client.say(b".\r\n")
    assert house.accepted[0].dsn == DsnRequest()
