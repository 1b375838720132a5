"""The addresses of the founding question under `restricted-domains`, as the receivers saw them."""

from __future__ import annotations

import pytest
from e2e_relay import Start

from relay.core.outcomes import Delivered
from relay.core.settings import Protection, TlsSetting

NO_TLS = "4.7.6 [internal] STARTTLS required but not advertised"


@pytest.mark.parametrize("recipient", ["john@aco.subdomains.com", "john@bco.subdomains.com"])
async def test_sub_domains_are_required_and_bounce(start: Start, recipient: str) -> None:
    async with start("restricted-domains") as running:
        reply = await running.send(recipient)
        assert (reply.code, reply.text) == (451, NO_TLS)
        (session,) = running.lab.received("no-starttls")
        assert running.lab.messages("no-starttls") == ()
        assert session.data_octets == 0
        assert set(session.commands) <= {"EHLO", "QUIT"}
        (bounce,) = running.record().bounces
        assert bounce.setting is TlsSetting.REQUIRED
        assert bounce.rule.pattern == "*.subdomains.com"
        assert "restricted-domains.yaml" in bounce.rule.file


async def test_the_domain_itself_is_preferred_and_delivered_in_clear(start: Start) -> None:
    async with start("restricted-domains") as running:
        reply = await running.send("john@subdomains.com")
        assert reply.code == 250
        (message,) = running.lab.messages("no-starttls")
        assert message.recipients == ("john@subdomains.com",)
        assert not message.encrypted
        (attempt,) = running.record().attempts
        assert attempt.rule.setting is TlsSetting.PREFERRED
        outcome = attempt.outcomes[0].outcome
        assert isinstance(outcome, Delivered)
        assert outcome.protection is Protection.CLEAR


async def test_all_three_in_one_message_are_judged_each_by_its_domain(start: Start) -> None:
    async with start("restricted-domains") as running:
        reply = await running.send(
            "john@aco.subdomains.com", "john@subdomains.com", "john@bco.subdomains.com"
        )
        assert reply.code == 250
        assert "1 of 3" in reply.text
        (message,) = running.lab.messages("no-starttls")
        assert message.recipients == ("john@subdomains.com",)
        bounced = {bounce.recipient for bounce in running.record().bounces}
        assert bounced == {"john@aco.subdomains.com", "john@bco.subdomains.com"}
