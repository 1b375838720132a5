"""`relay check`: what a mail server offers, and what each setting makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from relay.cli.check_run import Wanted, run_checks
from relay.cli.console import ExitCode, console, fail
from relay.cli.progress import progress_bar
from relay.cli.reporting import HtmlOption, JunitOption, ReportJsonOption, deliver
from relay.cli.state import StateDir, StateOption

if TYPE_CHECKING:
    from relay.audit.check import Check
    from relay.audit.check_target import Target
    from relay.audit.check_verdicts import Expectation
    from relay.core.codebook import CodeBook
    from relay.core.settings import TlsVersion
    from relay.core.tls_policy import TrustAnchors

_LAB: Final = "lab"
_SYSTEM: Final = "system"


def check(
    *,
    target: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TARGET...",
            help="A domain (its MX records), HOST:PORT, ADDRESS, or NAME.lab.test.",
            show_default=False,
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", metavar="FILE", help="Targets, one a line.", show_default=False),
    ] = None,
    expect: Annotated[
        list[str] | None,
        typer.Option(
            "--expect",
            metavar="SETTING=WHAT",
            help="deliver, clear, encrypted, verified or a code: required-verify=4.7.5. "
            "Exits 1 where it differs.",
        ),
    ] = None,
    implicit: Annotated[
        bool, typer.Option("--implicit", help="TLS from the first octet; port 465 always is.")
    ] = False,
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="HOST",
            help="What the certificate must bear, and what is asked for (SNI), when the target is "
            "an address or a forwarded port.",
            show_default=False,
        ),
    ] = None,
    ciphers: Annotated[
        bool,
        typer.Option("--ciphers", help="Ask for each suite up to TLS 1.2: up to 64 sessions more."),
    ] = False,
    versions: Annotated[
        bool, typer.Option(help="Ask for each TLS version: a session for each.")
    ] = True,
    trust: Annotated[
        str | None,
        typer.Option(
            "--trust",
            metavar="LIST",
            help="lab, system, files in PEM, with commas [default: system; the lab for its own].",
            show_default=False,
        ),
    ] = None,
    also_match_domain: Annotated[
        bool,
        typer.Option("--also-match-domain", help="The certificate may bear the mail domain, too."),
    ] = False,
    minimum_tls: Annotated[
        str, typer.Option("--minimum-tls", metavar="VERSION", help="Lowest version that counts.")
    ] = "1.2",
    book: Annotated[
        str, typer.Option("--book", help="Whose codes: salesforce, postfix, exchange or rfc.")
    ] = "salesforce",
    save: Annotated[
        Path | None,
        typer.Option(
            "--save",
            metavar="FILE",
            help="Keep the evidence, for relay what-if --evidence.",
            show_default=False,
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.1, help="Seconds for a connection or an answer.")
    ] = 10.0,
    at_once: Annotated[
        int, typer.Option("--at-once", min=1, max=256, help="Hosts that are checked side by side.")
    ] = 16,
    hostname: Annotated[
        str, typer.Option(envvar="RELAY_HOSTNAME", help="The name that EHLO says.")
    ] = "relay.lab.test",
    allow_external: Annotated[
        bool,
        typer.Option(
            "--allow-external",
            envvar="RELAY_ALLOW_EXTERNAL",
            help="Also connect to hosts off this machine and its private networks.",
        ),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show stages, dialog and limits, too.")
    ] = False,
    as_json: ReportJsonOption = False,
    junit: JunitOption = None,
    html: HtmlOption = None,
    state: StateOption = None,
) -> None:
    """Ask mail servers what TLS they offer.

    Says what each setting makes of it. Nothing is mailed: each session says EHLO, STARTTLS, EHLO
    and QUIT. Exits 1 where an expectation is not met, 3 where nothing could be found out.
    """
    from relay.cli.check_report import report_of
    from relay.cli.check_view import print_check, print_overview
    from relay.core.jsonform import to_json

    wanted = Wanted(
        targets=_targets([*(target or ()), *_lines(file)], implicit=implicit, name=name),
        expectations=_expectations(expect or ()),
        trust=_trust(trust),
        book=_book(book),
        minimum_tls=_version(minimum_tls),
        also_match_domain=also_match_domain,
        versions=versions,
        suites=ciphers,
        timeout=timedelta(seconds=timeout),
        at_once=at_once,
        hostname=hostname,
        allow_external=allow_external,
        certificates=StateDir.of(state).certificates,
    )
    total = len(wanted.targets)
    with progress_bar(console(stderr=True), "checking", total=total, hidden=as_json) as update:
        checks = run_checks(wanted, lambda _: update(advance=1))
    if save is not None:
        _save(save, checks)

    def show() -> None:
        if len(checks) > 1:
            print_overview(console(), checks)
        for each in checks:
            if len(checks) > 1:
                console().print()
            print_check(console(), each, verbose=verbose)

    deliver(
        report_of(checks),
        {"checks": [to_json(each) for each in checks]},
        as_json=as_json,
        junit=junit,
        html=html,
        show=show,
    )
    raise typer.Exit(_exit_code(checks))


def _exit_code(checks: Sequence[Check]) -> ExitCode:
    if any(each.failed for each in checks):
        return ExitCode.FINDING
    unknown = any(e.met is None for each in checks for e in each.expected)
    determined = all(each.determined for each in checks)
    return ExitCode.AS_EXPECTED if determined and not unknown else ExitCode.UNDETERMINED


def _lines(file: Path | None) -> Sequence[str]:
    """Return the targets in a file; blank lines and comments are left out."""
    if file is None:
        return ()
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        fail(f"can't read {file}: {error.strerror}")
    except UnicodeDecodeError:
        fail(f"{file} is not a text in UTF-8")
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def _targets(texts: Sequence[str], *, implicit: bool, name: str | None) -> Sequence[Target]:
    from relay.audit.check_target import parse_target
    from relay.lab.catalogue import UnknownScenario

    if not texts:
        fail("nothing to check", hint="Name a domain or HOST:PORT: relay check expired.lab.test")
    found = []
    problems = []
    for text in dict.fromkeys(texts):
        try:
            found.append(parse_target(text, implicit=implicit, name=name))
        except (ValueError, UnknownScenario) as error:
            problems.append(str(error))
    if problems:
        fail("; ".join(problems), hint="A target is a domain, HOST:PORT, ADDRESS or NAME.lab.test.")
    if lacking := [why for each in found if (why := _why_unavailable(each))]:
        fail("; ".join(lacking), code=ExitCode.UNDETERMINED)
    return found


def _why_unavailable(target: Target) -> str | None:
    """Return why this machine can't run the receiver of the lab that a target is."""
    from relay.core.destinations import ToScenario
    from relay.lab.availability import why_unavailable
    from relay.lab.catalogue import LAB_SCENARIOS

    if not isinstance(target.to, ToScenario) or target.to.scenario not in LAB_SCENARIOS:
        return None
    return why_unavailable(LAB_SCENARIOS[target.to.scenario])


