"""A proof before a sender that does anything: what it put on the wire is never called enforced."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from prove_adversary import Adversary, Note
from prove_harness import proven

from relay.audit.promises import MayShow
from relay.audit.proof import Verdict
from relay.audit.prove import promises_of
from relay.core.settings import TlsSetting
from relay.lab.lab import Lab

SCENARIOS = (
    *("expired", "no-starttls", "starttls-silence", "starttls-421", "starttls-close"),
    *("starttls-garbage", "starttls-refused", "starttls-plaintext", "starttls-injection"),
    *("handshake-silence", "handshake-drop", "handshake-reset", "alert-internal-error"),
    *("tls11-only", "ehlo-refused", "implicit-tls", "tls13", "greeting-554", "data-451"),
)
OTHERS = ("tls12", "no-starttls")
"""Receivers that a message may go to, though they are not its own."""


def forbidden(note: Note, claim: TlsSetting) -> bool:
    match promises_of(claim)[note.receiver].may_show:
        case MayShow.NOTHING:
            return True
        case MayShow.UNDER_TLS:
            return not note.encrypted
        case MayShow.ANYTHING:
            return False


@pytest.mark.parametrize(
    ("claim", "seed"),
    [*((TlsSetting.REQUIRED_VERIFY, seed) for seed in range(3)), (TlsSetting.PREFERRED_VERIFY, 3)],
)
async def test_what_a_sender_showed_is_a_leak(lab: Lab, claim: TlsSetting, seed: int) -> None:
    rng = random.Random(seed)
    sender = Adversary(lab, rng=rng, others=OTHERS)
    scenarios = sorted({*SCENARIOS, *OTHERS})
    found = await proven(lab, sender, *scenarios, claim=claim, wait=timedelta(seconds=8))
    assert found["good"].proof.verdict is Verdict.ENFORCED
    for name in scenarios:
        mark, proof = found[name].marked.mark, found[name].proof
        shown = [note for note in sender.notes if forbidden(note, claim)]
        of_it = [note for note in shown if note.mark == mark]
        of_nobody = [note for note in shown if note.mark is None and note.receiver == name]
        # Of what is no command behind an AUTH, receivers keep the length alone.
        guarded = {note.receiver for note in sender.notes if note.text.startswith("AUTH")}
        if of_it and all(note.receiver in guarded for note in of_it):
            assert proof.verdict is not Verdict.ENFORCED, (name, proof, of_it)
        elif of_it:
            assert proof.verdict is Verdict.LEAKED, (name, proof, of_it)
        elif of_nobody:
            # A leak, or content of others that was kept, but no refusal out of doubt.
            assert proof.verdict is not Verdict.ENFORCED or others_alone(sender, name), (
                name,
                proof,
            )
        else:
            assert proof.verdict is not Verdict.LEAKED, (name, proof)


def others_alone(sender: Adversary, name: str) -> bool:
    """Whether all that was shown to a receiver without a mark was a whole message of others."""
    return all("of others" in line for line in sender.script if f"at {name}:" in line)
