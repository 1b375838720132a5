"""The policy table: restriction, rules, inheritance, and the reason that it gives."""

from __future__ import annotations

import pytest

from relay.core.addresses import Domain, DomainPattern
from relay.core.places import Place
from relay.core.settings import OnBadCertificate, TlsSetting, TlsVersion
from relay.core.tls_policy import (
    PolicyTable,
    Restriction,
    RuleChange,
    RuleOrigin,
    TlsPolicy,
    TrustAnchors,
    build_table,
)

TOP = Place("p.yaml", 1)


def pattern(text: str) -> DomainPattern:
    return DomainPattern.parse(text)


def table(
    setting: TlsSetting = TlsSetting.REQUIRED,
    restrict: tuple[str, ...] = (),
    rules: tuple[RuleChange, ...] = (),
    **switches: OnBadCertificate,
) -> PolicyTable:
    return build_table(
        default=TlsPolicy.for_setting(setting, **switches),
        default_place=TOP,
        restrictions=[
            Restriction(pattern=pattern(p), place=Place("p.yaml", 2, n))
            for n, p in enumerate(restrict, 1)
        ],
        rules=rules,
        **switches,
    )


def rule(match: str, line: int = 9, **changes: object) -> RuleChange:
    return RuleChange(pattern=pattern(match), place=Place("p.yaml", line), **changes)  # type: ignore[arg-type]


FOUNDING = table(restrict=("*.subdomains.com",))


@pytest.mark.parametrize(
    ("domain", "setting", "origin"),
    [
        ("aco.subdomains.com", TlsSetting.REQUIRED, RuleOrigin.RESTRICTION),
        ("bco.subdomains.com", TlsSetting.REQUIRED, RuleOrigin.RESTRICTION),
        ("subdomains.com", TlsSetting.PREFERRED, RuleOrigin.UNLISTED),
        ("elsewhere.test", TlsSetting.PREFERRED, RuleOrigin.UNLISTED),
    ],
)
def test_the_founding_question(domain: str, setting: TlsSetting, origin: RuleOrigin) -> None:
    match = FOUNDING.match(Domain(domain))
    assert (match.policy.setting, match.rule.origin) == (setting, origin)


def test_without_a_restriction_the_setting_holds_for_all() -> None:
    match = table().match(Domain("anything.test"))
    assert match.policy.setting is TlsSetting.REQUIRED
    assert match.rule.origin is RuleOrigin.DEFAULT
    assert match.rule.place == TOP


def test_the_most_specific_entry_wins_whatever_the_order() -> None:
    rules = (
        rule("a.b.test", setting=TlsSetting.OFF),
        rule("*.test", setting=TlsSetting.PREFERRED),
        rule("*.b.test", setting=TlsSetting.REQUIRED_VERIFY),
    )
    for order in (rules, rules[::-1]):
        built = table(rules=order)
        assert built.match(Domain("a.b.test")).policy.setting is TlsSetting.OFF
        assert built.match(Domain("x.b.test")).policy.setting is TlsSetting.REQUIRED_VERIFY
        assert built.match(Domain("b.test")).policy.setting is TlsSetting.PREFERRED
        assert built.match(Domain("example")).policy.setting is TlsSetting.REQUIRED


def test_a_rule_without_a_setting_keeps_what_the_domain_had() -> None:
    built = table(
        restrict=("*.listed.test",),
        rules=(
            rule("a.listed.test", minimum_tls=TlsVersion.TLS1_3),
            rule("free.test", minimum_tls=TlsVersion.TLS1_3),
            rule("*.listed.test", trust=TrustAnchors(lab=False, system=True)),
        ),
    )
    listed = built.match(Domain("a.listed.test")).policy
    assert listed.setting is TlsSetting.REQUIRED
    assert listed.minimum_tls is TlsVersion.TLS1_3
    assert listed.trust == TrustAnchors(lab=False, system=True)
    free = built.match(Domain("free.test")).policy
    assert free.setting is TlsSetting.PREFERRED
    assert free.minimum_tls is TlsVersion.TLS1_3
    assert free.trust == TrustAnchors()
    assert built.match(Domain("b.listed.test")).policy.minimum_tls is TlsVersion.TLS1_2


def test_a_rule_keeps_the_files_other_choices() -> None:
    built = table(
        rules=(rule("v.test", setting=TlsSetting.PREFERRED_VERIFY),),
        preferred_verify=OnBadCertificate.CLEAR,
    )
    assert built.match(Domain("v.test")).policy.on_bad_certificate is OnBadCertificate.CLEAR


@pytest.mark.parametrize(
    ("domain", "words"),
    [
        ("aco.subdomains.com", "*.subdomains.com is among the domains"),
        ("subdomains.com", "not listed, so Preferred"),
    ],
)
def test_reason(domain: str, words: str) -> None:
    assert words in FOUNDING.match(Domain(domain)).reason


def test_reasons_of_rules() -> None:
    built = table(rules=(rule("*.w.test"), rule("e.test")))
    assert "sub-domains of any depth" in built.match(Domain("a.b.w.test")).reason
    assert "exactly this domain" in built.match(Domain("e.test")).reason
    assert "no rule names this domain" in built.match(Domain("o.test")).reason


@pytest.mark.parametrize(
    "spelling",
    [
        "Required Verify",
        "RequiredVerify",
        "required-verify",
        "REQUIRED_VERIFY",
        " required verify ",
    ],
)
def test_spellings_of_a_setting(spelling: str) -> None:
    assert TlsSetting.parse(spelling) is TlsSetting.REQUIRED_VERIFY


def test_an_unknown_setting_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="Off, Preferred, Preferred Verify, Required, Required"):
        TlsSetting.parse("Requird")


@pytest.mark.parametrize("preferred_verify", OnBadCertificate)
@pytest.mark.parametrize("floor", TlsSetting)
@pytest.mark.parametrize("setting", TlsSetting)
def test_a_floor_never_weakens_and_never_leaves_clear_text_where_tls_is_required(
    setting: TlsSetting, floor: TlsSetting, preferred_verify: OnBadCertificate
) -> None:
    policy = TlsPolicy.for_setting(setting, preferred_verify=preferred_verify)
    raised = policy.at_least(floor)
    if not floor.requires_tls:
        assert raised == policy
        return
    assert not raised.allows_clear
    assert raised.setting.requires_tls
    assert raised.verifies is (floor.verifies or policy.verifies)
    assert raised.at_least(floor) == raised
