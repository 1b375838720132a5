"""The Salesforce-shaped API over HTTP: golden requests, paging, and Salesforce's own errors."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import record_builders as build
from client_faces import NOON, Faces, faces, mail
from test_web_problems import assert_problem

from relay.core.contacts import Contact, ContactObject
from relay.core.dsn import DsnRequest
from relay.core.outcomes import Stage
from relay.core.records import Reading, Returned
from relay.core.replies import StatusCode
from relay.journal.api import Batch
from relay.web.problems import ProblemKind
from relay.web.safety import Access

REASON = "550 5.1.1 User unknown"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Faces]:
    async with faces(tmp_path) as running:
        yield running


def contact(own: str, email: str, kind: ContactObject = ContactObject.CONTACT) -> Contact:
    return Contact(object=kind, id=own, email=email, first_name="Ann", last_name=own)


async def bounce(server: Faces, recipient: str) -> str:
    """Keep a message and its bounce, which flags the address; return the message's id."""
    message = await server.put(mail(f"to {recipient}"), to=(recipient,))
    at = NOON + timedelta(microseconds=123_456)
    record = build.bounce(
        id=f"b{message[1:]}",
        message_id=message,
        recipient=recipient,
        reverse_path="a@app.test",
        status=StatusCode(code=550, enhanced="5.1.1"),
        text="User unknown",
        stage=Stage.RCPT,
        at=at,
        salesforce=build.view(reason=REASON, at=at),
    )
    await server.journal.writer.write(Batch(bounces=(record,)))
    return message


def records(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["records"]
    return found


async def test_bounced_contacts_as_salesforce_tells_them(server: Faces) -> None:
    server.contacts.add([contact("003A", "ann@x.test"), contact("003B", "bob@x.test")])
    server.contacts.add([contact("00Q1", "ann@x.test", ContactObject.LEAD)])
    await bounce(server, "Ann@x.test")
    answer = await server.query(
        "SELECT id, email, Name, IsEmailBounced, EmailBouncedReason, EmailBouncedDate "
        "FROM contact WHERE EmailBouncedDate != null AND EmailBouncedDate = TODAY"
    )
    assert answer.json() == {
        "totalSize": 1,
        "done": True,
        "records": [
            {
                "attributes": {
                    "type": "Contact",
                    "url": "/services/data/v59.0/sobjects/Contact/003A",
                },
                "Id": "003A",
                "Email": "ann@x.test",
                "Name": "Ann 003A",
                "IsEmailBounced": True,
                "EmailBouncedReason": REASON,
                "EmailBouncedDate": "2026-03-01T12:00:00.123+0000",
            }
        ],
    }
    (lead,) = records(await server.query("SELECT Id FROM Lead WHERE IsEmailBounced = true"))
    assert lead["Id"] == "00Q1"
    (well,) = records(
        await server.query("SELECT EmailBouncedReason FROM Contact WHERE IsEmailBounced = false")
    )
    assert well["EmailBouncedReason"] is None


async def test_what_was_shown_is_what_compares_as_equal(server: Faces) -> None:
    """Code that polls asks for what is later than the last that it saw."""
    server.contacts.add([contact("003A", "ann@x.test")])
    await bounce(server, "ann@x.test")
    (found,) = records(await server.query("SELECT EmailBouncedDate FROM Contact"))
    seen = found["EmailBouncedDate"]
    later = await server.query(f"SELECT Id FROM Contact WHERE EmailBouncedDate > {seen}")
    assert records(later) == []
    same = await server.query(f"SELECT Id FROM Contact WHERE EmailBouncedDate = {seen}")
    assert len(records(same)) == 1


async def test_messages_are_email_messages_and_notifications_are_none(server: Faces) -> None:
    bounced = await bounce(server, "gone@x.test")
    await server.put(
        mail(), to=("a@x.test", "b@x.test"), subject="Hello", message_id_header="<1@x>"
    )
    await server.put(mail(), notification_for=bounced, dsn=DsnRequest())
    back = Returned(message_id=bounced, recipient="gone@x.test", reading=Reading.FAILED)
    await server.put(mail(), returned=(back,))
    answer = await server.query(
        "SELECT Id, FromAddress, ToAddress, Subject, MessageDate, MessageIdentifier, IsBounced "
        "FROM EmailMessage ORDER BY MessageDate DESC"
    )
    newest, oldest = records(answer)
    del newest["attributes"], newest["Id"]
    assert newest == {
        "FromAddress": "bounces@app.test",
        "ToAddress": "a@x.test; b@x.test",
        "Subject": "Hello",
        "MessageDate": "2026-03-01T12:02:00.000+0000",
        "MessageIdentifier": "<1@x>",
        "IsBounced": False,
    }
    assert (oldest["Id"], oldest["IsBounced"]) == (bounced, True)


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ("SELECT Id FRM Contact", "MALFORMED_QUERY", "unexpected token: 'FRM'"),
        ("DELETE FROM Contact", "MALFORMED_QUERY", "unexpected token: 'DELETE'"),
        (" ", "MALFORMED_QUERY", "the parameter q must have one query"),
        ("SELECT Id FROM Account", "INVALID_TYPE", "sObject type 'Account' is not supported"),
        ("SELECT Phone FROM Lead", "INVALID_FIELD", "No such column 'Phone' on entity 'Lead'"),
        ("SELECT Id FROM Lead WHERE Email = 1", "INVALID_FIELD", "must be of type string"),
        (
            "SELECT Id FROM Lead WHERE IsEmailBounced > true",
            "INVALID_QUERY_FILTER_OPERATOR",
            "invalid operator '>'",
        ),
    ],
)
async def test_errors_are_salesforces_own(server: Faces, query: str, code: str, words: str) -> None:
    answer = await server.query(query)
    assert answer.status_code == 400
    (error,) = answer.json()
    assert set(error) == {"message", "errorCode"}
    assert error["errorCode"] == code
    assert words in error["message"]


