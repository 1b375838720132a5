"""The JSON Schema is current, takes what the loader takes and refuses what it refuses."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from relay.config.file_shape import SHAPES, AuthShape, BounceShape, HostShape, PolicyShape, keys_of
from relay.config.policy_file import load_policy_text
from relay.config.problems import PolicyFileError
from relay.config.resources import shipped
from relay.config.schema import FILE_NAME, policy_schema
from relay.config.yaml_source import read_yaml

SCHEMA = policy_schema()
POLICIES = sorted(shipped("policies").glob("*.yaml"))


def errors(data: object) -> list[Any]:
    return list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(data))


def test_the_shipped_schema_is_current() -> None:
    # After a change: relay policy schema > policies/policy.schema.json
    stored = json.loads((shipped("policies") / FILE_NAME).read_text())
    assert stored == SCHEMA


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_shipped_policies_validate(path: Path) -> None:
    assert errors(read_yaml(path.read_text(), name=path.name).data) == []


def test_every_key_is_described() -> None:
    parts = [SCHEMA, *SCHEMA["$defs"].values()]
    described = [(name, key) for part in parts for name, key in part["properties"].items()]
    shapes = [PolicyShape, AuthShape, HostShape, BounceShape, *SHAPES.values()]
    assert len(described) == sum(len(keys_of(shape)) for shape in shapes)
    assert [name for name, key in described if not key.get("description")] == []


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "tls: RequiredVerify",
        "restrict_tls_to: [a.example, '*.b.example']\ntls: Off",
        "minimum_tls: 1.3",
        "minimum_tls: '1.3'",
        "relay: smtps://[::1]:465".replace("smtps", "'smtps") + "'",
        "relay: {host: mx.example.com, port: 587, tls_mode: starttls}",
        "relay: mx:example.com:2525",
        "relay: [mx1.example.com, {host: lab/good, preference: 5}, {host: 'b', port: 465}]",
        "routes: [{match: '*', to: mx}]\ndns: {server: '127.0.0.1:5353', timeout: 2s}",
        "routes: [{match: '*', to: {host: a.example, tls_mode: implicit}}]",
        "clear_text: same-host",
        (
            "email_relays: [{name: a, host: a.example, port: 25}]\n"
            "domain_filters: [{relay: a, from: 'a.example, *.b.example', to: [c.example]}]"
        ),
        (
            "email_relays: [{name: a, host: lab/good, tls: Required Verify, "
            "auth: {mechanism: LOGIN, username: u, password: p}}]"
        ),
        "salesforce: {on_tls_failure: bounce-at-once, required_on_bad_certificate: terminate}",
        "retry: none",
        "retry: {delays: [1s, 2], expire_after: 1.5h}",
        "codes: rfc",
        "codes: {book: rfc, no-banner: '451 4.4.2 silence'}",
        "rules: [{match: '*', common_name: fallback, also_match_domain: true}]",
    ],
)
def test_what_the_loader_takes(text: str) -> None:
    load_policy_text(text, name="p")
    assert errors(read_yaml(text, name="p").data) == []


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "tsl: Off",
        "tls: Requird",
        "tls: false",
        "restrict_tls_to: 5",
        "restrict_tls_to: ['a.*.example']",
        "minimum_tls: 1.4",
        "rules: {}",
        "rules: [{tls: Off}]",
        "rules: [{match: jane@a.example}]",
        "routes: [{match: a.example}]",
        "routes: [{match: a.example, to: 'http://a'}]",
        "routes: [{match: a.example, to: [{port: 25}]}]",
        "routes: [{match: a.example, to: ['mx:a.example']}]",
        "relay: [{host: a.example, preference: 70000}]",
        "dns: {server: ns.example.com}",
        "clear_text: never",
        "relay: {port: 25}",
        "relay: {host: a.example, port: 70000}",
        "retry: sometimes",
        "retry: {attempts: 0}",
        "reply: later",
        "reply_within: soon",
        "bare_line_ends: accept",
        "connect_timeout: 0",
        "trust: lab",
        "codes: {tls-refused: '250 2.0.0 fine'}",
        "codes: {tls-refusd: '451 4.0.0 no'}",
        "also_match_domain: yes",
        "salesforce: {preferred_verify_on_bad_certificate: ignore}",
    ],
)
def test_what_the_loader_refuses(text: str) -> None:
    with pytest.raises(PolicyFileError):
        load_policy_text(text, name="p")
    assert errors(read_yaml(text, name="p").data)
