"""What a policy says about TLS to one domain, and the table that finds it.

A table is built once, by `build_table`, from the file's parts: the default setting, "Restrict TLS
to these domains", and rules. Building expands the sugar, so that a look-up is one dictionary probe
for each label of the domain and the answer says which entry won, where it stands, and why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, unique
from types import MappingProxyType
from typing import assert_never

from relay.core.addresses import (
    EVERY_DOMAIN,
    Domain,
    DomainPattern,
    candidate_patterns,
    covering_patterns,
)
from relay.core.places import Place
from relay.core.settings import (
    OnBadCertificate,
    OnNoTls,
    PolicyMode,
    Starttls,
    TlsSetting,
    TlsVersion,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustAnchors:
    """Which authorities a verifying session trusts; files are paths to PEM."""

    lab: bool = True
    system: bool = False
    ca_files: tuple[str, ...] = ()
    crl_files: tuple[str, ...] = ()


@unique
class CommonName(Enum):
    """Whether the subject's common name counts when a certificate has no DNS names.

    RFC 9525 section 2 forbids it; Salesforce's older wording compares the common name.
    """

    IGNORE = "ignore"
    FALLBACK = "fallback"


@dataclass(frozen=True, slots=True, kw_only=True)
class NamePolicy:
    """Which names the certificate may bear besides the host that was connected to."""

    extra: tuple[Domain, ...] = ()
    recipient_domain: bool = False
    common_name: CommonName = CommonName.IGNORE


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsPolicy:
    """Everything that decides on TLS to one domain.

    `setting` is its name; `starttls`, `on_no_tls` and `on_bad_certificate` are what it means, and
    they alone are what `judge` reads. `mode` tells whether that is enforced; a policy that holds is
    `in_effect`.
    """

    setting: TlsSetting
    starttls: Starttls
    on_no_tls: OnNoTls
    on_bad_certificate: OnBadCertificate
    minimum_tls: TlsVersion = TlsVersion.TLS1_2
    trust: TrustAnchors = field(default_factory=TrustAnchors)
    names: NamePolicy = field(default_factory=NamePolicy)
    mode: PolicyMode = PolicyMode.ENFORCE

    @classmethod
    def for_setting(
        cls,
        setting: TlsSetting,
        *,
        preferred_verify: OnBadCertificate = OnBadCertificate.TERMINATE,
        required: OnBadCertificate = OnBadCertificate.IGNORE,
        minimum_tls: TlsVersion = TlsVersion.TLS1_2,
        trust: TrustAnchors | None = None,
        names: NamePolicy | None = None,
        mode: PolicyMode = PolicyMode.ENFORCE,
    ) -> TlsPolicy:
        """Return what `setting` means.

        Two arguments settle where Salesforce's documents disagree about a bad certificate:
        Preferred Verify ends the session (Object Reference) or goes in clear text (Help); Required
        does not look at it (both), or ends the session (Knowledge 000388924).
        """
        on_bad_certificate: OnBadCertificate
        match setting:
            case TlsSetting.OFF | TlsSetting.PREFERRED:
                on_bad_certificate = OnBadCertificate.IGNORE
            case TlsSetting.REQUIRED:
                on_bad_certificate = required
            case TlsSetting.PREFERRED_VERIFY:
                on_bad_certificate = preferred_verify
            case TlsSetting.REQUIRED_VERIFY:
                on_bad_certificate = OnBadCertificate.TERMINATE
            case _:
                assert_never(setting)
        return cls(
            setting=setting,
            starttls=Starttls.NEVER if setting is TlsSetting.OFF else Starttls.TRY,
            on_no_tls=OnNoTls.TERMINATE if setting.requires_tls else OnNoTls.CLEAR,
            on_bad_certificate=on_bad_certificate,
            minimum_tls=minimum_tls,
            trust=trust or TrustAnchors(),
            names=names or NamePolicy(),
            mode=mode,
        )

    @property
    def in_effect(self) -> TlsPolicy:
        """What sessions are opened and judged under: what is only tested goes as Preferred."""
        if self.mode is PolicyMode.ENFORCE or not self.can_refuse:
            return self
        return replace(
            self,
            setting=TlsSetting.PREFERRED,
            starttls=Starttls.TRY,
            on_no_tls=OnNoTls.CLEAR,
            on_bad_certificate=OnBadCertificate.IGNORE,
        )

    @property
    def enforced(self) -> TlsPolicy:
        """This policy with all its consequences."""
        return replace(self, mode=PolicyMode.ENFORCE)

    @property
    def can_refuse(self) -> bool:
        """Whether there is a fault that changes how a message travels from Preferred's way."""
        return self.on_no_tls is OnNoTls.TERMINATE or self.verifies

    @property
    def verifies(self) -> bool:
        """Whether a bad certificate has any consequence."""
        return self.on_bad_certificate is not OnBadCertificate.IGNORE

    @property
    def allows_clear(self) -> bool:
        """Whether a message may travel in clear text under some circumstance."""
        return (
            self.starttls is Starttls.NEVER
            or self.on_no_tls is not OnNoTls.TERMINATE
            or self.on_bad_certificate is OnBadCertificate.CLEAR
        )

    def at_least(self, setting: TlsSetting) -> TlsPolicy:
        """Return this policy, made no weaker than `setting` where that one requires TLS."""
        if not setting.requires_tls:
            return self
        verifies = setting.verifies or self.verifies
        return replace(
            self,
            setting=TlsSetting.REQUIRED_VERIFY if verifies else TlsSetting.REQUIRED,
            starttls=Starttls.TRY,
            on_no_tls=OnNoTls.TERMINATE,
            on_bad_certificate=(
                OnBadCertificate.TERMINATE if verifies else OnBadCertificate.IGNORE
            ),
        )

    def in_clear_later(self) -> TlsPolicy:
        """Return this policy for a session that may not go on in clear text yet.

        It differs where no TLS comes about: what would be delivered in clear is put off.
        """
        if self.on_no_tls is not OnNoTls.CLEAR:
            return self
        return replace(self, on_no_tls=OnNoTls.CLEAR_LATER)

    def in_clear(self) -> TlsPolicy:
        """Return this policy for the session that retries in clear text.

        Raises ValueError under a setting that never allows it: the last guard before a leak.
        """
        if not self.allows_clear:
            raise ValueError(f"{self.setting.label} never allows a session in clear text")
        return replace(
            self,
            starttls=Starttls.NEVER,
            on_no_tls=OnNoTls.CLEAR,
            on_bad_certificate=OnBadCertificate.IGNORE,
        )


