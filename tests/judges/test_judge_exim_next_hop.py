"""A real Exim as next hop: it gets the mail, or not, as each setting says."""

from __future__ import annotations

from pathlib import Path

import pytest
from e2e_relay import Start, text_message
from judge_exim import exim
from typed_tables import cells

from relay.core.settings import TlsSetting
from relay.lab.authority import IssuedCertificate, LabAuthority
from relay.lab.recipes import shipped_recipes

PROGRAM = Path(__file__).parents[2] / ".cache/exim/usr/sbin/exim4"

# Typed by hand. clear and tls: Exim stored the message, and says so of the session in its log and
# in the trace header that it wrote; a code: it stored nothing and saw no MAIL.
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


@pytest.mark.judge("exim4", root=True)
async def test_exim_gets_what_each_setting_allows(start: Start, certificates: Path) -> None:
    authority, recipes = LabAuthority(certificates), shipped_recipes()
    hosts = {
        "trusted": pem(authority.issue(recipes["good"], "localhost")),
        "untrusted": pem(authority.issue(recipes["untrusted-root"], "localhost")),
        "none": None,
    }
    got: dict[tuple[str, str], str] = {}
    async with exim(PROGRAM, hosts) as host:
        for setting in TlsSetting:
            for name, port in host.ports.items():
                mark = f"{setting.value}-to-{name}"
                sender = f"{mark}@example.test"
                policy = (
                    f"tls: {setting.label}\n"
                    f"routes: [{{match: partner.test, to: 'localhost:{port}'}}]\n"
                )
                before = len(host.without_mail(name))
                async with start(policy) as running:
                    reply = await running.send("someone@partner.test", sender=sender, mark=mark)
                if reply.positive:
                    line = await host.until(f"<= {sender}", f"[127.0.0.1]:{port}")
                    message_id = line.split()[2]
                    await host.until(message_id, "Completed")
                    (stored,) = [m for m in host.stored() if f"<{mark}@".encode() in m]
                    trace, mine, rest = stored.partition(b"by relay.lab.test")
                    assert mine
                    # Exim stores lines as its system has them; nothing else may differ.
                    sent = text_message("someone@partner.test", mark)
                    assert rest.endswith(b"\n" + sent.replace(b"\r\n", b"\n"))
                    encrypted = b"with esmtps" in trace
                    assert encrypted is ("P=esmtps" in line) is ("X=TLS1.3" in line)
                    got[setting.value, name] = "tls" if encrypted else "clear"
                else:
                    got[setting.value, name] = str(reply.status)
                    seen = await host.until_without_mail(name, before + 1)
                    assert [c <= {"EHLO", "STARTTLS", "QUIT"} for c in seen[before:]] == [True]
                    assert not any(f"<{mark}@".encode() in m for m in host.stored())
    assert got == EXPECTED
