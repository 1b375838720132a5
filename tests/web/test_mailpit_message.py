"""A message taken apart: what Mailpit's keys are made of."""

from __future__ import annotations

import json
from email.message import EmailMessage
from hashlib import md5, sha1, sha256

import pytest
from client_faces import mail
from hypothesis import example, given
from hypothesis import strategies as st

from relay.web.html_words import html_text
from relay.web.mail_parts import header_fields, part_summaries, part_text
from relay.web.mailpit_message import MailMessage, canonical_name


def read(message: EmailMessage | bytes) -> MailMessage:
    return MailMessage(message if isinstance(message, bytes) else message.as_bytes())


def test_addresses_and_encoded_words() -> None:
    found = read(
        b"From: =?utf-8?q?J=C3=B6rg?= <j@x.test>\r\n"
        b'To: a@x.test,\r\n "Lee, B" <b@x.test>\r\nTo: c@x.test\r\n'
        b"Subject: =?iso-8859-1?q?Gr=FC=DFe?= an\r\n alle\r\n"
        b"Date: Sun, 1 Mar 2026 12:00:00 +0100\r\n\r\nHi\r\n"
    )
    assert found.sender == {"Name": "Jörg", "Address": "j@x.test"}
    assert found.addresses("to") == [
        {"Name": "", "Address": "a@x.test"},
        {"Name": "Lee, B", "Address": "b@x.test"},
        {"Name": "", "Address": "c@x.test"},
    ]
    assert found.header("subject") == "Grüße an alle"
    assert found.date is not None
    assert found.date.isoformat() == "2026-03-01T12:00:00+01:00"
    assert found.text == "Hi\r\n"


def test_parts_are_numbered_and_sorted_as_mailpit_does() -> None:
    message = mail(html="<p>Words <img src='cid:pic'></p>")
    html = message.get_payload(1)
    assert isinstance(html, EmailMessage)
    html.add_related(b"PNG", "image", "png", cid="<pic>")
    message.add_attachment(b"%PDF", "application", "pdf", filename="Grüße.pdf")
    message.add_attachment("a,b", subtype="csv", filename="t.csv")
    found = read(message)
    assert [(p.id, p.content_type.partition(";")[0]) for p in found.parts] == [
        ("1.1", "text/plain"),
        ("1.2.1", "text/html"),
        ("1.2.2", "image/png"),
        ("2", "application/pdf"),
        ("3", "text/csv"),
    ]
    assert [p.file_name for p in found.attachments] == ["Grüße.pdf", "t.csv"]
    assert [p.content_id for p in found.inline] == ["pic"]
    assert found.attachments[0].json == {
        "PartID": "2",
        "FileName": "Grüße.pdf",
        "ContentType": "application/pdf",
        "ContentID": "",
        "Size": 4,
        "Checksums": {
            "MD5": md5(b"%PDF").hexdigest(),
            "SHA1": sha1(b"%PDF").hexdigest(),
            "SHA256": sha256(b"%PDF").hexdigest(),
        },
    }
    assert "Words" in found.html
    assert found.text.strip() == "Some words."


def test_the_parts_of_a_notification_are_kept_whole() -> None:
    found = read(
        b"Content-Type: multipart/report; boundary=b\n\n"
        b"--b\n\nIt failed.\n"
        b"--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\nAction: failed\n"
        b"--b\nContent-Type: message/rfc822\n\nSubject: it\n\nwords\n--b--\n"
    )
    status, original = found.attachments
    assert b"Action: failed" in status.content
    assert original.content == b"Subject: it\n\nwords"
    assert found.text.strip() == "It failed."


def test_html_alone_is_told_as_text() -> None:
    found = read(mail(text=None, html="<head><title>T</title></head><p>One<br>two</p><p>3 &lt; 4"))
    assert found.text == "One\ntwo\n3 < 4"
    assert found.snippet == "One two 3 < 4"
    assert html_text("<style>p {}</style><script>x()</script>seen") == "seen"


def test_a_long_text_is_cut_for_lists() -> None:
    assert read(mail(text="word " * 100)).snippet == ("word " * 100)[:247] + "..."


@pytest.mark.parametrize(
    "raw",
    [
        b"Content-Type: text/plain; charset=no-such\n\n\xff\xfe words",
        b"Content-Type: text/plain; charset=rot13\n\nwords",
        b"Content-Transfer-Encoding: base64\n\nwords\xff",
        b"words without a head",
    ],
)
def test_text_that_lies_about_itself_is_told_all_the_same(raw: bytes) -> None:
    assert isinstance(read(raw).text, str)


def test_multiparts_without_end_cost_nothing_but_themselves() -> None:
    raw = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(3000)
    )
    found = read(b"Subject: deep\n" + raw)
    assert found.header("Subject") == "deep"
    assert len(found.parts) <= 3000


