"""The log's row for each cell of Salesforce's decision table, after the first try."""

from __future__ import annotations

import csv
import io

import pytest
from e2e_relay import Start, Watcher
from typer.testing import CliRunner

from relay.cli.app import app
from relay.core.outcomes import Delivered
from relay.core.settings import TlsSetting

# Typed by hand from Help "Set Up TLS", the Object Reference (Preferred Verify), Knowledge 000388924
# and 000206241. `plain`: delivered in clear; `tls`: under TLS; else the text of the T row.
NOT_OFFERED = "451 4.7.6 [internal] STARTTLS required but not advertised"
NO_GO_AHEAD = "451 4.7.5 [internal] no tls go-ahead"
NEGOTIATION = "451 4.7.5 [internal] TLS negotiation failed"
NOT_SIGNED = "451 4.7.5 [internal] remote node SSL certificate not signed by a valid CA"
WRONG_NAME = "451 4.7.5 [internal] SSL cert common name does not match host"
P, T = "plain", "tls"
#                   Off, Preferred, Preferred Verify, Required, Required Verify, stage
CELLS = {
    "no-starttls":      (P, P, P,           NOT_OFFERED, NOT_OFFERED, "after EHLO"),
    "starttls-refused": (P, P, P,           NO_GO_AHEAD, NO_GO_AHEAD, "during STARTTLS"),
    "starttls-close":   (P, P, P,           NO_GO_AHEAD, NO_GO_AHEAD, "during STARTTLS"),
    "tls11-only":       (P, P, P,           NEGOTIATION, NEGOTIATION, "handshaking TLS"),
    "handshake-drop":   (P, P, P,           NEGOTIATION, NEGOTIATION, "handshaking TLS"),
    "untrusted-root":   (P, T, NOT_SIGNED,  T,           NOT_SIGNED,  "handshaking TLS"),
    "self-signed":      (P, T, NOT_SIGNED,  T,           NOT_SIGNED,  "handshaking TLS"),
    "expired":          (P, T, NOT_SIGNED,  T,           NOT_SIGNED,  "handshaking TLS"),
    "not-yet-valid":    (P, T, NOT_SIGNED,  T,           NOT_SIGNED,  "handshaking TLS"),
    "wrong-host":       (P, T, WRONG_NAME,  T,           WRONG_NAME,  "handshaking TLS"),
    "good":             (P, T, T,           T,           T,           ""),
}  # fmt: skip
VERIFIED = {("good", "preferred-verify"), ("good", "required-verify")}


@pytest.mark.parametrize("setting", TlsSetting, ids=lambda setting: setting.value)
@pytest.mark.parametrize("scenario", CELLS)
async def test_the_row_of_a_cell(start: Start, scenario: str, setting: TlsSetting) -> None:
    *by_setting, stage = CELLS[scenario]
    expected = by_setting[
        ["off", "preferred", "preferred-verify", "required", "required-verify"].index(setting.value)
    ]
    watcher = Watcher()
    policy = f"tls: {setting.label}\nreply: queued\nretry: salesforce\n"
    async with start(policy, observer=watcher) as running:
        assert (await running.send(f"a@{scenario}.lab.test")).code == 250
        await watcher.until(
            lambda: (
                bool(watcher.bounces)
                or any(
                    isinstance(entry.outcome, Delivered)
                    for attempt in watcher.attempts
                    for entry in attempt.outcomes
                )
            )
        )
        result = CliRunner().invoke(app, ["log", "export", "--state", str(running.state)])
    received, row = csv.DictReader(io.StringIO(result.stdout))
    assert (received["Mail Event"], received["Retry Count"]) == ("R", "0")
    tls = (row["TLS_Cipher"], row["TLS_Verified"])
    told = (row["Mail Event"], row["Delivery Stage"], row["Retry Count"])
    if expected not in {P, T}:
        assert told == ("T", stage, "0")
        assert row["Delivery Status Notification"] == expected
        assert tls == ("", "")
        return
    assert told == ("D", "", "0")
    assert (row["TLS_Cipher"] == ":") is (expected == P)
    unverified = "Unverified" if setting.verifies else ""
    assert row["TLS_Verified"] == (
        "Verified" if (scenario, setting.value) in VERIFIED else unverified
    )
