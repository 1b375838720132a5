"""Evidence in a file: gathered on a machine that reaches a host, and judged on another.

    {"format": "relaylab-evidence", "version": 1, "records": [DomainRecord, ...]}

Records have the JSON form that all of ours have (`relay.core.jsonform`). A file may come from
anywhere, so it is read whole and checked, or refused with every problem in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509

from relay.audit.on_record import DomainRecord
from relay.core.addresses import parse_address
from relay.core.evidence import NotTried, TlsEvidence
from relay.core.jsonform import to_json
from relay.journal.whole_files import write_whole

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FORMAT: Final = "relaylab-evidence"
VERSION: Final = 1
_SHOWN: Final = 120
"""Characters shown of what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceProblem:
    """One thing that is wrong with a file: where, as `line:column` or a path of keys, and what."""

    file: str
    where: str
    what: str

    def __str__(self) -> str:
        return ":".join(part for part in (self.file, self.where) if part) + f": {self.what}"


class EvidenceFileError(ValueError):
    """A file is no evidence; `problems` are all that are wrong with it."""

    def __init__(self, problems: Sequence[EvidenceProblem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


def save_evidence(path: Path, records: Iterable[DomainRecord]) -> None:
    """Write records to a file, which holds the old ones until the new ones are whole.

    Raises OSError.
    """
    content = {"format": FORMAT, "version": VERSION, "records": to_json(list(records))}
    write_whole(path, (json.dumps(content, indent=1) + "\n").encode("ascii"))


def load_evidence(path: Path) -> tuple[DomainRecord, ...]:
    """Read a file that `save_evidence` wrote, here or elsewhere.

    Raises EvidenceFileError with every problem, OSError where the file can't be read.
    """
    return parse_evidence(path.read_bytes(), name=str(path))


def parse_evidence(data: bytes, *, name: str) -> tuple[DomainRecord, ...]:
    """Make records of a file's octets; raises EvidenceFileError, whose places name `name`."""
    from pydantic import ValidationError

    def refused(*found: tuple[str, str]) -> EvidenceFileError:
        return EvidenceFileError(
            [EvidenceProblem(file=name, where=where, what=what) for where, what in found]
        )

    try:
        content = json.loads(data)
    except json.JSONDecodeError as error:
        raise refused((f"{error.lineno}:{error.colno}", f"not JSON: {error.msg}")) from None
    except (ValueError, RecursionError):
        raise refused(("", "not JSON that can be read")) from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        hint = "write one with `relay check --save FILE`"
        raise refused(("", f"not evidence: 'format' must be {FORMAT!r}; {hint}"))
    if content.get("version") != VERSION:
        what = f"version {content.get('version')!r} is not known here, only {VERSION}"
        raise refused(("version", what))
    try:
        records: tuple[DomainRecord, ...] = _adapter().validate_python(content.get("records"))
    except ValidationError as error:
        raise refused(
            *((_path("records", *d["loc"]), d["msg"][:_SHOWN]) for d in error.errors())
        ) from None
    if doubts := [doubt for at, record in enumerate(records) for doubt in _doubts(at, record)]:
        raise refused(*doubts)
    return records


@cache
def _adapter() -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(tuple[DomainRecord, ...])


def _path(*steps: int | str) -> str:
    return ".".join(map(str, steps))


def _doubts(at: int, record: DomainRecord) -> Iterator[tuple[str, str]]:
    """Find what no session of ours can have recorded, and no examination could be asked about."""
    try:
        if record.domain != parse_address(f"postmaster@{record.domain}").domain:
            yield _path("records", at, "domain"), "not a domain in lower case, as A-labels"
    except ValueError as error:
        yield _path("records", at, "domain"), str(error)[:_SHOWN]
    for number, host in enumerate(record.seen):
        where = _path("records", at, "seen", number)
        if host.at.tzinfo is None:
            yield f"{where}.at", "a time without an offset from UTC"
        if host.evidence is not None:
            yield from _evidence_doubts(f"{where}.evidence", host.evidence)


def _evidence_doubts(where: str, evidence: TlsEvidence) -> Iterator[tuple[str, str]]:
    if evidence.observed_at.tzinfo is None:
        yield f"{where}.observed_at", "a time without an offset from UTC"
    if not isinstance(evidence.handshake, NotTried) and evidence.offer is None:
        yield f"{where}.offer", "missing, although a handshake was tried"
    for number, pem in enumerate(evidence.chain):
        try:
            x509.load_pem_x509_certificate(pem.encode("ascii"))
        except (ValueError, x509.InvalidVersion):
            yield f"{where}.chain.{number}", "not a certificate in PEM"
