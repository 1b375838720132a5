"""Certificates with octets changed: whatever a host sends has an answer, and never a good one."""

from __future__ import annotations

import random
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from relay.core.addresses import Domain
from relay.core.tls_policy import CommonName, NamePolicy, TrustAnchors
from relay.lab.authority import LabAuthority
from relay.lab.recipes import shipped_recipes
from relay.tls.certificate import chain_faults, read_certificate
from relay.tls.names import reference_names
from relay.tls.probing_chain import view_chain
from relay.tls.trust import TrustStores
from relay.tls.trust_store import TrustStore

HOST = "mx.good.lab.test"
END = "-----END CERTIFICATE-----\n"
SEEDS = range(8)
DAMAGED = 60
"""Chains for each seed."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> LabAuthority:
    return LabAuthority(tmp_path_factory.mktemp("certs"))


@pytest.fixture(scope="module")
def store(authority: LabAuthority) -> TrustStore:
    return TrustStores(lambda: authority.root_pem).store(TrustAnchors(lab=True))


@pytest.fixture(scope="module")
def chain(authority: LabAuthority) -> Sequence[bytes]:
    pem = authority.issue(shipped_recipes()["good"], HOST).chain_pem.decode()
    return [ssl.PEM_cert_to_DER_cert(part + END) for part in pem.split(END) if part.strip()]


def faults_of(pems: Sequence[str], store: TrustStore) -> int:
    wanted = reference_names(NamePolicy(), host=HOST, recipient_domain=Domain("good.lab.test"))
    found = chain_faults(
        pems, wanted=wanted, common_name=CommonName.IGNORE, at=datetime.now(UTC), store=store
    )
    return len(found)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_damaged_chain_is_never_good_and_never_an_error(
    seed: int, chain: Sequence[bytes], store: TrustStore
) -> None:
    chance = random.Random(seed)
    for _ in range(DAMAGED):
        pems = []
        for der in chain:
            octets = bytearray(der)
            for _ in range(chance.choice((1, 1, 2, 3))):
                octets[chance.randrange(len(octets))] ^= chance.randrange(1, 256)
            pems.append(ssl.DER_cert_to_PEM_cert(bytes(octets)))
        view = view_chain(pems, store=store, at=datetime.now(UTC))
        assert len(view.links) + len(view.unreadable) == len(pems)
        assert faults_of(pems, store), (seed, pems)


def test_the_chain_itself_is_good(chain: Sequence[bytes], store: TrustStore) -> None:
    assert faults_of([ssl.DER_cert_to_PEM_cert(der) for der in chain], store) == 0


def test_a_name_that_is_not_utf8_makes_a_certificate_unreadable(chain: Sequence[bytes]) -> None:
    leaf = chain[0].replace(b"mx.good.lab.test", b"mx.\xff\xff\xff\xff.lab.test")
    assert leaf != chain[0]
    assert read_certificate(ssl.DER_cert_to_PEM_cert(leaf)) is None
