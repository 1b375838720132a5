"""The docstrings below a model's fields, read from its source when somebody asks for them.

pydantic would read them (`use_attribute_docstrings`) whenever the models are made, so that each
start began with parsing our own source. Only the JSON Schema has a use for them.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from functools import cache

from pydantic import BaseModel


def attribute_docs(model: type[BaseModel]) -> Mapping[str, str]:
    """Return the docstring of each field of a model that has one, by the field's name."""
    found: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        if issubclass(kind, BaseModel) and kind is not BaseModel:
            found |= _docs_of_module(kind.__module__).get(kind.__name__, {})
    return found


@cache
def _docs_of_module(name: str) -> Mapping[str, Mapping[str, str]]:
    tree = ast.parse(inspect.getsource(sys.modules[name]))
    return {node.name: dict(_docs_of(node)) for node in tree.body if isinstance(node, ast.ClassDef)}


def _docs_of(model: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, below in zip(model.body, model.body[1:], strict=False):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                yield name, inspect.cleandoc(text)
