"""A real Postfix takes the mail, can't deliver it, and bounces it to the path that it came from."""

from __future__ import annotations

import pytest
from e2e_relay import Start, Watcher
from judge_postfix_client import postfix_by_maps

from relay.config.policy_file import load_policy_text
from relay.core.contacts import flag_of
from relay.core.outcomes import Stage
from relay.core.records import BounceAction, Notified, Reading
from relay.core.salesforce_view import BounceKind, FlagReason

POLICY = "tls: Preferred\nsalesforce: {bounce_management: {flag_contact_on: user-unknown}}\n"
RECIPIENT = "nobody@partner.test"


@pytest.mark.judge("postfix", root=True)
async def test_postfix_s_own_bounce_is_counted(start: Start) -> None:
    watcher = Watcher()
    async with start(POLICY, observer=watcher) as running:
        refuses = await running.lab.address("user-unknown")
        ways = {"partner.test": refuses.port, "bnc.relay.test": running.port()}
        transport = "".join(f"{name} smtp:[127.0.0.1]:{port}\n" for name, port in ways.items())
        ca = running.lab.authority.root_pem
        async with postfix_by_maps(transport=transport.encode(), tls=None, ca=ca) as postfix:
            route = f"routes: [{{match: partner.test, to: 'localhost:{postfix.port}'}}]\n"
            await running.relay.load(load_policy_text(POLICY + route, name="test.yaml"))
            assert (await running.send(RECIPIENT)).code == 250
            await watcher.until(lambda: len(watcher.bounces) == 1)
            await postfix.until("to=<sender=example.test__", "status=sent", "returned mail noted")
        (bounce,) = running.record().bounces
        assert bounce.recipient == RECIPIENT
        assert (str(bounce.status), bounce.text) == ("550 5.1.1", "User unknown")
        assert bounce.action is BounceAction.FAILED
        assert bounce.stage is Stage.OUT_OF_BAND
        assert bounce.notified is Notified.BOUNCE_MANAGEMENT
        assert bounce.salesforce is not None
        assert bounce.salesforce.kind is BounceKind.HARD
        assert bounce.salesforce.why is FlagReason.USER_UNKNOWN
        flag = flag_of(running.relay.journal.address_bounces(RECIPIENT), None)
        assert flag is not None
        assert flag.reason.startswith("550 5.1.1 ")
        kept = running.relay.journal.message(bounce.returned_in or "").envelope
        assert kept.returned[0].reading is Reading.FAILED
        assert kept.reverse_path == ""