def _expectations(texts: Sequence[str]) -> Sequence[Expectation]:
    from relay.audit.check_verdicts import Expectation

    found = []
    for text in texts:
        try:
            found.append(Expectation.parse(text))
        except ValueError as error:
            fail(str(error), hint="For example: --expect required-verify=deliver")
    if len({each.setting for each in found}) != len(found):
        fail("a setting has two expectations")
    return found


def _trust(text: str | None) -> TrustAnchors | None:
    from relay.core.tls_policy import TrustAnchors

    if text is None:
        return None
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        fail("--trust names nothing", hint="For example: --trust lab,system,company-root.pem")
    files = tuple(part for part in parts if part not in {_LAB, _SYSTEM})
    return TrustAnchors(lab=_LAB in parts, system=_SYSTEM in parts, ca_files=files)


def _book(name: str) -> CodeBook:
    from relay.core.codebook_data import CODE_BOOKS

    if name not in CODE_BOOKS:
        fail(f"there is no code book {name!r}", hint=f"The books: {', '.join(CODE_BOOKS)}.")
    return CODE_BOOKS[name]


def _version(text: str) -> TlsVersion:
    from relay.core.settings import TlsVersion

    try:
        return TlsVersion(text)
    except ValueError:
        fail(f"{text!r} is not a TLS version", hint="1.0, 1.1, 1.2 or 1.3")


def _save(path: Path, checks: Sequence[Check]) -> None:
    from relay.audit.evidence_file import save_evidence

    try:
        save_evidence(path, [each.record for each in checks if each.hosts])
    except OSError as error:
        fail(f"can't write {path}: {error.strerror}")
