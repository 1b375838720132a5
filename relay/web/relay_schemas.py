"""Which of a relay's records have schemas, and the schemas of what is made of them."""

from __future__ import annotations

from typing import Final

from relay.audit.what_if import WhatIf
from relay.config.explain import AddressPolicy
from relay.core.bounce_report import ReportRow
from relay.core.code_explain import Explanation
from relay.core.contacts import AddressBounce, Contact, ContactStatus
from relay.core.records import Attempt, Bounce, Session
from relay.core.settings import TlsSetting
from relay.engine.outcome_wait import Awaited, Happened
from relay.engine.steering import Deleted, Retried
from relay.journal.api import MessageRecord, MessageSummary
from relay.web.evidence_query import DomainEvidence
from relay.web.mail_parts import HeaderField, PartSummary
from relay.web.schema_parts import COUNT, TEXT, JsonSchema, list_of, object_of, or_null, ref

RELAY_RECORDS: Final = (
    AddressBounce,
    AddressPolicy,
    Attempt,
    Bounce,
    Contact,
    ContactStatus,
    Deleted,
    DomainEvidence,
    Explanation,
    Happened,
    HeaderField,
    MessageRecord,
    MessageSummary,
    PartSummary,
    ReportRow,
    Retried,
    Session,
    WhatIf,
)


def relay_schemas() -> dict[str, JsonSchema]:
    """Return the schemas by name; they refer to those of the records."""
    return {
        "Messages": _page_of("MessageSummary"),
        "Bounces": _page_of("Bounce"),
        "Sessions": _page_of("Session"),
        "Attempts": _page_of("Attempt"),
        "HeaderFields": list_of("HeaderField"),
        "PartSummaries": list_of("PartSummary"),
        "BounceReport": {
            "description": "Rows by contact have `contacts`: the records with that address.",
            "type": "array",
            "items": {
                "allOf": [
                    ref("ReportRow"),
                    {"type": "object", "properties": {"contacts": list_of("Contact")}},
                ]
            },
        },
        "Contacts": list_of("ContactStatus"),
        "ContactAddress": object_of(
            email=TEXT,
            is_email_bounced={"type": "boolean"},
            contacts=list_of("ContactStatus"),
            bounces=list_of("AddressBounce"),
            cleared_at=or_null(TEXT),
        ),
        "Destinations": {
            "description": "`settings` has a word for each setting: clear, encrypted, verified, "
            "unknown, or the code that a sender gets. It is empty where nothing was tried.",
            "type": "array",
            "items": object_of(
                domain=TEXT,
                messages=COUNT,
                latest=TEXT,
                settings={
                    "type": "object",
                    "properties": {setting.value: TEXT for setting in TlsSetting},
                    "additionalProperties": False,
                },
            ),
        },
        "PolicyProblems": {
            "type": "array",
            "items": object_of(
                line=COUNT,
                column=COUNT,
                path=TEXT,
                severity={"enum": ["error", "warning"]},
                message=TEXT,
                hint=or_null(TEXT),
            ),
        },
        "PolicyInForce": {
            "description": "`text` is that of the file by now, passwords left out; null where it "
            "can't be read. `in_force`: the text is what is in force.",
            **object_of(
                source=TEXT,
                sha256=TEXT,
                reply=TEXT,
                text=or_null(TEXT),
                in_force={"type": "boolean"},
                problems=ref("PolicyProblems"),
            ),
        },
        "WhatIfAnswer": {"allOf": [ref("WhatIf"), object_of(summary=TEXT)]},
        "CodeBooks": {
            "type": "object",
            "additionalProperties": {"type": "object", "additionalProperties": TEXT},
        },
        "Waited": object_of(
            outcome={"enum": [awaited.value for awaited in Awaited]},
            happened=or_null(ref("Happened")),
        ),
    }


def _page_of(name: str) -> JsonSchema:
    return {
        "description": "The newest first. `next` is what the next page is `before`, null at the "
        "end.",
        **object_of(items=list_of(name), next=or_null(TEXT)),
    }
