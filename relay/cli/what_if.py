"""`relay what-if`: what a change of policy would do to mail, told from the record."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relay.cli import completion
from relay.cli.console import ExitCode, counted, fail
from relay.cli.moments import FORMS, moment
from relay.cli.reporting import HtmlOption, JunitOption, ReportJsonOption, deliver
from relay.cli.state import StateDir, StateOption
from relay.cli.what_if_sources import Chosen, Lists

if TYPE_CHECKING:
    from relay.audit.asking import Asking
    from relay.audit.on_record import DomainRecord, Records
    from relay.audit.what_if import WhatIf
    from relay.core.addresses import Domain
    from relay.core.delivery import Policy
    from relay.core.jsonform import Json
    from relay.core.records import Session
    from relay.formats.destination_list import Listed
    from relay.journal.api import JournalReader


@dataclass(frozen=True, slots=True, kw_only=True)
class _Output:
    """How the result is given out, and what makes it a failure."""

    as_json: bool
    junit: Path | None
    html: Path | None
    fail_on_new_bounces: bool
    fail_on_unknown: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Probing:
    """Whether to probe, and how old an earlier probe may be."""

    wanted: bool
    max_age: timedelta
    allow_external: bool


def what_if(  # noqa: PLR0917 - one option each
    destinations: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DESTINATION...", help="Only these addresses or domains.", show_default=False
        ),
    ] = None,
    to_policy: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="POLICY",
            autocompletion=completion.policy,
            help="The policy as it would be: file or name.",
        ),
    ] = None,
    from_policy: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="POLICY",
            autocompletion=completion.policy,
            help="The policy as it is [default: that of the newest message on record].",
            show_default=False,
        ),
    ] = None,
    keep_routes: Annotated[
        bool,
        typer.Option(
            "--keep-routes", help="Mail goes where it goes now; all else is as --to says."
        ),
    ] = False,
    report_only: Annotated[
        bool,
        typer.Option(
            "--report-only", help="Sum up what `mode: testing` recorded; takes no other policy."
        ),
    ] = False,
    evidence: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Evidence that `relay check --save` wrote; may be repeated."
        ),
    ] = None,
    stdin: Annotated[
        bool, typer.Option("--stdin", help="Ask about the addresses and domains on stdin.")
    ] = False,
    addresses: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Ask about those in a file, one a line.")
    ] = None,
    email_log: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Those of a Salesforce e-mail log (CSV).")
    ] = None,
    postfix_log: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Those of a Postfix log.")
    ] = None,
    sender: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS|DOMAIN",
            help="Who sends, for destinations of a list, where domain filters look at it.",
        ),
    ] = None,
    by: Annotated[str, typer.Option(metavar="domain|recipient", help="What a row is.")] = "domain",
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help=f"Messages from then on: {FORMS}")
    ] = None,
    probe: Annotated[
        bool,
        typer.Option(
            "--probe",
            help="Gather what is unknown: connect, EHLO, STARTTLS, QUIT; never a message.",
        ),
    ] = False,
    probe_max_age: Annotated[
        str, typer.Option(metavar="AGE", help="How old an earlier probe may be: 30m, 24h, 7d.")
    ] = "1d",
    allow_external: Annotated[
        bool,
        typer.Option(
            "--allow-external",
            envvar="RELAY_ALLOW_EXTERNAL",
            help="Let hosts off this machine and its private networks be probed.",
        ),
    ] = False,
    fail_on_new_bounces: Annotated[
        bool,
        typer.Option("--fail-on-new-bounces", help="Exit 1 where mail would stop being delivered."),
    ] = False,
    fail_on_unknown: Annotated[
        bool, typer.Option("--fail-on-unknown", help="Exit 3 where something is not known.")
    ] = False,
    state: StateOption = None,
    as_json: ReportJsonOption = False,
    junit: JunitOption = None,
    html: HtmlOption = None,
) -> None:
    """Say what would become of mail under another policy. Nothing is sent.

    Recorded evidence is judged again: what the record doesn't contain is unknown. Exits 0; 1 with
    --fail-on-new-bounces where mail would stop being delivered; 3 where nothing is on record, or
    with --fail-on-unknown where something isn't known.
    """
    from relay.audit.asking import Asking, By, looks_at_senders
    from relay.cli.policy import open_policy
    from relay.cli.what_if_sources import ask_lists, evidence_in, journal_of, policy_on_record

    output = _Output(
        as_json=as_json,
        junit=junit,
        html=html,
        fail_on_new_bounces=fail_on_new_bounces,
        fail_on_unknown=fail_on_unknown,
    )
    where = StateDir.of(state)
    begin = moment(since, "--since")
    only = _destinations(destinations or [])
    if report_only:
        if to_policy or from_policy:
            fail("--report-only sums up what was recorded; it takes no --to and no --from")
        _report_only(where, begin, only, output)
        return
    if to_policy is None:
        fail("no --to POLICY", hint="Name the policy as it would be: --to required-verify")
    lists = Lists(stdin=stdin, addresses=addresses, email_log=email_log, postfix_log=postfix_log)
    if lists.given > 1:
        fail("--stdin, --addresses, --email-log and --postfix-log: one at a time")
    if by not in {each.value for each in By}:
        fail(f"--by {by}: give domain or recipient")
    probing = _Probing(wanted=probe, max_age=_age(probe_max_age), allow_external=allow_external)
    then = open_policy(to_policy)
    given = evidence_in(evidence or [])
    with journal_of(where) as journal:
        now = (
            Chosen(policy=open_policy(from_policy), because="given")
            if from_policy
            else policy_on_record(journal)
        )
        if keep_routes:
            then = replace(then, routing=now.policy.routing)
        asking = Asking(
            by=By(by),
            only=only,
            by_sender=looks_at_senders((now.policy, then)),
            sender=_sender(sender),
        )
        listed = ask_lists(lists, asking)
        gathered = _gather(journal, asking, since=begin, count=listed is None, as_json=as_json)
    question = _Question(
        where=where,
        now=now,
        then=then,
        asking=asking,
        listed=listed,
        gathered=gathered,
        given=given,
    )
    question.answer(probing, output)


@dataclass(slots=True, kw_only=True)
class _Gathered:
    """What the journal told."""

    messages: int = 0
    records: tuple[DomainRecord, ...] = ()


def _gather(
    journal: JournalReader | None,
    asking: Asking,
    *,
    since: datetime | None,
    count: bool,
    as_json: bool,
) -> _Gathered:
    """Read the journal once; with `count`, ask about what it holds."""
    from relay.audit.on_record import Gathering
    from relay.cli.what_if_sources import messages_of
    from relay.journal.api import NotFound

    def session_of(session_id: str) -> Session | None:
        assert journal is not None, "what was gathered came from it"
        try:
            return journal.session(session_id)
        except NotFound:
            return None

    gathering, messages = Gathering(), 0
    for record in messages_of(journal, since=since, as_json=as_json) if journal else ():
        messages += 1
        if count:
            asking.add_message(record)
        for attempt in record.attempts:
            gathering.add(attempt)
    return _Gathered(messages=messages, records=tuple(gathering.records(session_of)))


@dataclass(slots=True, kw_only=True)
class _Question:
    """Everything that a comparison is made of."""

    where: StateDir
    now: Chosen
    then: Policy
    asking: Asking
    listed: str | None
    gathered: _Gathered
    given: list[DomainRecord]
    notes: list[str] = field(default_factory=list)

    @property
    def policies(self) -> tuple[Policy, Policy]:
        return self.now.policy, self.then

    def answer(self, probing: _Probing, output: _Output) -> None:
        """Compare, probe what is unknown if that is wanted, give the result out, and exit."""
        from relay.audit.what_if_report import summary, what_if_report
        from relay.cli.what_if_probing import cached, run, wanted
        from relay.core.jsonform import to_json

        earlier = cached(self.where, max_age=probing.max_age)
        on_record = [*self.gathered.records, *earlier]
        result = self._compare(_records(self.given, on_record))
        missing = wanted(result, self.policies)
        if missing and probing.wanted:
            probes = run(
                tuple(missing.values()),
                self.policies,
                self.where,
                allow_external=probing.allow_external,
                as_json=output.as_json,
            )
            self.notes += [f"Not probed: {why}" for why in probes.not_reached]
            result = self._compare(_records(self.given, [*on_record, *probes.records]))
        elif missing:
            self.notes.append("What is not known can be probed, without a message: add --probe")
        self._hint_at_routes(result)
        if self.then.enforced != self.then:
            self.notes.append(
                f"Some of {self.then.source} is only tested (mode: testing), and refuses nothing"
            )
        report = what_if_report(result, facts=self._facts(len(earlier)), notes=self.notes)
        data = {"summary": summary(result), **_mapping(to_json(result))}
        deliver(report, data, as_json=output.as_json, junit=output.junit, html=output.html)
        raise typer.Exit(_exit_code(result, output))

    def _hint_at_routes(self, result: WhatIf) -> None:
        """Say so where only the other policy's routes are why something is not known."""
        from relay.audit.forecast import Unknown

        moved = {
            row.asked.domain
            for row in result.rows
            if isinstance(row.then, Unknown)
            and row.then.route is not None
            and not isinstance(row.now, Unknown)
        }
        if moved:
            count = f"{len(moved)} domain{'' if len(moved) == 1 else 's'}"
            self.notes.append(
                f"Mail to {count} goes elsewhere under {result.then.source}: with --keep-routes "
                "it goes where it goes now"
            )

    def _compare(self, known: Records) -> WhatIf:
        from relay.audit.what_if import compare
        from relay.cli.what_if_sources import stores_of
        from relay.tls.trust import TrustError

        try:
            return compare(
                now=self.now.policy,
                then=self.then,
                asked=self.asking,
                known=known,
                stores=stores_of(self.where),
                at=datetime.now(UTC),
            )
        except TrustError as error:
            fail(str(error))

    def _facts(self, probes: int) -> list[tuple[str, str]]:
        messages = self.gathered.messages
        parts = [f"{counted(messages, 'message')} on record"]
        if self.given:
            parts.append(f"{counted(len(self.given), 'domain')} of evidence files")
        if probes:
            parts.append(f"{counted(probes, 'domain')} probed earlier")
        named = "the destinations " + ("named" if self.asking.only else "on record")
        return [
            ("why now", self.now.because),
            ("asked", self.listed or named),
            ("evidence", ", ".join(parts)),
        ]


