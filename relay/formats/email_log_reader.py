"""Reading an e-mail log: one that `relay log export` wrote, or an org's own.

Columns are found by name, so that logs with others between or behind them are read as well; only
the recipient's is needed.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from relay.core.addresses import parse_address
from relay.core.places import Place
from relay.formats.email_log import Column, LogRow, MailEvent

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""The time of a row in a log without a date column."""

SHOWN: Final = 120
"""Characters shown of what is wrong."""

_ALSO: Final[Mapping[str, Column]] = MappingProxyType(
    {
        "datetime": Column.DATE,
        "date": Column.DATE,
        "event": Column.EVENT,
        "messageid": Column.MESSAGE_ID_HEADER,
        "relayport": Column.RELAY_PORT,
        "dsn": Column.DSN_TEXT,
        "deliverystatus": Column.DSN_TEXT,
    }
)
"""Other spellings of the names, without regard to case, blanks and signs."""
_DATE: Final = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4}) (\d{1,2}):(\d{2})(?::(\d{2}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogProblem:
    """A place that can't be read: what is wrong with it, and what would be right.

    `place.column` is the number of the field in its line, from 1.
    """

    place: Place
    what: str
    hint: str

    def __str__(self) -> str:
        return f"{self.place}:{self.place.column}: {self.what}; {self.hint}"


def read_email_log(
    lines: Iterable[str], *, file: str = "email log"
) -> Iterator[LogRow | LogProblem]:
    """Yield every row, and in place of each bad one its problems; it never stops early.

    Rows come in the file's order and are not held; `lines` is a text file opened with
    `newline=""`. A file without a `Recipient` column is one problem and no rows.
    """
    reader = csv.reader(_without_mark(lines))
    try:
        header = next(reader, None)
        if header is None:
            yield _problem(file, 1, 1, "the file is empty", "its first line names the columns")
            return
        where = _columns(header)
        if Column.RECIPIENT not in where:
            hint = "the first line of an e-mail log names its columns"
            yield _problem(file, 1, 1, f"there is no column {Column.RECIPIENT.value!r}", hint)
            return
        before = reader.line_num
        for fields in reader:
            line, before = before + 1, reader.line_num
            if any(fields):
                yield from _Line(file, line, fields, where).read()
    except csv.Error as error:
        hint = "a log is CSV with one record a line, its quotes in pairs"
        yield _problem(file, reader.line_num, 1, f"this is not CSV: {error}", hint)


def _without_mark(lines: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        yield line.removeprefix("\ufeff") if number == 0 else line


def _bare(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


_NAMES: Final = {_bare(column.value): column for column in Column}


def _columns(header: Sequence[str]) -> dict[Column, int]:
    found: dict[Column, int] = {}
    for position, name in enumerate(header):
        column = _NAMES.get(_bare(name)) or _ALSO.get(_bare(name))
        if column is not None:
            found.setdefault(column, position)
    return found


def _problem(file: str, line: int, column: int, what: str, hint: str) -> LogProblem:
    return LogProblem(place=Place(file, line, column), what=what, hint=hint)


class _Line:
    """One record of the file; a record may span lines, and is located by its first one."""

    def __init__(
        self, file: str, line: int, fields: Sequence[str], where: Mapping[Column, int]
    ) -> None:
        self._file, self._line, self._fields, self._where = file, line, fields, where
        self._problems: list[LogProblem] = []

    def read(self) -> Iterator[LogRow | LogProblem]:
        row = LogRow(
            at=self._date(),
            event=self._event(),
            recipient=self._recipient(),
            message_id=self._text(Column.MESSAGE_ID),
            sender=self._text(Column.SENDER),
            remote_host=self._text(Column.REMOTE_HOST),
            bytes_transferred=self._number(Column.BYTES),
            user_id=self._text(Column.USER_ID),
            message_id_header=self._text(Column.MESSAGE_ID_HEADER),
            retry_count=self._number(Column.RETRY_COUNT),
            seconds_in_queue=self._number(Column.SECONDS_IN_QUEUE),
            stage=self._text(Column.STAGE),
            relay_address=self._text(Column.RELAY_ADDRESS),
            relay_port=self._number(Column.RELAY_PORT),
            dsn_text=self._text(Column.DSN_TEXT),
            tls_cipher=self._text(Column.TLS_CIPHER),
            tls_verified=self._text(Column.TLS_VERIFIED),
        )
        yield from self._problems or (row,)

    def _text(self, column: Column) -> str:
        position = self._where.get(column)
        if position is None or position >= len(self._fields):
            return ""
        return self._fields[position].strip()

    def _wrong(self, column: Column, what: str, hint: str) -> None:
        position = self._where[column] + 1
        what = what if len(what) <= SHOWN else f"{what[:SHOWN]}..."
        self._problems.append(_problem(self._file, self._line, position, what, hint))

    def _number(self, column: Column) -> int | None:
        text = self._text(column)
        if not text:
            return None
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            self._wrong(column, f"{column.value} is {text!r}", "it must be a whole number")
            return None
        return int(text)

    def _event(self) -> MailEvent:
        text = self._text(Column.EVENT).upper()
        known = {event.value: event for event in MailEvent}
        if text in known or Column.EVENT not in self._where:
            return known.get(text, MailEvent.RECEIVED)
        self._wrong(Column.EVENT, f"{Column.EVENT.value} is {text!r}", "it must be R, D, T or P")
        return MailEvent.RECEIVED

    def _date(self) -> datetime:
        text = self._text(Column.DATE)
        if Column.DATE not in self._where:
            return EPOCH
        found = _DATE.fullmatch(text)
        try:
            if found is None:
                at = datetime.fromisoformat(text)
                return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
            month, day, year, hour, minute = (int(part) for part in found.groups()[:5])
            return datetime(year, month, day, hour, minute, int(found[6] or 0), tzinfo=UTC)
        except ValueError:
            hint = "it must be GMT, month first, such as 3/06/2009 13:37"
            self._wrong(Column.DATE, f"{Column.DATE.value} is {text!r}", hint)
            return EPOCH

    def _recipient(self) -> str:
        text = self._text(Column.RECIPIENT)
        try:
            parse_address(text)
        except ValueError as error:
            self._wrong(Column.RECIPIENT, str(error), "it must be an address, such as a@bank.test")
        return text
