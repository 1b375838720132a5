"""JSON Schemas of records, made from core's own dataclasses, for the OpenAPI document.

They describe what `relay.core.jsonform.to_json` writes; where pydantic would write a value in
another way, `_JsonForm` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from relay.core.addresses import Address, DomainPattern
from relay.core.fault_scripts import FaultScript
from relay.core.jsonform import Json, to_json
from relay.core.routing import HostAddress
from relay.core.scenarios import Scenario
from relay.core.settings import Protection, TlsSetting
from relay.lab.received import ReceivedMessage, ReceivedSession
from relay.web.problems import MEDIA_TYPE
from relay.web.relay_schemas import RELAY_RECORDS, relay_schemas
from relay.web.schema_parts import COUNT, REFERENCE, TEXT, JsonSchema, object_of, ref

_RECORDS: Final = (
    FaultScript,
    HostAddress,
    ReceivedMessage,
    ReceivedSession,
    Scenario,
    *RELAY_RECORDS,
)
_AS_TEXT: Final = (Address, DomainPattern)


class _JsonForm(GenerateJsonSchema):
    """Schemas of the one JSON form."""

    def bytes_schema(self, schema: core_schema.BytesSchema) -> JsonSchemaValue:
        return object_of(size=COUNT, sha256={"type": "string", "pattern": "^[0-9a-f]{64}$"})

    def timedelta_schema(self, schema: core_schema.TimedeltaSchema) -> JsonSchemaValue:
        return {"description": "Seconds.", "type": "number"}

    def encode_default(self, dft: object) -> Json:
        return to_json(dft)

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        return TEXT if schema["cls"] in _AS_TEXT else super().dataclass_schema(schema)


def record_schemas() -> dict[str, JsonSchema]:
    """Return every named schema of the API, by name."""
    adapters = [(record, "serialization", TypeAdapter(record)) for record in _RECORDS]
    _, found = TypeAdapter.json_schemas(
        adapters,  # type: ignore[arg-type]  # a TypeAdapter of any type, the mode a literal
        schema_generator=_JsonForm,
        ref_template=REFERENCE,
    )
    return {
        **found["$defs"],
        **relay_schemas(),
        "FaultScripts": {"type": "array", "items": ref("FaultScript")},
        "LabScenario": _lab_scenario(),
        "LabScenarios": {"type": "array", "items": ref("LabScenario")},
        "ReceivedSessions": _page_of("ReceivedSession"),
        "ReceivedMessages": _page_of("ReceivedMessage"),
        "Zone": {
            "description": "Records such as `MX 10 mx.good.lab.test.`, by domain name.",
            "type": "object",
            "additionalProperties": {"type": "array", "items": TEXT},
        },
        "Health": object_of(status=TEXT),
        "Problem": {
            "description": "Problem details (RFC 9457); `next` says what to do.",
            **object_of(type=TEXT, title=TEXT, status={"type": "integer"}, detail=TEXT, next=TEXT),
        },
    }


def answer(description: str, contents: Mapping[str, JsonSchema]) -> JsonSchema:
    """Return an OpenAPI response object: schemas by media type."""
    return {
        "description": description,
        "content": {media: {"schema": schema} for media, schema in contents.items()},
    }


def json_answer(description: str, name: str) -> JsonSchema:
    """Return the response object of a JSON document with a named schema."""
    return answer(description, {"application/json": ref(name)})


PROBLEM: Final = answer("Refused or failed.", {MEDIA_TYPE: ref("Problem")})
"""The response object of every error."""


def _page_of(name: str) -> JsonSchema:
    return {
        "description": "The oldest first; `total` counts all that are kept.",
        **object_of(total=COUNT, offset=COUNT, items={"type": "array", "items": ref(name)}),
    }


def _lab_scenario() -> JsonSchema:
    """Return the schema of a card with what `card_json` and the lab add to it."""
    verdict = object_of(
        kind=TEXT, protection={"enum": [None, *(level.value for level in Protection)]}
    )
    more = object_of(
        mail_domain=TEXT,
        host={"type": ["string", "null"]},
        verdicts=object_of(**{setting.value: verdict for setting in TlsSetting}),
        listens={"anyOf": [ref("HostAddress"), {"type": "null"}]},
        unavailable={"type": ["string", "null"]},
    )
    return {
        "description": "A scenario's card, the verdict under each setting, where its receiver "
        "listens (null before it has started), and why it can't run here (null where it can).",
        "allOf": [ref("Scenario"), more],
    }
