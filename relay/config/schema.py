"""The JSON Schemas of our files, for editors: generated from the models that validate them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from relay.config.attribute_docs import attribute_docs
from relay.config.fault_script_shape import FaultScriptsShape
from relay.config.file_shape import PolicyShape, Shape

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
FILE_NAME: Final = "policy.schema.json"
"""The schema's name beside the shipped policies; their first line points editors at it."""


def policy_schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12).

    It is a little stricter than the loader, which also takes other capitals and, where a list may
    be empty, no value.
    """
    schema = _schema_of(PolicyShape)
    parts = [(schema, "restrict_tls_to")]
    parts += [(schema["$defs"]["DomainFilterShape"], key) for key in ("from", "to")]
    for part, key in parts:
        part["properties"][key] = _list_or_commas(part["properties"][key])
    return {"$schema": DIALECT, **schema, "title": "Relaylab policy"}


def fault_script_schema() -> dict[str, Any]:
    """Return the schema of fault script files (draft 2020-12).

    It does not say which keys of a rule can't stand together.
    """
    schema = _schema_of(FaultScriptsShape)
    return {"$schema": DIALECT, **schema, "title": "Relaylab fault scripts"}


def _schema_of(model: type[Shape]) -> dict[str, Any]:
    """Return a model's schema, its parts named without our suffix and its keys described."""
    schema = model.model_json_schema(schema_generator=_Generator)
    models = {kind.__name__: kind for kind in _kinds_of(Shape)}
    _describe(schema, model)
    for name, part in schema["$defs"].items():
        part["title"] = name.removesuffix("Shape")
        _describe(part, models[name])
    return schema


def _kinds_of(kind: type[Shape]) -> Iterator[type[Shape]]:
    for below in kind.__subclasses__():
        yield below
        yield from _kinds_of(below)


def _describe(schema: dict[str, Any], model: type[Shape]) -> None:
    for name, text in attribute_docs(model).items():
        key = model.model_fields[name].alias or name
        schema["properties"][key].setdefault("description", text)


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
