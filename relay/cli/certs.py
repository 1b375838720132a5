"""`relay certs`: the lab's root, how to trust it, and the certificate recipes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from relay.cli.console import ExitCode, console, fail, print_json
from relay.cli.state import ELSEWHERE, StateDir, StateOption

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import timedelta

    from relay.core.jsonform import Json
    from relay.lab.recipes import Recipe, Subordinate

app = typer.Typer(
    name="certs",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The lab's certificate authority and the recipes of its certificates.",
)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

WARNING = (
    "Never add this root to the trust store of a system or a browser: its key lies\n"
    "beside it, and whoever reads that key could then pose as any host. Name it to\n"
    "one program, as below."
)


@app.command("ca")
def show_authority(
    state: StateOption = None,
    pem: Annotated[
        bool, typer.Option("--pem", help="Print the certificate alone, as PEM.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Say where the lab's root lies and how to trust it.

    Makes it if there is none yet.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256

    from relay.lab.authority import AuthorityError, LabAuthority
    from relay.lab.trust_guides import trust_guides

    try:
        authority = LabAuthority(StateDir.of(state).certificates)
    except AuthorityError as error:
        fail(str(error), hint=ELSEWHERE, code=ExitCode.UNDETERMINED)
    if pem:
        typer.echo(authority.root_pem.decode("ascii"), nl=False)
        return
    root = x509.load_pem_x509_certificate(authority.root_pem)
    fingerprint = root.fingerprint(SHA256()).hex(":")
    guides = trust_guides(authority.root_path)
    if as_json:
        print_json(
            {
                "root": str(authority.root_path),
                "crl": str(authority.crl_path),
                "subject": root.subject.rfc4514_string(),
                "fingerprint_sha256": fingerprint,
                "valid_until": root.not_valid_after_utc.isoformat(),
                "trust": {guide.tool: list(guide.lines) for guide in guides},
            }
        )
        return
    # Lines to paste must not be wrapped, so that rich has no part in this.
    typer.echo(f"Root         {authority.root_path}")
    typer.echo(f"Fingerprint  SHA-256 {fingerprint[:47]}")
    typer.echo(f"{'':21}{fingerprint[48:]}")
    typer.echo(f"CRL          {authority.crl_path}")
    typer.echo(f"\n{WARNING}")
    for guide in guides:
        typer.echo(f"\n{guide.tool}")
        for line in guide.lines:
            typer.echo(f"  {line}")


@app.command("list")
def list_recipes(as_json: JsonOption = False) -> None:
    """List the certificate recipes."""
    from rich.table import Table
    from rich.text import Text

    recipes = _recipes()
    if as_json:
        print_json([_recipe_json(recipe) for recipe in recipes.values()])
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("Recipe", no_wrap=True)
    table.add_column("The certificate")
    for recipe in recipes.values():
        table.add_row(Text(recipe.name, style="bold"), Text(recipe.about))
    console().print(table)


@app.command("show")
def show_recipe(
    name: Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe's name.")],
    as_json: JsonOption = False,
) -> None:
    """Show one recipe, and which scenarios show its certificate."""
    from difflib import get_close_matches

    from rich.table import Table
    from rich.text import Text

    recipes = _recipes()
    recipe = recipes.get(name)
    if recipe is None:
        near = get_close_matches(name, recipes, n=1)
        hint = f"Did you mean {near[0]}?" if near else "All of them: relay certs list"
        fail(f"there is no recipe {name!r}", hint=hint)
    if as_json:
        print_json(_recipe_json(recipe))
        return
    out = console()
    out.print(Text(recipe.name, style="bold"))
    out.print(Text(recipe.about))
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for label, words in _recipe_rows(recipe):
        table.add_row(label, Text(words))
    table.add_row("Shown by", Text(", ".join(_shown_by(recipe.name))))
    out.print()
    out.print(table)


def _recipe_rows(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Give what a recipe says, without what every honest certificate has."""
    from relay.lab.recipes import Digest, Purpose

    yield "Names", ", ".join(recipe.names) or "none"
    if recipe.common_name is not None:
        yield "Common name", recipe.common_name
    yield "Issuer", recipe.issuer.value
    for number, subordinate in enumerate(recipe.subordinates, start=1):
        yield f"Subordinate {number}", _subordinate_words(subordinate)
    yield "Valid from", _offset_words(recipe.valid_from)
    yield "Valid until", _offset_words(recipe.valid_until)
    yield "Key", recipe.key.value
    if recipe.signature is not Digest.SHA256:
        yield "Signature", recipe.signature.value
    if recipe.purpose is not Purpose.SERVER:
        yield "Purpose", recipe.purpose.value
    if recipe.authority:
        yield "Authority", "says that it may sign certificates"
    if recipe.extensions:
        yield "Extensions", ", ".join(extra.value for extra in recipe.extensions)
    if recipe.revoked:
        yield "Revoked", "on the lab's revocation list"
    yield "Sends", ", ".join(sent.value for sent in recipe.sends)


def _subordinate_words(subordinate: Subordinate) -> str:
    words = ["an authority" if subordinate.authority else "no authority", subordinate.key.value]
    if subordinate.path_length is not None:
        words.append(f"path length {subordinate.path_length}")
    if subordinate.permits:
        words.append(f"for {', '.join(subordinate.permits)} only")
    return f"{', '.join(words)}; runs out {_offset_words(subordinate.valid_until)}"


def _recipes() -> Mapping[str, Recipe]:
    from relay.lab.recipes import RecipeError, shipped_recipes

    try:
        return shipped_recipes()
    except RecipeError as error:
        fail(str(error), code=ExitCode.UNDETERMINED)


def _shown_by(recipe: str) -> list[str]:
    from relay.lab.catalogue import CAPTURE, LAB_SCENARIOS

    entries = (*LAB_SCENARIOS.values(), CAPTURE)
    return [entry.card.name for entry in entries if recipe in entry.recipes]


def _offset_words(offset: timedelta) -> str:
    number, unit = abs(offset.total_seconds()), "seconds"
    for size, name in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if number and number % size == 0:
            number, unit = number / size, name
            break
    if number == 1:
        unit = unit.removesuffix("s")
    return f"{number:.0f} {unit} {'before' if offset.total_seconds() < 0 else 'after'} its issue"


def _recipe_json(recipe: Recipe) -> Json:
    from relay.core.jsonform import to_json

    data = to_json(recipe)
    assert isinstance(data, dict)
    return {**data, "shown_by": [*_shown_by(recipe.name)]}