@pytest.mark.parametrize(
    "html",
    [
        "<a " * 300_000,
        "<a a='" * 150_000,
        "<a a= " * 150_000,
        "<!--" * 250_000,
        "<![CDATA[" * 100_000,
        "</" * 500_000,
        "<script>" + "</scrip" * 100_000,
        "<head>" * 150_000 + "</title>" * 100_000,
        "<a" + " =" * 500_000,
        "&#" + "9" * 1_000_000 + ";",
    ],
    ids=lambda html: html[:9],
)
def test_html_made_to_be_slow_to_read_costs_little(html: str) -> None:
    """The standard library's parser would take from hours to days."""
    assert "end" not in html_text(f"begin {html}")
    assert html_text(f"begin {html}").startswith("begin")


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("a<!-- <b> -->b<!---->c<!-->d", "abcd"),
        ("<p title='>'>a<p title=\">\">b<p title = '>'>c<p don't>d", "a\nb\nc\nd"),
        ("1 < 2 <3 a<b>c</b>d", "1 < 2 <3 acd"),
        ("<SCRIPT>if (a < b) '</div>'</Script >seen", "seen"),
        ("<style></styles></style>seen", "seen"),
        ("<head>unseen<body>seen", "seen"),
        ("<title>unseen</title>seen", "seen"),
        ("&lt;b&gt; &amp;amp; &#65;&#x42; &nosuch;", "<b> &amp; AB &nosuch;"),
        ("&#99999999999999;&#xFFFFFFFFFF;", "\ufffd\ufffd"),
        ("seen<a href='", "seen"),
        ("<?xml?><!doctype html><br/>seen<br>\r\nmore", "seen\nmore"),
    ],
)
def test_words_of_html(html: str, text: str) -> None:
    assert html_text(html) == text


@pytest.mark.parametrize(
    "raw",
    [
        b"Content-Type: text/plain; charset*" + b"9" * 5000 + b"=x\n\nwords",
        b"Content-Type: multipart/mixed; boundary*" + b"9" * 5000 + b"=x\n\n--x\n\nwords",
        b"Content-Type: text/plain; charset*=a\x00b''x\n\nwords",
        b"Content-Type: text/html\n\n&#" + b"9" * 5000 + b";",
        b"To: " + b"(" * 3000 + b"\n\nwords",
        b"Content-Type: message/rfc822\n\n" * 300,
        b"Content-Type: multipart/mixed" + b"\n ;;;;;;" * 200_000 + b"\n\nwords",
        b"Content-Disposition: attachment" + b";\n filename*0=x" * 100_000 + b"\n\nwords",
        b"Content-Type: text/plain; charset=punycode\n\n-" + b"9a" * 200_000,
        b"Subject: " + b"=?a?q?\n " * 100_000 + b"\n\nwords",
        b"Subject: =?utf-8?b?x?= =?punycode?q?-9a?=\n\nwords",
        b"To: " + b"a@b,\n " * 300_000 + b"\n\nwords",
    ],
    ids=lambda raw: raw[:40].decode(),
)
def test_what_breaks_the_library_or_takes_it_for_ever_has_an_answer(raw: bytes) -> None:
    found = read(raw)
    assert json.dumps([found.snippet, found.addresses("To"), [p.json for p in found.attachments]])
    assert json.dumps([found.header("Subject"), found.sender, str(found.date)])
    fields = header_fields(raw)
    assert fields[0].name == raw.partition(b":")[0].decode()
    parts = part_summaries(raw)
    assert part_text(raw, 1) is not None or not parts


def test_names_are_spelled_as_by_mailpit() -> None:
    names = ["message-ID", "MIME-Version", "X-Mailer", "dkim-signature"]
    spelled = ["Message-Id", "Mime-Version", "X-Mailer", "Dkim-Signature"]
    assert [canonical_name(name) for name in names] == spelled


heads = st.lists(
    st.tuples(
        st.sampled_from(
            [b"From", b"To", b"Subject", b"Date", b"Content-Type", b"Content-Disposition",
             b"Content-Transfer-Encoding", b"Content-ID", b"Message-ID"]
        ),
        st.one_of(
            st.binary(max_size=30).map(lambda value: value.replace(b"\n", b"")),
            st.sampled_from(
                [b"multipart/mixed; boundary=b", b"text/html; charset=utf-7", b"base64",
                 b"=?utf-8?b?AAA?= <@>", b"=?x?q?=41?=", b"attachment; filename*=x''%FF",
                 b"message/rfc822", b"inline; filename=\"\r\n x\"", b"Mon, 99 Foo 99999 1:2:3"]
            ),
        ),
    ).map(lambda pair: pair[0] + b": " + pair[1] + b"\n"),
    max_size=6,
)  # fmt: skip


@given(
    st.builds(
        lambda head, body: b"".join(head) + b"\n" + body,
        heads,
        st.binary(max_size=200) | st.sampled_from([b"--b\n\n<p>\n--b--", b"<![if x", b"<!x["]),
    )
)
@example(b"From: \xff\xfe <a@x.test>\nSubject: =?utf-8?q?=ED=A0=80?=\n\n")
@example(b"Date: Mon, 1 Jan 0001 00:00:00 +2359\n\n")
def test_whatever_the_octets_are_there_is_an_answer(raw: bytes) -> None:
    found = read(raw)
    told = [found.sender, found.addresses("To"), found.header("Subject"), found.text, found.html]
    told += [found.snippet, [p.json for p in found.attachments], [p.json for p in found.inline]]
    assert json.dumps([*told, list(found.headers), str(found.date)])


def test_a_character_set_that_names_a_language_is_one_as_well() -> None:
    found = read(b"Content-Type: text/plain; charset*=utf-8'en'utf-8\r\n\r\n\xc3\xa9\r\n")
    assert found.text == "\u00e9\r\n"
