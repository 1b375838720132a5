"""The JSON Schemas of our files, for editors: generated from the models that validate them."""

from __future__ import annotations

from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from relay.config.fault_script_shape import FaultScriptsShape
from relay.config.file_shape import PolicyShape

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
FILE_NAME: Final = "policy.schema.json"
"""The schema's name beside the shipped policies; their first line points editors at it."""


def policy_schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12).

    It is a little stricter than the loader, which also takes other capitals and, where a list may
    be empty, no value.
    """
    schema = PolicyShape.model_json_schema(schema_generator=_Generator)
    for name, shape in schema["$defs"].items():
        shape["title"] = name.removesuffix("Shape")
    parts = [(schema, "restrict_tls_to")]
    parts += [(schema["$defs"]["DomainFilterShape"], key) for key in ("from", "to")]
    for part, key in parts:
        part["properties"][key] = _list_or_commas(part["properties"][key])
    return {"$schema": DIALECT, **schema, "title": "Relaylab policy"}


def fault_script_schema() -> dict[str, Any]:
    """Return the schema of fault script files (draft 2020-12).

    It does not say which keys of a rule can't stand together.
    """
    schema = FaultScriptsShape.model_json_schema(schema_generator=_Generator)
    for name, shape in schema["$defs"].items():
        shape["title"] = name.removesuffix("Shape")
    return {"$schema": DIALECT, **schema, "title": "Relaylab fault scripts"}


def _list_or_commas(schema: dict[str, Any]) -> dict[str, Any]:
    about: dict[str, Any] = {
        key: schema.pop(key) for key in ("title", "description", "examples") if key in schema
    }
    return {"anyOf": [{"type": "string"}, schema], **about}


class _Generator(GenerateJsonSchema):
    """Leaves out what the file never says: empty values and their defaults."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        # The tags exist in error paths only; to an editor the two forms are alternatives.
        forms = [self.generate_inner(form) for form in schema["choices"].values()]
        return {"anyOf": forms}
