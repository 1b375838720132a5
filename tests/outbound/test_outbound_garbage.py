"""Whatever octets a peer sends, at whatever stage: values come out, nothing is raised."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outbound_peer import Do, Peer
from outbound_relay import MESSAGE, Relay, envelope

from relay.core.codebook_data import SALESFORCE
from relay.core.jsonform import to_json
from relay.core.outcomes import Deferred, Delivered, Failed
from relay.core.settings import TlsSetting
from relay.outbound.session import Admitted

CODES = st.sampled_from([b"220", b"250", b"354", b"421", b"450", b"550", b"-12", b"1_0", b"999"])
REPLY_LIKE = st.builds(
    lambda code, mark, text, end: code + mark + text + end,
    CODES,
    st.sampled_from([b" ", b"-", b""]),
    st.binary(max_size=30),
    st.sampled_from([b"\r\n", b"\n", b"\r", b""]),
)
OCTETS = st.one_of(st.binary(max_size=60), st.lists(REPLY_LIKE, max_size=3).map(b"".join))
SPEECH = OCTETS.map(lambda octets: (octets, Do.CLOSE))
STAGES = ["banner", "EHLO", "STARTTLS", "EHLO tls", "MAIL", "RCPT", "DATA", "."]


@pytest.mark.parametrize("stage", STAGES)
def test_any_octets(relay: Relay, honest: ssl.SSLContext, stage: str) -> None:
    @settings(max_examples=25, deadline=None)
    @given(speech=SPEECH)
    def check(speech: tuple[bytes, Do]) -> None:
        asyncio.run(_converse(relay, honest, stage, speech))

    check()


async def _converse(
    relay: Relay, honest: ssl.SSLContext, stage: str, speech: tuple[bytes, Do]
) -> None:
    if stage == "banner":
        peer = Peer(banner=speech)
    else:
        peer = Peer(answers={stage: speech}, context=honest)
    async with peer.running():
        session = await relay.open(peer.hop, wait=1)
        if session.failure is None:
            admission = await relay.admit(session, TlsSetting.PREFERRED)
            if isinstance(admission, Admitted):
                (entry,) = await admission.send(envelope(), ("one@peer.test",), MESSAGE)
                to_json(entry)
                match entry.outcome:
                    case Delivered(reply=reply):
                        assert 200 <= reply.code < 300
                        assert peer.only.messages == [MESSAGE]
                    case Deferred(failure=failure) | Failed(failure=failure):
                        assert SALESFORCE.entry(failure).status.code >= 400
        else:
            assert SALESFORCE.entry(session.failure).status.code >= 400
        await session.close()
    for line in session.record().transcript:
        assert line.text.isprintable()
        line.text.encode()
