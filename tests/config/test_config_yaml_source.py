"""YAML as people mean it, and every value's place."""

import pytest

from relay.config.problems import PolicyFileError
from relay.config.yaml_source import read_yaml
from relay.config.yaml_tree import SourceTree


def read(text: str) -> SourceTree:
    return read_yaml(text, name="f")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Off", "Off"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("no", "no"),
        ("n", "n"),
        ("true", True),
        ("False", False),
        ("'true'", "true"),
        ("~", None),
        ("null", None),
        ("''", ""),
        ("12:30:45", "12:30:45"),
        ("017", 17),
        ("0o17", "0o17"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("-5", -5),
        ("1.2", 1.2),
        ("1e3", 1000.0),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("1e999", "1e999"),
        ("9" * 5000, "9" * 5000),
        ("2026-01-31", "2026-01-31"),
        ("=", "="),
        ("<<", "<<"),
        ("!!str 5", "5"),
    ],
)
def test_what_a_plain_scalar_means(written: str, meant: object) -> None:
    data = read(f"a: {written}").data
    assert data == {"a": meant}
    assert type(data["a"]) is type(meant)


def test_merge_keys_are_keys_like_others() -> None:
    assert read("<<: {a: 1}\nb: 2").data == {"<<": {"a": 1}, "b": 2}


def test_keys_are_texts() -> None:
    assert read("on: 1\n25: 2\nnull: 3\n1.0: 4").data == {"on": 1, "25": 2, "null": 3, "1.0": 4}


@pytest.mark.parametrize(
    ("text", "path", "value", "column"),
    [
        ("a: *.b.c", "a", "*.b.c", 4),
        ("- *.b.c", "[0]", "*.b.c", 3),
        ("[x, *.b.c, y]", "[1]", "*.b.c", 5),
        ("a: {b: *}", "a.b", "*", 8),
        ("a: *bc", "a", "*bc", 4),
        ("a: @b.c", "a", "@b.c", 4),
    ],
)
def test_an_unquoted_pattern_is_reported_and_then_read(
    text: str, path: str, value: str, column: int
) -> None:
    tree = read(text)
    (problem,) = tree.problems
    assert (problem.path, problem.place.column) == (path, column)
    assert problem.hint is not None
    assert problem.hint.startswith("quote")
    assert f"'{value}'" in str(tree.data)


def test_the_first_of_two_equal_keys_counts() -> None:
    tree = read("a: 1\nb: 2\na: 3\n")
    assert tree.data == {"a": 1, "b": 2}
    assert str(tree.problems[0]) == "f:3:1: a: the key is given twice, first on line 1"


def test_places_of_keys_values_and_what_is_not_there() -> None:
    tree = read("é: 'ü'\nrules:\n  - match: b.c\n    tls: Off\n  - {match: d}\n")

    def at(*path: str | int) -> tuple[int, int]:
        place = tree.place(path)
        return place.line, place.column

    assert at("é") == (1, 4)
    assert at("rules") == (3, 3)
    assert at("rules", 0) == (3, 5)
    assert at("rules", 0, "tls") == (4, 10)
    assert at("rules", 1, "match") == (5, 13)
    assert at("rules", 1, "tls") == (5, 5)
    assert at("rules", 7) == (3, 3)
    key = tree.key_place(("rules", 0, "tls"))
    assert (key.line, key.column) == (4, 5)


def test_list_items_keep_their_index_when_others_are_taken_out() -> None:
    tree = read("a: [w, x, y, z]").without(("a", 0), ("a", 2))
    assert tree.data == {"a": ["x", "z"]}
    assert tree.written(("a", 1)) == ("a", 3)
    assert tree.place(("a", 1)).column == 14
    again = tree.without(("a", 1))
    assert again.removed == {("a", 0), ("a", 2), ("a", 3)}


def test_many_unquoted_patterns_end_in_an_error_not_in_a_long_wait() -> None:
    with pytest.raises(PolicyFileError) as caught:
        read("\n".join("- *.a.b" for _ in range(500)))
    assert len(caught.value.problems) == 101


@pytest.mark.parametrize("text", ["[" * 33 + "]" * 33, "{a: " * 33 + "1" + "}" * 33])
def test_deep_nesting_is_refused(text: str) -> None:
    with pytest.raises(PolicyFileError, match="more than 32 levels within one another"):
        read(text)


def test_thirty_two_levels_are_not_deep() -> None:
    assert str(read("[" * 32 + "1" + "]" * 32).data).count("[") == 32


def test_endless_nesting_ends_at_once() -> None:
    with pytest.raises(PolicyFileError, match="more than 32 levels"):
        read("[" * 100_000)
