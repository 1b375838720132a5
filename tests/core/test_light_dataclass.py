"""`light_dataclass` makes the classes that `dataclasses` makes, and compiles less."""

from __future__ import annotations

import ast
import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, field
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import TypeAdapter

from relay.core.light_dataclass import dataclass as light

RELAY: Final = Path(__file__).parents[2] / "relay"


def _point(make: Callable[..., Any]) -> type:
    @make(frozen=True, slots=True, kw_only=True)
    class Point:
        """A frozen record with every kind of default."""

        x: int
        secret: str = field(repr=False)
        y: int = 2
        names: list[str] = field(default_factory=list)
        note: str = field(default="n", compare=False)

        def __post_init__(self) -> None:
            if self.x < 0:
                raise ValueError("negative")

    return Point


def _pair(make: Callable[..., Any]) -> type:
    @make(frozen=True, slots=True)
    class Pair:
        """A frozen record, given by position."""

        first: int
        second: str = "b"

    return Pair


def _mutable(make: Callable[..., Any]) -> type:
    @make(slots=True)
    class Mutable:
        """A record that may be changed."""

        first: int
        second: list[int] = field(default_factory=list)

    return Mutable


def _identity(make: Callable[..., Any]) -> type:
    @make(frozen=True, slots=True, eq=False)
    class Identity:
        """A record that is equal to itself alone."""

        first: int = 1

    return Identity


def _own(make: Callable[..., Any]) -> type:
    @make(frozen=True, slots=True)
    class Own:
        """A record with methods of its own."""

        first: int = 1

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Own) and other.first % 10 == self.first % 10

        def __hash__(self) -> int:
            return self.first % 10

        def __repr__(self) -> str:
            return "own"

    return Own


def _empty(make: Callable[..., Any]) -> type:
    @make(frozen=True, slots=True)
    class Empty:
        """A record of nothing."""

    return Empty


def _derived(make: Callable[..., Any]) -> type:
    @make(frozen=True, slots=True, kw_only=True)
    class Base:
        """What the other has too."""

        x: int
        y: int = 0

    @make(frozen=True, slots=True, kw_only=True)
    class Derived(Base):
        """More than its base, with another default."""

        y: int = 7
        z: int

    return Derived


CASES: Final[list[tuple[Callable[..., Any], list[tuple[tuple[Any, ...], dict[str, Any]]]]]] = [
    (_point, [
        ((), {"x": 1, "secret": "s"}),
        ((), {"x": 1, "secret": "s", "note": "other"}),
        ((), {"x": 1, "secret": "t", "y": 3, "names": ["a"]}),
        ((), {"x": -1, "secret": "s"}),
        ((), {"x": 1}),
        ((1, "s"), {}),
        ((), {"x": 1, "secret": "s", "unknown": 1}),
    ]),
    (_pair, [((1,), {}), ((1, "b"), {}), ((), {"second": "c", "first": 2}), ((), {}),
             ((1, "b", 3), {})]),
    (_mutable, [((1,), {}), ((1, [2]), {}), ((1,), {"second": [2]})]),
    (_identity, [((), {}), ((1,), {})]),
    (_own, [((), {}), ((11,), {}), ((2,), {})]),
    (_empty, [((), {}), ((), {})]),
    (_derived, [((), {"x": 1, "z": 2}), ((), {"x": 1, "z": 2, "y": 3}), ((), {"x": 1})]),
]  # fmt: skip


def _made(cls: type, calls: list[tuple[tuple[Any, ...], dict[str, Any]]]) -> list[Any]:
    made = []
    for positional, keyword in calls:
        try:
            made.append(cls(*positional, **keyword))
        except (TypeError, ValueError) as error:
            made.append(type(error))
    return made


def _hash(instance: object) -> bool:
    try:
        return hash(instance) == hash(copy.deepcopy(instance))
    except TypeError:
        return False