def _records(given: list[DomainRecord], on_record: list[DomainRecord]) -> Records:
    """Evidence that was named comes before what is on record, however old."""
    from relay.audit.on_record import Records, newest

    known = Records(given)
    for record in sorted(on_record, key=newest, reverse=True):
        known.add_older(record)
    return known


def _report_only(
    where: StateDir, since: datetime | None, only: tuple[Listed, ...], output: _Output
) -> None:
    from relay.audit.report_only import ReportOnly, report_only_report
    from relay.cli.what_if_sources import journal_of, messages_of
    from relay.core.jsonform import to_json

    tallies = ReportOnly()
    messages = 0
    with journal_of(where) as journal:
        as_json = output.as_json
        for record in messages_of(journal, since=since, as_json=as_json) if journal else ():
            messages += 1
            tallies.add(record)
    wanted = {each.domain for each in only}
    found = tuple(each for each in tallies.domains() if not wanted or each.domain in wanted)
    report = report_only_report(found, facts=[("evidence", f"{messages} messages on record")])
    data = {"summary": report.summary, "domains": to_json(found)}
    deliver(report, data, as_json=output.as_json, junit=output.junit, html=output.html)
    if output.fail_on_new_bounces and any(each.refused for each in found):
        raise typer.Exit(ExitCode.FINDING)
    if not found or (output.fail_on_unknown and any(each.unknown for each in found)):
        raise typer.Exit(ExitCode.UNDETERMINED)


