"""A real Postfix as next hop: it gets the mail, or not, as each setting says."""

from __future__ import annotations

from pathlib import Path

import pytest
from e2e_postfix import postfix
from e2e_relay import Start
from typed_tables import cells

from relay.core.settings import TlsSetting
from relay.lab.authority import IssuedCertificate, LabAuthority
from relay.lab.recipes import shipped_recipes

# Typed by hand. clear and tls: Postfix stored the message, and says so of the session in the trace
# header that it wrote; a code: it stored nothing and saw neither MAIL nor DATA.
EXPECTED = cells("""
setting          | trusted | untrusted | none
off              | clear   | clear     | clear
preferred        | tls     | tls       | clear
preferred-verify | tls     | 451 4.7.5 | clear
required         | tls     | tls       | 451 4.7.6
required-verify  | tls     | 451 4.7.5 | 451 4.7.6
""")


def pem(issued: IssuedCertificate) -> bytes:
    return issued.key_pem + issued.chain_pem


@pytest.mark.judge("postfix", root=True)
async def test_postfix_gets_what_each_setting_allows(start: Start, certificates: Path) -> None:
    authority, recipes = LabAuthority(certificates), shipped_recipes()
    hosts = {
        "trusted": pem(authority.issue(recipes["good"], "localhost")),
        "untrusted": pem(authority.issue(recipes["untrusted-root"], "localhost")),
        "none": None,
    }
    got: dict[tuple[str, str], str] = {}
    async with postfix(hosts) as host:
        for setting in TlsSetting:
            for name, port in host.ports.items():
                policy = (
                    f"tls: {setting.label}\n"
                    f"routes: [{{match: partner.test, to: 'localhost:{port}'}}]\n"
                )
                mark = f"{setting.value}-to-{name}"
                before = host.log.count("disconnect from")
                async with start(policy) as running:
                    reply = await running.send("someone@partner.test", mark=mark)
                if reply.positive:
                    await host.until("status=sent", "delivered to maildir")
                stored = [m for m in host.stored() if f"<{mark}@".encode() in m]
                assert bool(stored) is reply.positive
                if stored:
                    # "with ESMTPS" and "using TLSv1.3" are Postfix's words for the session.
                    trace = stored[0].split(b"by relay.lab.test")[0]
                    got[setting.value, name] = "tls" if b"using TLSv1.3" in trace else "clear"
                else:
                    got[setting.value, name] = str(reply.status)
                    await host.until("disconnect from")
                    (last,) = [line for line in host.log.splitlines() if "disconnect from" in line][
                        before : before + 1
                    ]
                    assert "mail=" not in last
                    assert "data=" not in last
                    assert "auth=" not in last
                _empty(host.base / "mail/inbox/new")
    assert got == EXPECTED


def _empty(directory: Path) -> None:
    for file in directory.glob("*"):
        file.unlink()
