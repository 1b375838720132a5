"""Which names a certificate stands for, and which names a policy wants."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_examine_certificates import faults_of, trust_of
from tls_authority import HOST, Recipe
from tls_cases import Shown, from_intermediate

from relay.core.addresses import Domain
from relay.core.faults import FaultKind
from relay.core.settings import TlsSetting
from relay.core.tls_policy import CommonName, NamePolicy, TlsPolicy
from relay.tls.names import dns_name_matches, reference_names

LABEL = st.text("ab-1", min_size=1, max_size=3)
NAME = st.lists(LABEL, min_size=1, max_size=4)
PATTERN_LABEL = st.one_of(LABEL, st.sampled_from(["*", "a*", "*a"]))


def stands_for(pattern: list[str], name: list[str]) -> bool:
    """RFC 9525 section 6.3 in the fewest words, label by label."""
    if any("*" in label for label in pattern):
        first, *rest = pattern
        return (
            first == "*"
            and len(rest) >= 2
            and not any("*" in label for label in rest)
            and rest == name[1:]
        )
    return pattern == name


@given(pattern=st.lists(PATTERN_LABEL, min_size=1, max_size=4), name=NAME)
def test_wildcards_follow_the_simple_model(pattern: list[str], name: list[str]) -> None:
    matches = dns_name_matches(".".join(pattern), ".".join(name))
    assert matches == stands_for(pattern, name)


@given(name=st.lists(LABEL, min_size=3, max_size=4))
def test_a_name_is_matched_by_itself_and_by_its_wildcard_in_any_case(name: list[str]) -> None:
    text = ".".join(name)
    assert dns_name_matches(text.upper(), text)
    assert dns_name_matches(".".join(["*", *name[1:]]).upper(), text)
    assert not dns_name_matches(".".join(["*", *name]), text)
    assert not dns_name_matches(text, f"x.{text}")


def test_an_empty_name_stands_for_nothing() -> None:
    assert not dns_name_matches("", "")


def test_reference_names_are_normalised_and_without_doubles() -> None:
    policy = NamePolicy(
        extra=(Domain("mx.other.test"), Domain("bücher.test")), recipient_domain=True
    )
    wanted = reference_names(policy, host="MX.Other.Test.", recipient_domain=Domain("partner.test"))
    assert wanted == ("mx.other.test", "xn--bcher-kva.test", "partner.test")


@pytest.mark.parametrize("host", ["[192.0.2.7]", "192.0.2.7", "[IPv6:2001:db8::7]", "2001:db8::7"])
def test_addresses_are_recognised(host: str) -> None:
    (wanted,) = reference_names(NamePolicy(), host=host, recipient_domain=Domain("a.test"))
    assert str(wanted) in {"192.0.2.7", "2001:db8::7"}
    assert not isinstance(wanted, str)


def test_a_host_that_is_no_name_matches_nothing(tmp_path: Path) -> None:
    shown = dataclasses.replace(from_intermediate(Recipe()), host="not a name")
    assert kinds(shown, NamePolicy(), tmp_path) == [FaultKind.CERTIFICATE_NAME_MISMATCH]


def kinds(shown: Shown, names: NamePolicy, directory: Path) -> list[FaultKind]:
    stores, trust = trust_of(shown, directory)
    policy = TlsPolicy.for_setting(TlsSetting.REQUIRED, trust=trust, names=names)
    return [fault.kind for fault in faults_of(shown, policy, stores)]


MISMATCH = [FaultKind.CERTIFICATE_NAME_MISMATCH]


@pytest.mark.parametrize(
    ("recipe", "names", "expected"),
    [
        (Recipe(dns=("partner.test",)), NamePolicy(), MISMATCH),
        (Recipe(dns=("partner.test",)), NamePolicy(recipient_domain=True), []),
        (Recipe(dns=("cluster.test",)), NamePolicy(extra=(Domain("cluster.test"),)), []),
        (Recipe(dns=("cluster.test",)), NamePolicy(extra=(Domain("else.test"),)), MISMATCH),
        (Recipe(dns=()), NamePolicy(), MISMATCH),
        (Recipe(dns=()), NamePolicy(common_name=CommonName.FALLBACK), []),
        (
            Recipe(subject=HOST, dns=("other.test",)),
            NamePolicy(common_name=CommonName.FALLBACK),
            MISMATCH,
        ),
        (
            Recipe(subject="*.partner.test", dns=()),
            NamePolicy(common_name=CommonName.FALLBACK),
            [],
        ),
    ],
)
def test_policy_decides_which_names_count(
    recipe: Recipe, names: NamePolicy, expected: list[FaultKind], tmp_path: Path
) -> None:
    shown = from_intermediate(recipe)
    assert kinds(shown, names, tmp_path) == expected
    # The verifying handshake says the same, or leaves the names to the examination.
    stores, trust = trust_of(shown, tmp_path)
    policy = TlsPolicy.for_setting(TlsSetting.REQUIRED_VERIFY, trust=trust, names=names)
    assert [fault.kind for fault in faults_of(shown, policy, stores)] == expected


def test_what_a_host_wrote_is_made_printable(tmp_path: Path) -> None:
    shown = from_intermediate(Recipe(subject="evil\x1b[2J\nname", dns=()))
    stores, trust = trust_of(shown, tmp_path)
    policy = TlsPolicy.for_setting(TlsSetting.REQUIRED, trust=trust)
    (fault,) = faults_of(shown, policy, stores)
    assert fault.detail.isprintable()


def test_many_names_are_counted_not_listed(tmp_path: Path) -> None:
    shown = from_intermediate(Recipe(dns=tuple(f"n{i}.other.test" for i in range(40))))
    stores, trust = trust_of(shown, tmp_path)
    policy = TlsPolicy.for_setting(TlsSetting.REQUIRED, trust=trust)
    (fault,) = faults_of(shown, policy, stores)
    assert "n7.other.test and 32 more; wanted" in fault.detail