def _exit_code(result: WhatIf, output: _Output) -> ExitCode:
    from relay.audit.what_if import Change

    stops = result.counts[Change.NEW_BOUNCE] + result.counts[Change.NEWLY_DROPPED]
    if output.fail_on_new_bounces and stops:
        return ExitCode.FINDING
    if not result.rows or (output.fail_on_unknown and result.counts[Change.UNKNOWN]):
        return ExitCode.UNDETERMINED
    return ExitCode.AS_EXPECTED


def _mapping(data: Json) -> dict[str, Json]:
    assert isinstance(data, dict), "a dataclass becomes an object"
    return data


def _destinations(texts: list[str]) -> tuple[Listed, ...]:
    from relay.formats.destination_list import read_destination

    try:
        return tuple(read_destination(text) for text in dict.fromkeys(texts))
    except ValueError as error:
        fail(str(error), hint="Give an address such as a@bank.test, or a domain.")


def _sender(text: str | None) -> Domain | None:
    from relay.formats.destination_list import read_destination

    try:
        return read_destination(text).domain if text else None
    except ValueError as error:
        fail(f"--sender {text}: {error}")


def _age(text: str) -> timedelta:
    import re

    found = re.fullmatch(r"(\d{1,6})([mhd])", text.strip())
    if found is None:
        fail(f"--probe-max-age {text}: not an age", hint="Give one such as 30m, 24h or 7d.")
    return timedelta(**{{"m": "minutes", "h": "hours", "d": "days"}[found[2]]: int(found[1])})
