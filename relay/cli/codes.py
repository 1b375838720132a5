"""`relay codes`: what a code or a bounce means, what is behind it, and how to see it happen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from relay.cli.console import ExitCode, console, fail, print_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relay.core.code_sources import Meaning
    from relay.core.codebook import CodeBook


def codes(
    *,
    code: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CODE|LINE]",
            help="451, 4.7.5, '451 4.7.5', or a line of a log or bounce. Without one, standard "
            "input is read: such lines, or a message that came back (.eml).",
            show_default=False,
        ),
    ] = None,
    book: Annotated[
        str | None,
        typer.Option(
            "--book",
            metavar="NAME",
            help="Show that code book, or only its texts: salesforce, postfix, exchange, rfc.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Explain a code or a bounce, and how to reproduce it.

    Says whether it is final, and its causes. The likeliest cause comes first. Without a code and
    without input: lists the codes. Exits 3 where nothing that was given is known.
    """
    from relay.cli.codes_input import items_of, items_of_text, piped

    books = _books(book)
    if code:
        found = items_of_text(" ".join(code))
    elif book is None and (content := piped()).strip():
        found = items_of(content)
    else:
        _list(books, as_json=json, whole=book is None)
        return
    if not found or all(
        item.explanation.finality.value == "unknown" and not item.explanation.known
        for item in found
    ):
        fail(
            "no code, and no wording that is known",
            hint="Give one such as: relay codes 451 4.7.5",
            code=ExitCode.UNDETERMINED,
        )
    from relay.cli.codes_view import item_table, shown

    every = [shown(item, books) for item in found]
    if json:
        from relay.core.jsonform import to_json

        print_json([to_json(one) for one in every])
    else:
        for number, one in enumerate(every):
            if number:
                typer.echo()
            console().print(item_table(one))
    known = any(item.explanation.known for item in found)
    raise typer.Exit(ExitCode.AS_EXPECTED if known else ExitCode.UNDETERMINED)


def _books(name: str | None) -> tuple[CodeBook, ...]:
    from relay.core.codebook_data import CODE_BOOKS

    if name is not None and name not in CODE_BOOKS:
        fail(f"there is no code book {name!r}", hint=f"Allowed: {', '.join(CODE_BOOKS)}.")
    return tuple(CODE_BOOKS.values()) if name is None else (CODE_BOOKS[name],)


def _list(books: tuple[CodeBook, ...], *, as_json: bool, whole: bool) -> None:
    from relay.cli.codes_view import book_table, reply_table
    from relay.core.code_lists import PARDOT_ENHANCED_CODES, PARDOT_REPLY_CODES, SALESFORCE_NDR
    from relay.core.code_meanings import ENHANCED_CODES, REPLY_CODES, SPECIAL
    from relay.core.jsonform import to_json

    if as_json:
        texts = {
            book.name: {kind.value: str(entry) for kind, entry in book.entries.items()}
            for book in books
        }
        lists: dict[str, Mapping[int, Meaning] | Mapping[str, Meaning]] = {
            "reply_codes": REPLY_CODES,
            "enhanced_codes": ENHANCED_CODES,
            "of_one_vendor": SPECIAL,
            "salesforce_ndr": SALESFORCE_NDR,
            "pardot_reply_codes": PARDOT_REPLY_CODES,
            "pardot_enhanced_codes": PARDOT_ENHANCED_CODES,
        }
        more = {
            name: {str(code): to_json(meaning) for code, meaning in entries.items()}
            for name, entries in (lists.items() if whole else ())
        }
        print_json({"books": to_json(texts), **more})
        return
    console().print(book_table(books[0]))
    if whole:
        typer.echo()
        console().print(reply_table())
        typer.echo(
            "\nrelay codes 451 4.7.5 explains one, and so does a whole line of a log;\n"
            "--book shows another book, --json has every list."
        )
