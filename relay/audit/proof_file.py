"""A proof as a file: what was claimed of whom, what every receiver kept, and the verdicts.

    {"format": 1, "digest": SHA-256 of the rest, "proof": {...}}

The digest shows a file that was changed by accident or by somebody who didn't compute it anew; it
is no signature. Judging the file again needs nothing but its sessions.
"""

from __future__ import annotations

import base64
import json
import platform
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from relay import __version__
from relay.audit.promises import KNOWN_GOOD
from relay.audit.proof import Reported, Told, Verdict
from relay.audit.prove import ScenarioRecord, judge_again, promises_of
from relay.core.jsonform import Json, to_json
from relay.core.settings import TlsSetting

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FORMAT: Final = 1
_KEYS: Final = {"format", "digest", "proof"}


class ProofFileError(Exception):
    """The file is no proof, or one that this version can't read; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFact:
    """The policy of a relay of ours: its name, and the SHA-256 of its text."""

    source: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One run. `sender` says in words who sent; `promises_sha256` is of what the claim promised.

    `policy` is None for a relay whose policy can't be seen from here.
    """

    run: str
    claim: TlsSetting
    promises_sha256: str
    sender: str
    policy: PolicyFact | None
    versions: dict[str, str]
    started_at: datetime
    ended_at: datetime
    scenarios: tuple[ScenarioRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A file that was read and judged again: `proof` says what its evidence says.

    `tampered` says that the digest does not fit; `changed` names scenarios whose verdict is another
    one now, with both; `other_promises` says that this version promises something else.
    """

    proof: Proof
    tampered: bool
    changed: tuple[tuple[str, Verdict, Verdict], ...]
    other_promises: bool

    @property
    def holds(self) -> bool:
        """Whether the file says what its own evidence says."""
        return not self.tampered and not self.changed


def versions() -> dict[str, str]:
    """Return what made the proof."""
    return {
        "relaylab": __version__,
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
    }


def promises_digest(claim: TlsSetting) -> str:
    """Return the SHA-256 of what a claim promises, receiver by receiver."""
    lines = [f"{name}: {promise}" for name, promise in sorted(promises_of(claim).items())]
    return sha256("\n".join(lines).encode()).hexdigest()


def dump(proof: Proof) -> str:
    """Return the file's text."""
    plain = proof_json(proof)
    return json.dumps({"format": FORMAT, "digest": _digest(plain), "proof": plain}, indent=1) + "\n"


def proof_json(proof: Proof) -> dict[str, Any]:
    """Return a proof as JSON data, with the receivers' messages in base 64."""
    plain: Any = to_json(proof)
    for record, scenario in zip(proof.scenarios, plain["scenarios"], strict=True):
        for session, found in zip(record.sessions, scenario["sessions"], strict=True):
            for message, kept in zip(session.messages, found["messages"], strict=True):
                kept["content"] = base64.b64encode(message.content).decode("ascii")
    found_proof: dict[str, Any] = plain
    return found_proof


def load(text: str) -> Reading:
    """Read a file and judge it again; raise ProofFileError."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProofFileError(f"it is no JSON: {error}") from error
    if not isinstance(data, dict) or set(data) != _KEYS:
        raise ProofFileError(f"it needs the keys {', '.join(sorted(_KEYS))} and no other")
    if data["format"] != FORMAT:
        raise ProofFileError(f"its format is {data['format']!r}; this version reads {FORMAT}")
    plain = data["proof"]
    tampered = data["digest"] != _digest(plain)
    proof = _proof(plain)
    again = judge_again(proof.scenarios, promises_of(proof.claim), until=proof.ended_at)
    return Reading(
        proof=replace(proof, scenarios=again),
        tampered=tampered,
        changed=tuple(_changes(proof.scenarios, again)),
        other_promises=proof.promises_sha256 != promises_digest(proof.claim),
    )


def with_bounces(proof: Proof, scenarios: Sequence[str]) -> Proof:
    """Return a proof to which its operator adds that the sender gave up on these scenarios.

    It is the operator's word and recorded as such: it ends a story, and hides no leak.
    """
    said = Reported(
        by=Told.OPERATOR, text="the sender gave up, says whoever ran the proof", final=True
    )
    told = [
        replace(record, reported=said) if record.marked.scenario in scenarios else record
        for record in proof.scenarios
    ]
    again = judge_again(told, promises_of(proof.claim), until=proof.ended_at)
    return replace(proof, scenarios=again)


def _changes(
    saved: Sequence[ScenarioRecord], again: Sequence[ScenarioRecord]
) -> list[tuple[str, Verdict, Verdict]]:
    return [
        (before.marked.scenario, before.proof.verdict, after.proof.verdict)
        for before, after in zip(saved, again, strict=True)
        if before.proof.verdict is not after.proof.verdict
    ]


def _proof(plain: Json) -> Proof:
    from pydantic import ValidationError

    try:
        proof = _adapter().validate_python(_with_octets(plain))
    except (ValidationError, ValueError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        where = ".".join(map(str, first["loc"])) if first else "a message's content"
        what = first["msg"] if first else "is not in base 64"
        raise ProofFileError(f"{where}: {what}") from error
    if not proof.scenarios:
        raise ProofFileError("it has no scenario")
    if unknown := [
        record.marked.scenario
        for record in proof.scenarios
        if record.marked.scenario not in promises_of(proof.claim)
    ]:
        raise ProofFileError(f"this version has no scenario {unknown[0]!r}")
    if doubt := _doubt(proof):
        raise ProofFileError(doubt)
    return proof


def _doubt(proof: Proof) -> str | None:
    """Return why the evidence can't be that of one run, None where it can."""
    marked = [record.marked for record in proof.scenarios]
    if marked[0].scenario != KNOWN_GOOD:
        return f"its first scenario is not {KNOWN_GOOD}"
    if len({one.scenario for one in marked}) < len(marked):
        return "a scenario stands in it twice"
    if len({one.mark for one in marked}) < len(marked):
        return "two scenarios have the same mark"
    for record in proof.scenarios:
        name = record.marked.scenario
        if not record.marked.mark.startswith(f"rlp-{proof.run}-"):
            return f"the mark of {name} is of another run"
        for session in record.sessions:
            last = session.ended_at or session.started_at
            if session.started_at < proof.started_at or last > proof.ended_at:
                return f"session {session.id} of {name} is of another time than the proof"
    return None


def _with_octets(plain: Json) -> Json:
    """Return the data with the messages' contents as octets; raise ValueError."""

    def walk(value: Any, key: str | None = None) -> Any:
        match value:
            case dict():
                return {name: walk(item, name) for name, item in value.items()}
            case list():
                return [walk(item) for item in value]
            case str() if key == "content":
                return base64.b64decode(value, validate=True)
            case _:
                return value

    return walk(plain)  # type: ignore[no-any-return]


def _adapter() -> TypeAdapter[Proof]:
    from pydantic import TypeAdapter

    return TypeAdapter(Proof)


def _digest(plain: Json) -> str:
    canonical = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return sha256(canonical.encode("ascii")).hexdigest()
