"""Fault scripts and the user's own certificate, as a user of `relay lab serve` meets them."""

from __future__ import annotations

import signal
import smtplib
import ssl
from datetime import UTC, datetime
from pathlib import Path

import dns.resolver
import pytest
from e2e_command import relay, serving
from e2e_lab import ServingLab, lab_serving

from relay.lab.authority import IssuedCertificate, LabAuthority
from relay.lab.own_certificate import OwnCertificateError, read_own_certificate
from relay.lab.recipes import shipped_recipes

FREE = ("--base-port", "0", "--dns-port", "0", "--no-web")
BUSY = """\
scripts:
  - scenario: good
    seed: 7
    rules:
      - {phase: rcpt, next: 1, reply: 450 4.2.1 Mailbox busy}
"""
BLOCKED = "scripts: [{scenario: good, rules: [{phase: rcpt, reply: 550 5.7.1 Blocked}]}]\n"


def asked(lab: ServingLab) -> int:
    """Return the receiver's answer to RCPT."""
    with smtplib.SMTP("127.0.0.1", lab.port("good"), timeout=10) as client:
        client.ehlo()
        client.mail("a@example.test")
        return client.rcpt("anyone@good.lab.test")[0]


def said(lab: ServingLab, end: str) -> list[str]:
    """Return what the lab says up to the line that has `end`."""
    assert lab.process.stderr is not None
    lines = []
    for line in lab.process.stderr:
        lines.append(line.rstrip("\n"))
        if end in line:
            return lines
    raise AssertionError(lines)


def test_a_script_is_followed_and_read_again_on_sighup(tmp_path: Path) -> None:
    script = tmp_path / "flaky.yaml"
    script.write_text(BUSY)
    with lab_serving(tmp_path, *FREE, "--script", str(script)) as lab:
        assert lab.ready["fault_scripts"] == [{"scenario": "good", "rules": 1, "seed": 7}]
        assert [asked(lab), asked(lab)] == [450, 250]

        lab.process.send_signal(signal.SIGHUP)
        assert said(lab, "seed 7")[0].endswith("counters, times and chance begin anew.")
        assert [asked(lab), asked(lab)] == [450, 250]

        script.write_text(BUSY.replace("rcpt", "rctp").replace("next: 1", "next: 0"))
        lab.process.send_signal(signal.SIGHUP)
        problems = said(lab, "stay in force")
        assert [line.split(": ")[1] for line in problems[:2]] == [
            "scripts[0].rules[0].phase",
            "scripts[0].rules[0].next",
        ]
        assert "2 problems; the fault scripts of before stay in force." in problems[2]
        assert asked(lab) == 250

        script.write_text(BLOCKED)
        lab.process.send_signal(signal.SIGHUP)
        said(lab, "fault script for good: 1 rule, seed ")
        assert asked(lab) == 550
        assert lab.stop()[0] == 0


def test_a_bad_script_or_none_at_all_ends_the_command_with_every_problem(tmp_path: Path) -> None:
    script = tmp_path / "bad.yaml"
    script.write_text(BUSY.replace("good", "goood").replace("450", "250"))
    bad = relay(tmp_path, "lab", "serve", *FREE, "--script", str(script))
    assert bad.returncode == 2
    assert f"{script}:2:15: scripts[0].scenario: the lab has no scenario 'goood'" in bad.stderr
    assert f"{script}:5:" in bad.stderr
    assert "2 problems" in bad.stderr
    missing = relay(tmp_path, "lab", "serve", "--script", str(tmp_path / "none.yaml"))
    assert missing.returncode == 2
    assert "No such file or directory" in missing.stderr


def test_a_relay_s_lab_follows_a_script(tmp_path: Path) -> None:
    script = tmp_path / "flaky.yaml"
    script.write_text(BUSY)
    with serving(tmp_path / "relay", "--lab-script", str(script)):
        first, second = (
            relay(tmp_path / "relay", "send", "anyone@good.lab.test") for _ in range(2)
        )
    assert first.returncode == 1
    assert "450 4.2.1 Mailbox busy" in first.stdout
    assert second.returncode == 0, second.stdout


def write(folder: Path, issued: IssuedCertificate) -> tuple[Path, Path]:
    cert, key = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(issued.chain_pem)
    key.write_bytes(issued.key_pem)
    return cert, key


def issued(folder: Path, recipe: str, host: str = "mail.partner.example") -> IssuedCertificate:
    return LabAuthority(folder).issue(shipped_recipes()[recipe], host)


