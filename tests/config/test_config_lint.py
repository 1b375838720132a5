"""Warnings: each on what surprises, none on what doesn't."""

from pathlib import Path

import pytest

from relay.config.lint import lint
from relay.config.policy_file import parse_policy
from relay.config.problems import Severity


def warnings(text: str) -> list[tuple[str, int, int, str]]:
    found = lint(parse_policy(text, name="f", base=Path()))
    assert all(p.severity is Severity.WARNING and p.hint for p in found)
    return [(p.path, p.place.line, p.place.column, p.message) for p in found]


VERIFY = "tls: Required Verify\n"


def route(to: str, match: str = "a.example") -> str:
    return f'routes:\n  - match: "{match}"\n    to: "{to}"\n'


QUIET = [
    "tls: Preferred",
    VERIFY,
    VERIFY + route("mx.example.com"),
    "tls: Preferred\n" + route("127.0.0.1"),
    VERIFY + route("127.0.0.1") + "names: [mx.example.com]",
    VERIFY + route("127.0.0.1") + "also_match_domain: true",
    VERIFY + route("127.0.0.1") + "rules: [{match: a.example, tls: Preferred}]",
    VERIFY + "minimum_tls: 1.3",
    VERIFY + "relay: smtp.example.com",
    VERIFY + route("smtps://mx.example.com"),
    VERIFY + 'relay: [mx.example.com, {host: "smtps.example", tls_mode: implicit}]',
    VERIFY + route("mx") + "dns: {timeout: 1s}",
    VERIFY + "relay: mx:a.example\ndns: {timeout: 1s}",
    VERIFY + "retry: none",
    VERIFY + "reply: queued\nretry: salesforce",
    VERIFY + 'rules: [{match: "*.a.example", tls: Off}, {match: b.a.example, tls: Preferred}]',
    # The same as the default, but not the same as the rule that it would else fall under.
    VERIFY
    + 'rules: [{match: "*.a.example", tls: Off}, {match: b.a.example, tls: Required Verify}]',
    VERIFY + 'restrict_tls_to: "*.a.example, a.example"',
]


@pytest.mark.parametrize("text", QUIET)
def test_nothing_to_say(text: str) -> None:
    assert warnings(text) == []


LOUD = [
    ("", ("", 1, 1), "the file sets nothing: all mail is under the default, Preferred"),
    ("# Later.\n", ("", 1, 1), "the file sets nothing"),
    ("{}", ("", 1, 1), "the file sets nothing"),
    ("tls: Required", ("tls", 1, 6), "an expired, self-signed or wrong certificate is accepted"),
    (
        VERIFY + "rules:\n  - {match: a.example, tls: Required}",
        ("rules[0].tls", 3, 29),
        "an expired, self-signed or wrong certificate is accepted",
    ),
    ("tls: Preferred Verify", ("tls", 1, 6), "goes on in clear text"),
    (VERIFY + route("127.0.0.1"), ("routes[0].to", 4, 9), "127.0.0.1, an IP address"),
    (VERIFY + route("[::1]:25"), ("routes[0].to", 4, 9), "::1, an IP address"),
    (VERIFY + 'relay: "127.0.0.1:25"', ("relay", 2, 8), "127.0.0.1, an IP address"),
    (VERIFY + 'relay: [lab/good, "127.0.0.1"]', ("relay[1]", 2, 19), "127.0.0.1, an IP address"),
    (
        "tls: Preferred\nrelay:\n  - {host: a.example, tls_mode: implicit}",
        ("relay[0]", 3, 5),
        "no clear text to fall back to",
    ),
    (VERIFY + "dns: {timeout: 1s}", ("dns", 2, 1), "no name server is asked"),
    (VERIFY + route("lab/good") + "dns: {timeout: 1s}", ("dns", 5, 1), "no name server is asked"),
    # Only one of the domains that the route stands for is verified.
    (
        "rules: [{match: b.a.example, tls: Required Verify}]\n"
        + route("127.0.0.1", match="*.a.example"),
        ("routes[0].to", 4, 9),
        "127.0.0.1, an IP address",
    ),
    # The route's domain is verified because of a wider rule.
    (
        'rules: [{match: "*.example", tls: Required Verify}]\n' + route("127.0.0.1"),
        ("routes[0].to", 4, 9),
        "127.0.0.1, an IP address",
    ),
    (
        VERIFY + "rules: [{match: a.example, tls: Required Verify}]",
        ("rules[0].match", 2, 17),
        "without it, a.example has the same",
    ),
    (VERIFY + "rules: [{match: a.example}]", ("rules[0].match", 2, 17), "changes nothing"),
    (
        VERIFY + 'restrict_tls_to: a.example\nrules: [{match: a.example, minimum_tls: "1.2"}]',
        ("rules[0].match", 3, 17),
        "changes nothing",
    ),
    (
        VERIFY + 'rules: [{match: "*", tls: Off}]',
        ("rules[0].match", 2, 17),
        "the policy's own tls does not decide",
    ),
    (
        VERIFY + 'restrict_tls_to: "*.a.example, b.a.example"',
        ("restrict_tls_to[1]", 2, 32),
        "b.a.example is among *.a.example already",
    ),
    (
        VERIFY + "relay: lab/good\n" + route("lab/good"),
        ("routes", 3, 1),
        "the routes are not used",
    ),
    (
        'routes: [{match: "*.a.example", to: capture}, {match: b.a.example, to: capture}]',
        ("routes[1].match", 1, 55),
        "*.a.example goes to capture already",
    ),
    (
        "rules: [{match: a.example, tls: Off}]\n" + route("smtps://mx.example"),
        ("routes[0].to", 4, 9),
        "encrypted even under",
    ),
    ("tls: Off", ("tls", 1, 6), "Salesforce may have Off for email relays alone"),
    (
        "tls: Preferred\n" + route("smtps://mx.example"),
        ("routes[0].to", 4, 9),
        "no clear text to fall back to",
    ),
    ("minimum_tls: 1.1", ("minimum_tls", 1, 14), "TLS 1.1 is deprecated"),
    (
        "rules: [{match: a.example, minimum_tls: 1.0}]",
        ("rules[0].minimum_tls", 1, 41),
        "TLS 1.0 is deprecated",
    ),
    ("retry: {attempts: 3}", ("retry", 1, 1), "an inline reply comes after one try"),
    ("reply: inline\nretry: salesforce", ("retry", 2, 1), "an inline reply comes after one try"),
    (VERIFY + "trust: []", ("trust", 2, 8), "no authority is trusted"),
    (
        "rules: [{match: a.example, tls: Required Verify, trust: []}]",
        ("rules[0].trust", 1, 57),
        "no authority is trusted",
    ),
]


@pytest.mark.parametrize(("text", "where", "words"), LOUD)
def test_one_warning(text: str, where: tuple[str, int, int], words: str) -> None:
    (found,) = warnings(text)
    assert found[:3] == where
    assert words in found[3]


def test_a_default_that_a_rule_for_everything_replaces_is_not_warned_about_twice() -> None:
    found = warnings('tls: Required\nrules: [{match: "*", tls: Off}]')
    assert [path for path, *_ in found] == ["rules[0].match"]


def test_warnings_come_in_the_file_s_order() -> None:
    found = warnings("retry: salesforce\nminimum_tls: 1.0\ntls: Required\n")
    assert [path for path, *_ in found] == ["retry", "minimum_tls", "tls"]
