"""Evidence files that can't be used: every problem, each with its place."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest

from relay.audit.evidence_file import FORMAT, EvidenceFileError, parse_evidence
from relay.audit.on_record import DomainRecord, HostRecord
from relay.core.addresses import Domain
from relay.core.evidence import ClientOffer, HandshakeFailed, HandshakeProblem, TlsEvidence
from relay.core.jsonform import to_json
from relay.core.routing import Hop
from relay.core.settings import TlsMode, TlsVersion

AT = datetime(2026, 3, 4, tzinfo=UTC)
HOP = Hop(host="mx.bank.test", address="127.0.0.1", port=25)
RECORD = DomainRecord(
    domain=Domain("bank.test"),
    route=None,
    hosts=(HOP,),
    seen=(
        HostRecord(
            hop=HOP,
            at=AT,
            evidence=TlsEvidence(
                mode=TlsMode.STARTTLS,
                observed_at=AT,
                starttls_offered=True,
                starttls_sent=True,
                offer=ClientOffer(
                    minimum_tls=TlsVersion.TLS1_2, verifying=False, server_name="mx.bank.test"
                ),
                handshake=HandshakeFailed(problem=HandshakeProblem.ALERT, detail="alert"),
            ),
        ),
    ),
)


def content() -> dict[str, Any]:
    return deepcopy({"format": FORMAT, "version": 1, "records": to_json((RECORD,))})


def problems_of(data: bytes) -> list[str]:
    with pytest.raises(EvidenceFileError) as caught:
        parse_evidence(data, name="e.json")
    return [str(problem) for problem in caught.value.problems]


def test_what_was_written_is_read() -> None:
    assert parse_evidence(json.dumps(content()).encode(), name="e.json") == (RECORD,)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b'{"format": 1,\n oops}', "e.json:2:2: not JSON"),
        (b"\x80{}", "e.json: not JSON that can be read"),
        (b"[" * 100_000, "e.json: not JSON that can be read"),
        (b"1" * 9_000, "e.json: not JSON that can be read"),
        (b"[]", "e.json: not evidence: 'format' must be 'relaylab-evidence'"),
        (b'{"format": "relaylab-evidence", "version": 2}', "e.json:version: version 2 is not"),
        (b'{"format": "relaylab-evidence", "version": 1}', "e.json:records: "),
    ],
)
def test_another_file_is_refused(data: bytes, problem: str) -> None:
    (only,) = problems_of(data)
    assert only.startswith(problem)


def test_every_problem_is_told_with_its_place() -> None:
    data = content()
    (record,) = data["records"]
    del record["seen"][0]["hop"]
    record["seen"][0]["evidence"]["mode"] = "sideways"
    record["hosts"][0]["port"] = "many"
    places = {problem.split(": ")[0] for problem in problems_of(json.dumps(data).encode())}
    assert places == {
        "e.json:records.0.seen.0.hop",
        "e.json:records.0.seen.0.evidence.mode",
        "e.json:records.0.hosts.0.port",
    }


@pytest.mark.parametrize(
    ("where", "value", "place"),
    [
        (("domain",), "Bank.test", "records.0.domain"),
        (("domain",), "bank..test", "records.0.domain"),
        (("seen", 0, "at"), "2026-03-04T00:00:00", "records.0.seen.0.at"),
        (
            ("seen", 0, "evidence", "observed_at"),
            "2026-03-04T00:00:00",
            "records.0.seen.0.evidence.observed_at",
        ),
        (("seen", 0, "evidence", "offer"), None, "records.0.seen.0.evidence.offer"),
        (("seen", 0, "evidence", "chain"), ["no PEM"], "records.0.seen.0.evidence.chain.0"),
    ],
)
def test_what_no_session_can_have_recorded_is_refused(
    where: tuple[str | int, ...], value: object, place: str
) -> None:
    data = content()
    at: Any = data["records"][0]
    for step in where[:-1]:
        at = at[step]
    at[where[-1]] = value
    (problem,) = problems_of(json.dumps(data).encode())
    assert problem.startswith(f"e.json:{place}: ")
