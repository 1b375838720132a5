"""A proof as a report: what the table, JUnit and the auditor's page are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from relay.audit.proof import Verdict
from relay.audit.proof_file import Proof
from relay.audit.prove import ScenarioRecord, promises_of
from relay.audit.shown import is_about, verb_of
from relay.formats.report import Cell, Mark, Report, ReportRow, Section
from relay.lab.catalogue import SCENARIOS

_MARKS: Final = {
    Verdict.ENFORCED: Mark.GOOD,
    Verdict.LEAKED: Mark.BAD,
    Verdict.OVER_BLOCKED: Mark.BAD,
    Verdict.INCONCLUSIVE: Mark.UNKNOWN,
}
_ORDER: Final = (Verdict.LEAKED, Verdict.OVER_BLOCKED, Verdict.INCONCLUSIVE, Verdict.ENFORCED)
_SESSIONS: Final = 3
_LINES: Final = 40
"""How many sessions of a scenario are shown line by line, and how many lines; a file has all."""
_NOTE: Final = (
    "Verdicts come from the receivers' own records: what they were shown, octet by octet. Enforced "
    "needs a final outcome or three attempts, because some mail servers go on in clear text on a "
    "later one; where nothing connected, nothing is called enforced. In transcripts, <-- is what "
    "the sender said in clear text, and <~~ what it said under TLS."
)


def words(verdict: Verdict) -> str:
    """Return a verdict as people read it: a leak is not to be overlooked."""
    return "LEAKED" if verdict is Verdict.LEAKED else verdict.value


def overall(proof: Proof) -> Verdict:
    """Return the worst verdict of a proof."""
    found = {record.proof.verdict for record in proof.scenarios}
    return next(verdict for verdict in _ORDER if verdict in found)


def report(proof: Proof) -> Report:
    """Return the report of a proof."""
    promises = promises_of(proof.claim)
    rows = tuple(_row(record, str(promises[record.marked.scenario])) for record in proof.scenarios)
    return Report(
        title=f"Is {proof.claim.label} enforced?",
        summary=_summary(proof),
        mark=_MARKS[overall(proof)],
        facts=tuple(_facts(proof)),
        sections=(
            Section(
                title="Scenarios",
                columns=("scenario", "promised", "verdict", "tries", "received"),
                rows=rows,
            ),
        ),
        notes=(_NOTE,),
    )


def _summary(proof: Proof) -> str:
    verdicts = Counter(record.proof.verdict for record in proof.scenarios)
    counts = ", ".join(f"{verdicts[v]} {words(v)}" for v in _ORDER if verdicts[v])
    match overall(proof):
        case Verdict.ENFORCED:
            return f"Yes, {proof.claim.label} is enforced: {counts}."
        case Verdict.LEAKED:
            return f"No, {proof.claim.label} is not enforced: {counts}."
        case Verdict.OVER_BLOCKED:
            return f"Nothing leaked, but more is refused than {proof.claim.label} asks: {counts}."
        case Verdict.INCONCLUSIVE:
            return f"It could not be determined whether {proof.claim.label} is enforced: {counts}."


def _facts(proof: Proof) -> Iterator[tuple[str, str]]:
    yield "Claim", f"{proof.claim.label} (promises {proof.promises_sha256[:16]})"
    yield "Sender", proof.sender
    if proof.policy is not None:
        yield "Policy", f"{proof.policy.source}, SHA-256 {proof.policy.sha256}"
    yield "When", f"{proof.started_at:%Y-%m-%d %H:%M:%S} to {proof.ended_at:%H:%M:%S %Z}"
    yield "Made by", ", ".join(f"{name} {version}" for name, version in proof.versions.items())
    yield "Run", proof.run


def _row(record: ScenarioRecord, promised: str) -> ReportRow:
    proof, scenario = record.proof, record.marked.scenario
    mark = _MARKS[proof.verdict]
    return ReportRow(
        name=scenario,
        mark=mark,
        cells=(
            Cell(text=promised),
            Cell(text=words(proof.verdict), mark=mark),
            Cell(text=str(proof.attempts)),
            Cell(text=_short(record)),
        ),
        because=_because(record),
        evidence=tuple(_evidence(record)),
    )


def _because(record: ScenarioRecord) -> str:
    """Return why, after what the receiver does; not where it was never met, for it did nothing."""
    because = _sentence(record.proof.because)
    if record.proof.verdict is Verdict.INCONCLUSIVE and not record.sessions:
        return because
    return f"{SCENARIOS[record.marked.scenario].summary} {because}"


def _short(record: ScenarioRecord) -> str:
    here = [s for s in record.sessions if s.receiver == record.marked.scenario]
    own = [s for s in here if is_about(record.marked, s)]
    if any(s.messages for s in own):
        return "the message"
    if octets := sum(session.data_octets for session in own):
        return f"{octets} octets"
    verbs = {verb_of(line) for session in own for line in session.transcript}
    if verbs & {"MAIL", "RCPT"}:
        return "the envelope"
    return "credentials" if "AUTH" in verbs else "nothing"


def _evidence(record: ScenarioRecord) -> Iterator[str]:
    yield f"mailed to {record.marked.recipient}"
    if record.reported is not None:
        yield f"the sender was told, by {record.reported.by.value}: {record.reported.text}"
    yield from record.proof.evidence
    if record.proof.verdict is Verdict.LEAKED:
        # Its evidence has the transcript already, with the proving line.
        return
    for session in record.sessions[:_SESSIONS]:
        yield f"transcript of session {session.id}:"
        yield from (f"     {line}" for line in session.transcript[:_LINES])


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