@pytest.mark.parametrize(
    "value", ["' OR '1'='1", "x'; DROP TABLE contacts; --", "%", "\\' OR Id != '", "\x00"]
)
async def test_a_value_is_a_value_and_nothing_else(server: Faces, value: str) -> None:
    server.contacts.add([contact("003A", "ann@x.test")])
    literal = value.replace("\\", "\\\\").replace("'", "\\'")
    for operator in ("=", "IN"):
        value_text = f"('{literal}')" if operator == "IN" else f"'{literal}'"
        found = await server.query(f"SELECT Id FROM Contact WHERE Id {operator} {value_text}")
        assert records(found) == []
    assert len(server.contacts.contacts()) == 1


async def test_a_long_result_comes_in_batches(server: Faces) -> None:
    server.contacts.add([contact(f"003{n:04}", f"u{n}@x.test") for n in range(450)])
    soql = "SELECT Id FROM Contact ORDER BY Id"
    answer = await server.query(soql, **{"Sforce-Query-Options": "batchSize=200"})
    ids: list[str] = []
    sizes = []
    while True:
        body = answer.json()
        assert body["totalSize"] == 450
        ids += [record["Id"] for record in body["records"]]
        sizes.append(len(body["records"]))
        if body["done"]:
            assert "nextRecordsUrl" not in body
            break
        answer = await server.client.get(body["nextRecordsUrl"])
    assert sizes == [200, 200, 50]
    assert ids == [f"003{n:04}" for n in range(450)]
    small = await server.query(soql, **{"Sforce-Query-Options": "batchSize=1"})
    assert len(small.json()["records"]) == 200
    assert (await server.query(soql)).json()["done"] is True


async def test_a_result_that_nobody_reads_to_the_end_gives_way(server: Faces) -> None:
    server.contacts.add([contact(f"003{n:04}", f"u{n}@x.test") for n in range(201)])
    nexts = []
    for _ in range(11):
        answer = await server.query(
            "SELECT Id FROM Contact", **{"Sforce-Query-Options": "batchSize=200"}
        )
        nexts.append(answer.json()["nextRecordsUrl"])
    for path in (nexts[0], "/services/data/v59.0/query/01g000-200"):
        answer = await server.client.get(path)
        assert answer.status_code == 400
        assert answer.json()[0]["errorCode"] == "INVALID_QUERY_LOCATOR"
    last = await server.client.get(nexts[-1])
    assert len(records(last)) == 1


async def test_versions_and_resources(server: Faces) -> None:
    versions = (await server.client.get("/services/data/")).json()
    labels = {entry["version"]: entry["label"] for entry in versions}
    assert labels["59.0"] == "Winter '24"
    assert labels["60.0"] == "Spring '24"
    assert labels["52.0"] == "Summer '21"
    resources = (await server.client.get("/services/data/v60.0/")).json()
    assert resources["query"] == "/services/data/v60.0/query"
    for path in ("/services/data/v1.0/", "/services/data/v60/", "/services/data/v60.0/sobjects"):
        answer = await server.client.get(path)
        assert answer.status_code == 404
        assert answer.json()[0]["errorCode"] == "NOT_FOUND"


async def test_the_ports_token_is_the_session(tmp_path: Path) -> None:
    async with faces(tmp_path, Access(token="secret")) as server:
        soql = "SELECT Id FROM Contact"
        assert_problem(await server.query(soql), ProblemKind.TOKEN_REQUIRED, 401)
        assert records(await server.query(soql, Authorization="Bearer secret")) == []


PIECES = (
    *("SELECT", "Id", ",", "Email", "FROM", "Contact", "EmailMessage", "WHERE", "AND", "ORDER BY"),
    *("LIMIT", "=", "!=", ">", "LIKE", "IN", "(", ")", "'a%'", "'", "\\", "null", "true", "TODAY"),
    *("2026-01-01", "0001-01-01T00:00:00Z", "LAST_N_DAYS:99999", "9" * 40, "\x00", "é", "\n"),
)


async def test_any_query_is_answered_or_refused(server: Faces) -> None:
    chance = random.Random(7)
    for _ in range(150):
        begin = chance.choice(["", "SELECT Id FROM Contact ", "SELECT Id FROM Lead WHERE Email "])
        answer = await server.query(
            begin + " ".join(chance.choices(PIECES, k=chance.randint(1, 9)))
        )
        assert answer.status_code in {200, 400}, answer.text
        if answer.status_code == 400:
            assert answer.json()[0]["errorCode"]
