"""The audit's own judgement: what the receiver stored counts, and nobody's word alone."""

from __future__ import annotations

import pytest

from relay.audit.expectations import EXPECTATIONS, Expected
from relay.audit.runner import Arrived, Cell, Sent, run
from relay.core.settings import Protection, TlsSetting

DELIVERED = Expected(protection=Protection.VERIFIED, code=None)
REFUSED = Expected(protection=None, code="451 4.7.5")
OK = Sent(code=250, enhanced="2.0.0", text="ok", protection=Protection.VERIFIED)
NO = Sent(code=451, enhanced="4.7.5", text="no", protection=None)


class Relay:
    def __init__(self, sent: Sent) -> None:
        self.sent = sent

    async def send(self, recipient: str, mark: str) -> Sent:
        assert recipient == "anyone@s.lab.test"
        assert mark == "mark"
        return self.sent


async def cell(expected: Expected, sent: Sent, arrived: Arrived) -> Cell:
    setting = TlsSetting.REQUIRED_VERIFY
    (only,) = await run(
        relays={setting: Relay(sent)},
        scenarios=["s"],
        expectations={"s": {setting: expected}},
        look=lambda marks: dict.fromkeys(marks, arrived),
        new_mark=lambda: "mark",
    )
    return only


@pytest.mark.parametrize(
    ("expected", "sent", "copies", "encrypted", "verdict", "as_expected"),
    [
        (DELIVERED, OK, 1, True, "verified", True),
        (REFUSED, NO, 0, False, "451 4.7.5", True),
        # It says that it refused, and the receiver has the message: a leak.
        (REFUSED, NO, 1, False, "clear", False),
        (REFUSED, OK, 1, True, "verified", False),
        # It says 250, and the receiver has nothing: lost.
        (DELIVERED, OK, 0, False, "250 2.0.0", False),
        (DELIVERED, NO, 0, False, "451 4.7.5", False),
        # It was to be verified, and went in clear.
        (DELIVERED, OK, 1, False, "clear", False),
        # Delivered as expected, but the client was told that it failed.
        (DELIVERED, Sent(code=451, enhanced="4.7.5", text="", protection=Protection.VERIFIED),
         1, True, "verified", False),
        # Twice is not once.
        (DELIVERED, OK, 2, True, "verified", False),
        # Another code than the expected one.
        (REFUSED, Sent(code=451, enhanced="4.7.6", text="", protection=None),
         0, False, "451 4.7.6", False),
        (REFUSED, Sent(code=451, enhanced=None, text="", protection=None),
         0, False, "451", False),
    ],
)  # fmt: skip
async def test_cell(
    expected: Expected, sent: Sent, copies: int, encrypted: bool, verdict: str, as_expected: bool
) -> None:
    got = await cell(expected, sent, Arrived(copies=copies, encrypted=encrypted))
    assert (got.verdict, got.as_expected) == (verdict, as_expected)
    assert got.delivered is bool(copies)


async def test_a_scenario_without_expectations_is_an_error() -> None:
    with pytest.raises(KeyError, match="s"):
        await run(
            relays={TlsSetting.OFF: Relay(OK)},
            scenarios=["s"],
            expectations={},
            look=lambda marks: {},
            new_mark=lambda: "mark",
        )


def test_every_row_has_every_setting() -> None:
    for row in EXPECTATIONS.values():
        assert list(row) == list(TlsSetting)
        for expected in row.values():
            assert (expected.protection is None) is (expected.code is not None)
