"""`relay policy`: check policy files, and ask what one says of an address."""

from __future__ import annotations

import os
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relay.cli import completion
from relay.cli.console import ExitCode, counted, fail, print_json
from relay.cli.state import StateDir, StateOption

if TYPE_CHECKING:
    from relay.config.explain import AddressPolicy
    from relay.config.problems import Problem
    from relay.core.delivery import Policy
    from relay.core.jsonform import Json

app = typer.Typer(
    name="policy", no_args_is_help=True, help="Check policies, and ask what they say of an address."
)

PolicyOption = Annotated[
    str,
    typer.Option(
        "--policy",
        "-p",
        envvar="RELAY_POLICY",
        metavar="FILE|NAME",
        autocompletion=completion.policy,
        help="Policy file, or the name of a shipped policy.",
    ),
]
"""The option that names the policy in force."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_WIDTH = 80
_TESTED = "what it would refuse is recorded, and goes its way"
_RELOAD_SECONDS = 15.0
"""How long a running relay may take to read its policy again."""


def policy_path(name_or_path: str) -> Path:
    """Return the policy file that the user means, or end the command."""
    from relay.config.policy_file import PolicyNotFoundError, find_policy

    try:
        return find_policy(name_or_path)
    except PolicyNotFoundError as error:
        fail(str(error), hint=error.hint)


def open_policy(name_or_path: str) -> Policy:
    """Load the policy that the user means, or end the command with every problem in it."""
    from relay.config.policy_file import load_policy
    from relay.config.problems import PolicyFileError
    from relay.lab.catalogue import SCENARIOS

    path = policy_path(name_or_path)
    try:
        return load_policy(path, known_scenarios=frozenset(SCENARIOS))
    except PolicyFileError as error:
        for problem in error.problems:
            typer.echo(str(problem), err=True)
        count = len(error.problems)
        fail(
            f"{path} can't be used: {count} problem{'s' if count > 1 else ''}",
            hint=f"See the lines themselves with: relay policy lint {path}",
        )
    except OSError as error:
        fail(f"can't read {path}: {error.strerror}")


@app.command()
def lint(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            autocompletion=completion.policy,
            help="Policy files, or names of shipped policies.",
        ),
    ],
    *,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 1 on warnings as well as on errors.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check policy files, and warn of what surprises.

    Every problem is told with its place. Exit code 0: usable; 1: a file has errors (with --strict:
    or warnings); 2: a file is missing.
    """
    from relay.config.masking import masked
    from relay.config.problems import Severity

    paths = [policy_path(file) for file in files]
    found = {str(path): _problems(path) for path in dict.fromkeys(paths)}
    problems = [problem for file in found.values() for problem in file]
    errors = sum(problem.severity is Severity.ERROR for problem in problems)
    if as_json:
        from relay.core.jsonform import to_json

        print_json(to_json(problems))
    else:
        for file, its_problems in found.items():
            text = Path(file).read_bytes().decode("utf-8-sig", "replace")
            lines = masked(text).splitlines()
            for problem in its_problems:
                typer.echo(_lint_text(problem, lines))
        warnings = len(problems) - errors
        typer.echo(
            f"{counted(len(found), 'file')}: {counted(errors, 'error')}, "
            f"{counted(warnings, 'warning')}"
        )
    if errors or (strict and problems):
        raise typer.Exit(ExitCode.FINDING)


def _problems(path: Path) -> tuple[Problem, ...]:
    from relay.config.lint import lint as find_warnings
    from relay.config.policy_file import load_policy_file
    from relay.config.problems import PolicyFileError
    from relay.lab.catalogue import SCENARIOS

    try:
        return find_warnings(load_policy_file(path, known_scenarios=frozenset(SCENARIOS)))
    except PolicyFileError as error:
        return error.problems
    except OSError as error:
        fail(f"can't read {path}: {error.strerror}")


def _lint_text(problem: Problem, lines: list[str]) -> str:
    """Return a problem as editors parse it, its words, and the line that it is about."""
    place = problem.place
    about = f" in {problem.path}" if problem.path else ""
    head = f"{place}:{place.column}: {problem.severity.value}{about}"
    words = textwrap.fill(
        problem.words, _WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False
    )
    parts = [head, words]
    if 0 < place.line <= len(lines) and lines[place.line - 1].strip():
        parts += _source_with_caret(lines[place.line - 1], place.line, place.column)
    return "\n".join(parts) + "\n"


def _source_with_caret(source: str, line: int, column: int) -> list[str]:
    margin = f"  {line} | "
    room = _WIDTH - len(margin) - 1
    # A long line is shown from where its caret fits into the width.
    start = max(0, column - room // 2) if len(source) > room else 0
    shown = "".join(c if c.isprintable() else " " for c in source[start : start + room])
    caret = f"{'| ':>{len(margin)}}{' ' * (column - 1 - start)}^"
    return [f"{margin}{shown}", caret]


@app.command()
def explain(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="A recipient's address.")],
    *,
    sender: Annotated[
        str, typer.Option("--from", metavar="SENDER", help="Reverse path; '' for the null one.")
    ] = "sender@example.test",
    policy: PolicyOption = "required-verify",
    as_json: JsonOption = False,
) -> None:
    """Say what a policy makes of mail to an address. Nothing is sent."""
    from relay.config.explain import explain_address, is_address

    loaded = open_policy(policy)
    try:
        found = explain_address(loaded, address, sender=sender)
    except ValueError as error:
        wrong = sender if is_address(address) else address
        fail(f"{wrong!r}: {error}", hint="Give an address such as jane@example.com.")
    if as_json:
        from relay.core.jsonform import to_json

        print_json(to_json(found))
        return
    if found.in_front is not None:
        typer.echo(_filled(f"Everything goes through {found.in_front}.", "") + "\n")
    by = f" from {found.sender or '<>'}" if loaded.routing.email_relays.filters else ""
    typer.echo(f"{found.address}{by} under {found.policy}\n")
    no_host = _no_host(loaded, found)
    for name, value in _explained(found, no_host=no_host):
        typer.echo(_filled(value, f"  {name:<20}"))


