"""The lab's authorities, and OpenSSL's opinion on everything that they issue."""

from __future__ import annotations

import dataclasses
import os
import ssl
import stat
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from lab_handshakes import handshake, verify_code, verifying_context

from relay.core.scenarios import Family
from relay.lab.authority import AuthorityError, LabAuthority
from relay.lab.catalogue import LAB_SCENARIOS
from relay.lab.recipes import KeyKind, shipped_recipes
from relay.lab.scripts import ServeTls
from relay.lab.server_tls import server_context

HOST = "mx.some.lab.test"
NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME (include/openssl/x509_vfy.h), for which Python has no name."""

VERIFY_CODES = {
    "good": 0,
    "ecdsa": 0,
    "rsa": 0,
    "wildcard": 0,
    "long-chain": 0,
    "ip-address-name": 62,
    "thousand-names": 0,
    "expired": 10,
    "not-yet-valid": 9,
    "expires-soon": 0,
    "expired-intermediate": 10,
    "expired-and-wrong-host": 62,
    "self-signed": 18,
    "untrusted-root": 20,
    "untrusted-root-sent": 19,
    "missing-intermediate": 20,
    "wrong-order-chain": 0,
    "revoked": 0,
    "must-staple": 0,
    "wrong-host": 62,
    "wildcard-too-deep": 62,
    "wildcard-too-wide": 62,
    "common-name-only": 62,
    "no-names": 62,
    "domain-not-host": 62,
    "rsa-1024": 66,
    "sha1-signature": 68,
    "wrong-purpose": 26,
    "ca-as-leaf": 0,
    "not-a-ca-issuer": 79,
    "name-constraint": 47,
    "path-length": 25,
    "unknown-critical-extension": 34,
}
"""OpenSSL's X509_V_ERR numbers, typed by hand from its x509_vfy.h, for a client that wants HOST."""

CHAIN_LENGTHS = {
    "self-signed": 1,
    "missing-intermediate": 1,
    "untrusted-root-sent": 3,
    "wrong-order-chain": 3,
    "path-length": 3,
    "long-chain": 7,
}
"""How many certificates are sent, where it is not two."""


