"""No text of a policy that is shown has its passwords, and all else in it stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.config.masking import masked
from relay.config.policy_file import parse_policy
from relay.config.problems import PolicyFileError

SECRET = "correct-horse"
RELAY = f"""\
tls: Required
email_relays:
  - name: front
    host: "127.0.0.1:2525"
    tls: Required Verify
    auth: {{username: u, password: {SECRET}}}
"""
OWN_LINE = "auth:\n  password: %s\n  username: u\n"


@pytest.mark.parametrize(
    "text",
    [
        RELAY,
        RELAY.replace(SECRET, f'"{SECRET}"'),
        RELAY.replace(SECRET, f"'{SECRET}'"),
        RELAY.replace(SECRET, f'"a\\"{SECRET}"'),
        RELAY.replace(SECRET, f"'a''{SECRET}'"),
        RELAY.replace(SECRET, f'"a\\\n  {SECRET}"'),
        RELAY.replace("password", "password_env"),
        f'{{"auth": {{"username": "u", "password": "{SECRET}"}}}}',
        OWN_LINE % SECRET,
        OWN_LINE % f"a, {SECRET}",
        OWN_LINE % f"{{{SECRET}",
        OWN_LINE % f'"{SECRET}',
        OWN_LINE % f"\n    {SECRET}",
        OWN_LINE % f"a\n    {SECRET}",
        OWN_LINE % f"|-\n    a\n\n    {SECRET}\n",
        (OWN_LINE % f">\n    a\n    {SECRET}").replace("\n", "\r\n"),
        f"- password: {SECRET}, too\n- username: u\n",
    ],
)
def test_no_text_of_a_policy_has_its_password(text: str) -> None:
    shown = masked(text)
    assert SECRET not in shown
    assert [len(line) for line in shown.splitlines()] == [len(line) for line in text.splitlines()]
    assert "username: u" in shown.replace('"', "")


@pytest.mark.parametrize(
    "written",
    [
        f"password: {SECRET * 40}",
        f"password: *{SECRET}",
        f"password: @{SECRET}",
        f"password: `{SECRET}",
        f"password: !{SECRET} x",
        f"password: |{SECRET}",
        f'password: "\\q{SECRET}"',
        f"password: {SECRET}: x",
        f"password: [{SECRET}]",
        f"password: {{{SECRET}: 1}}",
        f"password: {SECRET}\x01",
        f"password: {SECRET}\u200b",
        f"password {SECRET}",
        f"password:{SECRET}",
        f"password = {SECRET}",
        f"Password:{SECRET}",
        f"passwrd: {SECRET}",
        f"password: {SECRET}\n      password: x",
        f"password_env: {SECRET}",
        f"password_env: *{SECRET}",
        f"password_env:{SECRET}",
    ],
)
@pytest.mark.parametrize("form", ["{username: u, %s}", "\n      username: u\n      %s"])
def test_no_problem_repeats_a_password_and_none_is_starred(written: str, form: str) -> None:
    policy = (
        "email_relays:\n  - name: front\n    host: mail.test\n    tls: Required Verify\n"
        f"    auth: {form % written}\n"
    )
    with pytest.raises(PolicyFileError) as refused:
        parse_policy(policy, name="p.yaml", base=Path())
    for problem in refused.value.problems:
        assert SECRET not in str(problem)
        assert "**" not in str(problem)


@pytest.mark.parametrize(
    "text",
    [
        "tls: Off\n# a password is nowhere\n",
        "auth: {username: u, password_file: secret.txt}\n",
        "auth:\n  password_file: secret.txt\n",
    ],
)
def test_what_is_no_password_stays(text: str) -> None:
    assert masked(text) == text
