"""Commands that come together are answered as if each had come alone (RFC 2920)."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count, pairwise
from typing import Never

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inbound_harness import HOSTNAME, TAKEN, Client, House, OpenHouse, spoken

from relay.core.delivery import BareLineEnds
from relay.core.settings import TlsMode
from relay.inbound import replies
from relay.inbound.content import Buffered
from relay.inbound.conversation import Conversation
from relay.inbound.credentials import Credentials
from relay.inbound.dialog import Dialog
from relay.inbound.errands import AcceptMessage, LetOthersRun, LibraryVerb
from relay.inbound.fast_start import Blueprint
from relay.inbound.incoming import Incoming, ListenerKind
from relay.inbound.limits import InboundLimits
from relay.inbound.lines import ClientInput
from relay.inbound.service import Service
from relay.inbound.session_log import SessionLog

LIMITS = InboundLimits(
    message_size=400,
    line_length=100,
    command_line=200,
    recipients=2,
    bad_commands=6,
    commands_without_message=9,
    buffered=500,
)
AT = datetime(2026, 1, 1, tzinfo=UTC)


class NoTransport:
    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Spoken:
    """A conversation without a connection: what it answers, records and accepts."""

    def __init__(self) -> None:
        numbers = count(1)
        self.accepted: list[Incoming] = []
        self.output = b""
        self.service = Service(
            accept=self._never,
            session_sink=self._never,
            server_context=None,  # type: ignore[arg-type]
            hostname=HOSTNAME,
            limits=LIMITS,
            credentials=Credentials(users={}),
            now=lambda: AT,
            new_id=lambda: f"id{next(numbers)}",
            buffered=Buffered(LIMITS.buffered),
            blueprint=Blueprint(hostname=HOSTNAME, size_limit=LIMITS.message_size),
            bare_line_ends=lambda: BareLineEnds.REFUSE,
        )
        self.client = ClientInput()
        self.dialog = Dialog(kind=ListenerKind.SMTP, hostname=HOSTNAME, limits=LIMITS)
        self.record = SessionLog(id="id0", mode=TlsMode.STARTTLS, now=lambda: AT)
        self.talk = Conversation(
            service=self.service,
            dialog=self.dialog,
            record=self.record,
            client=self.client,
            gone=lambda: False,
        )

    async def _never(self, _: object) -> Never:
        raise AssertionError

    def hear(self, octets: bytes) -> None:
        self.client.feed(octets, NoTransport())  # type: ignore[arg-type]
        while (errand := self.talk.run()) is not None:
            match errand:
                case AcceptMessage(incoming=incoming, share=share):
                    self.accepted.append(incoming)
                    share.give_back()
                    self.talk.say(TAKEN)
                case LibraryVerb(verb=verb):
                    if verb == "RSET":
                        self.dialog.reset()
                    self.talk.reply(replies.OK)
                case LetOthersRun():
                    pass
                case _:
                    raise AssertionError(errand)
        self.output += self.talk.output
        self.talk.output.clear()

    @property
    def outcome(self) -> tuple[object, ...]:
        transcript = self.record.session().transcript
        return self.output, self.talk.ended, self.accepted, transcript, self.service.buffered.octets


commands = st.sampled_from(
    [
        b"EHLO client.test\r\n",
        b"HELO client.test\r\n",
        b"MAIL FROM:<a@b.test>\r\n",
        b"MAIL FROM:<> SIZE=100\r\n",
        b"MAIL FROM:<a@b.test> SIZE=1000000\r\n",
        b"RCPT TO:<c@d.test>\r\n",
        b"RCPT TO:<c d@e.test>\r\n",
        b"DATA\r\n",
        b"Subject: x\r\n\r\n..dot\r\n.\r\n",
        b".\r\n",
        b"bare\nend\r\n.\r\n",
        b"x" * 150 + b"\r\n.\r\n",
        b"long\r\n" * 100 + b".\r\n",
        b"NOOP\r\n",
        b"RSET\r\n",
        b"VRFY x\r\n",
        b"FOO\r\n",
        b"NOOP\n",
        b"\r\n",
        b"VRFY " + b"y" * 300 + b"\r\n",
        b"y" * 20_000 + b"\r\n",
        b"AUTH PLAIN AGEAYg==\r\n",
        b"QUIT\r\n",
    ]
)
whole_messages = st.just(
    [
        b"MAIL FROM:<a@b.test>\r\n",
        b"RCPT TO:<c@d.test>\r\n",
        b"DATA\r\n",
        b"Subject: x\r\n\r\ntext\r\n.\r\n",
    ]
)
dialogs = st.lists(st.one_of(st.lists(commands, max_size=4), whole_messages), max_size=8).map(
    lambda groups: [b"EHLO client.test\r\n", *(line for group in groups for line in group)]
)


@given(dialog=dialogs, cuts=st.lists(st.integers(0, 5000), max_size=6))
@settings(max_examples=150, deadline=None)
def test_a_group_is_answered_as_its_commands_alone(dialog: list[bytes], cuts: list[int]) -> None:
    alone, together, in_pieces = Spoken(), Spoken(), Spoken()
    for line in dialog:
        alone.hear(line)
    octets = b"".join(dialog)
    together.hear(octets)
    for start, end in pairwise([0, *sorted(cuts), max([*cuts, len(octets)])]):
        in_pieces.hear(octets[start:end])
    assert together.outcome == alone.outcome
    assert in_pieces.outcome == alone.outcome


GROUP = [
    "EHLO client.test",
    "MAIL FROM:<a@b.test>",
    "RCPT TO:<c@d.test>",
    "RCPT TO:<no address>",
    "RCPT TO:<e@f.test>",
    "DATA",
    "Subject: x\r\n\r\n..text\r\n.",
    "NOOP",
    "MAIL FROM:<a@b.test>",
    "RSET",
    "FOO",
    "QUIT",
]


async def answered(client: Client, steps: list[str], *, together: bool) -> list[str]:
    if together:
        await client.send("".join(f"{step}\r\n" for step in steps))
        return [await client.reply() for _ in steps]
    return [await client.say(step) for step in steps]


@pytest.mark.parametrize("secured", [False, True], ids=["clear", "tls"])
async def test_a_group_over_a_connection(secured: bool, house: House) -> None:
    kind = ListenerKind.SMTPS if secured else ListenerKind.SMTP
    replies_: list[list[str]] = []
    records: list[str] = []
    for together in (False, True):
        client = await house.connect(kind)
        replies_.append(await answered(client, GROUP, together=together))
        await client.closed()
        records.append(spoken(await house.ended(len(records) + 1)))
    assert replies_[0] == replies_[1]
    assert [reply[:3] for reply in replies_[0]] == [
        *("250", "250", "250", "501", "250", "354", "250", "250", "250", "250", "500", "221")
    ]
    assert records[0] == records[1]
    first, second = house.accepted
    assert first.content == second.content == b"Subject: x\r\n\r\n.text\r\n"
    assert first.recipients == second.recipients == ("c@d.test", "e@f.test")


async def test_what_stands_behind_quit_is_not_carried_out(house: House) -> None:
    client = await house.connect()
    await client.send("EHLO client.test\r\nQUIT\r\nVRFY evil\r\n")
    assert (await client.reply()).startswith("250-")
    assert (await client.reply()).startswith("221 ")
    await client.close()
    assert "evil" not in spoken(await house.ended())


async def test_a_group_goes_on_after_a_login_and_after_a_refusal(house: House) -> None:
    client = await house.connect(ListenerKind.SMTPS)
    await client.send(
        "EHLO client.test\r\nAUTH PLAIN AGFwcAB3cm9uZw==\r\nNOOP\r\n"
        "AUTH PLAIN AGFwcABvcGVuc2VzYW1l\r\nMAIL FROM:<a@b.test>\r\n"
    )
    codes = [(await client.reply())[:3] for _ in range(5)]
    assert codes == ["250", "535", "250", "235", "250"]


async def test_the_client_leaves_behind_its_group(house: House) -> None:
    """All that it said is carried out and recorded; the message was whole, and is accepted."""
    client = await house.connect()
    await client.send("".join(f"{step}\r\n" for step in GROUP[:-1]))
    client.writer.write_eof()
    for _ in GROUP[:-1]:
        await client.reply()
    record = spoken(await house.ended())
    assert len(house.accepted) == 1
    assert "<-- FOO" in record
    assert "the client closed the connection" in record


async def test_limits_hold_for_a_group(open_house: OpenHouse) -> None:
    limits = InboundLimits(message_size=100, recipients=2, command_line=100, bad_commands=3)
    house = await open_house(limits=limits)
    client = await house.connect()
    group = ["EHLO client.test", "MAIL FROM:<a@b.test>", *["RCPT TO:<c@d.test>"] * 3, "DATA"]
    group += ["x" * 200 + "\r\n.", "VRFY " + "x" * 200, "FOO", "BAR", "VRFY evil"]
    await client.send("".join(f"{step}\r\n" for step in group))
    codes = [(await client.reply())[:9] for _ in group[:-1]]
    assert [code[:3] for code in codes[:5]] == ["250"] * 4 + ["452"]
    assert codes[5][:3] == "354"
    assert codes[6:] == ["552 5.3.4", "500 5.5.2", "500 5.5.1", "421 4.7.0"]
    await client.closed()
    assert "evil" not in spoken(await house.ended())


async def test_commands_without_a_message_are_counted_in_a_group(open_house: OpenHouse) -> None:
    house = await open_house(limits=InboundLimits(commands_without_message=5))
    client = await house.connect()
    await client.send("VRFY x\r\n" * 50)
    codes = [(await client.reply())[:3] for _ in range(6)]
    assert codes == ["252"] * 5 + ["421"]


async def test_idle_after_a_group(open_house: OpenHouse) -> None:
    house = await open_house(limits=InboundLimits(idle_seconds=0.1))
    client = await house.connect()
    await client.send("EHLO client.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<no")
    assert (await client.reply()).startswith("250-")
    assert (await client.reply()).startswith("250 2.1.0")
    assert (await client.reply()).startswith("421 4.4.2 ")
    await client.closed()
