"""What a Postfix log says of deliveries, and the places of what can't be read."""

from __future__ import annotations

from relay.formats.email_log_reader import LogProblem
from relay.formats.postfix_log import PostfixDelivery, PostfixStatus, read_postfix_log

LOG = """\
Nov 21 10:00:00 mx postfix/smtpd[10]: connect from app[10.0.0.1]
Nov 21 10:00:00 mx postfix/qmgr[11]: 4XyZ1: from=<s@here.test>, size=812, nrcpt=2 (queue active)
Nov 21 10:00:01 mx postfix/smtp[12]: 4XyZ1: to=<a@bank.test>, relay=mx.bank.test[192.0.2.7]:25, \
delay=1.1, delays=0.1/0/0.5/0.5, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 77)
2026-11-21T10:00:02.1+00:00 mx postfix-out/smtp[13]: 4XyZ2: to=<b@shop.test>, \
orig_to=<boss>, relay=none, delay=0.2, delays=0.1/0/0.1/0, dsn=4.4.1, status=deferred \
(connect to mx.shop.test[192.0.2.8]:25: Connection refused)
Nov 21 10:00:03 mx postfix/local[14]: 4XyZ3: to=<root@mx.test>, relay=local, delay=0, \
delays=0/0/0/0, dsn=2.0.0, status=sent (delivered to mailbox)
Nov 21 10:00:04 mx postfix/smtp[15]: 4XyZ4: to=<odd address>, relay=none, delay=0, \
delays=0/0/0/0, dsn=5.1.3, status=bounced (bad address syntax)
Nov 21 10:00:05 mx postfix/smtp[15]: 4XyZ5: to=<c@shop.test>, relay=none, delay=0, \
delays=0/0/0/0, dsn=5.1.3, status=vanished (why)
"""


def test_deliveries_are_read_and_all_else_is_passed_over() -> None:
    found = list(read_postfix_log(LOG.splitlines(keepends=True), file="maillog"))
    assert [type(each).__name__ for each in found] == [
        "NoneType",
        "NoneType",
        "PostfixDelivery",
        "PostfixDelivery",
        "NoneType",
        "LogProblem",
        "LogProblem",
    ]
    assert found[2] == PostfixDelivery(
        queue_id="4XyZ1",
        recipient="a@bank.test",
        status=PostfixStatus.SENT,
        relay="mx.bank.test[192.0.2.7]:25",
        dsn="2.0.0",
        words="250 2.0.0 Ok: queued as 77",
    )
    deferred = found[3]
    assert isinstance(deferred, PostfixDelivery)
    assert (deferred.status, deferred.relay, deferred.dsn) == (
        PostfixStatus.DEFERRED,
        "none",
        "4.4.1",
    )
    assert not deferred.status.final


def test_problems_say_where() -> None:
    lines = LOG.splitlines()
    problems = [p for p in read_postfix_log(lines, file="maillog") if isinstance(p, LogProblem)]
    assert [(p.place.line, p.place.column) for p in problems] == [
        (6, lines[5].index("odd address") + 1),
        (7, lines[6].index("vanished") + 1),
    ]
    assert str(problems[1]).startswith("maillog:7:")
    assert "'vanished' is not known" in str(problems[1])