class Clock:
    def __init__(self) -> None:
        self.time = datetime(2026, 6, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time


def test_the_tables_name_every_recipe() -> None:
    families = {Family.HONEST, Family.CERTIFICATE}
    own = [entry for entry in LAB_SCENARIOS.values() if entry.card.family in families]
    shown = {name for entry in own for name in (entry.card.recipe, *entry.rotation)}
    assert set(VERIFY_CODES) == shown


@pytest.mark.parametrize(("name", "code"), VERIFY_CODES.items())
def test_openssl_finds_exactly_the_fault_of_a_recipe(
    authority: LabAuthority, name: str, code: int
) -> None:
    issued = authority.issue(shipped_recipes()[name], HOST)
    server = server_context(issued, ServeTls())
    # Python before 3.13 takes a common name that nobody forbids it to take.
    client = verifying_context(authority.root_pem)
    client.hostname_checks_common_name = False
    assert verify_code(server, client, HOST) == code


@pytest.mark.skipif(sys.platform != "linux", reason="keys are loaded from files elsewhere")
def test_a_receiver_needs_no_place_for_temporary_files(
    authority: LabAuthority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in a container whose root is read-only, or beside a full disk.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    issued = authority.issue(shipped_recipes()["good"], HOST)
    client = verifying_context(authority.root_pem)
    assert verify_code(server_context(issued, ServeTls()), client, HOST) == 0


def test_where_memory_has_no_files_the_key_lies_in_one_for_a_moment(
    authority: LabAuthority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    issued = authority.issue(shipped_recipes()["good"], HOST)
    client = verifying_context(authority.root_pem)
    assert verify_code(server_context(issued, ServeTls()), client, HOST) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["good", "ecdsa", "rsa", "wildcard", "long-chain", "revoked"])
def test_python_by_its_own_defaults_is_content(authority: LabAuthority, name: str) -> None:
    # From 3.13 on they are strict.
    context = ssl.create_default_context(cadata=authority.root_pem.decode("ascii"))
    issued = authority.issue(shipped_recipes()[name], HOST)
    assert verify_code(server_context(issued, ServeTls()), context, HOST) == 0


@pytest.mark.parametrize("name", VERIFY_CODES)
def test_a_recipe_sends_the_certificates_that_it_says(authority: LabAuthority, name: str) -> None:
    chain = x509.load_pem_x509_certificates(
        authority.issue(shipped_recipes()[name], HOST).chain_pem
    )
    assert len(chain) == CHAIN_LENGTHS.get(name, 2)
    if name == "wrong-order-chain":
        chain[1:] = reversed(chain[1:])
    for below, above in pairwise(chain):
        if name != "sha1-signature":
            below.verify_directly_issued_by(above)
        assert below.issuer == above.subject


def check(
    authority: LabAuthority,
    name: str,
    *,
    want: str | None = HOST,
    trust: int | None = None,
    flags: int = 0,
    level: int = 2,
    common_name: bool = False,
) -> int:
    """Return OpenSSL's verify code of a recipe's certificate for a client with its own ideas.

    `want` is the name that it wants, None for any; `trust` the place in the chain of a certificate
    that it trusts besides the lab's root; `level` its security level.
    """
    issued = authority.issue(shipped_recipes()[name], HOST)
    client = verifying_context(authority.root_pem)
    client.check_hostname = want is not None
    client.hostname_checks_common_name = common_name
    client.verify_flags = ssl.VerifyFlags(client.verify_flags | flags)
    client.set_ciphers(f"DEFAULT:@SECLEVEL={level}")
    if trust is not None:
        anchor = x509.load_pem_x509_certificates(issued.chain_pem)[trust]
        client.load_verify_locations(cadata=anchor.public_bytes(Encoding.DER))
    return verify_code(server_context(issued, ServeTls()), client, want or HOST)


def test_with_its_own_fault_out_of_the_way_a_certificate_is_good(authority: LabAuthority) -> None:
    for name in ("expired", "not-yet-valid", "expired-intermediate"):
        assert check(authority, name, flags=NO_CHECK_TIME) == 0
    for name, named in {
        "wrong-host": "mail.elsewhere.test",
        "wildcard-too-deep": "mx.lab.test",
        "domain-not-host": "some.lab.test",
        "ip-address-name": "127.0.0.1",
        "no-names": None,
        "wildcard-too-wide": None,
    }.items():
        assert check(authority, name, want=named) == 0
    assert check(authority, "common-name-only", common_name=True) == 0
    for name in ("rsa-1024", "sha1-signature"):
        assert check(authority, name, level=0) == 0
    assert check(authority, "self-signed", trust=0) == 0
    assert check(authority, "untrusted-root", trust=1) == 0
    assert check(authority, "untrusted-root-sent", trust=2) == 0


def test_two_faults_are_two_faults(authority: LabAuthority) -> None:
    name = "expired-and-wrong-host"
    assert check(authority, name, flags=NO_CHECK_TIME) == 62
    assert check(authority, name, want="mail.elsewhere.test") == 10
    assert check(authority, name, want="mail.elsewhere.test", flags=NO_CHECK_TIME) == 0


def test_a_missing_intermediate_is_all_that_is_missing(authority: LabAuthority) -> None:
    context = verifying_context(authority.root_pem + authority.intermediates_pem)
    issued = authority.issue(shipped_recipes()["missing-intermediate"], HOST)
    assert verify_code(server_context(issued, ServeTls()), context, HOST) == 0


def test_the_unknown_authority_bears_another_name(authority: LabAuthority) -> None:
    unknown = authority.issue(shipped_recipes()["untrusted-root"], HOST)
    above = x509.load_pem_x509_certificates(unknown.chain_pem)[1]
    assert above.issuer != x509.load_pem_x509_certificate(authority.root_pem).subject


def test_a_wildcard_for_a_top_level_domain_is_good_for_nobody(authority: LabAuthority) -> None:
    assert check(authority, "wildcard-too-wide", want="some.test") == 62


def leaf_of(authority: LabAuthority, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(authority.issue(shipped_recipes()[name], HOST).chain_pem)


def test_what_openssl_does_not_look_at_is_there_all_the_same(authority: LabAuthority) -> None:
    stapled = leaf_of(authority, "must-staple").extensions.get_extension_for_class(x509.TLSFeature)
    assert list(stapled.value) == [x509.TLSFeatureType.status_request]
    constraints = leaf_of(authority, "ca-as-leaf").extensions.get_extension_for_class(
        x509.BasicConstraints
    )
    assert constraints.value.ca
    left = leaf_of(authority, "expires-soon").not_valid_after_utc - datetime.now(UTC)
    assert timedelta(days=1) < left <= timedelta(days=2)
    names = leaf_of(authority, "thousand-names").extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert len(names.value) == 1000
    algorithm = leaf_of(authority, "sha1-signature").signature_hash_algorithm
    assert algorithm is not None
    assert algorithm.name == "sha1"


def test_the_revocation_list_is_there_before_the_revoked_certificate(tmp_path: Path) -> None:
    clock = Clock()
    authority = LabAuthority(tmp_path, now=clock)
    crl = x509.load_pem_x509_crl(authority.crl_path.read_bytes())
    assert crl.next_update_utc is not None
    assert crl.last_update_utc < clock.time < crl.next_update_utc
    assert leaf_of(authority, "good").serial_number not in {one.serial_number for one in crl}
    for _ in range(2):
        # One that was issued anew is revoked as well.
        revoked = leaf_of(authority, "revoked")
        assert crl.get_revoked_certificate_by_serial_number(revoked.serial_number)
        clock.time += timedelta(days=30)
    context = verifying_context(authority.root_pem)
    context.load_verify_locations(cafile=str(authority.crl_path))
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    now = LabAuthority(tmp_path)
    for name, code in (("revoked", 23), ("good", 0), ("rsa", 0)):
        issued = now.issue(shipped_recipes()[name], HOST)
        assert verify_code(server_context(issued, ServeTls()), context, HOST) == code


def test_a_list_of_another_lab_is_replaced(tmp_path: Path) -> None:
    ours, theirs = LabAuthority(tmp_path / "a"), LabAuthority(tmp_path / "b")
    own = ours.crl_path.read_bytes()
    ours.renew_revocation_list()
    assert LabAuthority(tmp_path / "a").crl_path.read_bytes() == own
    for wrong in (theirs.crl_path.read_bytes(), b"no list at all"):
        ours.crl_path.write_bytes(wrong)
        LabAuthority(tmp_path / "a").renew_revocation_list()
        assert _signed_the_list(ours)


def test_a_new_authority_comes_with_a_list_of_its_own(tmp_path: Path) -> None:
    first = LabAuthority(tmp_path)
    (tmp_path / "lab-authority-2.json").unlink()
    second = LabAuthority(tmp_path)
    assert second.root_pem != first.root_pem
    assert _signed_the_list(second)


def _signed_the_list(authority: LabAuthority) -> bool:
    key = x509.load_pem_x509_certificate(authority.intermediates_pem).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return x509.load_pem_x509_crl(authority.crl_path.read_bytes()).is_signature_valid(key)


@pytest.mark.parametrize(
    ("name", "other_time"),
    [("expired", timedelta(days=-2)), ("not-yet-valid", timedelta(days=2))],
)
def test_dates_are_relative_to_now(tmp_path: Path, name: str, other_time: timedelta) -> None:
    clock = Clock()
    issued = LabAuthority(tmp_path, now=clock).issue(shipped_recipes()[name], HOST)
    leaf = x509.load_pem_x509_certificate(issued.chain_pem)
    assert not leaf.not_valid_before_utc <= clock.time <= leaf.not_valid_after_utc
    at = clock.time + other_time
    assert leaf.not_valid_before_utc <= at <= leaf.not_valid_after_utc


def test_rsa_keys_and_further_names(authority: LabAuthority) -> None:
    recipe = dataclasses.replace(shipped_recipes()["good"], key=KeyKind.RSA_2048)
    server = server_context(authority.issue(recipe, HOST, also=("127.0.0.1", "::1")), ServeTls())
    context = verifying_context(authority.root_pem)
    for name in (HOST, "127.0.0.1", "::1"):
        assert verify_code(server, context, name) == 0
    assert verify_code(server, context, "127.0.0.2") == 64
    context.maximum_version = context.minimum_version = context.minimum_version.TLSv1_2
    cipher = handshake(server, context, HOST).cipher()
    assert cipher is not None
    assert "RSA" in cipher[0]


def test_a_host_name_too_long_for_a_common_name_is_a_name_all_the_same(
    authority: LabAuthority,
) -> None:
    host = f"mx.{'a' * 60}.lab.test"
    server = server_context(authority.issue(shipped_recipes()["good"], host), ServeTls())
    assert verify_code(server, verifying_context(authority.root_pem), host) == 0


def test_a_certificate_is_kept_until_half_the_way_to_its_nearer_date(tmp_path: Path) -> None:
    clock = Clock()
    authority = LabAuthority(tmp_path, now=clock)
    recipe = shipped_recipes()["not-yet-valid"]
    first = authority.issue(recipe, HOST)
    assert authority.issue(recipe, "mx.other.lab.test") is not first
    clock.time += timedelta(hours=11)
    assert authority.issue(recipe, HOST) is first
    clock.time += timedelta(hours=2)
    second = authority.issue(recipe, HOST)
    assert second is not first
    assert x509.load_pem_x509_certificate(second.chain_pem).not_valid_before_utc == (
        clock.time + timedelta(days=1)
    )
    clock.time -= timedelta(days=400)
    assert authority.issue(recipe, HOST) is not second


def test_the_authority_outlives_the_process(tmp_path: Path) -> None:
    first, second = LabAuthority(tmp_path), LabAuthority(tmp_path)
    assert first.root_pem == second.root_pem
    assert first.intermediates_pem == second.intermediates_pem
    assert first.root_path.read_bytes() == first.root_pem
    server = server_context(second.issue(shipped_recipes()["good"], HOST), ServeTls())
    assert verify_code(server, verifying_context(first.root_path.read_bytes()), HOST) == 0


def test_two_labs_do_not_vouch_for_each_other(tmp_path: Path) -> None:
    ours, theirs = LabAuthority(tmp_path / "a"), LabAuthority(tmp_path / "b")
    server = server_context(theirs.issue(shipped_recipes()["good"], HOST), ServeTls())
    # 20: unknown issuer; 7, a bad signature, would send people the wrong way.
    assert verify_code(server, verifying_context(ours.root_pem), HOST) == 20


def test_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    directory = tmp_path / "state" / "certs"
    authority = LabAuthority(directory)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    for path in directory.iterdir():
        if b"PRIVATE KEY" in path.read_bytes():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"PRIVATE KEY" not in authority.root_path.read_bytes()
    assert {path.name for path in directory.iterdir()} == {
        "lab-authority-2.json",
        "unknown-authority-2.json",
        "lab-root.pem",
        "lab-crl.pem",
    }
    issued = authority.issue(shipped_recipes()["good"], HOST)
    assert b"PRIVATE KEY" in issued.key_pem
    assert "PRIVATE KEY" not in repr(issued)


def test_processes_that_start_at_once_agree(tmp_path: Path) -> None:
    directory = tmp_path / "certs"
    script = (
        "import sys, pathlib\n"
        "from relay.lab.authority import LabAuthority\n"
        "sys.stdin.readline()\n"
        "sys.stdout.buffer.write(LabAuthority(pathlib.Path(sys.argv[1])).root_pem)\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(3)
    ]
    with ThreadPoolExecutor() as pool:
        roots = list(pool.map(lambda process: process.communicate(b"\n")[0], processes))
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert set(roots) == {LabAuthority(directory).root_pem}
    assert not list(directory.glob(".new-*"))


def test_the_loser_of_the_race_uses_what_the_winner_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    winner = LabAuthority(tmp_path)
    real_exists = Path.exists
    # As if the winner's file appeared between the look and the link.
    monkeypatch.setattr(
        Path, "exists", lambda path: not path.name.endswith(".json") and real_exists(path)
    )
    loser = LabAuthority(tmp_path)
    assert loser.root_pem == winner.root_pem


def test_a_root_file_that_does_not_belong_to_the_key_is_replaced(tmp_path: Path) -> None:
    first = LabAuthority(tmp_path)
    first.root_path.write_bytes(b"something else")
    assert LabAuthority(tmp_path).root_path.read_bytes() == first.root_pem


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"root": {"certificate": "x"}}', b"\xff"])
def test_a_damaged_authority_is_named_not_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "lab-authority-2.json"
    path.write_bytes(content)
    with pytest.raises(AuthorityError, match=r"lab-authority-2\.json .* delete it"):
        LabAuthority(tmp_path)
    assert path.read_bytes() == content


def test_a_key_that_can_not_be_read_is_named_when_it_is_needed(tmp_path: Path) -> None:
    LabAuthority(tmp_path)
    path = tmp_path / "lab-authority-2.json"
    path.write_text(path.read_text().replace("BEGIN PRIVATE KEY", "BEGIN SOMETHING"))
    authority = LabAuthority(tmp_path)
    with pytest.raises(AuthorityError, match=r"lab-authority-2\.json .* delete it"):
        authority.issue(shipped_recipes()["good"], HOST)


def test_a_directory_that_can_not_be_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AuthorityError, match=r"can't be kept in .*file/certs: Not a directory"):
        LabAuthority(tmp_path / "file" / "certs")


@pytest.mark.judge("openssl")
def test_openssl_verifies_the_good_chain_strictly(authority: LabAuthority, tmp_path: Path) -> None:
    chain = tmp_path / "chain.pem"
    chain.write_bytes(authority.issue(shipped_recipes()["good"], HOST).chain_pem)
    done = subprocess.run(
        [
            "openssl",
            "verify",
            "-x509_strict",
            "-purpose",
            "sslserver",
            "-verify_hostname",
            HOST,
            "-CAfile",
            str(authority.root_path),
            "-untrusted",
            str(chain),
            str(chain),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
