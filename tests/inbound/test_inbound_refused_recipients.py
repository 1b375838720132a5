"""Recipients that the relay behind the listeners refuses: one by one, at RCPT."""

from __future__ import annotations

from inbound_harness import OpenHouse

from relay.core.codebook import CodeEntry

NOBODY = CodeEntry.parse("550 5.1.1 nobody")


async def test_a_refused_recipient_takes_no_other_with_it(open_house: OpenHouse) -> None:
    asked: list[str] = []

    def refuse(recipient: str) -> CodeEntry | None:
        asked.append(recipient)
        return NOBODY if recipient.startswith("forged") else None

    house = await open_house(refuse_recipient=refuse)
    client = await house.connect()
    await client.say_all("EHLO client.test", "MAIL FROM:<>")
    assert await client.say("RCPT TO:<forged@bnc.test>") == "550 5.1.1 nobody"
    assert (await client.say("DATA")).startswith("503 ")
    assert (await client.say("RCPT TO:<c@d.test>")).startswith("250 ")
    assert await client.say("RCPT TO:<forged2@bnc.test>") == "550 5.1.1 nobody"
    assert (await client.say("DATA")).startswith("354 ")
    await client.say(b"Subject: x\r\n\r\nx\r\n.\r\n")
    assert house.accepted[0].recipients == ("c@d.test",)
    assert asked == ["forged@bnc.test", "c@d.test", "forged2@bnc.test"]
