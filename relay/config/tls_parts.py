"""The TLS part of a policy file, as the core's `build_table` takes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from relay.config.file_shape import PolicyShape, SalesforceShape, TlsChoices
from relay.config.problems import KeyPath
from relay.config.validate import Report
from relay.config.yaml_tree import SourceTree
from relay.core.addresses import DomainPattern, covering_patterns
from relay.core.places import Place
from relay.core.settings import OnBadCertificate, PolicyMode, TlsSetting, TlsVersion
from relay.core.tls_policy import (
    NamePolicy,
    PolicyTable,
    Restriction,
    RuleChange,
    TlsPolicy,
    TrustAnchors,
    build_table,
)

PEM_CERTIFICATE = "-----BEGIN CERTIFICATE-----"
PEM_CRL = "-----BEGIN X509 CRL-----"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsParts:
    """What a file says about TLS, before it is expanded into a table."""

    default: TlsPolicy
    default_place: Place
    restrictions: tuple[Restriction, ...]
    rules: tuple[RuleChange, ...]
    preferred_verify: OnBadCertificate
    required: OnBadCertificate

    def for_setting(self, setting: TlsSetting, *, names: NamePolicy) -> TlsPolicy:
        """Return what `setting` means in this file, with `names` instead of the default ones."""
        return TlsPolicy.for_setting(
            setting,
            preferred_verify=self.preferred_verify,
            required=self.required,
            minimum_tls=self.default.minimum_tls,
            trust=self.default.trust,
            names=names,
        )

    def table(self) -> PolicyTable:
        """Expand the parts."""
        return build_table(
            default=self.default,
            default_place=self.default_place,
            restrictions=self.restrictions,
            rules=self.rules,
            preferred_verify=self.preferred_verify,
            required=self.required,
        )


def read_tls(shape: PolicyShape, tree: SourceTree, report: Report, *, base: Path) -> TlsParts:
    """Return the file's TLS part; `base` is the directory that its file names are relative to."""
    files = _Files(tree, report, base)
    switches = shape.salesforce or SalesforceShape()
    preferred_verify = switches.preferred_verify_on_bad_certificate or OnBadCertificate.TERMINATE
    required = switches.required_on_bad_certificate or OnBadCertificate.IGNORE
    setting = shape.tls or TlsSetting.PREFERRED
    trust = _changed_trust(TrustAnchors(), shape, (), files)
    names = _changed_names(NamePolicy(), shape)
    restrictions = _restrictions(shape, tree, report)
    if restrictions and setting is TlsSetting.PREFERRED and ("tls",) not in tree.removed:
        report.at_key(
            tree,
            ("restrict_tls_to",),
            "with Preferred there is nothing to restrict: all other domains get Preferred, too",
            hint="choose another tls, such as Required, or remove the list",
        )
    return TlsParts(
        default=TlsPolicy.for_setting(
            setting,
            preferred_verify=preferred_verify,
            required=required,
            minimum_tls=shape.minimum_tls or TlsVersion.TLS1_2,
            trust=trust,
            names=names,
            mode=shape.mode or PolicyMode.ENFORCE,
        ),
        default_place=tree.place(("tls",)) if shape.tls else Place(tree.name, 1),
        restrictions=restrictions,
        rules=_rules(shape, tree, report, files, inherited=_Inherited(trust, names, restrictions)),
        preferred_verify=preferred_verify,
        required=required,
    )


def check_unique(
    tree: SourceTree,
    report: Report,
    patterns: list[DomainPattern],
    path_of: Callable[[int], KeyPath],
) -> None:
    """Report every pattern that stands in a list twice."""
    seen: dict[DomainPattern, int] = {}
    for index, pattern in enumerate(patterns):
        if pattern in seen:
            first = tree.place(path_of(seen[pattern]))
            report.at_value(
                tree, path_of(index), f"{pattern} is given twice, first on line {first.line}"
            )
        seen.setdefault(pattern, index)


