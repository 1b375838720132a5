"""The lab's authorities, and OpenSSL's opinion on everything that they issue."""

from __future__ import annotations

import dataclasses
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography import x509
from lab_handshakes import handshake, verify_code, verifying_context

from relay.lab.authority import AuthorityError, LabAuthority
from relay.lab.recipes import KeyKind, shipped_recipes
from relay.lab.scripts import ServeTls
from relay.lab.server_tls import server_context

HOST = "mx.some.lab.test"

VERIFY_CODES = {
    "good": 0,
    "expired": 10,
    "not-yet-valid": 9,
    "self-signed": 18,
    "untrusted-root": 20,
    "missing-intermediate": 20,
    "wrong-host": 62,
}
"""OpenSSL's X509_V_ERR numbers, typed by hand from its x509_vfy.h."""

CHAIN_LENGTHS = {
    "good": 2,
    "expired": 2,
    "not-yet-valid": 2,
    "self-signed": 1,
    "untrusted-root": 2,
    "missing-intermediate": 1,
    "wrong-host": 2,
}


class Clock:
    def __init__(self) -> None:
        self.time = datetime(2026, 6, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time


def test_the_tables_name_every_recipe() -> None:
    assert set(VERIFY_CODES) == set(CHAIN_LENGTHS) == set(shipped_recipes())


@pytest.mark.parametrize(("name", "code"), VERIFY_CODES.items())
def test_openssl_finds_exactly_the_fault_of_a_recipe(
    authority: LabAuthority, name: str, code: int
) -> None:
    issued = authority.issue(shipped_recipes()[name], HOST)
    server = server_context(issued, ServeTls())
    assert verify_code(server, verifying_context(authority.root_pem), HOST) == code


@pytest.mark.parametrize(("name", "length"), CHAIN_LENGTHS.items())
def test_a_recipe_sends_the_certificates_that_it_says(
    authority: LabAuthority, name: str, length: int
) -> None:
    chain = x509.load_pem_x509_certificates(
        authority.issue(shipped_recipes()[name], HOST).chain_pem
    )
    assert len(chain) == length
    for below, above in pairwise(chain):
        below.verify_directly_issued_by(above)


def test_only_one_thing_is_wrong_with_each_recipe(authority: LabAuthority) -> None:
    # With the recipe's own fault out of the way, OpenSSL must be content.
    recipes, intermediate = shipped_recipes(), authority.intermediates_pem
    context = verifying_context(authority.root_pem + intermediate)
    server = server_context(authority.issue(recipes["missing-intermediate"], HOST), ServeTls())
    assert verify_code(server, context, HOST) == 0
    server = server_context(authority.issue(recipes["wrong-host"], HOST), ServeTls())
    context = verifying_context(authority.root_pem)
    assert verify_code(server, context, "mail.elsewhere.test") == 0
    self_signed = authority.issue(recipes["self-signed"], HOST)
    context = verifying_context(self_signed.chain_pem)
    assert verify_code(server_context(self_signed, ServeTls()), context, HOST) == 0
    unknown = authority.issue(recipes["untrusted-root"], HOST)
    above = x509.load_pem_x509_certificates(unknown.chain_pem)[1]
    assert above.issuer != x509.load_pem_x509_certificate(authority.root_pem).subject


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
        "lab-authority.json",
        "unknown-authority.json",
        "lab-root.pem",
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
    path = tmp_path / "lab-authority.json"
    path.write_bytes(content)
    with pytest.raises(AuthorityError, match=r"lab-authority\.json .* delete it"):
        LabAuthority(tmp_path)
    assert path.read_bytes() == content


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
