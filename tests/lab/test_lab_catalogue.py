"""Cards that people can read, scripts that break one thing, and what the settings make of both."""

from __future__ import annotations

import subprocess
import sys

import pytest

from relay.core.faults import FAULT_ORDER, FaultKind
from relay.core.scenarios import Family, Scenario, ScenarioClass
from relay.core.settings import TlsSetting
from relay.core.verdicts import Deliver, RetryInClear, Terminate
from relay.lab.catalogue import CAPTURE, LAB_SCENARIOS, SCENARIOS
from relay.lab.outlook import foretell
from relay.lab.scripts import LabScenario, Script

ALL = [*SCENARIOS.values(), CAPTURE.card]

FAULTS = {
    "good": (),
    "no-starttls": (FaultKind.STARTTLS_NOT_OFFERED,),
    "starttls-refused": (FaultKind.STARTTLS_REFUSED,),
    "starttls-stripped": (FaultKind.STARTTLS_NOT_OFFERED,),
    "tls11-only": (FaultKind.HANDSHAKE_PROTOCOL_VERSION,),
    "handshake-drop": (FaultKind.HANDSHAKE_CLOSED,),
    "expired": (FaultKind.CERTIFICATE_EXPIRED,),
    "not-yet-valid": (FaultKind.CERTIFICATE_NOT_YET_VALID,),
    "self-signed": (FaultKind.CERTIFICATE_SELF_SIGNED,),
    "untrusted-root": (FaultKind.CERTIFICATE_UNTRUSTED_ROOT,),
    "missing-intermediate": (FaultKind.CERTIFICATE_MISSING_INTERMEDIATE,),
    "wrong-host": (FaultKind.CERTIFICATE_NAME_MISMATCH,),
    "user-unknown": (),
    "mailbox-busy": (),
}

V, E, C, R, X = "verified", "encrypted", "clear", "clear, second session", "nothing sent"

# Typed by hand: off, preferred, preferred-verify, required, required-verify.
OUTLOOK = {
    "good": (C, E, V, E, V),
    "no-starttls": (C, C, C, X, X),
    "starttls-refused": (C, C, C, X, X),
    "starttls-stripped": (C, C, C, X, X),
    "tls11-only": (C, R, R, X, X),
    "handshake-drop": (C, R, R, X, X),
    "expired": (C, E, X, E, X),
    "not-yet-valid": (C, E, X, E, X),
    "self-signed": (C, E, X, E, X),
    "untrusted-root": (C, E, X, E, X),
    "missing-intermediate": (C, E, X, E, X),
    "wrong-host": (C, E, X, E, X),
    "user-unknown": (C, E, V, E, V),
    "mailbox-busy": (C, E, V, E, V),
}


def test_the_list_is_the_one_that_is_promised() -> None:
    assert {name: card.faults for name, card in SCENARIOS.items()} == FAULTS


@pytest.mark.parametrize("card", ALL, ids=lambda card: card.name)
def test_a_card_is_complete(card: Scenario) -> None:
    assert card.host == f"mx.{card.mail_domain}"
    for text in (card.summary, card.in_the_wild, card.remedy):
        assert text[0].isupper()
        assert text.endswith(".")
        assert "  " not in text
    assert card.summary.count(". ") == 0
    assert len(card.summary) <= 100
    order = [FAULT_ORDER[kind] for kind in card.faults]
    assert order == sorted(order)
    assert (card.stage is None) is (card.scenario_class is ScenarioClass.HONEST)


@pytest.mark.parametrize("entry", LAB_SCENARIOS.values(), ids=lambda entry: entry.card.name)
def test_a_scenario_breaks_in_one_place(entry: LabScenario) -> None:
    card, script = entry.card, entry.script
    match card.family:
        case Family.HONEST | Family.CERTIFICATE:
            assert script == Script()
        case _:
            assert script != Script()
    if card.family is not Family.CERTIFICATE:
        assert card.recipe in {None, "good"}


@pytest.mark.parametrize("name", OUTLOOK)
def test_what_each_setting_makes_of_a_scenario(name: str) -> None:
    words = []
    for setting in TlsSetting:
        match foretell(SCENARIOS[name], setting):
            case Deliver(protection=protection):
                words.append(protection.value)
            case RetryInClear():
                words.append(R)
            case Terminate():
                words.append(X)
    assert tuple(words) == OUTLOOK[name]


def test_the_outlook_names_every_scenario() -> None:
    assert set(OUTLOOK) == set(SCENARIOS)


def test_reading_the_catalogue_loads_nothing_heavy() -> None:
    script = (
        "import sys, relay.lab.catalogue, relay.lab.outlook\n"
        "print([name for name in ('ssl', 'asyncio', 'trustme', 'cryptography', 'pydantic', "
        "'yaml') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
