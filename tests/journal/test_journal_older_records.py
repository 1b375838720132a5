"""Records of before there was bounce management are read as they were."""

from __future__ import annotations

import json
from typing import Any

import pytest
from journal_records import a_bounce, an_envelope

from relay.core.records import Bounce, Envelope
from relay.journal.codec import decode, encode


@pytest.mark.parametrize(
    ("record", "added"),
    [
        (an_envelope(), ("sent_from", "returned")),
        (a_bounce(), ("returned_in", "salesforce")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_fields_that_came_later_have_their_defaults(record: Any, added: tuple[str, ...]) -> None:
    form = json.loads(encode(record))
    for name in added:
        del form[name]
    found = decode(type(record), json.dumps(form))
    assert found == record
    match found:
        case Envelope():
            assert found.outgoing_path == found.reverse_path
        case Bounce():
            assert found.salesforce is None