@pytest.mark.parametrize(("write", "calls"), CASES, ids=[write.__name__ for write, _ in CASES])
def test_instances_behave_as_those_of_the_standard_library(
    write: Callable[..., Any], calls: list[tuple[tuple[Any, ...], dict[str, Any]]]
) -> None:
    standard, ours = write(dataclasses.dataclass), write(light)
    told = []
    for cls in (standard, ours):
        made = _made(cls, calls)
        good = [one for one in made if not isinstance(one, type)]
        told.append(
            {
                "made": [one if isinstance(one, type) else repr(one) for one in made],
                "values": [dataclasses.asdict(one) for one in good],
                "equal": [[one == other for other in good] for one in good],
                "other class": [one == object() for one in good],
                "hash": [_hash(one) for one in good],
                "replaced": [repr(dataclasses.replace(one)) for one in good],
                "copied": [repr(copy.copy(one)) for one in good],
                "fields": [(f.name, f.type, f.repr, f.kw_only) for f in dataclasses.fields(cls)],
                "slots": cls.__slots__,  # type: ignore[attr-defined]
                "match": cls.__match_args__,  # type: ignore[attr-defined]
                "parameters": [
                    (name, parameter.kind, parameter.default is inspect.Parameter.empty)
                    for name, parameter in inspect.signature(cls).parameters.items()
                ],
                "doc": cls.__doc__,
                "has dict": [hasattr(one, "__dict__") for one in good],
            }
        )
    assert told[0] == told[1]


@pytest.mark.parametrize("make", [dataclasses.dataclass, light])
def test_a_frozen_record_refuses_every_change(make: Callable[..., Any]) -> None:
    pair = _pair(make)(1)
    for change in (
        lambda: setattr(pair, "first", 2),
        lambda: delattr(pair, "first"),
    ):
        with pytest.raises(FrozenInstanceError, match=r"cannot (assign to|delete) field"):
            change()
    assert pair.first == 1


def test_a_record_that_is_not_frozen_can_be_changed_and_has_no_hash() -> None:
    mutable = _mutable(light)(1)
    mutable.first = 5
    assert mutable == _mutable_of(mutable, 5)
    with pytest.raises(TypeError, match="unhashable"):
        hash(mutable)


def _mutable_of(like: Any, first: int) -> Any:
    return type(like)(first)


@light(frozen=True, slots=True, kw_only=True)
class Stored:
    """At a module's top, where pickle finds it."""

    text: str
    number: int = 3


def test_a_record_survives_a_pickle_and_pydantic_fills_it() -> None:
    stored = Stored(text="x", number=4)
    assert pickle.loads(pickle.dumps(stored)) == stored
    read = TypeAdapter(Stored).validate_python({"text": "x", "number": "4"})
    assert read == stored
    assert {read, stored} == {stored}


def test_nothing_is_compiled_before_the_first_instance() -> None:
    pair = _pair(light)
    assert "__init__" in pair.__dict__
    assert not inspect.isfunction(pair.__dict__["__init__"])
    pair(1)
    assert inspect.isfunction(pair.__dict__["__init__"])


def test_a_plain_subclass_may_call_the_init_that_nobody_has_called() -> None:
    class More(_mutable(light)):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(8)

    assert More().first == 8
    assert More().second == []


ORDERED: Final = {"core/addresses.py", "journal/browsing.py"}
"""Where a class has an order, which only the standard library writes."""


def test_every_class_of_ours_is_made_that_way() -> None:
    standard = set()
    for path in RELAY.rglob("*.py"):
        if path.name == "light_dataclass.py":
            continue
        for node in ast.walk(ast.parse(path.read_bytes())):
            match node:
                case ast.ImportFrom(module="dataclasses", names=names):
                    if any(alias.name in ("dataclass", "make_dataclass") for alias in names):
                        standard.add(path.relative_to(RELAY).as_posix())
    assert standard == ORDERED
