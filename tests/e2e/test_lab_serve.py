"""The lab alone: what it says, that everything that it names is there, and how it ends."""

from __future__ import annotations

import signal
import smtplib
import socket
import ssl
import sys
from pathlib import Path

import dns.resolver
import pytest
from e2e_command import relay, serving
from e2e_lab import ServingLab, lab_process, lab_serving
from e2e_ports import free_run

from relay.lab.availability import why_unavailable
from relay.lab.catalogue import DNS_SCENARIOS, LAB_SCENARIOS

FREE = ("--base-port", "0", "--dns-port", "0")


def resolver(lab: ServingLab) -> dns.resolver.Resolver:
    asker = dns.resolver.Resolver(configure=False)
    asker.nameservers = [lab.ready["name_server"]["address"]]
    asker.port = lab.ready["name_server"]["port"]
    return asker


def test_every_receiver_is_where_the_document_and_the_zone_say(tmp_path: Path) -> None:
    with lab_serving(tmp_path, *FREE) as lab:
        asker = resolver(lab)
        receivers = lab.ready["receivers"]
        left_out = [entry["scenario"] for entry in lab.ready["not_run"]]
        assert left_out == [n for n, s in LAB_SCENARIOS.items() if why_unavailable(s)]
        assert [r["scenario"] for r in receivers] == [n for n in LAB_SCENARIOS if n not in left_out]
        for entry in receivers:
            if entry["scenario"] not in DNS_SCENARIOS:
                (exchanger,) = asker.resolve(entry["mail_domain"] + ".", "MX")
                assert exchanger.exchange.to_text(omit_final_dot=True) == entry["host"]
            (address,) = asker.resolve(entry["host"] + ".", "A")
            assert address.to_text() == entry["address"]
            socket.create_connection((entry["address"], entry["port"]), timeout=10).close()
        code, out, err = lab.stop()
    assert (code, out) == (0, ""), err


def test_a_client_that_trusts_the_printed_root_delivers_to_good_and_not_to_expired(
    tmp_path: Path,
) -> None:
    with lab_serving(tmp_path, *FREE) as lab:
        trust = ssl.create_default_context(cafile=lab.ready["lab_root"])
        for name, failure in (("good", None), ("expired", "certificate has expired")):
            with smtplib.SMTP("127.0.0.1", lab.port(name), timeout=10) as client:
                client._host = f"mx.{name}.lab.test"  # type: ignore[attr-defined]
                if failure is None:
                    client.starttls(context=trust)
                    client.sendmail("a@example.test", f"anyone@{name}.lab.test", "Subject: x\n\n")
                else:
                    with pytest.raises(ssl.SSLCertVerificationError, match=failure):
                        client.starttls(context=trust)
        assert lab.stop(signal.SIGINT)[0] == 0


def test_ports_count_up_in_the_catalogues_order_and_the_table_names_them(tmp_path: Path) -> None:
    base = free_run(len(LAB_SCENARIOS))
    with lab_process(tmp_path, "--base-port", str(base), "--dns-port", "0") as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if line.startswith("Ready: "):
                break
        process.terminate()
        _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    table = dict(line.split()[:2] for line in lines[1 : lines.index("")])
    for at, name in enumerate(LAB_SCENARIOS):
        if name in table:
            assert table[name] == f"127.0.0.1:{base + at}"
    assert table.keys() >= {"good", "no-starttls", "expired"}
    assert str(tmp_path / "certs") in "\n".join(lines)
    assert max(map(len, (line for line in lines if str(tmp_path) not in line))) <= 80


@pytest.mark.skipif(sys.platform != "linux", reason="all of 127.0.0.0/8 is loopback on Linux alone")
def test_a_relay_finds_the_receivers_by_mx_where_each_has_an_address(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    with lab_serving(tmp_path / "lab", "--addresses", "--dns-port", "0") as lab:
        assert {r["port"] for r in lab.ready["receivers"]} == {2525}
        dns_port = lab.ready["name_server"]["port"]
        policy.write_text(
            "tls: Required\n"
            f"dns: {{server: '127.0.0.1:{dns_port}'}}\n"
            "routes: [{match: '*.lab.test', to: 'mx:2525'}]\n"
        )
        with serving(tmp_path / "relay", "--policy", str(policy)):
            good = relay(tmp_path / "relay", "send", "anyone@good.lab.test")
            clear = relay(tmp_path / "relay", "send", "anyone@no-starttls.lab.test")
            special = {
                name: relay(tmp_path / "relay", "send", f"anyone@{name}.lab.test").stdout
                for name in (
                    "null-mx",
                    "nxdomain",
                    "servfail",
                    "mx-loop",
                    "mx-bad-then-good",
                    "mx-many",
                )
            }
    assert good.returncode == 0, good.stdout
    assert "mx.good.lab.test[127.0.0." in good.stdout
    assert clear.returncode == 1, clear.stdout
    assert "451 4.7.6" in clear.stdout
    assert "550 5.4.4 [internal] NULL MX" in special["null-mx"]
    assert "454 4.4.4" in special["nxdomain"]
    assert "451 4.4.3" in special["servfail"]
    assert "554 5.4.6" in special["mx-loop"]
    assert "250 " in special["mx-bad-then-good"]
    # Its hosts' own receiver, whose certificate has their names.
    assert "250 " in special["mx-many"]
    assert ".mx-many.lab.test[127.0.0." in special["mx-many"]
    assert "mx.good.lab.test" in special["mx-bad-then-good"]


def test_a_port_that_is_taken_and_options_that_make_no_sense(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refused = relay(tmp_path, "lab", "serve", "--base-port", "0", "--dns-port", port)
    assert refused.returncode == 3
    assert f"127.0.0.1:{port}: Address already in use" in refused.stderr
    assert "--dns-port" in refused.stderr
    for words in (("--listen", "localhost"), ("--base-port", "65500")):
        nonsense = relay(tmp_path, "lab", "serve", *words)
        assert nonsense.returncode == 2
        assert words[0] in nonsense.stderr
