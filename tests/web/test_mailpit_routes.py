"""Mailpit's routes over HTTP: its keys, its searches, and nothing of mail's own in our power."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from client_faces import Faces, faces, mail
from test_web_problems import assert_problem

from relay.journal.api import (
    Batch,
    Deletion,
    JournalReader,
    NotFound,
    RecipientState,
    RecipientUpdate,
)
from relay.web.mailpit_index import MailIndex
from relay.web.mailpit_search import parse_search
from relay.web.problems import ProblemKind
from relay.web.safety import Access

LISTED = {
    "ID", "MessageID", "Read", "From", "To", "Cc", "Bcc", "ReplyTo", "Subject", "Created",
    "Username", "Tags", "Size", "Attachments", "Snippet", "Relaylab",
}  # fmt: skip
WHOLE = (LISTED - {"Read", "Created", "Snippet"}) | {
    "ReturnPath", "ListUnsubscribe", "Date", "Text", "HTML", "Inline",
}  # fmt: skip


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Faces]:
    async with faces(tmp_path) as running:
        yield running


async def listed(server: Faces, **parameters: str) -> dict[str, Any]:
    answer = await server.client.get("/api/v1/messages", params=parameters)
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    return body


def subjects(body: dict[str, Any]) -> list[str]:
    return [message["Subject"] for message in body["messages"]]


async def test_an_empty_mailbox(server: Faces) -> None:
    assert await listed(server) == {
        "total": 0, "unread": 0, "count": 0, "messages_count": 0, "messages_unread": 0,
        "start": 0, "tags": [], "messages": [],
    }  # fmt: skip
    answer = await server.client.get("/api/v1/message/latest")
    assert assert_problem(answer, ProblemKind.UNKNOWN_MESSAGE, 404)["Error"]


async def test_the_newest_is_first_and_pages_count_all(server: Faces) -> None:
    for number in range(5):
        await server.put(mail(f"n{number}"))
    body = await listed(server, start="1", limit="2")
    assert subjects(body) == ["n3", "n2"]
    assert (body["total"], body["messages_count"], body["count"], body["start"]) == (5, 5, 2, 1)
    assert subjects(await listed(server, start="x", limit="-1")) == ["n4", "n3", "n2", "n1", "n0"]
    assert subjects(await listed(server, start="9")) == []


async def test_the_keys_of_a_message(server: Faces) -> None:
    message = mail(
        Cc="c@x.test", Reply_To="r@x.test", Message_ID="<1@x>",
        Date="Sun, 1 Mar 2026 10:00:00 +0000",
        List_Unsubscribe="<mailto:u@x.test>, <https://x.test/u>",
        List_Unsubscribe_Post="List-Unsubscribe=One-Click",
    )  # fmt: skip
    own = await server.put(message, to=("to@x.test", "hidden@X.test", "C@x.test"))
    (entry,) = (await listed(server))["messages"]
    assert set(entry) == LISTED
    assert entry["Bcc"] == [{"Name": "", "Address": "hidden@X.test"}]
    assert (entry["Created"], entry["Read"]) == ("2026-03-01T12:01:00.000Z", False)
    whole = (await server.client.get(f"/api/v1/message/{own}")).json()
    assert set(whole) == WHOLE
    assert whole["From"] == {"Name": "Ann Lee", "Address": "ann@app.test"}
    assert whole["MessageID"] == "1@x"
    assert whole["Date"] == "2026-03-01T10:00:00.000Z"
    assert whole["ReturnPath"] == "bounces@app.test"
    assert whole["ListUnsubscribe"] == {
        "Header": "<mailto:u@x.test>, <https://x.test/u>",
        "HeaderPost": "List-Unsubscribe=One-Click",
        "Links": ["mailto:u@x.test", "https://x.test/u"],
        "Errors": "",
    }
    assert (await listed(server))["messages"][0]["Read"] is True


async def test_what_became_of_it_is_told_and_kept_up_to_date(server: Faces) -> None:
    own = await server.put(mail(), to=("a@x.test",), state=RecipientState.QUEUED)
    first = (await listed(server))["messages"][0]["Relaylab"]
    assert (first["ID"], first["Verdict"]) == (own, "queued")
    assert first["Links"]["Mail"] == f"/api/v1/mail/{own}"
    update = RecipientUpdate(
        message_id=own, recipient="a@x.test", state=RecipientState.DELIVERED, next_at=None
    )
    await server.journal.writer.write(Batch(updates=(update,)))
    for _ in range(2):
        told = (await listed(server))["messages"][0]["Relaylab"]
        assert told["Verdict"] == "delivered"
        assert [r["State"] for r in told["Recipients"]] == ["delivered"]


SEARCHES = [
    ("hello", ["b", "a"]),
    ("HELLO -from:bob", ["a"]),
    ("from:ann", ["c", "a"]),
    ("from:Bob@APP.test", ["b"]),
    ("to:x.test !cc:carl", ["b", "c"]),
    ("bcc:hidden", ["c"]),
    ("addressed:carl", ["a"]),
    ("reply-to:rita", ["a"]),
    ('subject:"a"', ["a"]),
    ("message-id:one@x", ["a"]),
    ("has:attachment", ["b"]),
    ("-has:attachment", ["c", "a"]),
    ("report.pdf", ["b"]),
    ("larger:1k", ["b"]),
    ("smaller:1k", ["c", "a"]),
    ("after:2026-03-01T12:02:00Z", ["c", "b"]),
    ("before:2026-03-01T12:01:59Z", ["a"]),
    ("is:unread", ["c", "b", "a"]),
    ("is:read", []),
    ("straße", ["c"]),
    ("STRASSE", ["c"]),
    ('"hello  there"', ["a"]),
    ('"there hello"', []),
    ("100%", ["c"]),
    ("%", ["c"]),
    ("_", []),
]


async def fill(server: Faces) -> None:
    await server.put(
        mail("a", text="hello there", Cc="Carl <carl@x.test>", Reply_To="rita@x.test",
             Message_ID="<one@x>")
    )  # fmt: skip
    big = mail("b", text="hello you", From="bob@app.test")
    big.add_attachment(b"x" * 1000, "application", "pdf", filename="report.pdf")
    await server.put(big)
    await server.put(
        mail("c", html="<p>100% Straße</p>", text="100% Straße"), to=("hidden@x.test",)
    )


@pytest.mark.parametrize(("search", "found"), SEARCHES)
async def test_a_search_finds(server: Faces, search: str, found: list[str]) -> None:
    await fill(server)
    assert await server.found(search) == sorted(found, reverse=True)


@pytest.mark.parametrize(
    "search",
    [
        "'",
        "''; DROP TABLE mail; --",
        '"\' OR 1=1 --"',
        "to:%' OR '1'='1",
        "tag:x' OR 1=1 --",
        "\x00",
    ],
)
async def test_no_word_of_a_search_reaches_the_database_as_sql(server: Faces, search: str) -> None:
    await fill(server)
    assert await server.found(search) == []
    assert (await listed(server))["total"] == 3


@pytest.mark.parametrize("query", ["", "  ", "before:soon"])
async def test_a_search_that_says_nothing_is_refused_and_deletes_nothing(
    server: Faces, query: str
) -> None:
    await fill(server)
    for method in ("GET", "DELETE"):
        answer = await server.client.request(method, "/api/v1/search", params={"query": query})
        assert_problem(answer, ProblemKind.BAD_REQUEST, 400)
    assert (await listed(server))["total"] == 3


async def test_latest_may_be_the_newest_that_matches(server: Faces) -> None:
    await fill(server)
    path = "/api/v1/message/latest"
    assert (await server.client.get(path)).json()["Subject"] == "c"
    found = await server.client.get(path, params={"query": "hello"})
    assert found.json()["Subject"] == "b"
    missing = await server.client.get("/view/latest.txt", params={"query": "nothing"})
    assert_problem(missing, ProblemKind.UNKNOWN_MESSAGE, 404)


async def test_read_flags(server: Faces) -> None:
    ids = [await server.put(mail(f"n{number}")) for number in range(3)]

    async def unread() -> list[str]:
        return await server.found("is:unread")

    async def put(**body: Any) -> None:
        answer = await server.client.put("/api/v1/messages", json=body)
        assert (answer.status_code, answer.text) == (200, "ok")

    await put(IDs=ids[:1], Read=True)
    assert await unread() == ["n2", "n1"]
    await put(Search="subject:n2", Read=True)
    assert await unread() == ["n1"]
    await put(Read=False)
    assert await unread() == ["n2", "n1", "n0"]
    both = await server.client.put("/api/v1/messages", json={"IDs": ids, "Search": "x"})
    assert_problem(both, ProblemKind.BAD_REQUEST, 400)


async def test_tags(server: Faces) -> None:
    ids = [await server.put(mail(f"n{number}")) for number in range(3)]
    client = server.client
    body = {"IDs": [*ids[:2], "unknown"], "Tags": ["Urgent", "two words", "<b>", "'\""]}
    assert (await client.put("/api/v1/tags", json=body)).text == "ok"
    assert (await client.get("/api/v1/tags")).json() == ["b", "two words", "Urgent"]
    assert await server.found("tag:urgent") == ["n1", "n0"]
    assert await server.found('-tag:"two words"') == ["n2"]
    assert await server.found("is:tagged") == ["n1", "n0"]
    await client.put("/api/v1/tags/Urgent", json={"Name": "later"})
    assert await server.found("tag:later") == ["n1", "n0"]
    assert (await client.get("/api/v1/info")).json()["Tags"] == {"b": 2, "later": 2, "two words": 2}
    await client.delete("/api/v1/tags/later")
    assert await server.found("tag:later") == []
    await client.put("/api/v1/tags", json={"IDs": ids})
    assert (await client.get("/api/v1/tags")).json() == []
    assert_problem(
        await client.put("/api/v1/tags/none", json={"Name": "x"}), ProblemKind.BAD_REQUEST, 400
    )


async def test_deleting_some_by_search_and_all(server: Faces) -> None:
    ids = [await server.put(mail(f"n{number}")) for number in range(4)]
    client = server.client
    answer = await client.request("DELETE", "/api/v1/messages", json={"IDs": [ids[0], "m0", "-"]})
    assert (answer.text, answer.headers["relaylab-deleted"]) == ("ok", "1")
    assert subjects(await listed(server)) == ["n3", "n2", "n1"]
    await client.delete("/api/v1/search", params={"query": "subject:n2"})
    assert subjects(await listed(server)) == ["n3", "n1"]
    await server.put(mail("late"))
    assert (await client.delete("/api/v1/messages")).text == "ok"
    assert (await listed(server))["total"] == 0
    assert server.journal.reader.counts().messages == 0
    await server.put(mail("new"))
    assert subjects(await listed(server)) == ["new"]


async def test_mail_that_was_still_to_be_sent_is_told_of(server: Faces) -> None:
    await server.put(mail(), to=("a@x.test", "b@x.test"), state=RecipientState.QUEUED)
    answer = await server.client.delete("/api/v1/messages")
    assert answer.headers["relaylab-undelivered"] == "2"


async def test_more_than_a_few_are_deleted_at_once(server: Faces) -> None:
    for number in range(60):
        await server.put(mail(f"n{number}"))
    assert (await listed(server, limit="9999"))["count"] == 60
    await server.client.delete("/api/v1/search", params={"query": "-subject:n7"})
    assert subjects(await listed(server)) == ["n7"]


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"IDs": "all"}', b'{"IDs": [1]}', b"\xff"])
async def test_a_body_that_is_no_request_deletes_nothing(server: Faces, body: bytes) -> None:
    await server.put(mail())
    for method, path in (
        ("DELETE", "/api/v1/messages"),
        ("PUT", "/api/v1/messages"),
        ("PUT", "/api/v1/tags"),
    ):
        answer = await server.client.request(method, path, content=body)
        assert_problem(answer, ProblemKind.BAD_REQUEST, 400)
    assert (await listed(server))["total"] == 1


async def test_what_the_journal_lost_by_another_way_is_lost_here(server: Faces) -> None:
    ids = [await server.put(mail(f"n{number}")) for number in range(3)]
    assert (await listed(server))["total"] == 3
    await server.journal.writer.write(Batch(deletions=(Deletion(messages=(ids[2], ids[0])),)))
    assert subjects(await listed(server)) == ["n1"]
    await server.put(mail("n3"))
    assert subjects(await listed(server)) == ["n3", "n1"]


EVIL = (
    "<html><body onload='parent.alert(1)'><script>alert(1)</script>"
    "<img src='cid:pic'><img src=\"CID:pic\"><img src='https://spy.test/x.png'>"
    "<img src='cid:none'><form action='/api/v1/lab/reset' method=post></form></body></html>"
)


async def test_html_of_mail_gets_an_origin_of_its_own_and_nothing_else(server: Faces) -> None:
    message = mail(html=EVIL)
    html = message.get_payload(1)
    html.add_related(b"PNG", "image", "png", cid="<pic>")  # type: ignore[union-attr]
    await server.put(message)
    answer = await server.client.get("/view/latest.html")
    policy = {part.strip() for part in answer.headers["content-security-policy"].split(";")}
    assert {"sandbox", "default-src 'none'", "img-src data:", "form-action 'none'"} <= policy
    assert not any("script" in part or "allow-" in part for part in policy)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.text.count("data:image/png;base64,UE5H") == 2
    assert "cid:none" in answer.text
    assert (await server.client.get("/view/latest.txt")).text.strip() == "Some words."


async def test_a_part_is_a_file_to_keep_whatever_it_says_it_is(server: Faces) -> None:
    message = mail()
    message.add_attachment(EVIL, subtype="html", filename='x"\u00e4.html')
    message.add_attachment(b"%PDF", "application", "pdf", filename="t.pdf")
    own = await server.put(message)
    page, document = (await server.client.get(f"/api/v1/message/{own}")).json()["Attachments"]
    answer = await server.client.get(f"/api/v1/message/{own}/part/{page['PartID']}")
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["content-disposition"] == ("attachment; filename*=UTF-8''x%22%C3%A4.html")
    assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert answer.text.strip() == EVIL
    answer = await server.client.get(f"/api/v1/message/latest/part/{document['PartID']}")
    assert (answer.content, answer.headers["content-type"]) == (b"%PDF", "application/pdf")
    missing = await server.client.get(f"/api/v1/message/{own}/part/9.9")
    assert_problem(missing, ProblemKind.UNKNOWN_MESSAGE, 404)


async def test_the_page_of_a_message_is_our_own(server: Faces) -> None:
    own = await server.put(mail())
    for path in (f"/view/{own}", "/view/latest"):
        answer = await server.client.get(path)
        assert (answer.status_code, answer.headers["location"]) == (302, f"/mail/{own}")
    evil = await server.client.get("/view/%2F%2Fevil.test")
    assert evil.status_code == 404


async def test_source_and_headers_are_as_received(server: Faces) -> None:
    raw = b"subject: one\r\n two\r\nX-A: 1\r\nx-a: 2\r\n\r\n\xffwords\r\n"
    own = await server.put(raw)
    answer = await server.client.get(f"/api/v1/message/{own}/raw")
    assert (answer.content, answer.headers["content-type"]) == (raw, "text/plain; charset=utf-8")
    kept = await server.client.get(f"/api/v1/message/{own}/raw", params={"dl": "1"})
    assert kept.headers["content-disposition"] == f'attachment; filename="{own}.eml"'
    found = await server.client.get(f"/api/v1/message/{own}/headers")
    assert found.json() == {"Subject": ["one two"], "X-A": ["1", "2"]}


async def test_what_there_is_not_here(server: Faces) -> None:
    chaos = await server.client.get("/api/v1/chaos")
    body = assert_problem(chaos, ProblemKind.BAD_REQUEST, 400)
    assert body["next"] == "PUT fault scripts to /api/v1/lab/scripts instead."
    webui = (await server.client.get("/api/v1/webui")).json()
    assert (webui["ChaosEnabled"], webui["MessageRelay"]["Enabled"]) == (False, False)
    await server.put(mail())
    assert_problem(await server.client.get("/view/latest.html"), ProblemKind.UNKNOWN_MESSAGE, 404)


async def test_read_only_keeps_every_message(tmp_path: Path) -> None:
    async with faces(tmp_path, Access(read_only=True)) as server:
        await server.put(mail())
        for method, path in (
            ("DELETE", "/api/v1/messages"),
            ("DELETE", "/api/v1/search?query=hello"),
            ("PUT", "/api/v1/messages"),
            ("PUT", "/api/v1/tags"),
        ):
            answer = await server.client.request(method, path)
            assert_problem(answer, ProblemKind.READ_ONLY, 403)
        assert (await listed(server))["total"] == 1


async def test_nobody_waits_for_a_long_journal_when_the_relay_stops(tmp_path: Path) -> None:
    stopping = False
    async with faces(tmp_path, stopped=lambda: stopping) as server:
        for number in range(3):
            await server.put(mail(f"n{number}"))
        stopping = True
        answer = await server.client.get("/api/v1/messages")
        assert_problem(answer, ProblemKind.JOURNAL_UNAVAILABLE, 503)
        stopping = False
        assert (await listed(server))["total"] == 3


class Watched:
    """A journal that tells which messages are read, and may do something before one is."""

    def __init__(self, journal: JournalReader, before: Callable[[str], None] = lambda _: None):
        self._journal = journal
        self._before = before
        self.read: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    def contents(self, message_ids: Collection[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for message_id in message_ids:
            with suppress(NotFound):
                self._before(message_id)
                found[message_id] = self._journal.content(message_id)
                self.read.append(message_id)
        return found


def index_of(watched: Watched) -> MailIndex:
    journal: Any = watched
    return MailIndex(journal, lambda: False)


async def test_a_list_reads_what_it_shows_and_keeps_it(server: Faces) -> None:
    ids = [await server.put(mail(f"n{number}")) for number in range(5)]
    watched = Watched(server.journal.reader)
    index = index_of(watched)
    found = index.find((), 1, 2)
    assert (found.matching, found.unread_matching, len(found.messages)) == (5, 5, 2)
    assert sorted(watched.read) == ids[2:4]
    index.find((), 0, 3)
    index.find((), 0, 3)
    assert sorted(watched.read) == ids[2:]
    assert index.totals().messages == 5
    assert len(index.ids(parse_search("is:unread larger:1"))) == 5
    assert len(watched.read) == 3


async def test_a_search_reads_once_what_its_words_may_stand_in(server: Faces) -> None:
    ids = [await server.put(mail(f"n{number}")) for number in range(4)]
    watched = Watched(server.journal.reader)
    index = index_of(watched)
    index.set_tags(ids[1:3], ["some"])
    assert index.ids(parse_search("tag:some subject:n2")) == (ids[2],)
    assert sorted(watched.read) == ids[1:3]
    watched.read.clear()
    # At the second one there was no more than a glance.
    assert index.ids(parse_search("-n2")) == (ids[3], ids[1], ids[0])
    assert sorted(watched.read) == [ids[0], ids[1], ids[3]]
    assert index.ids(parse_search("n0")) == (ids[0],)
    assert len(watched.read) == 3


async def test_a_search_that_comes_again_looks_at_what_is_new_alone(server: Faces) -> None:
    ids = [await server.put(mail(f"n{number}")) for number in range(3)]
    watched = Watched(server.journal.reader)
    index = index_of(watched)
    later = parse_search("subject:n3")
    assert index.ids(later) == ()
    assert sorted(watched.read) == ids
    ids.append(await server.put(mail("n3")))
    watched.read.clear()
    assert index.ids(later) == (ids[3],)
    assert watched.read == [ids[3]]
    # Flags change: what was read before may be wanted now.
    unread = parse_search("is:unread subject:n1")
    index.set_read([ids[1]], read=True)
    assert index.ids(unread) == ()
    index.set_read([ids[1]], read=False)
    assert index.ids(unread) == (ids[1],)


async def test_lists_are_answered_while_a_search_reads(server: Faces) -> None:
    ids = [await server.put(mail(f"n{number}")) for number in range(2)]
    held, goes_on = Event(), Event()

    def hold(message_id: str) -> None:
        if message_id == ids[0]:
            held.set()
            assert goes_on.wait(20)

    index = index_of(Watched(server.journal.reader, hold))
    async with asyncio.TaskGroup() as tasks:
        search = tasks.create_task(asyncio.to_thread(index.ids, parse_search("n0")))
        assert await asyncio.to_thread(held.wait, 20)
        assert index.find((), 0, 1).matching == 2
        assert not search.done()
        goes_on.set()
    assert search.result() == (ids[0],)


async def test_a_list_is_right_while_others_delete(server: Faces) -> None:
    ids = [await server.put(mail(f"n{number}")) for number in range(3)]

    def lose(message_id: str) -> None:
        if message_id == ids[1]:
            raise NotFound(message_id)

    index = index_of(Watched(server.journal.reader, lose))
    subjects = [entry["Subject"] for entry in index.find((), 0, 50).messages]  # type: ignore[index,call-overload]
    assert subjects == ["n2", "n0"]
    assert index.find((), 0, 50).matching == 2
    assert index.ids(parse_search("hello")) == ()
    assert len(index.ids(parse_search("words"))) == 2
