"""Report-only: a policy that is only tested goes as Preferred, and keeps what it would enforce."""

from __future__ import annotations

import pytest

from relay.core.addresses import DomainPattern, parse_domain
from relay.core.places import Place
from relay.core.settings import OnBadCertificate, PolicyMode, TlsSetting, TlsVersion
from relay.core.tls_policy import PolicyMatch, RuleChange, TlsPolicy, TlsRule, build_table
from relay.core.tls_policy import RuleOrigin as Origin

SOMEWHERE = parse_domain("bank.test")


def matched(policy: TlsPolicy, floor: TlsSetting | None = None) -> PolicyMatch:
    pattern = DomainPattern.parse("bank.test")
    rule = TlsRule(pattern=pattern, policy=policy, origin=Origin.RULE, place=Place("p.yaml", 3))
    return PolicyMatch(domain=SOMEWHERE, rule=rule, floor=floor)


@pytest.mark.parametrize(
    "setting", [TlsSetting.PREFERRED_VERIFY, TlsSetting.REQUIRED, TlsSetting.REQUIRED_VERIFY]
)
def test_what_is_tested_goes_as_preferred(setting: TlsSetting) -> None:
    written = TlsPolicy.for_setting(setting, minimum_tls=TlsVersion.TLS1_3, mode=PolicyMode.TESTING)
    match = matched(written)
    preferred = TlsPolicy.for_setting(TlsSetting.PREFERRED, minimum_tls=TlsVersion.TLS1_3)
    assert match.policy.enforced == preferred
    assert match.tested == TlsPolicy.for_setting(setting, minimum_tls=TlsVersion.TLS1_3)
    assert f"{setting.label} is only tested" in match.reason


@pytest.mark.parametrize("setting", [TlsSetting.OFF, TlsSetting.PREFERRED])
def test_what_refuses_nothing_is_not_tested(setting: TlsSetting) -> None:
    match = matched(TlsPolicy.for_setting(setting, mode=PolicyMode.TESTING))
    assert match.tested is None
    assert match.policy.setting is setting
    assert "tested" not in match.reason


def test_enforcement_is_the_default() -> None:
    match = matched(TlsPolicy.for_setting(TlsSetting.REQUIRED))
    assert match.tested is None
    assert match.policy.setting is TlsSetting.REQUIRED


def test_required_that_looks_at_certificates_is_tested_as_such() -> None:
    written = TlsPolicy.for_setting(
        TlsSetting.REQUIRED, required=OnBadCertificate.TERMINATE, mode=PolicyMode.TESTING
    )
    tested = matched(written).tested
    assert tested is not None
    assert tested.on_bad_certificate is OnBadCertificate.TERMINATE


def test_a_notification_is_protected_all_the_same() -> None:
    written = TlsPolicy.for_setting(TlsSetting.REQUIRED_VERIFY, mode=PolicyMode.TESTING)
    match = matched(written, floor=TlsSetting.REQUIRED)
    assert match.policy.setting is TlsSetting.REQUIRED
    assert not match.policy.allows_clear


@pytest.mark.parametrize("mode", PolicyMode)
def test_a_rule_keeps_the_mode_or_changes_it(mode: PolicyMode) -> None:
    other = next(m for m in PolicyMode if m is not mode)
    place = Place("p.yaml", 9)
    table = build_table(
        default=TlsPolicy.for_setting(TlsSetting.REQUIRED, mode=mode),
        default_place=place,
        rules=[
            RuleChange(
                pattern=DomainPattern.parse("*.test"),
                place=place,
                setting=TlsSetting.REQUIRED_VERIFY,
            ),
            RuleChange(pattern=DomainPattern.parse("bank.test"), place=place, mode=other),
        ],
    )
    assert table.match(parse_domain("other.test")).rule.policy.mode is mode
    assert table.match(SOMEWHERE).rule.policy.mode is other
    assert table.match(SOMEWHERE).rule.policy.setting is TlsSetting.REQUIRED_VERIFY
