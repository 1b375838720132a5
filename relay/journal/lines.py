"""Bounces as JSON lines, for scripts to tail.

The journal comes first: a line is appended after its bounce was committed, and carries the bounce's
`sequence` there. Hence what a crash or a full disk left out can be told from the file's last line
and is appended later, in order: every bounce once, none missing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from io import FileIO
from pathlib import Path
from typing import Final, NamedTuple

_BLOCK: Final = 64 * 1024


class StoredBounce(NamedTuple):
    """A committed bounce; `record` is one line of JSON, an object."""

    sequence: int
    id: str
    record: str


class BounceLines:
    """The file of bounce lines; `committed(after)` yields the bounces behind a sequence number.

    No file is opened before `catch_up`.
    """

    def __init__(self, path: Path, committed: Callable[[int], Iterable[StoredBounce]]) -> None:
        self._path = path
        self._committed = committed
        self._file: FileIO | None = None
        self._last = 0

    def catch_up(self) -> None:
        """Append a line for each bounce that has none; raise OSError when the file can't take it.

        After an error the file is looked at afresh, and a torn line at its end is cut off.
        """
        try:
            if self._file is None:
                self._file = self._open()
            for bounce in self._committed(self._last):
                line = f'{{"sequence": {bounce.sequence}, {bounce.record[1:]}\n'.encode()
                if self._file.write(line) != len(line):
                    raise OSError(f"a line was written in part: {self._path}")
                self._last = bounce.sequence
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Close the file; the next `catch_up` opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> FileIO:
        file = FileIO(self._path, "a+")
        try:
            end = _cut_torn_line(file)
            last = _last_line(file, end)
            if last and not self._is_ours(last):
                # Another journal's lines, or none of ours: kept, but a new file goes on.
                file.close()
                self._path.rename(_unused_name(self._path))
                file = FileIO(self._path, "a+")
                last = b""
            self._last = json.loads(last)["sequence"] if last else 0
        except BaseException:
            file.close()
            raise
        return file

    def _is_ours(self, line: bytes) -> bool:
        """Whether the journal has the bounce that a line tells of, under the same number."""
        try:
            found = json.loads(line)
            sequence, bounce_id = found["sequence"], found["id"]
        except (ValueError, TypeError, KeyError):
            return False
        if not isinstance(sequence, int):
            return False
        stored = next(iter(self._committed(sequence - 1)), None)
        return stored is not None and (stored.sequence, stored.id) == (sequence, bounce_id)


def _cut_torn_line(file: FileIO) -> int:
    """Cut what stands behind the last line end; return the file's size then."""
    size = file.seek(0, os.SEEK_END)
    end = _find_line_end(file, size) + 1
    if end < size:
        file.truncate(end)
    return end


def _last_line(file: FileIO, end: int) -> bytes:
    if not end:
        return b""
    start = _find_line_end(file, end - 1) + 1
    file.seek(start)
    return _read(file, end - start)


def _find_line_end(file: FileIO, before: int) -> int:
    """Return where the last line end before an offset stands, -1 when there is none."""
    while before > 0:
        start = max(0, before - _BLOCK)
        file.seek(start)
        found = _read(file, before - start).rfind(b"\n")
        if found >= 0:
            return start + found
        before = start
    return -1


def _read(file: FileIO, size: int) -> bytes:
    parts = []
    while size and (part := file.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _unused_name(path: Path) -> Path:
    number = 1
    while (candidate := path.with_name(f"{path.name}.{number}")).exists():
        number += 1
    return candidate