def _restrictions(shape: PolicyShape, tree: SourceTree, report: Report) -> tuple[Restriction, ...]:
    patterns = shape.restrict_tls_to or []
    check_unique(tree, report, patterns, lambda index: ("restrict_tls_to", index))
    return tuple(
        Restriction(pattern=pattern, place=tree.place(("restrict_tls_to", index)))
        for index, pattern in enumerate(patterns)
    )


class _Inherited:
    """What a rule inherits of trust and names: the same entry that `build_table` takes it from."""

    def __init__(
        self, trust: TrustAnchors, names: NamePolicy, restrictions: tuple[Restriction, ...]
    ) -> None:
        self._default = (trust, names)
        self._known = {entry.pattern: self._default for entry in restrictions}

    def of(self, pattern: DomainPattern) -> tuple[TrustAnchors, NamePolicy]:
        covering = (pattern, *covering_patterns(pattern))
        return next((self._known[p] for p in covering if p in self._known), self._default)

    def set(self, pattern: DomainPattern, trust: TrustAnchors, names: NamePolicy) -> None:
        self._known[pattern] = (trust, names)


def _rules(
    shape: PolicyShape, tree: SourceTree, report: Report, files: _Files, *, inherited: _Inherited
) -> tuple[RuleChange, ...]:
    rules = shape.rules or []
    check_unique(tree, report, [rule.match for rule in rules], lambda i: ("rules", i, "match"))
    changes: dict[int, RuleChange] = {}
    # The least specific first, as `build_table` does, so that each finds what it inherits from.
    for index in sorted(range(len(rules)), key=lambda i: rules[i].match.specificity):
        rule = rules[index]
        before = inherited.of(rule.match)
        trust = _changed_trust(before[0], rule, ("rules", index), files)
        names = _changed_names(before[1], rule)
        inherited.set(rule.match, trust, names)
        changes[index] = RuleChange(
            pattern=rule.match,
            place=tree.place(("rules", index, "match")),
            setting=rule.tls,
            minimum_tls=rule.minimum_tls,
            trust=None if trust == before[0] else trust,
            names=None if names == before[1] else names,
            mode=rule.mode,
        )
    return tuple(changes[index] for index in range(len(rules)))


def _changed_names(before: NamePolicy, choices: TlsChoices) -> NamePolicy:
    also = choices.also_match_domain
    return NamePolicy(
        extra=before.extra if choices.names is None else tuple(choices.names),
        recipient_domain=before.recipient_domain if also is None else also,
        common_name=choices.common_name or before.common_name,
    )


def _changed_trust(
    before: TrustAnchors, choices: TlsChoices, path: KeyPath, files: _Files
) -> TrustAnchors:
    changed = before
    if choices.trust is not None:
        names = choices.trust
        changed = replace(
            changed,
            lab="lab" in names,
            system="system" in names,
            ca_files=tuple(
                files.pem(name, (*path, "trust", index), PEM_CERTIFICATE)
                for index, name in enumerate(names)
                if name not in {"lab", "system"}
            ),
        )
    if choices.crl is not None:
        lists = tuple(
            files.pem(name, (*path, "crl", index), PEM_CRL)
            for index, name in enumerate(choices.crl)
        )
        changed = replace(changed, crl_files=lists)
    return changed


@dataclass(frozen=True, slots=True)
class _Files:
    """Resolves the file names of a policy and reports those that can't be used."""

    tree: SourceTree
    report: Report
    base: Path

    def pem(self, name: str, path: KeyPath, marker: str) -> str:
        file = self.base / Path(name).expanduser()
        try:
            text = file.read_text(encoding="ascii", errors="replace")
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "not a file name"
            hint = None
            if path[-2] == "trust":
                hint = "allowed besides files: lab, system"
            self.report.at_value(self.tree, path, f"can't read {str(file)!r}: {why}", hint=hint)
        else:
            if marker not in text:
                what = "certificate" if marker == PEM_CERTIFICATE else "revocation list"
                self.report.at_value(self.tree, path, f"{str(file)!r} has no {what} in PEM")
        return str(file)