@pytest.mark.parametrize(
    ("recipe", "faults", "refusal"),
    [
        ("expired", ["certificate-expired"], "certificate has expired"),
        ("rsa-1024", ["certificate-weak-key"], "EE certificate key too weak"),
        ("good", [], None),
    ],
)
def test_an_own_certificate_is_shown_and_its_faults_are_named(
    tmp_path: Path, recipe: str, faults: list[str], refusal: str | None
) -> None:
    cert, key = write(tmp_path, issued(tmp_path / "certs", recipe))
    with lab_serving(tmp_path, *FREE, "--cert", str(cert), "--key", str(key)) as lab:
        own = lab.ready["own_certificate"]
        assert (own["host"], own["mail_domain"]) == ("mail.partner.example", "own.lab.test")
        assert [fault["kind"] for fault in own["faults"]] == faults
        asker = dns.resolver.Resolver(configure=False)
        asker.nameservers = [lab.ready["name_server"]["address"]]
        asker.port = lab.ready["name_server"]["port"]
        (exchanger,) = asker.resolve("own.lab.test.", "MX")
        assert exchanger.exchange.to_text() == "mail.partner.example."
        (address,) = asker.resolve(exchanger.exchange, "A")
        assert address.to_text() == own["address"]
        trust = ssl.create_default_context(cafile=lab.ready["lab_root"])
        with smtplib.SMTP("127.0.0.1", own["port"], timeout=10) as client:
            client._host = own["host"]  # type: ignore[attr-defined]
            if refusal is None:
                client.starttls(context=trust)
                client.sendmail("a@example.test", "anyone@own.lab.test", "Subject: x\n\n")
            else:
                with pytest.raises(ssl.SSLError, match=refusal):
                    client.starttls(context=trust)
        assert lab.stop()[0] == 0


def test_a_chain_is_sent_in_the_order_of_its_files(tmp_path: Path) -> None:
    made = issued(tmp_path / "certs", "good")
    end = b"-----END CERTIFICATE-----\n"
    leaf, rest = made.chain_pem.split(end, 1)
    cert, key, chain = tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "chain.pem"
    cert.write_bytes(leaf + end)
    key.write_bytes(made.key_pem)
    chain.write_bytes(rest)
    now = datetime.now(UTC)
    alone = read_own_certificate(cert, key, None, now=now)
    whole = read_own_certificate(cert, key, chain, now=now)
    assert len(alone.chain) == 1
    assert "".join(whole.chain).encode() == made.chain_pem


@pytest.mark.parametrize(
    ("recipe", "host", "expected"),
    [
        ("good", "mail.partner.example", "mail.partner.example"),
        ("good", "*.partner.example", "mx.partner.example"),
        ("good", "mx.good.lab.test", "mx.own.lab.test"),
        ("no-names", "mail.partner.example", "mx.own.lab.test"),
    ],
)
def test_the_host_is_the_first_name_of_the_certificate(
    tmp_path: Path, recipe: str, host: str, expected: str
) -> None:
    cert, key = write(tmp_path, issued(tmp_path / "certs", recipe, host))
    own = read_own_certificate(cert, key, None, now=datetime.now(UTC))
    assert own.scenario.card.host == expected


def test_files_that_can_not_be_served_are_named_with_what_to_do(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    cert, key = write(tmp_path, issued(tmp_path / "certs", "good"))
    (tmp_path / "other").mkdir()
    other = write(tmp_path / "other", issued(tmp_path / "certs", "ecdsa", "b.example"))
    text = tmp_path / "text"
    text.write_text("nothing")
    backwards = tmp_path / "backwards.pem"
    backwards.write_bytes(other[0].read_bytes() + cert.read_bytes())
    for files, what, hint in (
        ((tmp_path / "none", key), "--cert: .*none: No such file", None),
        ((key, key), "key.pem holds a key and no certificate", "--key"),
        ((cert, cert), "cert.pem holds no private key", "--cert"),
        ((text, key), "text holds no certificate in PEM form", "openssl x509 -inform DER"),
        ((cert, other[1]), "is not the key of the certificate in", "openssl pkey -pubout"),
        ((backwards, key), "is the key of certificate [23] in", "comes first"),
    ):
        with pytest.raises(OwnCertificateError, match=what) as caught:
            read_own_certificate(*files, None, now=now)
        assert (hint is None) is (caught.value.hint is None)
        assert hint is None or hint in str(caught.value.hint)
    half = relay(tmp_path, "lab", "serve", "--cert", str(cert))
    assert half.returncode == 2
    assert "--cert and --key belong together" in half.stderr