def _filled(words: str, head: str) -> str:
    return textwrap.fill(
        words,
        _WIDTH,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_on_hyphens=False,
    )


def _no_host(policy: Policy, found: AddressPolicy) -> str | None:
    """Say why no host is asked, and what follows; None where there is one, or may be."""
    from relay.core.routing import RouteOrigin
    from relay.lab.catalogue import DNS_SCENARIOS

    if found.route_origin is RouteOrigin.INVALID_DOMAIN:
        return "the message is dropped, and reads as sent"
    scenario = DNS_SCENARIOS.get(found.route.removeprefix("lab/"))
    if scenario is None or scenario.problem is None:
        return None

    from relay.core.bounces import explain_failure
    from relay.core.outcomes import DnsFailure

    failure = DnsFailure(problem=scenario.problem, name=found.domain)
    return f"{explain_failure(failure).cause} Not delivered: {policy.codes.entry(failure)}"


def _explained(found: AddressPolicy, *, no_host: str | None) -> list[tuple[str, str]]:
    route = found.route if found.route_place is None else f"{found.route} ({found.route_place})"
    return [
        ("TLS setting", found.setting.label),
        *([("only tested", f"{found.tested.label}: {_TESTED}")] if found.tested else []),
        ("rule", f"{found.rule} ({found.place})"),
        ("because", found.reason),
        ("lowest TLS version", found.minimum_tls.value),
        ("route", route),
        ("because", found.route_reason),
        *([("AUTH", f"as {found.logs_in_as}, once verified")] if found.logs_in_as else []),
        *(
            [("host", f"none: {no_host}")]
            if no_host
            else [
                ("no TLS offered", found.if_no_tls),
                ("failed handshake", found.if_handshake_fails),
                ("bad certificate", found.if_bad_certificate),
            ]
        ),
    ]


@app.command("reload")
def reload_policy(*, state: StateOption = None, as_json: JsonOption = False) -> None:
    """Let the running relay read its policy file again.

    Says how that ended. The fault scripts of --lab-script are read again, too. A file with problems
    changes nothing: what was in force before stays so. What is being sent just now ends under the
    policy that it began under.

    Exit code 0: the files are in force; 1: one has problems; 3: no relay serves, or none answered.
    """
    from relay.cli.readyz import missing
    from relay.cli.reloading import wait_for_report
    from relay.cli.serving import read_serving
    from relay.cli.signals import HANGUP
    from relay.core.jsonform import to_json

    where = StateDir.of(state)
    serving = read_serving(where.serving)
    # A process that merely has a dead relay's number must not get the signal: it would end.
    if serving is None or missing(serving):
        fail(
            f"no relay serves from {where.path}",
            hint="Start one with `relay serve`, or name its directory with --state.",
            code=ExitCode.UNDETERMINED,
        )
    if HANGUP is None:
        fail(
            "this system has no signal that could ask for a reload",
            hint="Stop the relay and start it again.",
            code=ExitCode.UNDETERMINED,
        )
    asked = time.monotonic()
    try:
        os.kill(serving.pid, HANGUP)
    except OSError as error:
        fail(f"process {serving.pid}: {error.strerror}", code=ExitCode.UNDETERMINED)
    report = wait_for_report(
        where.reload_report, pid=serving.pid, since=asked, within=_RELOAD_SECONDS
    )
    if report is None:
        fail(
            f"the relay (process {serving.pid}) did not answer within {_RELOAD_SECONDS:.0f} s",
            hint="Look at what `relay serve` says.",
            code=ExitCode.UNDETERMINED,
        )
    if as_json:
        print_json(to_json(report))
    else:
        for line in report.lines:
            typer.echo(line)
    if not report.complete:
        raise typer.Exit(ExitCode.FINDING)


@app.command()
def schema() -> None:
    """Print the JSON Schema of policy files, for editors."""
    from relay.config.schema import policy_schema

    print_json(policy_schema())


@app.command()
def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", autocompletion=completion.policy, help="A shipped policy's name."
        ),
    ],
) -> None:
    """Print a shipped policy with its comments, to begin one's own with."""
    from relay.config.policy_file import PolicyNotFoundError, find_shipped_policy

    try:
        path = find_shipped_policy(name)
    except PolicyNotFoundError as error:
        fail(str(error), hint=error.hint)
    typer.echo(path.read_text("utf-8"), nl=False)


@app.command("list")
def list_policies(*, as_json: JsonOption = False) -> None:
    """List the shipped policies."""
    from relay.config.policy_file import load_policy_file, shipped_policies

    rows: list[Json] = []
    lines = [f"{'NAME':<24}{'TLS':<18}{'REPLY':<8}ONLY FOR"]
    for path in shipped_policies():
        loaded = load_policy_file(path)
        carrier = loaded.policy.routing.email_relays.carries_everything
        setting = (carrier.tls if carrier else loaded.tls.default).setting.value
        reply = loaded.policy.delivery.reply.value
        listed = [str(entry.pattern) for entry in loaded.tls.restrictions]
        names: list[Json] = [*listed]
        rows.append(
            {
                "name": path.stem,
                "tls": setting,
                "restrict_tls_to": names,
                "reply": reply,
                "file": str(path),
            }
        )
        lines.append(f"{path.stem:<24}{setting:<18}{reply:<8}{', '.join(listed)}".rstrip())
    if as_json:
        print_json(rows)
        return
    typer.echo("\n".join(lines))
