"""Addresses and patterns: strict grammar, two kinds of wildcard kept apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.addresses import (
    EVERY_DOMAIN,
    Domain,
    DomainPattern,
    candidate_patterns,
    covering_patterns,
    parse_address,
    parse_domain,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Example.COM", "example.com"),
        (" example.com. ", "example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("faß.example", "xn--fa-hia.example"),
        ("_dmarc.example.com", "_dmarc.example.com"),
    ],
)
def test_domain_is_lower_case_a_labels_without_trailing_dot(text: str, expected: str) -> None:
    assert parse_domain(text) == expected


@pytest.mark.parametrize(
    "text", ["", " ", ".", "a..b", "-a.test", "a-.test", "a b.test", "a" * 64 + ".test",
             "*.a.test", ("a" * 60 + ".") * 5 + "test", "\u2603..test", "a\x00b.test", "a,b.test"],
)  # fmt: skip
def test_not_a_domain(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_domain(text)


@pytest.mark.parametrize(
    "text",
    ["john@aco.subdomains.com", '"a b"@c.test', r'"a\"b"@c.test', "a.b+c@d.test",
     "a@[127.0.0.1]", "a@[IPv6:::1]", "jürgen@c.test", "x@xn--bcher-kva.example"],
)  # fmt: skip
def test_address_is_kept_as_written(text: str) -> None:
    assert str(parse_address(text)) == text


@pytest.mark.parametrize(
    "text",
    # Each of these one of the two SMTP libraries accepts or rewrites.
    ["", "a", "a@", "@b.test", "a b@c.test", 'x"y@b.test', "a@b.test SIZE=1", "a,b@c.test",
     "a@b@c.test", "a\x00@c.test", "a\r\n@c.test", ".a@c.test", "a.@c.test", "a..b@c.test",
     "@hop.test:a@c.test", "a@b.test.", "a@ b.test", "a" * 65 + "@c.test", "a@[300.1]", "<a@c.test",
     "é" * 33 + "@c.test", '"a\nb"@c.test'],
)  # fmt: skip
def test_not_an_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_address(text)


@pytest.mark.parametrize(
    ("pattern", "domain", "expected"),
    [
        ("*.subdomains.com", "aco.subdomains.com", True),
        ("*.subdomains.com", "bco.subdomains.com", True),
        ("*.subdomains.com", "subdomains.com", False),
        ("*.subdomains.com", "a.b.subdomains.com", True),
        ("*.subdomains.com", "notsubdomains.com", False),
        ("subdomains.com", "subdomains.com", True),
        ("subdomains.com", "aco.subdomains.com", False),
        ("*", "anything.test", True),
        ("*.BÜCHER.example", "a.xn--bcher-kva.example", True),
    ],
)
def test_pattern(pattern: str, domain: str, expected: bool) -> None:
    assert DomainPattern.parse(pattern).matches(Domain(domain)) is expected


@pytest.mark.parametrize("text", ["", "a.*", "a*.test", "**", "*.*.test", "*.", "a@b.test", "*a"])
def test_not_a_pattern(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        DomainPattern.parse(text)


labels = st.sampled_from(["a", "b", "c"])
domains = st.lists(labels, min_size=1, max_size=4).map(lambda parts: Domain(".".join(parts)))
patterns = st.builds(DomainPattern, suffix=domains, wildcard=st.booleans()) | st.just(EVERY_DOMAIN)


@given(domain=domains, pattern=patterns)
def test_candidates_are_exactly_the_patterns_that_match(
    domain: Domain, pattern: DomainPattern
) -> None:
    assert (pattern in candidate_patterns(domain)) is pattern.matches(domain)


@given(domain=domains)
def test_candidates_come_most_specific_first(domain: Domain) -> None:
    order = [pattern.specificity for pattern in candidate_patterns(domain)]
    assert order == sorted(order, reverse=True)
    assert len(set(order)) == len(order)


@given(wide=patterns, narrow=patterns, domain=domains)
def test_covering_means_matching_all_that_the_other_matches(
    wide: DomainPattern, narrow: DomainPattern, domain: Domain
) -> None:
    if wide.covers(narrow) and narrow.matches(domain):
        assert wide.matches(domain)


@given(pattern=patterns, other=patterns)
def test_covering_patterns_are_exactly_those_that_cover(
    pattern: DomainPattern, other: DomainPattern
) -> None:
    expected = other.covers(pattern) and other != pattern
    assert (other in covering_patterns(pattern)) is expected


@given(pattern=patterns)
def test_a_pattern_reads_back(pattern: DomainPattern) -> None:
    assert DomainPattern.parse(str(pattern)) == pattern
    assert pattern.covers(pattern)
    assert EVERY_DOMAIN.covers(pattern)
