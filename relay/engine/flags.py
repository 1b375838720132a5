"""Which addresses bounced before: what suppression and Pardot's rule ask of the journal."""

from __future__ import annotations

from relay.core.contacts import flag_of, soft_bounces
from relay.core.delivery import Policy
from relay.core.outcomes import LocalProblem, LocalRefusal
from relay.core.records import Envelope
from relay.core.salesforce import BounceManagement, BounceRule, Suppression
from relay.journal.api import JournalReader
from relay.journal.contacts_store import ContactsStore


class Flags:
    """Answers from the journal and the times at which addresses were cleared.

    Nothing is looked up under a policy that does not ask. Raises JournalError.
    """

    def __init__(self, *, journal: JournalReader, contacts: ContactsStore) -> None:
        self._journal = journal
        self._contacts = contacts

    def suppressed(self, envelope: Envelope, recipient: str, policy: Policy) -> LocalRefusal | None:
        """Return the refusal of mail to a flagged address; notifications are never suppressed."""
        management = policy.salesforce.bounces
        if management is None or management.suppress is not Suppression.FLAGGED:
            return None
        if not envelope.reverse_path:
            return None
        flag = flag_of(
            self._journal.address_bounces(recipient), self._contacts.cleared_at(recipient)
        )
        if flag is None:
            return None
        return LocalRefusal(
            problem=LocalProblem.SUPPRESSED,
            detail=f"{recipient} is flagged since {flag.at:%Y-%m-%d %H:%M} UTC: {flag.reason}",
        )

    def earlier_soft(self, recipient: str, management: BounceManagement | None) -> int:
        """Count the address's soft bounces since it was cleared, where the policy's rule asks."""
        if management is None or management.rule is not BounceRule.PARDOT:
            return 0
        bounces = self._journal.address_bounces(recipient)
        return soft_bounces(bounces, self._contacts.cleared_at(recipient))
