"""The part of a policy file about bounce management."""

from __future__ import annotations

from relay.config.file_shape import PolicyShape
from relay.core.salesforce import BounceManagement


def read_bounces(shape: PolicyShape) -> BounceManagement | None:
    """Return how bounces are managed; None where the file does not ask for it."""
    written = shape.salesforce.bounce_management if shape.salesforce else None
    if written is None:
        return None
    default = BounceManagement()
    told = written.return_to_sender
    return BounceManagement(
        domain=written.domain or default.domain,
        return_to_sender=default.return_to_sender if told is None else told,
        matching_records=written.matching_records or default.matching_records,
        flag_contact_on=written.flag_contact_on or default.flag_contact_on,
        suppress=written.suppress or default.suppress,
        rule=written.rule or default.rule,
    )
