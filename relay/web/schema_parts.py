"""What schemas of the OpenAPI document are built from."""

from __future__ import annotations

from typing import Any, Final

JsonSchema = dict[str, Any]

REFERENCE: Final = "#/components/schemas/{model}"
TEXT: Final[JsonSchema] = {"type": "string"}
COUNT: Final[JsonSchema] = {"type": "integer", "minimum": 0}


def ref(name: str) -> JsonSchema:
    """Return a reference to a named schema."""
    return {"$ref": REFERENCE.format(model=name)}


def object_of(**properties: JsonSchema) -> JsonSchema:
    """Return the schema of an object that has all of these properties."""
    return {"type": "object", "required": list(properties), "properties": properties}


def list_of(name: str) -> JsonSchema:
    """Return the schema of a list of records with a named schema."""
    return {"type": "array", "items": ref(name)}


def or_null(schema: JsonSchema) -> JsonSchema:
    """Return the schema of what may be null."""
    return {"anyOf": [schema, {"type": "null"}]}
