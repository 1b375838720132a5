"""Recipes are data: read whole, or refused with every problem named."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from relay.config.resources import shipped
from relay.lab.catalogue import CAPTURE, LAB_SCENARIOS
from relay.lab.recipes import (
    Issuer,
    KeyKind,
    RecipeError,
    Sent,
    parse_offset,
    read_recipe,
    read_recipes,
    shipped_recipes,
)

GOOD = """
about: As it should be.
names: ["{host}", "mail.{host}"]
issuer: lab-intermediate
valid_from: -1d
valid_until: +90d
"""


def write(tmp_path: Path, text: str, name: str = "some") -> Path:
    path = tmp_path / f"{name}.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("-30d", timedelta(days=-30)),
        ("+90d", timedelta(days=90)),
        ("12h", timedelta(hours=12)),
        ("-15m", timedelta(minutes=-15)),
        ("30s", timedelta(seconds=30)),
    ],
)
def test_offsets(text: str, offset: timedelta) -> None:
    assert parse_offset(text) == offset


@pytest.mark.parametrize("value", ["", "30", "d", "1.5d", "- 3d", "3 days", "3w", 30, None, True])
def test_what_is_no_offset(value: object) -> None:
    with pytest.raises(ValueError, match="is not an offset"):
        parse_offset(value)


def test_a_recipe_is_named_after_its_file_and_filled_with_defaults(tmp_path: Path) -> None:
    recipe = read_recipe(write(tmp_path, GOOD, "my-own"))
    assert recipe.name == "my-own"
    assert recipe.issuer is Issuer.LAB_INTERMEDIATE
    assert recipe.key is KeyKind.EC_P256
    assert recipe.sends == (Sent.LEAF, Sent.INTERMEDIATE)
    assert recipe.names_for("mx.a.test", "127.0.0.1") == ("mx.a.test", "mail.mx.a.test")
    assert recipe.common_name_for("mx.a.test", "127.0.0.1") == "mx.a.test"
    assert recipe.nearest_date == timedelta(days=1)


@pytest.mark.parametrize(
    ("written", "names", "common_name"),
    [
        ('["*.{domain}", "{host}"]', ("*.a.test", "mx.a.test"), "*.a.test"),
        ('["{address}"]', ("192.0.2.7",), "192.0.2.7"),
        ('["n{1..3}.{domain}"]', ("n1.a.test", "n2.a.test", "n3.a.test"), "n1.a.test"),
        ("[]", (), None),
        ('[]\ncommon_name: "{host}"', (), "mx.a.test"),
    ],
)
def test_placeholders_in_names(
    tmp_path: Path, written: str, names: tuple[str, ...], common_name: str | None
) -> None:
    text = GOOD.replace('["{host}", "mail.{host}"]', written)
    recipe = read_recipe(write(tmp_path, text))
    assert recipe.names_for("mx.a.test", "192.0.2.7") == names
    assert recipe.common_name_for("mx.a.test", "192.0.2.7") == common_name


def test_the_nearest_date_is_that_of_any_certificate(tmp_path: Path) -> None:
    text = GOOD.replace("-1d", "-9d") + "subordinates: [{}, {valid_until: 2h}]\n"
    assert read_recipe(write(tmp_path, text)).nearest_date == timedelta(hours=2)


def test_every_problem_of_a_file_is_named(tmp_path: Path) -> None:
    text = "about: x\nnames: 7\nissuer: nobody\nvalid_from: soon\nvalid_until: 1d\ncolour: red\n"
    with pytest.raises(RecipeError) as caught:
        read_recipe(write(tmp_path, text))
    for word in ("some.yaml", "names", "issuer", "valid_from", "colour"):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (("valid_from: -1d", "valid_from: +91d"), "valid_from must lie before"),
        (
            ("issuer: lab-intermediate", "issuer: itself\nsends: [leaf, intermediate]"),
            "intermediate",
        ),
        (("issuer: lab-intermediate", "issuer: lab-root\nsends: [leaf, intermediate]"), "sends"),
        (("issuer: lab-intermediate", "issuer: lab-root\nsends: [subordinates]"), "subordinates"),
        (("about:", "signature: sha1\nabout:"), "an RSA key as issuer"),
        (("about:", "revoked: true\nsubordinates: [{}]\nabout:"), "has a revocation list"),
        (("about:", "subordinates: [{valid_from: 1d, valid_until: -1d}]\nabout:"), "before"),
        (("about:", "subordinates: [{colour: red}]\nabout:"), "colour"),
        (("about:", "name: other\nabout:"), "name"),
        (("about: As it should be.", "about: [unclosed"), "some.yaml"),
    ],
)
def test_contradictions_are_refused(tmp_path: Path, change: tuple[str, str], word: str) -> None:
    with pytest.raises(RecipeError, match=word):
        read_recipe(write(tmp_path, GOOD.replace(*change)))


@pytest.mark.parametrize("content", [b"", b"just text", b"- a\n- list\n", b"\xff\xfe\x00"])
def test_a_file_that_is_no_recipe_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.yaml"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=r"odd\.yaml"):
        read_recipe(path)


def test_a_directory_is_read_by_name(tmp_path: Path) -> None:
    write(tmp_path, GOOD, "b")
    write(tmp_path, GOOD, "a")
    (tmp_path / "README.md").write_text("not a recipe")
    assert list(read_recipes(tmp_path)) == ["a", "b"]


def test_every_recipe_is_used_and_every_used_recipe_exists() -> None:
    entries = (*LAB_SCENARIOS.values(), CAPTURE)
    used = {name for entry in entries for name in (entry.card.recipe, *entry.rotation)}
    used |= {getattr(entry.script.handshake, "named_recipe", None) for entry in entries}
    assert used - {None} == set(shipped_recipes())


def test_no_key_lies_among_the_recipes() -> None:
    for path in shipped("certs").rglob("*"):
        if path.is_file():
            assert b"PRIVATE KEY" not in path.read_bytes()
