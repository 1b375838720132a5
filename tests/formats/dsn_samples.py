"""Bounces in the shapes that mail servers give them, written for these tests."""

from __future__ import annotations

from typing import Final

_HEAD: Final = """\
From: {sender}
To: jane=example.com__1m7ztn1wxm4gv6m21@bnc.relay.test
Subject: {subject}
MIME-Version: 1.0
"""
_REPORT: Final = """\
Content-Type: multipart/report; report-type=delivery-status; boundary="=part"

--=part
Content-Type: text/plain

{text}

--=part
Content-Type: message/delivery-status

{status}
--=part
Content-Type: message/rfc822

From: jane@example.com
To: {to}
Subject: hello

421 4.7.0 this is my text, not a report
--=part--
"""


def report(status: str, *, text: str = "It did not arrive.", to: str = "bob@partner.test") -> bytes:
    head = _HEAD.format(sender="MAILER-DAEMON@mx.partner.test", subject="Undelivered Mail")
    return _bytes(head + _REPORT.format(text=text, status=status, to=to))


def plain(text: str, *, sender: str, subject: str, more: str = "") -> bytes:
    return _bytes(_HEAD.format(sender=sender, subject=subject) + more + "\n" + text)


def _bytes(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


POSTFIX: Final = report(
    """\
Reporting-MTA: dns; mx.partner.test
X-Postfix-Queue-ID: 4ZtGbQ1r0Zz9sPn
X-Postfix-Sender: rfc822; jane=example.com__1m7ztn1wxm4gv6m21@bnc.relay.test
Arrival-Date: Wed,  6 May 2026 09:00:00 +0000 (UTC)

Final-Recipient: rfc822; bob@partner.test
Original-Recipient: rfc822;Bob@Partner.test
Action: failed
Status: 5.1.1
Remote-MTA: dns; store.partner.test
Diagnostic-Code: smtp; 550 5.1.1 <bob@partner.test>: Recipient address
    rejected: User unknown in local recipient table
"""
)

POSTFIX_EXPIRED: Final = report(
    """\
Reporting-MTA: dns; mx.partner.test

Final-Recipient: rfc822; bob@partner.test
Action: failed
Status: 4.4.1
Diagnostic-Code: X-Postfix; connect to store.partner.test[192.0.2.1]:25: Connection
    timed out
"""
)

POSTFIX_DELAYED: Final = report(
    """\
Reporting-MTA: dns; mx.partner.test

Final-Recipient: rfc822; bob@partner.test
Action: delayed
Status: 4.2.2
Diagnostic-Code: smtp; 452 4.2.2 Mailbox full
Will-Retry-Until: Fri,  8 May 2026 09:00:00 +0000 (UTC)
"""
)

SUCCESS: Final = report(
    """\
Reporting-MTA: dns; mx.partner.test

Final-Recipient: rfc822; bob@partner.test
Action: delivered
Status: 2.0.0
"""
)

EXCHANGE: Final = report(
    """\
Reporting-MTA: dns;mail.partner.test
Received-From-MTA: dns;relay.lab.test
Arrival-Date: Wed, 6 May 2026 09:00:00 +0000

Original-Recipient: rfc822;bob@partner.test
Final-Recipient: rfc822;bob@partner.test
Action: failed
Status: 5.1.10
Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; not found by SMTP lookup
"""
)

TWO: Final = report(
    """\
Reporting-MTA: dns; mx.partner.test

Final-Recipient: rfc822; bob@partner.test
Action: failed
Status: 5.2.2
Diagnostic-Code: smtp; 552 Over quota

Final-Recipient: utf-8; j\\x{F6}rg@partner.test
Action: delayed
Status: 4.0.0
"""
)

EXIM: Final = plain(
    """\
This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  bob@partner.test
    host store.partner.test [192.0.2.1]
    SMTP error from remote mail server after RCPT TO:<bob@partner.test>:
    550 5.1.1 <bob@partner.test>: no such user here

------ This is a copy of the message, including all the headers. ------

Return-path: <jane@example.com>
Subject: hello

421 4.7.0 this is my text, not a report
""",
    sender="Mail Delivery System <Mailer-Daemon@partner.test>",
    subject="Mail delivery failed: returning message to sender",
    more="X-Failed-Recipients: bob@partner.test\nAuto-Submitted: auto-replied\n",
)

QMAIL: Final = plain(
    """\
Hi. This is the qmail-send program at partner.test.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<bob@partner.test>:
Sorry, no mailbox here by that name. (#5.1.1)

--- Below this line is a copy of the message.

Return-Path: <jane@example.com>
Subject: hello
""",
    sender="MAILER-DAEMON@partner.test",
    subject="failure notice",
)

OUT_OF_OFFICE: Final = plain(
    "I am away until Monday. For 550 things, ask my colleague.\n",
    sender="Bob <bob@partner.test>",
    subject="Out of office",
)

BROKEN: Final = _bytes(
    _HEAD.format(sender="x@y.test", subject="broken")
    + 'Content-Type: multipart/report; boundary="=part"\n\n--=part\n'
    "Content-Type: message/delivery-status\n\n\x00\n--=part--\n"
)