@unique
class RuleOrigin(Enum):
    """Which part of a policy file an entry of the table comes from."""

    DEFAULT = "default"
    RESTRICTION = "restriction"
    UNLISTED = "unlisted"
    RULE = "rule"
    EMAIL_RELAY = "email-relay"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsRule:
    """One entry of the expanded table; or an email relay's own setting, with the relay's name."""

    pattern: DomainPattern
    policy: TlsPolicy
    origin: RuleOrigin
    place: Place
    email_relay: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyMatch:
    """The entry that won for a domain.

    `floor` is set for content that another policy protects already, as a notification's is.
    """

    domain: Domain
    rule: TlsRule
    floor: TlsSetting | None = None

    @property
    def policy(self) -> TlsPolicy:
        """What holds for the domain."""
        held = self.rule.policy.in_effect
        return held if self.floor is None else held.at_least(self.floor)

    @property
    def tested(self) -> TlsPolicy | None:
        """What would hold if it were enforced; None where what the rule says does hold."""
        written = self.rule.policy
        return None if written.in_effect == written else written.enforced

    @property
    def reason(self) -> str:
        """Why this policy holds, as a sentence without a full stop."""
        why = self._why_rule
        if self.tested is not None:
            why += f"; {self.tested.setting.label} is only tested, so mail goes as under Preferred"
        if self.policy == self.rule.policy.in_effect:
            return why
        return (
            f"{why}; raised to {self.policy.setting.label}, "
            "because the message that this is about is protected by it"
        )

    @property
    def _why_rule(self) -> str:
        pattern = self.rule.pattern
        match self.rule.origin:
            case RuleOrigin.DEFAULT:
                return "no rule names this domain, so the policy's own setting holds"
            case RuleOrigin.UNLISTED:
                return "TLS is restricted to listed domains; this one is not listed, so Preferred"
            case RuleOrigin.RESTRICTION:
                return f"{pattern} is among the domains that TLS is restricted to"
            case RuleOrigin.RULE if pattern.wildcard:
                return f"{pattern} is the most specific rule: it covers sub-domains of any depth"
            case RuleOrigin.RULE:
                return f"the rule for {pattern} names exactly this domain"
            case RuleOrigin.EMAIL_RELAY:
                return f"the email relay {self.rule.email_relay} has a setting of its own"
            case _:
                assert_never(self.rule.origin)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyTable:
    """The expanded TLS table of a policy; the pattern `*` is always there."""

    rules: Mapping[DomainPattern, TlsRule]

    def match(self, domain: Domain) -> PolicyMatch:
        """Return the most specific entry for `domain`; there is always one."""
        for pattern in candidate_patterns(domain):
            rule = self.rules.get(pattern)
            if rule is not None:
                return PolicyMatch(domain=domain, rule=rule)
        raise AssertionError("a policy table without '*'")

    def most_specific_covering(self, pattern: DomainPattern) -> TlsRule:
        """Return the entry that a rule for `pattern` would otherwise have inherited from."""
        return next(
            self.rules[p] for p in (pattern, *covering_patterns(pattern)) if p in self.rules
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Restriction:
    """One entry of "Restrict TLS to these domains"."""

    pattern: DomainPattern
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleChange:
    """A rule as written: what is None keeps what the domain had without this rule."""

    pattern: DomainPattern
    place: Place
    setting: TlsSetting | None = None
    minimum_tls: TlsVersion | None = None
    trust: TrustAnchors | None = None
    names: NamePolicy | None = None
    mode: PolicyMode | None = None


def strictest(settings: Iterable[TlsSetting]) -> TlsSetting | None:
    """Return the strictest of those settings that require TLS; None where none does."""
    requiring = {setting for setting in settings if setting.requires_tls}
    if TlsSetting.REQUIRED_VERIFY in requiring:
        return TlsSetting.REQUIRED_VERIFY
    return TlsSetting.REQUIRED if requiring else None


def build_table(
    *,
    default: TlsPolicy,
    default_place: Place,
    restrictions: Iterable[Restriction] = (),
    rules: Iterable[RuleChange] = (),
    preferred_verify: OnBadCertificate = OnBadCertificate.TERMINATE,
    required: OnBadCertificate = OnBadCertificate.IGNORE,
) -> PolicyTable:
    """Expand a policy file's parts into one table.

    With restrictions, listed domains get `default` and all others Preferred (Salesforce Metadata
    API, EmailAdministrationSettings). Rules are laid over that, the least specific first, so that
    each inherits from everything that covers it. Duplicates are the loader's to refuse; here the
    later one would win.
    """
    listed = tuple(restrictions)

    def with_setting(base: TlsPolicy, setting: TlsSetting) -> TlsPolicy:
        return TlsPolicy.for_setting(
            setting,
            preferred_verify=preferred_verify,
            required=required,
            minimum_tls=base.minimum_tls,
            trust=base.trust,
            names=base.names,
            mode=base.mode,
        )

    table: dict[DomainPattern, TlsRule] = {
        EVERY_DOMAIN: TlsRule(
            pattern=EVERY_DOMAIN,
            policy=with_setting(default, TlsSetting.PREFERRED) if listed else default,
            origin=RuleOrigin.UNLISTED if listed else RuleOrigin.DEFAULT,
            place=listed[0].place if listed else default_place,
        )
    }
    for entry in listed:
        table[entry.pattern] = TlsRule(
            pattern=entry.pattern, policy=default, origin=RuleOrigin.RESTRICTION, place=entry.place
        )
    for change in sorted(rules, key=lambda rule: rule.pattern.specificity):
        inherited = PolicyTable(rules=table).most_specific_covering(change.pattern).policy
        policy = inherited if change.setting is None else with_setting(inherited, change.setting)
        table[change.pattern] = TlsRule(
            pattern=change.pattern,
            policy=replace(
                policy,
                minimum_tls=change.minimum_tls or policy.minimum_tls,
                trust=change.trust or policy.trust,
                names=change.names or policy.names,
                mode=change.mode or policy.mode,
            ),
            origin=RuleOrigin.RULE,
            place=change.place,
        )
    return PolicyTable(rules=MappingProxyType(table))
