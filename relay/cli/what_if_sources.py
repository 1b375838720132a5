"""Where `relay what-if` takes destinations and evidence from: journal, files, lists, logs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

import typer

from relay.cli.console import ExitCode, console, fail
from relay.cli.progress import progress_bar

if TYPE_CHECKING:
    from datetime import datetime

    from relay.audit.asking import Asking
    from relay.audit.on_record import DomainRecord
    from relay.cli.state import StateDir
    from relay.core.delivery import Policy
    from relay.formats.email_log_reader import LogProblem
    from relay.journal.api import JournalReader, MessageRecord
    from relay.tls.trust import TrustStores

PAGE: Final = 200
"""Messages read at a time."""
_SHOWN: Final = 20
"""Problems of one file that are printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """Where destinations come from besides the journal; at most one of them."""

    stdin: bool = False
    addresses: Path | None = None
    email_log: Path | None = None
    postfix_log: Path | None = None

    @property
    def given(self) -> int:
        """How many of them were named."""
        files = (self.addresses, self.email_log, self.postfix_log)
        return self.stdin + sum(file is not None for file in files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A policy, and why it is this one."""

    policy: Policy
    because: str


@contextmanager
def journal_of(where: StateDir) -> Iterator[JournalReader | None]:
    """Open the journal, also beside a running relay; None where there is none yet."""
    from relay.journal.api import JournalError, NoJournal
    from relay.journal.sqlite_reader import open_reader

    try:
        with closing(open_reader(where.journal)) as journal:
            yield journal
            return
    except NoJournal:
        pass
    except JournalError as error:
        fail(str(error), code=ExitCode.UNDETERMINED)
    yield None


def messages_of(
    journal: JournalReader, *, since: datetime | None, as_json: bool
) -> Iterator[MessageRecord]:
    """Yield messages with their attempts but no sessions, a page at a time; show how far it is."""
    err = console(stderr=True)
    # How many of them are new enough, nobody has counted.
    total = None if since else journal.counts().messages
    with progress_bar(err, "reading the journal", total=total, hidden=as_json) as update:
        after = None
        while page := journal.records(PAGE, after=after, since=since, sessions=False):
            for record in page:
                if since is None or record.envelope.received_at >= since:
                    yield record
            update(advance=len(page))
            after = page[-1].envelope.id


def policy_on_record(journal: JournalReader | None) -> Chosen:
    """Return the policy of the newest message on record, or the default one."""
    from relay.cli.policy import open_policy
    from relay.config.policy_file import DEFAULT_POLICY, PolicyNotFoundError, find_policy

    newest = journal.messages(1) if journal else ()
    if not newest:
        because = "the default, for no message is on record"
        return Chosen(policy=open_policy(DEFAULT_POLICY), because=because)
    envelope = newest[0].envelope
    for name in (envelope.policy, Path(envelope.policy).stem):
        try:
            find_policy(name)
        except PolicyNotFoundError:
            continue
        policy = open_policy(name)
        changed = "" if policy.sha256 == envelope.policy_sha256 else ", changed since"
        return Chosen(policy=policy, because=f"that of the newest message on record{changed}")
    because = f"the default, for {envelope.policy} of the newest message is not here; see --from"
    return Chosen(policy=open_policy(DEFAULT_POLICY), because=because)


def evidence_in(files: Iterable[Path]) -> list[DomainRecord]:
    """Read evidence files, or end the command with every problem in one."""
    from relay.audit.evidence_file import EvidenceFileError, load_evidence

    records: list[DomainRecord] = []
    for file in files:
        try:
            records += load_evidence(file)
        except EvidenceFileError as error:
            for problem in error.problems[:_SHOWN]:
                typer.echo(str(problem), err=True)
            fail(f"{file} can't be used", hint="Write one with `relay check HOST --save FILE`.")
        except OSError as error:
            fail(f"can't read {file}: {error.strerror}")
    return records


def ask_lists(lists: Lists, asking: Asking) -> str | None:
    """Take destinations from a list or a log; return what it was, None where none is given."""
    if lists.stdin:
        return _read(sys.stdin, "stdin", asking, _from_list)
    for file, read in (
        (lists.addresses, _from_list),
        (lists.email_log, _from_email_log),
        (lists.postfix_log, _from_postfix_log),
    ):
        if file is None:
            continue
        try:
            with file.open(encoding="utf-8", errors="backslashreplace", newline="") as lines:
                return _read(lines, str(file), asking, read)
        except OSError as error:
            fail(f"can't read {file}: {error.strerror}")
    return None


@dataclass(slots=True)
class _Tally:
    """What a file turned out to hold."""

    found: int = 0
    others: int = 0
    problems: int = 0

    def problem(self, problem: LogProblem) -> None:
        self.problems += 1
        if self.problems <= _SHOWN:
            typer.echo(str(problem), err=True)


_Read = Callable[[TextIO, str, "Asking", _Tally], None]


def _read(lines: TextIO, name: str, asking: Asking, read: _Read) -> str:
    tally = _Tally()
    read(lines, name, asking, tally)
    if tally.problems > _SHOWN:
        typer.echo(f"{name}: and {tally.problems - _SHOWN} more", err=True)
    if not tally.found:
        fail(
            f"{name} names no destination",
            hint="Give an address or a domain on each line, or name the kind of log: "
            "--email-log, --postfix-log.",
        )
    parts = [f"{tally.found} entr{'y' if tally.found == 1 else 'ies'} of {name}"]
    if tally.problems:
        parts.append(f"{tally.problems} can't be read")
    if tally.others:
        parts.append(f"{tally.others} other lines")
    return ", ".join(parts)


def _from_list(lines: TextIO, name: str, asking: Asking, tally: _Tally) -> None:
    from relay.formats.destination_list import Listed, read_destinations

    for entry in read_destinations(lines, file=name):
        if isinstance(entry, Listed):
            tally.found += 1
            asking.add(entry)
        else:
            tally.problem(entry)


def _from_email_log(lines: TextIO, name: str, asking: Asking, tally: _Tally) -> None:
    from relay.core.addresses import parse_address
    from relay.formats.destination_list import Listed
    from relay.formats.email_log import LogRow, MailEvent
    from relay.formats.email_log_reader import read_email_log

    for row in read_email_log(lines, file=name):
        if isinstance(row, LogRow):
            tally.found += 1
            listed = Listed(domain=parse_address(row.recipient).domain, recipient=row.recipient)
            # Each message has one such row for each recipient, and any number of others.
            asking.add(listed, messages=row.event is MailEvent.RECEIVED)
        else:
            tally.problem(row)


def _from_postfix_log(lines: TextIO, name: str, asking: Asking, tally: _Tally) -> None:
    from relay.core.addresses import parse_address
    from relay.formats.destination_list import Listed
    from relay.formats.postfix_log import PostfixDelivery, read_postfix_log

    for line in read_postfix_log(lines, file=name):
        match line:
            case None:
                tally.others += 1
            case PostfixDelivery(recipient=recipient, status=status):
                tally.found += 1
                listed = Listed(domain=parse_address(recipient).domain, recipient=recipient)
                asking.add(listed, messages=status.final)
            case problem:
                tally.problem(problem)


def stores_of(where: StateDir) -> TrustStores:
    """Return what policies trust; the lab's authority where this state directory has one."""
    from relay.lab.authority import LabAuthority
    from relay.tls.trust import TrustStores

    if not where.certificates.is_dir():
        return TrustStores()
    authority = LabAuthority(where.certificates)
    return TrustStores(
        lambda: authority.root_pem, lab_intermediates=lambda: authority.intermediates_pem
    )
