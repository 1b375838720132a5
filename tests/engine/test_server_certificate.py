"""The relay's own certificate is the same at every start, as long as it is right."""

from __future__ import annotations

import ssl
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from relay.engine.server_certificate import lab_certificate
from relay.lab.authority import LabAuthority
from relay.lab.recipes import shipped_recipes

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def shown(directory: Path, *, hostname: str = "relay.test", at: datetime = NOW) -> bytes:
    """Return the chain that a relay shows which starts at that time."""
    authority = LabAuthority(directory, now=lambda: at)
    found = lab_certificate(authority, directory, hostname, now=at)
    # Chain and key belong together.
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(found.chain, found.key)
    return found.chain.read_bytes()


def test_it_is_the_same_after_a_restart(tmp_path: Path) -> None:
    first = shown(tmp_path)
    assert shown(tmp_path, at=NOW + timedelta(days=30)) == first


def test_it_is_for_its_owner_alone(tmp_path: Path) -> None:
    shown(tmp_path)
    for path in tmp_path.glob("relay-*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_it_is_renewed_when_half_of_its_time_is_gone(tmp_path: Path) -> None:
    first = shown(tmp_path)
    later = NOW + shipped_recipes()["good"].valid_until / 2
    assert shown(tmp_path, at=later) == first
    renewed = shown(tmp_path, at=later + timedelta(seconds=1))
    assert renewed != first
    assert x509.load_pem_x509_certificate(renewed).not_valid_after_utc > later


def test_one_that_is_not_issued_yet_is_not_shown(tmp_path: Path) -> None:
    first = shown(tmp_path)
    assert shown(tmp_path, at=NOW - timedelta(days=400)) != first


def test_another_name_has_another_certificate(tmp_path: Path) -> None:
    shown(tmp_path)
    leaf = x509.load_pem_x509_certificate(shown(tmp_path, hostname="other.test"))
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "other.test" in names.get_values_for_type(x509.DNSName)


def test_a_new_authority_issues_a_new_one(tmp_path: Path) -> None:
    first = shown(tmp_path)
    (tmp_path / "lab-authority-2.json").unlink()
    assert shown(tmp_path) != first


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _of_another(path: Path) -> None:
    other = path.with_name("elsewhere")
    shown(other)
    path.write_bytes((other / path.name).read_bytes())


def _list(path: Path) -> None:
    path.write_text("[]")


@pytest.mark.parametrize("name", ["relay-chain.pem", "relay-key.pem", "relay-certificate.json"])
@pytest.mark.parametrize("harm", [Path.unlink, _cut, _of_another, _list])
def test_files_that_were_changed_are_replaced(
    tmp_path: Path, name: str, harm: Callable[[Path], None]
) -> None:
    first = shown(tmp_path)
    harm(tmp_path / name)
    assert shown(tmp_path) != first
