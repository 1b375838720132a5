"""Properties of loading: it never crashes, places are exact, rules inherit what covers them."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from relay.config.file_shape import PolicyShape, RuleShape, keys_of
from relay.config.lint import lint
from relay.config.policy_file import load_policy_text, parse_policy
from relay.config.problems import PolicyFileError, Problem
from relay.config.yaml_source import read_yaml
from relay.config.yaml_tree import ListNode, MapNode, Node, ScalarNode
from relay.core.addresses import Domain, DomainPattern, candidate_patterns

labels = st.sampled_from(["a", "b", "c"])
domains = st.lists(labels, min_size=1, max_size=4).map(".".join)
patterns = st.one_of(st.just("*"), domains, domains.map("*.{}".format))
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
values = st.one_of(
    anything,
    patterns,
    st.sampled_from(
        ["Off", "Required", "lab/good", "smtps://[::1]:465", "5m", "451 4.7.5 x", "lab"]
    ),
    st.lists(
        st.dictionaries(st.sampled_from([*keys_of(RuleShape), "to"]), patterns | anything),
        max_size=4,
    ),
)
policies = st.dictionaries(st.sampled_from(keys_of(PolicyShape)), values, max_size=8)


def problems_of(text: str) -> tuple[Problem, ...]:
    try:
        return lint(parse_policy(text, name="f", base=Path("/nonexistent")))
    except PolicyFileError as error:
        return error.problems or pytest.fail("refused without a problem")


def load_or_refuse(text: str) -> None:
    last = len(f"{text}|".removeprefix("\ufeff").splitlines()) + 1
    problems = problems_of(text)
    for problem in problems:
        assert 1 <= problem.place.line <= last
        assert problem.place.column >= 1
        assert problem.message
    places = [(p.place.line, p.place.column) for p in problems]
    assert places == sorted(places)


@given(st.text())
def test_any_text_loads_or_is_refused(text: str) -> None:
    load_or_refuse(text)


@given(st.text(alphabet="tls: Of\n-*&!@%|>'\"[]{},#?\t\\x1", max_size=60))
@settings(max_examples=300)
def test_any_yaml_like_text_loads_or_is_refused(text: str) -> None:
    load_or_refuse(text)


@given(policies)
@settings(max_examples=300, deadline=None)
def test_any_values_under_known_keys_load_or_are_refused(data: dict[str, object]) -> None:
    load_or_refuse(yaml.safe_dump(data, allow_unicode=True))


def scalars(node: Node) -> list[ScalarNode]:
    match node:
        case ScalarNode():
            return [node]
        case ListNode(items=items):
            return [s for item in items for s in scalars(item.node)]
        case MapNode(entries=entries):
            return [s for entry in entries.values() for s in scalars(entry.node)]


# Characters that YAML or JSON would escape or break lines at are the reader's, tested elsewhere.
plain_text = st.text(alphabet=st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]))


@given(
    st.recursive(
        st.booleans() | st.integers(-(10**14), 10**14) | plain_text,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain_text, inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from([None, 1, 3]),
)
def test_the_text_at_a_value_s_place_is_the_value(data: object, indent: int | None) -> None:
    text = json.dumps({"x": data}, ensure_ascii=False, indent=indent)
    tree = read_yaml(text, name="f")
    assert tree.data == {"x": data}
    lines = text.splitlines()
    for node in scalars(tree.root):
        source = lines[node.place.line - 1][node.place.column - 1 :]
        assert source.startswith(json.dumps(node.value, ensure_ascii=False))


@given(st.lists(domains, min_size=1, unique=True), st.lists(st.sampled_from(["", " ", "  "])))
def test_the_text_at_a_restricted_domain_s_place_is_the_domain(
    names: list[str], blanks: list[str]
) -> None:
    padding = iter(blanks)
    written = ",".join(f"{next(padding, '')}{name}{next(padding, '')}" for name in names)
    text = f'restrict_tls_to: "{written}"\ntls: Required\n'
    policy = load_policy_text(text, name="f")
    for name in names:
        place = policy.tls.rules[DomainPattern.parse(name)].place
        rest = text.splitlines()[place.line - 1][place.column - 1 :]
        assert rest.startswith(name)
        assert rest[len(name)] in ', "'


@given(domains, patterns)
def test_a_pattern_matches_exactly_the_domains_that_have_it_as_candidate(
    domain: str, text: str
) -> None:
    pattern = DomainPattern.parse(text)
    assert pattern.matches(Domain(domain)) == (pattern in candidate_patterns(Domain(domain)))
    most_specific_first = [p.specificity for p in candidate_patterns(Domain(domain))]
    assert most_specific_first == sorted(most_specific_first, reverse=True)
    for wider, narrower in pairwise(reversed(candidate_patterns(Domain(domain)))):
        assert wider.covers(narrower)


@given(
    st.lists(patterns, min_size=1, max_size=6, unique=True),
    st.lists(domains, max_size=3, unique=True),
    st.lists(domains, min_size=1, max_size=5),
    st.data(),
)
@settings(deadline=None)
def test_rules_inherit_names_and_versions_alike_and_the_most_specific_wins(
    written: list[str], restricted: list[str], asked: list[str], data: st.DataObject
) -> None:
    assume("*" not in restricted)
    versions = ["1.0", "1.1", "1.2", "1.3"]
    chosen = [data.draw(st.none() | st.sampled_from(versions)) for _ in written]
    rules: list[dict[str, object]] = [
        {"match": pattern} | ({"minimum_tls": v, "names": [f"v{v}"]} if v else {})
        for pattern, v in zip(written, chosen, strict=True)
    ]
    document = {
        "tls": "Required Verify",
        "minimum_tls": "1.2",
        "names": ["v1.2"],
        "restrict_tls_to": restricted,
        "rules": rules,
    }
    text = yaml.safe_dump(document, sort_keys=False)
    policy = load_policy_text(text, name="f")
    for domain in asked:
        match = policy.tls.match(Domain(domain))
        # Version and name are written together everywhere, so they must arrive together.
        assert match.policy.names.extra == (f"v{match.policy.minimum_tls.value}",)
        listed = [DomainPattern.parse(text) for text in ["*", *written, *restricted]]
        best = max((p for p in listed if p.matches(Domain(domain))), key=lambda p: p.specificity)
        assert match.rule.pattern == best
        line = text.splitlines()[match.rule.place.line - 1]
        assert line.rstrip("'").endswith(str(best)) or best == DomainPattern.parse("*")
