"""What the other programs do, what we do otherwise, and the page that says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from judge_receivers import RECEIVERS, Cell

from relay.core.settings import TlsSetting

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs/agreement.md"

LEVELS: Mapping[TlsSetting, tuple[str, str]] = {
    # the setting, and the levels of Postfix and Exim that correspond to it
    TlsSetting.PREFERRED: ("may", "may"),
    TlsSetting.REQUIRED: ("encrypt", "req"),
    TlsSetting.REQUIRED_VERIFY: ("secure", "ver"),
}
OUTCOMES = {"tls", "clear", "later", "not", "either"}


def _tables(text: str) -> Iterator[list[list[str]]]:
    """Yield each table's rows, its heading left out: lines with '|', up to an empty line."""
    for block in text.split("\n\n"):
        rows = [[cell.strip() for cell in ln.split("|")] for ln in block.splitlines() if "|" in ln]
        if rows:
            yield rows[1:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Theirs:
    """What the other programs do, outcome by case and corresponding setting."""

    postfix: Mapping[Cell, str]
    exim: Mapping[Cell, str]
    python: Mapping[Cell, str]

    @property
    def cells(self) -> list[Cell]:
        return [*self.postfix, *self.python]

    def wanted(self, cell: Cell) -> str:
        """Return what agreement means: Postfix's outcome in the end, or else Python's verdict."""
        if cell in self.python:
            return self.python[cell].split()[0]
        return in_the_end(self.postfix[cell])

    def words(self, cell: Cell) -> str:
        """Say who does something, such as 'postfix tls, exim tls'."""
        if cell in self.python:
            return f"python {self.python[cell]}"
        return f"postfix {self.postfix[cell]}, exim {self.exim[cell]}"


def in_the_end(outcome: str) -> str:
    """Return what became of the message, whichever try it was."""
    assert outcome in OUTCOMES, outcome
    return "clear" if outcome == "later" else outcome


def read_theirs() -> Theirs:
    mtas, python = _tables((HERE / "agreement.txt").read_text())
    postfix: dict[Cell, str] = {}
    exim: dict[Cell, str] = {}
    for case, *outcomes in mtas:
        for number, setting in enumerate(LEVELS):
            postfix[case, setting], exim[case, setting] = outcomes[number], outcomes[number + 3]
    return Theirs(
        postfix=postfix,
        exim=exim,
        python={(case, TlsSetting(setting)): outcome for case, setting, outcome in python},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """A cell in which we differ, on purpose."""

    ours: str
    theirs: str
    why: str


def read_deviations() -> dict[Cell, Deviation]:
    (rows,) = _tables((HERE / "deviations.txt").read_text())
    found = {
        (case, TlsSetting(setting)): Deviation(ours=ours, theirs=theirs, why=why)
        for case, setting, ours, theirs, why in rows
    }
    assert len(found) == len(rows), "a cell stands in deviations.txt twice"
    return found


_HEAD = """\
# Agreement with Postfix, Exim and OpenSSL

Does this relay deliver, or not, where other software would? Each receiver below breaks SMTP TLS in
one way. `tls`: delivered over TLS; `clear`: delivered in clear text; `not`: not delivered, nothing
of its content sent. A cell with one word is where all three do the same; a cell with more says who
does what. *Later*: Postfix defers the first try and delivers a later one in clear text. *Either*:
Exim delivers in clear text or not at all, by chance.

Our column is what the receivers themselves got, in `tests/judges/test_agreement.py`; a difference
from Postfix that is not listed on this page, or is listed and not there, fails that test. Those of
Postfix and Exim are held against the programs, sending to the same receivers, by
`test_agreement_postfix.py` and `test_agreement_exim.py` beside it.

| setting here | Postfix 3.7.11 | Exim 4.96 |
|---|---|---|
"""


def render_page(theirs: Theirs, deviations: Mapping[Cell, Deviation]) -> str:
    """Return docs/agreement.md."""
    lines = [_HEAD.rstrip("\n")]
    names = {
        "may": "`smtp_tls_security_level = may`", "encrypt": "`encrypt`", "secure": "`secure`",
    }  # fmt: skip
    exim_names = {
        "may": "TLS where it is offered",
        "req": "`hosts_require_tls = *`",
        "ver": "that, and `tls_verify_hosts = *`",
    }
    lines += [
        f"| {setting.label} | {names[postfix]} | {exim_names[exim]} |"
        for setting, (postfix, exim) in LEVELS.items()
    ]
    lines += ["", "## Receivers", ""]
    lines += [
        "| receiver | " + " | ".join(setting.label for setting in LEVELS) + " |",
        "|---|---|---|---|",
    ]
    for case in dict.fromkeys(case for case, _ in theirs.postfix):
        cells = [_cell((case, setting), theirs, deviations) for setting in LEVELS]
        lines.append(f"| {RECEIVERS[case].what} | {' | '.join(cells)} |")
    lines += ["", "## Where we differ from Postfix", ""]
    lines += ["| receiver | setting | here | there | why |", "|---|---|---|---|---|"]
    lines += list(_differences(deviations, theirs.postfix))
    lines += ["", "## Certificates and sessions that OpenSSL alone judged", ""]
    lines += [
        "Python 3.11's `ssl` with its default context; a number is OpenSSL's reason to refuse.",
        "",
        "| receiver | setting | here | Python |",
        "|---|---|---|---|",
    ]
    for (case, setting), outcome in theirs.python.items():
        found = deviations.get((case, setting))
        ours = found.ours if found else theirs.wanted((case, setting))
        lines.append(f"| {RECEIVERS[case].what} | {setting.label} | {ours} | {outcome} |")
    lines += ["", "| receiver | setting | here | there | why |", "|---|---|---|---|---|"]
    lines += list(_differences(deviations, theirs.python))
    return "\n".join(lines) + "\n"


def _cell(cell: Cell, theirs: Theirs, deviations: Mapping[Cell, Deviation]) -> str:
    ours = deviations[cell].ours if cell in deviations else theirs.wanted(cell)
    postfix, exim = theirs.postfix[cell], theirs.exim[cell]
    if ours == postfix == exim:
        return ours
    return f"{ours}; Postfix {postfix}, Exim {exim}"


def _differences(deviations: Mapping[Cell, Deviation], cells: Mapping[Cell, str]) -> Iterator[str]:
    for (case, setting), found in deviations.items():
        if (case, setting) in cells:
            yield (
                f"| {RECEIVERS[case].what} | {setting.label} | {found.ours} | {found.theirs} "
                f"| {found.why} |"
            )
