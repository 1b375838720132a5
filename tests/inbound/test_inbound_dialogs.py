"""Whole dialogs as text files, spoken over a real socket.

@listener KIND        which listener (smtp, smtps, submission); default smtp
@limits NAME=NUMBER   limits other than the defaults
C: line               the client says it, with CR LF
R: octets             the client says it, escapes such as \\r\\n resolved, nothing added
S: text               the server's next line begins so
TLS                   the client begins the handshake
CLOSED                the server closes, saying no more
MESSAGES n            so many messages were handed on
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from inbound_harness import Client, House, OpenHouse

from relay.inbound.incoming import ListenerKind
from relay.inbound.limits import InboundLimits

DIALOGS = sorted((Path(__file__).parent / "dialogs").glob("*.txt"))


@pytest.mark.parametrize("path", DIALOGS, ids=lambda path: path.stem)
async def test_dialog(path: Path, open_house: OpenHouse) -> None:
    kind = ListenerKind.SMTP
    limits = InboundLimits()
    steps = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        word, _, rest = line.partition(" ")
        if word == "@listener":
            kind = ListenerKind(rest)
        elif word == "@limits":
            name, _, value = rest.partition("=")
            limits = replace(limits, **{name: int(value)})
        elif line and not line.startswith("#"):
            steps.append((f"{path.name}:{number}", word, rest))
    house = await open_house(limits=limits)
    client = await house.connect_silently(kind)
    for place, word, rest in steps:
        await play(house, client, place, word, rest)


async def play(house: House, client: Client, place: str, word: str, rest: str) -> None:
    match word:
        case "C:":
            await client.send(f"{rest}\r\n")
        case "R:":
            await client.send(rest.encode("latin-1").decode("unicode_escape").encode("latin-1"))
        case "S:":
            line = await client.line()
            assert line.startswith(rest), f"{place}: {line!r}"
        case "TLS":
            await client.secure(house.client_context)
        case "CLOSED":
            await client.closed()
        case "MESSAGES":
            assert len(house.accepted) == int(rest), place
        case _:
            pytest.fail(f"{place}: {word} is not a step")
