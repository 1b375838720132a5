"""Reads what `strace -f -y` wrote, and says of every 250 whether the disk had the message then."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_LINE = re.compile(r"(\d+) +(.*)", re.DOTALL)
_UNFINISHED = re.compile(r"(\w+)\((.*) <unfinished \.\.\.>", re.DOTALL)
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)\) += (.+)", re.DOTALL)
_CALL = re.compile(r"(\w+)\((.*)\) += (.+)", re.DOTALL)
_PROMISE = re.compile(r"250 2\.0\.0 Ok: queued as (\w+)")


@dataclass(frozen=True)
class Call:
    """A system call; `began` and `ended` are places in the trace."""

    name: str
    arguments: str
    result: str
    began: int
    ended: int


def calls(trace: str) -> Iterator[Call]:
    """Yield the calls that returned, in the order of their returns."""
    begun: dict[str, tuple[str, int]] = {}
    for place, line in enumerate(trace.splitlines()):
        found = _LINE.fullmatch(line)
        if found is None:
            continue
        thread, text = found.groups()
        if unfinished := _UNFINISHED.fullmatch(text):
            begun[thread] = (unfinished[2], place)
        elif resumed := _RESUMED.fullmatch(text):
            arguments, began = begun.pop(thread)
            yield Call(resumed[1], arguments + resumed[2], resumed[3], began, place)
        elif whole := _CALL.fullmatch(text):
            yield Call(whole[1], whole[2], whole[3], place, place)


@dataclass(frozen=True)
class Promises:
    """Messages by id: those whose 250 came after the disk had them, and those whose did not."""

    kept: frozenset[str]
    broken: frozenset[str]


def promises(trace: str, contents: dict[str, str]) -> Promises:
    """Find every 250 in a trace, and whether the message was on disk when it was written.

    `contents` gives a text of each message's body by id. On disk means: id and text had been
    written to the write-ahead log, and a sync of that log that began later had returned.
    """
    writes: list[Call] = []
    syncs: list[Call] = []
    answers: dict[str, Call] = {}
    for call in calls(trace):
        match call.name:
            case "pwrite64" | "pwritev" | "write" if "journal.sqlite3-wal>" in call.arguments:
                writes.append(call)
            case "fsync" | "fdatasync" if "journal.sqlite3-wal>" in call.arguments:
                if call.result == "0":
                    syncs.append(call)
            case _:
                for message_id in _PROMISE.findall(call.arguments):
                    answers[message_id] = call
    kept = set()
    for message_id, answer in answers.items():
        texts = (message_id, contents[message_id])
        written = [next((w.ended for w in writes if t in w.arguments), None) for t in texts]
        if None not in written and any(
            sync.began > max(place for place in written if place is not None)
            and sync.ended < answer.began
            for sync in syncs
        ):
            kept.add(message_id)
    return Promises(kept=frozenset(kept), broken=frozenset(answers.keys() - kept))
