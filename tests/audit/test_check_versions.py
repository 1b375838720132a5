"""Which versions and suites a check finds, against what the receivers were told to speak."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from check_lab import CheckedLab, checked_lab

from relay.audit.check_host import HostCheck
from relay.audit.check_versions import Accepted, Declined, NotAsked
from relay.core.settings import TlsVersion
from relay.lab.availability import why_unavailable
from relay.lab.catalogue import LAB_SCENARIOS
from relay.tls import probing
from relay.tls.probing import PinnedContexts, known_suites, why_not_tried

SPOKEN = {
    "good": "1.2 1.3",
    "tls12": "1.2",
    "tls13": "1.3",
    "tls10-only": "1.0",
    "tls11-only": "1.1",
    "weak-dh": "1.2",
    "null-cipher": "1.2",
    "no-common-cipher": "",
    "rc4-only": "",
    "3des-only": "",
    "handshake-drop": "",
    "implicit-tls": "1.2 1.3",
    "expired": "1.2 1.3",
}
RUN = [name for name in SPOKEN if not why_unavailable(LAB_SCENARIOS[name])]


async def one(lab: CheckedLab, name: str, *, suites: bool = False) -> HostCheck:
    checks = await lab.check(name, versions=True, suites=suites)
    (host,) = checks[name].hosts
    return host


@pytest.mark.parametrize("name", RUN)
async def test_the_versions_that_a_receiver_speaks_are_found(name: str, tmp_path: Path) -> None:
    async with checked_lab(tmp_path) as lab:
        host = await one(lab, name)
        spoken = [r.version.value for r in host.versions if isinstance(r.answer, Accepted)]
        assert spoken == SPOKEN[name].split()
        others = [r.answer for r in host.versions if not isinstance(r.answer, Accepted)]
        assert all(isinstance(answer, Declined) and answer.detail for answer in others)
        for session in (await lab.received())[name]:
            assert set(session.commands) <= {"EHLO", "STARTTLS", "QUIT"}


@pytest.mark.parametrize("name", ["no-starttls", "handshake-silence", "starttls-plaintext"])
async def test_nobody_is_asked_where_no_answer_can_come(name: str, tmp_path: Path) -> None:
    async with checked_lab(tmp_path) as lab:
        host = await one(lab, name)
        assert [type(r.answer) for r in host.versions] == [NotAsked] * len(TlsVersion)
        assert len((await lab.received())[name]) == 1


async def test_all_suites_of_a_receiver_are_listed_and_no_other(tmp_path: Path) -> None:
    async with checked_lab(tmp_path) as lab:
        for name, wanted in [
            ("weak-dh", ("DHE-RSA-AES256-GCM-SHA384",)),
            ("null-cipher", ("ECDHE-ECDSA-NULL-SHA",)),
        ]:
            host = await one(lab, name, suites=True)
            (found,) = [r.suites for r in host.versions if r.suites is not None]
            assert found.names == wanted
            assert found.complete
            assert found.of == len(known_suites(TlsVersion.TLS1_2))


async def test_a_list_that_would_cost_too_many_sessions_is_cut_off_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.audit.check_versions.MOST_SESSIONS", 2)
    async with checked_lab(tmp_path) as lab:
        host = await one(lab, "tls12", suites=True)
        (found,) = [r.suites for r in host.versions if r.suites is not None]
        assert len(found.names) == 2
        assert not found.complete


def test_what_this_openssl_lacks_is_not_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = {TlsVersion.TLS1_0: (ssl.TLSVersion.TLSv1, False)}
    monkeypatch.setattr(probing, "_VERSIONS", {**probing._VERSIONS, **lacking})
    why = why_not_tried(TlsVersion.TLS1_0)
    assert why is not None
    assert ssl.OPENSSL_VERSION in why
    with pytest.raises(ValueError, match="built without"):
        PinnedContexts(TlsVersion.TLS1_0)
    assert why_not_tried(TlsVersion.TLS1_2) is None


def test_suites_that_need_a_shared_secret_are_left_out() -> None:
    for version in TlsVersion:
        assert not [s for s in known_suites(version) if "PSK" in s or "SRP" in s]
    assert known_suites(TlsVersion.TLS1_3) == ()
    assert set(known_suites(TlsVersion.TLS1_0)) < set(known_suites(TlsVersion.TLS1_2))


def test_a_suite_that_openssl_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="knows none"):
        PinnedContexts(TlsVersion.TLS1_2, ["NO-SUCH-SUITE"])
