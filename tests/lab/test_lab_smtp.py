"""The family smtp before swaks, and the dialogs that its cards promise."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from lab_programs import swaks

from relay.core.replies import Reply
from relay.core.scenarios import Family, ScenarioClass
from relay.lab.catalogue import SCENARIOS
from relay.lab.lab import Lab
from relay.lab.recipients import MAX_TRIES, Tries, recipient_answer
from relay.lab.scripts import RECIPIENT_OK, AsAddressed, LastReply

# Typed by hand from swaks's manual: 21 is the greeting, 23 MAIL, 24 RCPT, 25 DATA, 26 what comes
# after the content; 6, the host hung up; 0, delivered.
SWAKS = {
    "greeting-554": (21, "554 5.3.2"),
    "greeting-421": (21, "421 4.3.2"),
    "greeting-silence": (21, "Timeout (1 secs)"),
    "blocked": (23, "554 5.7.1"),
    "rate-limit": (23, "421 4.7.0"),
    "auth-required": (23, "530 5.7.0"),
    "auth-fails": (23, "530 5.7.0"),
    "user-unknown": (24, "550 5.1.1"),
    "no-such-domain-here": (24, "550 5.7.1"),
    "mailbox-busy": (24, "450 4.2.1"),
    "mailbox-full": (24, "452 4.2.2"),
    "greylist": (24, "450 4.7.1"),
    "some-recipients": (0, "250 2.1.5"),
    "reply": (0, "250 2.1.5"),
    "size-limit": (26, "552 5.3.4"),
    "too-big": (26, "552 5.3.4"),
    "data-451": (25, "451 4.3.0"),
    "data-drop": (6, "Remote host closed connection"),
    "data-silence": (26, "Timeout (1 secs)"),
    # It wants an answer to QUIT; the message is there all the same.
    "accept-then-drop": (6, "250 2.0.0 Ok: message kept"),
    "slow": (0, "250 2.0.0 Ok: message kept"),
    "multiline-replies": (0, "250-2.1.5 Recipient ok"),
    # It waits for a line that begins with a code.
    "malformed-reply": (24, "Timeout (1 secs)"),
    # It has no limit, and delivers.
    "overlong-reply": (0, "ooook"),
    "no-pipelining": (0, "250-8BITMIME"),
    "no-8bitmime": (0, "250-PIPELINING"),
    "no-smtputf8": (0, "250-8BITMIME"),
}


def test_the_table_names_the_family() -> None:
    assert list(SWAKS) == [n for n, card in SCENARIOS.items() if card.family is Family.SMTP]


@pytest.mark.judge("swaks")
@pytest.mark.parametrize("name", SWAKS)
async def test_swaks(lab: Lab, name: str) -> None:
    code, words = SWAKS[name]
    got, output = await swaks(await lab.address(name), f"x@{name}.lab.test")
    assert (got, words in output) == (code, True), output
    kept = code == 0 or name == "accept-then-drop"
    assert bool(lab.messages(name)) is kept
    if SCENARIOS[name].scenario_class is not ScenarioClass.FAULT:
        assert kept


@pytest.mark.judge("swaks")
@pytest.mark.parametrize(("name", "code"), [("auth-required", 0), ("auth-fails", 28)])
async def test_swaks_with_a_password(lab: Lab, name: str, code: int) -> None:
    login = ("--auth", "PLAIN", "--auth-user", "u", "--auth-password", "p")
    got, output = await swaks(await lab.address(name), f"x@{name}.lab.test", *login)
    assert got == code, output
    assert ("535 5.7.8" in output) is (code == 28)


@pytest.mark.judge("swaks")
async def test_a_greylisted_try_succeeds_the_second_time(lab: Lab) -> None:
    host = await lab.address("greylist")
    codes = [(await swaks(host, to))[0] for to in ("a@b.test", "c@b.test", "A@B.test", "c@b.test")]
    assert codes == [24, 24, 0, 0]
    lab.reset()
    assert (await swaks(host, "a@b.test"))[0] == 24


async def dialog(lab: Lab, name: str, *lines: str) -> list[str]:
    """Say all lines at once, in clear text; return every reply line up to the end."""
    host = await lab.address(name)
    reader, writer = await asyncio.open_connection(host.address, host.port)
    writer.write("".join(f"{line}\r\n" for line in lines).encode())
    replies = (await reader.read()).decode().splitlines()
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return replies


async def test_each_recipient_has_its_own_answer(lab: Lab) -> None:
    replies = await dialog(
        lab,
        "some-recipients",
        *("HELO a", "MAIL FROM:<>", "RCPT TO:<a@b.test>", "RCPT TO:<Unknown.One@b.test>"),
        *("RCPT TO:<c@b.test>", "DATA", "x", ".", "QUIT"),
    )
    assert [line[:9] for line in replies[3:6]] == ["250 2.1.5", "550 5.1.1", "250 2.1.5"]
    (message,) = lab.messages("some-recipients")
    assert message.recipients == ("a@b.test", "c@b.test")


@pytest.mark.parametrize(
    ("local", "reply"),
    [
        ("anyone", "250 2.1.5"),
        ("bounce+550+5.2.1", "550 5.2.1"),
        ("Bounce+452+4.2.2", "452 4.2.2"),
        ("bounce+450", "450 4.0.0"),
        ("bounce+550", "550 5.0.0"),
        ("bounce+599+5.999.999", "599 5.999.999"),
        # Codes that differ in class, that are none, or no refusal.
        ("bounce+550+4.2.1", "501 5.1.3"),
        ("bounce+550+5.02.1", "501 5.1.3"),
        ("bounce+250+2.0.0", "501 5.1.3"),
        ("bounce+5500", "501 5.1.3"),
        ("bounce+", "501 5.1.3"),
        ("bounce+550+5.2.1+more", "501 5.1.3"),
        ("bounced", "250 2.1.5"),
    ],
)
async def test_an_address_asks_for_its_answer(lab: Lab, local: str, reply: str) -> None:
    replies = await dialog(
        lab, "reply", "HELO a", "MAIL FROM:<>", f"RCPT TO:<{local}@reply.lab.test>", "QUIT"
    )
    assert replies[3].startswith(f"{reply} ")
    assert replies[4].startswith("221 ")


async def test_an_address_that_asks_for_421_ends_the_session(lab: Lab) -> None:
    replies = await dialog(
        lab, "reply", "HELO a", "MAIL FROM:<>", "RCPT TO:<bounce+421+4.3.2@reply.lab.test>", "NOOP"
    )
    assert replies[3:] == ["421 4.3.2 As the address asks for"]


def test_the_answer_to_421_is_the_last_one() -> None:
    def answer(local: str) -> object:
        return recipient_answer(
            AsAddressed(), f"{local}@b.test", reverse_path="", client="c", tries=Tries()
        )

    assert isinstance(answer("bounce+421"), LastReply)
    assert isinstance(answer("bounce+451"), Reply)
    assert answer("x") == RECIPIENT_OK


def test_tries_are_forgotten_the_oldest_first() -> None:
    tries = Tries()
    assert all(tries.is_first("c", "", f"{n}@b.test") for n in range(MAX_TRIES + 1))
    assert not tries.is_first("c", "", f"{MAX_TRIES}@b.test")
    assert tries.is_first("c", "", "0@b.test")
    assert tries.is_first("d", "", f"{MAX_TRIES}@b.test")


async def test_a_host_that_greets_with_554_takes_quit_alone(lab: Lab) -> None:
    replies = await dialog(lab, "greeting-554", "EHLO a", "STARTTLS", "MAIL FROM:<>", "QUIT")
    assert [line[:3] for line in replies] == ["554", "503", "503", "503", "221"]


async def test_an_announced_limit_holds_at_mail(lab: Lab) -> None:
    replies = await dialog(lab, "size-limit", "EHLO a", "MAIL FROM:<> SIZE=65", "QUIT")
    assert "250-SIZE 64" in replies
    assert replies[-2].startswith("552 5.3.4")


@pytest.mark.parametrize(
    ("name", "missing", "mail", "code"),
    [
        ("no-8bitmime", "8BITMIME", "MAIL FROM:<> BODY=8BITMIME", "555"),
        ("no-smtputf8", "SMTPUTF8", "MAIL FROM:<> SMTPUTF8", "555"),
        ("too-big", "SIZE", "MAIL FROM:<> SIZE=1", "555"),
        ("no-pipelining", "PIPELINING", "MAIL FROM:<>", "250"),
    ],
)
async def test_what_is_not_offered_is_not_taken(
    lab: Lab, name: str, missing: str, mail: str, code: str
) -> None:
    replies = await dialog(lab, name, "EHLO a", mail, "QUIT")
    assert not any(missing in line for line in replies)
    assert replies[-2].startswith(code)


async def test_every_reply_on_three_lines(lab: Lab) -> None:
    replies = await dialog(
        lab,
        "multiline-replies",
        *("HELO a", "MAIL FROM:<>", "RCPT TO:<a@b.test>", "NOPE", "DATA", "x", ".", "QUIT"),
    )
    assert len(replies) == 3 * 8
    for number in range(8):
        code = replies[3 * number][:3]
        assert [line[:4] for line in replies[3 * number : 3 * number + 3]] == [
            *(f"{code}-", f"{code}-", f"{code} "),
        ]


async def test_a_malformed_reply_has_no_code(lab: Lab) -> None:
    replies = await dialog(
        lab, "malformed-reply", "HELO a", "MAIL FROM:<>", "RCPT TO:<a@b.test>", "QUIT"
    )
    assert replies[3] == "recipient ok, go ahead"
