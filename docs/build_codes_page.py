"""Makes docs/codes.md from the code books, the published lists and the causes.

Run it after one of them has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from relay.cli.codes_view import reproduced_by, settings_words
from relay.core.code_causes import CAUSES, Cause, kind_of
from relay.core.code_lists import PARDOT_ENHANCED_CODES, PARDOT_REPLY_CODES, SALESFORCE_NDR
from relay.core.code_meanings import ENHANCED_CODES, REPLY_CODES, SPECIAL
from relay.core.code_momentum import MOMENTUM
from relay.core.code_sources import Meaning
from relay.core.codebook_data import CODE_BOOKS
from relay.core.failure_kinds import FailureKind

PAGE: Final = Path(__file__).parent / "codes.md"
SCENARIOS_SHOWN: Final = 4

_INTRODUCTION: Final = """\
<!-- Made by docs/build_codes_page.py from the tables in relay/core/code*.py. -->

# Codes

```console
$ relay codes 451 4.7.5                       # a code
$ relay codes '450 4.7.320 Certificate validation failed'
$ grep status=deferred mail.log | relay codes # lines of a log
$ relay codes < bounce.eml                    # a message that came back
$ relay codes --book postfix                  # what a code book says
```

`relay codes` looks for a reply code, an enhanced status code and a wording that is known, ranks
what may be behind them, and names for each cause the scenarios of the lab that end in it, the
settings under which they do, and the line that shows it. A wording tells more than an enhanced
code, and that more than a reply code; among wordings the longest tells most. Several lines are
explained each once, with a count; of a notification (RFC 3464) each recipient is.

The class of a code says whether it is final: 4 is transient, 5 is final. A notification that says
`Action: failed` is final whatever the class of the code in it: the sender has given up.

| exit code | when |
|---|---|
| 0 | something that was given is known |
| 2 | a code book that there is not |
| 3 | nothing is known of it; a code then has at least a class and a subject, which are said |
"""


def page() -> str:
    """Return the whole page."""
    return "\n".join([_INTRODUCTION, *_books(), *_causes(), *_lists()]).rstrip() + "\n"


def _books() -> Iterator[str]:
    yield "## What this relay says\n"
    yield (
        "A policy's `codes:` chooses the book; single entries can be replaced there. A host's own\n"
        "refusal is passed on in the host's words.\n"
    )
    yield _table(
        ["failure", *CODE_BOOKS],
        (
            [f"`{kind.value}`", *(str(book.entries[kind]) for book in CODE_BOOKS.values())]
            for kind in FailureKind
        ),
    )


def _causes() -> Iterator[str]:
    yield "## Causes\n"
    yield "What `relay codes` tells apart. Most scenarios are in [the lab](lab/README.md).\n"
    yield _table(
        ["cause", "what it is", "said here as", "in the lab", "under"], map(_cause, CAUSES)
    )


def _cause(cause: Cause) -> list[str]:
    kind, reproduce = kind_of(cause), reproduced_by(cause)
    names = [f"[{case.scenario}](lab/{case.scenario}.md)" for case in reproduce]
    more = len(names) - SCENARIOS_SHOWN
    shown = ", ".join(names[:SCENARIOS_SHOWN]) + (f" and {more} more" if more > 0 else "")
    return [
        f"`{cause.value}`",
        CAUSES[cause].meaning,
        f"`{kind.value}`" if kind else "",
        shown,
        settings_words(reproduce) if reproduce else "",
    ]


def _lists() -> Iterator[str]:
    yield "## Momentum's responses\n"
    yield (
        "Salesforce's mail servers say these, and with them its bounces and the\n"
        "[e-mail log](email-log.md). X.0.0 stands where only a reply code is known.\n"
    )
    yield _table(
        ["code", "text", "cause"],
        ([str(r.status), f"[internal] {r.text}", f"`{r.cause.value}`"] for r in MOMENTUM),
    )
    yield "## Reply codes\n"
    yield _meanings(REPLY_CODES)
    yield "## Enhanced status codes\n"
    yield "Without their class, as `X.7.5` of 4.7.5 and 5.7.5.\n"
    yield _meanings({f"X.{code}": meaning for code, meaning in ENHANCED_CODES.items()})
    yield "In a sense of one vendor's own:\n"
    yield _meanings(SPECIAL)
    yield "## Salesforce's list of non-delivery reports\n"
    yield "Some of its codes are in no RFC, and some mean another thing there.\n"
    yield _meanings(SALESFORCE_NDR)
    yield "## Account Engagement's bounce codes\n"
    yield (
        "Account Engagement (Pardot) lists codes that it meets and makes none itself. Hard\n"
        "bounces count at once, soft ones after five.\n"
    )
    yield _meanings(PARDOT_REPLY_CODES)
    yield _meanings(PARDOT_ENHANCED_CODES)


def _meanings(some: Mapping[int, Meaning] | Mapping[str, Meaning]) -> str:
    return _table(
        ["code", "meaning", "source"],
        ([f"`{code}`", meaning.text, meaning.source.value] for code, meaning in some.items()),
    )


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(c.replace('|', chr(92) + '|') for c in r)} |\n" for r in lines)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
