"""A real Postfix that requires TLS sends to the lab: what it makes of each receiver's manners.

Certificates are not its subject here; `tests/lab` has OpenSSL and GnuTLS for them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from e2e_relay import text_message
from judge_postfix_client import PostfixClient, postfix_by_level
from typed_tables import rows

from relay.core.scenarios import Family
from relay.lab.authority import LabAuthority
from relay.lab.catalogue import SCENARIOS
from relay.lab.lab import Lab

# Typed by hand from a run of Postfix 3.7.11 at level `encrypt`: what its log says of the first try.
# It does not mind old versions, and takes a Diffie-Hellman group of 1024 bits; it sends no server
# name, and reads a malformed reply as the first line of the next one.
FIRST_TRY = """
no-starttls                 | 4.7.4 deferred | not offered by host
starttls-stripped           | 4.7.4 deferred | not offered by host
ehlo-refused                | 4.7.4 deferred | not offered by host
starttls-refused            | 4.7.0 deferred | refused to start TLS: 454
starttls-rejected           | 5.7.3 bounced  | refused to start TLS: 554
starttls-421                | 4.3.0 deferred | refused to start TLS: 421
starttls-close              | 4.4.2 deferred | lost connection
starttls-silence            | 4.4.2 deferred | timed out while receiving the STARTTLS response
starttls-garbage            | 4.4.2 deferred | timed out while receiving the STARTTLS response
starttls-then-close         | 4.7.5 deferred | handshake failure
starttls-plaintext          | 4.7.5 deferred | handshake failure
starttls-injection          | 2.0.0 sent     | message kept
starttls-offered-again      | 2.0.0 sent     | message kept
tls10-only                  | 2.0.0 sent     | message kept
tls11-only                  | 2.0.0 sent     | message kept
no-common-cipher            | 4.7.5 deferred | handshake failure
null-cipher                 | 4.7.5 deferred | handshake failure
rc4-only                    | 4.7.5 deferred | handshake failure
3des-only                   | 4.7.5 deferred | handshake failure
weak-dh                     | 2.0.0 sent     | message kept
handshake-silence           | 4.7.5 deferred | handshake failure
handshake-drop              | 4.7.5 deferred | handshake failure
handshake-reset             | 4.7.5 deferred | handshake failure
alert-internal-error        | 4.7.5 deferred | handshake failure
requires-client-certificate | 4.4.2 deferred | lost connection
sni-required                | 4.7.5 deferred | handshake failure
sni-different-certificate   | 2.0.0 sent     | message kept
ten-thousand-names          | 4.7.5 deferred | handshake failure
goto-fail                   | 4.7.5 deferred | handshake failure
greeting-554                | 4.3.2 deferred | refused to talk to me: 554
greeting-421                | 4.3.2 deferred | refused to talk to me: 421
blocked                     | 5.7.1 bounced  | in reply to MAIL FROM command
rate-limit                  | 4.7.0 deferred | in reply to MAIL FROM command
auth-required               | 5.7.0 bounced  | in reply to MAIL FROM command
auth-fails                  | 5.7.0 bounced  | in reply to MAIL FROM command
user-unknown                | 5.1.1 bounced  | in reply to RCPT TO command
no-such-domain-here         | 5.7.1 bounced  | in reply to RCPT TO command
mailbox-busy                | 4.2.1 deferred | in reply to RCPT TO command
mailbox-full                | 4.2.2 deferred | in reply to RCPT TO command
greylist                    | 4.7.1 deferred | in reply to RCPT TO command
some-recipients             | 2.0.0 sent     | message kept
reply                       | 2.0.0 sent     | message kept
size-limit                  | 5.3.4 bounced  | exceeds size limit 64 of server
too-big                     | 5.3.4 bounced  | in reply to end of DATA command
data-451                    | 4.3.0 deferred | in reply to DATA command
data-drop                   | 4.4.2 deferred | message may be sent more than once
accept-then-drop            | 2.0.0 sent     | message kept
slow                        | 2.0.0 sent     | message kept
multiline-replies           | 2.0.0 sent     | message kept
malformed-reply             | 5.5.1 bounced  | recipient ok, go ahead 503
overlong-reply              | 2.0.0 sent     | message kept
no-pipelining               | 2.0.0 sent     | message kept
no-8bitmime                 | 2.0.0 sent     | message kept
no-smtputf8                 | 2.0.0 sent     | message kept
"""
# Postfix waits for minutes there; and as its time-outs are for each read, for hours at the last.
TOO_PATIENT = {"greeting-silence", "data-silence", "handshake-slow"}
FAMILIES = {Family.STARTTLS, Family.HANDSHAKE, Family.SMTP}


def first_try() -> dict[str, tuple[str, str]]:
    return {name: (" ".join(status.split()), words) for name, status, words in rows(FIRST_TRY)}


def first_tries(postfix: PostfixClient) -> Mapping[str, tuple[str, str]]:
    """Return status and words of the first try by domain."""
    found: dict[str, tuple[str, str]] = {}
    pattern = r"to=<\S+@(\S+)>,.* dsn=([\d.]+), status=(\w+) \((.*)\)"
    for domain, dsn, status, words in re.findall(pattern, postfix.log):
        found.setdefault(domain, (f"{dsn} {status}", words))
    return found


def test_the_table_names_the_families() -> None:
    assert set(first_try()) | TOO_PATIENT == {
        name for name, card in SCENARIOS.items() if card.family in FAMILIES
    }


@pytest.mark.judge("postfix", root=True)
async def test_postfix_meets_what_is_meant(tmp_path: Path) -> None:
    authority, expected = LabAuthority(tmp_path), first_try()
    async with Lab(authority, now=lambda: datetime.now(UTC)) as lab:
        routes = {
            f"{name}.lab.test": ("encrypt", (await lab.address(name)).port) for name in expected
        }
        # At every level, the one that shows a certificate which is not its own.
        forged = {f"{level}.test": level for level in ("may", "secure")}
        port = (await lab.address("goto-fail")).port
        routes |= {domain: (level, port) for domain, level in forged.items()}
        async with postfix_by_level(
            routes, host=SCENARIOS["goto-fail"].host, ca=authority.root_pem
        ) as postfix:
            for number, domain in enumerate(routes):
                message = text_message(f"x@{domain}", f"judged-{number}")
                await postfix.submit(f"x@{domain}", message)
            async with asyncio.timeout(90):
                while not routes.keys() <= first_tries(postfix).keys():
                    await asyncio.sleep(0.1)
            await lab.wait_for_message("greylist", within=30)
            tries = first_tries(postfix)
        got = {name: tries[f"{name}.lab.test"] for name in expected}
        assert {name: status for name, (status, _) in got.items()} == {
            name: status for name, (status, _) in expected.items()
        }
        assert [n for n, (_, words) in expected.items() if words not in got[n][1]] == []
        assert {tries[domain][0] for domain in forged} == {"4.7.5 deferred"}
        for name, (status, _) in expected.items():
            kept = [m for m in lab.messages(name) if m.encrypted]
            assert bool(kept) is (status.endswith("sent") or name == "greylist"), name
