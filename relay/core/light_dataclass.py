"""The standard library's `dataclass`, without compiling six methods for each class at import.

`dataclasses` writes the methods of a frozen class as source text and compiles each: nine tenths of
what importing the class costs, and `relay serve` imports some 240 of them. Here fields, slots and
`__match_args__` are the standard library's; `__init__` is compiled when it is first looked up,
which happens to a third of the classes; the other methods are closures or shared by all classes.

Instances behave as those of `dataclasses.dataclass` do; so do `fields`, `replace` and `asdict`. A
class can't inherit from one that `dataclasses.dataclass` froze, nor the other way round.
"""

from __future__ import annotations

import dataclasses
from dataclasses import MISSING, FrozenInstanceError, fields
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from dataclasses import dataclass

__all__ = ["dataclass"]

_T = TypeVar("_T", bound=type)


def _dataclass(
    *, slots: bool, frozen: bool = False, kw_only: bool = False, eq: bool = True
) -> Callable[[_T], _T]:
    """Return a decorator for a class with slots; the options are those of `dataclasses`."""

    def decorate(cls: _T) -> _T:
        own = cls.__dict__.keys() & {"__init__", "__repr__", "__eq__", "__hash__"}
        # mypy: a decorator made with arguments that are not constants loses the class.
        made: Any = dataclasses.dataclass(
            init=False, repr=False, eq=False, slots=slots, kw_only=kw_only
        )(cls)
        methods: dict[str, object] = {"__init__": _Init(made), "__repr__": _repr}
        if eq:
            methods |= _comparing(made, frozen=frozen)
        if frozen:
            methods |= _FROZEN
        for name, method in methods.items():
            if name not in own:
                setattr(made, name, method)
        return made  # type: ignore[no-any-return]

    return decorate


if not TYPE_CHECKING:
    dataclass = _dataclass


class _Init:
    """An `__init__` that takes its own place when somebody first looks it up."""

    __slots__ = ("_owner",)

    def __init__(self, owner: type) -> None:
        self._owner = owner

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        method = _compile_init(self._owner)
        self._owner.__init__ = method  # type: ignore[misc]
        return method.__get__(instance, owner)


def _compile_init(cls: Any) -> Any:
    names: dict[str, object] = {
        "__name__": cls.__module__,
        "_missing": MISSING,
        # Past the class's own, which refuses where it is frozen.
        "_set": object.__setattr__,
    }
    positional, keyword, body = ["self"], list[str](), list[str]()
    for field in fields(cls):
        name = value = parameter = field.name
        if field.default is not MISSING:
            names[f"_default_{name}"] = field.default
            parameter = f"{name}=_default_{name}"
        elif field.default_factory is not MISSING:
            names[f"_make_{name}"] = field.default_factory
            parameter = f"{name}=_missing"
            value = f"_make_{name}() if {name} is _missing else {name}"
        (keyword if field.kw_only else positional).append(parameter)
        body.append(f"_set(self, {name!r}, {value})")
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    if keyword:
        positional.append("*")
    text = f"def __init__({', '.join(positional + keyword)}): {'; '.join(body) or 'pass'}"
    # Nothing but the names of fields is in it, as in the text that the standard library executes.
    exec(compile(text, f"<{cls.__module__}.{cls.__qualname__}>", "exec"), names)  # noqa: S102
    made: Any = names["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made


def _comparing(cls: Any, *, frozen: bool) -> dict[str, object]:
    compared = [field.name for field in fields(cls) if field.compare]
    values: Callable[[object], object] = attrgetter(*compared) if compared else _nothing

    def __eq__(self: object, other: object) -> bool:  # noqa: N807 - it becomes one
        return (
            values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented
        )

    def __hash__(self: object) -> int:  # noqa: N807
        return hash(values(self))

    return {"__eq__": __eq__, "__hash__": __hash__ if frozen else None}


def _nothing(_instance: object) -> tuple[()]:
    return ()


@recursive_repr()
def _repr(self: Any) -> str:
    shown = (f"{field.name}={getattr(self, field.name)!r}" for field in fields(self) if field.repr)
    return f"{self.__class__.__qualname__}({', '.join(shown)})"


def _refuse_setting(_self: object, name: str, _value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_deletion(_self: object, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[object]:
    return [getattr(self, field.name) for field in fields(self)]


def _restore(self: Any, state: Sequence[object]) -> None:
    for field, value in zip(fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)


_FROZEN = {
    "__setattr__": _refuse_setting,
    "__delattr__": _refuse_deletion,
    # A copy, and what comes out of a pickle, is set attribute by attribute otherwise.
    "__getstate__": _state,
    "__setstate__": _restore,
}
