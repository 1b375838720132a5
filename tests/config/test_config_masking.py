"""No text of a policy that is shown has its passwords, and all else in it stays."""

from __future__ import annotations

import pytest

from relay.config.masking import masked

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
    "text",
    [
        "tls: Off\n# a password is nowhere\n",
        "auth: {username: u, password_file: secret.txt}\n",
        "auth:\n  password_file: secret.txt\n",
    ],
)
def test_what_is_no_password_stays(text: str) -> None:
    assert masked(text) == text
