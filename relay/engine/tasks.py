"""What to try, and how it fared: values, without what opens sessions and sends.

That lies in `relay.engine.tries`, which brings the libraries of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from relay.core.content import ContentFacts
from relay.core.delivery import Reuse
from relay.core.outcomes import (
    ConnectionFailure,
    ConnectionProblem,
    Delivered,
    Failure,
    LocalProblem,
    LocalRefusal,
    PeerRefusal,
    Stage,
    outcome_of,
)
from relay.core.records import Envelope, RecipientOutcome, Session, WouldBe
from relay.core.replies import Reply
from relay.core.routing import Hop
from relay.core.steps import Try
from relay.core.verdicts import Verdict
from relay.engine.in_force import PolicyInForce
from relay.engine.ways import PlannedWay, Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What to try: a message's content for some recipients, all on one way, which has `hosts`.

    `facts` are of the content, None where nobody looked for them.
    """

    envelope: Envelope
    content: bytes
    recipients: tuple[str, ...]
    planned: PlannedWay
    hosts: tuple[Hop, ...]
    facts: ContentFacts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What a session is wanted for; `deadline` is a time of the event loop."""

    task: Task
    step: Try
    in_force: PolicyInForce
    deadline: float | None
    terms: Terms

    @classmethod
    def of(cls, task: Task, step: Try, in_force: PolicyInForce, *, deadline: float | None) -> Use:
        """Return it with the terms of the sessions that may serve."""
        terms = task.planned.terms(step, in_force.contexts, in_force.stores)
        return cls(task=task, step=step, in_force=in_force, deadline=deadline, terms=terms)

    @property
    def may_share(self) -> bool:
        """Whether the policy lets messages share a session."""
        return self.in_force.policy.delivery.reuse is Reuse.ON


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """How a message fared in one session."""

    session: Session
    verdict: Verdict | None
    tested: WouldBe | None
    outcomes: tuple[RecipientOutcome, ...]

    @property
    def came_too_late(self) -> bool:
        """Whether the host had ended the session before it heard of the message.

        421 in reply to MAIL says the same in words (RFC 5321 section 3.8).
        """
        for entry in self.outcomes:
            if not isinstance(entry.outcome, Delivered) and _at_mail(entry.outcome.failure):
                return True
        return False


def _at_mail(failure: Failure) -> bool:
    match failure:
        case ConnectionFailure(problem=ConnectionProblem.LOST, stage=Stage.MAIL):
            return True
        case PeerRefusal(reply=Reply(code=421), stage=Stage.MAIL):
            return True
        case _:
            return False


def late(step: Try, in_force: PolicyInForce) -> LocalRefusal:
    """Return what it is to have no outcome in time."""
    within = in_force.policy.delivery.reply_within
    return LocalRefusal(
        problem=LocalProblem.OUT_OF_TIME, detail=f"{step.hop} gave no outcome within {within}"
    )


def for_all(recipients: Sequence[str], failure: Failure) -> tuple[RecipientOutcome, ...]:
    """Give all recipients the same failure."""
    outcome = outcome_of(failure)
    return tuple(RecipientOutcome(recipient=r, outcome=outcome) for r in recipients)
