"""Loads a file of fault scripts: all of it, or the complete list of its problems."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Set
from datetime import timedelta
from pathlib import Path

from relay.config.fault_script_shape import (
    ANSWER_KEYS,
    FAULT_SCRIPT_FILE,
    WHEN_KEYS,
    FaultRuleShape,
    FaultScriptShape,
)
from relay.config.problems import KeyPath, PolicyFileError, did_you_mean
from relay.config.validate import Report, validate_as
from relay.config.yaml_source import decode_yaml, read_yaml
from relay.config.yaml_tree import SourceTree
from relay.core.fault_scripts import (
    Always,
    FaultAnswer,
    FaultPhase,
    FaultRule,
    FaultScript,
    When,
)


def any_seed() -> int:
    """Return a seed by chance."""
    return secrets.randbits(32)


def load_fault_scripts(
    path: Path, *, known_scenarios: Set[str] | None = None, seed: Callable[[], int] = any_seed
) -> tuple[FaultScript, ...]:
    """Load a file of fault scripts; as `load_fault_scripts_text`, or OSError for the file."""
    text = decode_yaml(path.read_bytes(), name=str(path))
    return load_fault_scripts_text(text, name=str(path), known_scenarios=known_scenarios, seed=seed)


def load_fault_scripts_text(
    text: str,
    *,
    name: str,
    known_scenarios: Set[str] | None = None,
    seed: Callable[[], int] = any_seed,
) -> tuple[FaultScript, ...]:
    """Load fault scripts from their text; `name` stands for the file in places.

    `known_scenarios` are the names that a script may be for; without them they go unchecked. `seed`
    gives one to each script that has none. Raises PolicyFileError with all problems.
    """
    tree = read_yaml(text, name=name)
    report = Report(tree)
    shape, tree = validate_as(FAULT_SCRIPT_FILE, tree, report)
    if shape.scripts is None and not report.problems:
        report.at_value(tree, (), "the key 'scripts' is missing")
    scripts = shape.scripts or []
    file = _File(tree, report)
    read = [(s, file.rules(s, ("scripts", at))) for at, s in enumerate(scripts)]
    file.check_scenarios(scripts, known_scenarios)
    if report.problems:
        raise PolicyFileError(report.problems)
    return tuple(
        FaultScript(
            scenario=script.scenario,
            seed=seed() if script.seed is None else script.seed,
            rules=rules,
            place=tree.place(("scripts", at)),
        )
        for at, (script, rules) in enumerate(read)
    )


class _File:
    """Reads what concerns several keys at once, and reports what can't stand together."""

    def __init__(self, tree: SourceTree, report: Report) -> None:
        self._tree = tree
        self._report = report

    def check_scenarios(
        self, scripts: list[FaultScriptShape], known_scenarios: Set[str] | None
    ) -> None:
        first: dict[str, int] = {}
        for at, script in enumerate(scripts):
            path: KeyPath = ("scripts", at, "scenario")
            name, place = script.scenario, self._tree.place(path)
            if known_scenarios is not None and name not in known_scenarios:
                hint = did_you_mean(name, known_scenarios) or "'relay lab list' names them all"
                message = f"the lab has no scenario {name!r}"
                self._report.at_value(self._tree, path, message, hint=hint)
            elif name in first:
                message = f"{name!r} has a script already, on line {first[name]}"
                hint = "put the rules of both into one script"
                self._report.at_value(self._tree, path, message, hint=hint)
            first.setdefault(name, place.line)

    def rules(self, script: FaultScriptShape, path: KeyPath) -> tuple[FaultRule, ...]:
        found = [self._rule(rule, (*path, "rules", at)) for at, rule in enumerate(script.rules)]
        return tuple(rule for rule in found if rule is not None)

    def _rule(self, rule: FaultRuleShape, path: KeyPath) -> FaultRule | None:
        """Return a rule, None for one that has been reported."""
        answer = self._answer(rule, path)
        when = self._when(rule, path)
        early = rule.recipient is not None and not rule.phase.knows_recipients
        if early:
            allowed = ", ".join(phase.value for phase in FaultPhase if phase.knows_recipients)
            self._report.at_key(
                self._tree,
                (*path, "recipient"),
                f"no recipient is known in the phase {rule.phase.value}; allowed: {allowed}",
            )
        spoken = rule.phase is FaultPhase.HANDSHAKE and rule.reply is not None
        if spoken:
            self._report.at_key(
                self._tree,
                (*path, "reply"),
                "a TLS handshake has no SMTP replies; allowed: do, delay",
                hint="the phase starttls has one",
            )
        if answer is None or when is None or early or spoken:
            return None
        return FaultRule(
            phase=rule.phase,
            answer=answer,
            when=when,
            recipients=rule.recipient,
            after=rule.after or timedelta(0),
            place=self._tree.place(path),
        )

    def _answer(self, rule: FaultRuleShape, path: KeyPath) -> FaultAnswer | None:
        given = [a for a in (rule.reply, rule.do, rule.delay) if a is not None]
        if not given and not self._has_lost_a_key(path):
            self._report.at_value(
                self._tree,
                path,
                f"the rule does not say what happens; one of: {', '.join(ANSWER_KEYS)}",
            )
        alone = self._alone(path, ANSWER_KEYS)
        return given[0] if given and alone else None

    def _when(self, rule: FaultRuleShape, path: KeyPath) -> When | None:
        given = [w for w in (rule.next, rule.every, rule.chance) if w is not None]
        if not self._alone(path, WHEN_KEYS):
            return None
        return given[0] if given else Always()

    def _alone(self, path: KeyPath, keys: tuple[str, ...]) -> bool:
        """Whether the rule has one of the keys at most; report every other one."""
        given = [key for key in keys if self._tree.node((*path, key)) is not None]
        given.sort(key=lambda key: self._tree.key_place((*path, key)).column)
        given.sort(key=lambda key: self._tree.key_place((*path, key)).line)
        for key in given[1:]:
            message = f"{key!r} can't stand beside {given[0]!r}; one of: {', '.join(keys)}"
            self._report.at_key(self._tree, (*path, key), message)
        return len(given) < 2

    def _has_lost_a_key(self, path: KeyPath) -> bool:
        """Whether a key of this rule was refused: it may have been the one that is missing."""
        written = self._tree.written(path)
        return any(gone[: len(written)] == written for gone in self._tree.removed)
