"""Comparing two policies by the record: changes, several hosts, relays, queued mail, order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import record_builders as build

from relay.audit.asking import Asking, By, looks_at_senders
from relay.audit.forecast import Dropped, Forecast, Passes, Queued, Refused, Unknown, forecast
from relay.audit.on_record import Answer, DomainRecord, Gathering, HostRecord, Records
from relay.audit.what_if import Asked, Change, WhatIf, change_of, compare
from relay.audit.what_if_report import fate, summary, what_if_report
from relay.config.policy_file import load_policy_text
from relay.core.addresses import Domain
from relay.core.codebook import CodeEntry
from relay.core.delivery import Policy
from relay.core.evidence import HandshakeDone, TlsEvidence
from relay.core.outcomes import (
    ConnectionFailure,
    ConnectionProblem,
    Deferred,
    DnsFailure,
    DnsProblem,
    Failed,
    Failure,
    LocalProblem,
    LocalRefusal,
    Outcome,
    PeerRefusal,
    Stage,
)
from relay.core.records import Attempt, Session
from relay.core.rejudging import Unseen
from relay.core.replies import Reply
from relay.core.routing import Hop
from relay.core.settings import Protection, TlsMode, TlsSetting
from relay.core.verdicts import Deliver
from relay.formats.destination_list import Listed
from relay.formats.report import Mark
from relay.tls.trust import TrustStores

AT = datetime(2026, 3, 4, tzinfo=UTC)
BANK = Domain("bank.test")
FIRST = Hop(host="mx1.bank.test", address="127.0.0.1", port=2501)
SECOND = Hop(host="mx2.bank.test", address="127.0.0.1", port=2502)
ROUTE = "smtp://mx.bank.test:25"
ENTRY = CodeEntry.parse("451 4.7.6 no TLS")
REFUSAL = DnsFailure(problem=DnsProblem.NO_HOST, name="bank.test")
CLEAR, ENCRYPTED, VERIFIED = (
    Passes(protection=protection, hop=FIRST, delivered=True) for protection in Protection
)
REFUSED = Refused(failure=REFUSAL, entry=ENTRY, hop=None)
UNKNOWN = Unknown(what=Unseen.DOMAIN)
DROPPED = Dropped()

NO_TLS = TlsEvidence(mode=TlsMode.STARTTLS, observed_at=AT, starttls_offered=False)


def policy(text: str) -> Policy:
    routes = '\nroutes: [{match: bank.test, to: "smtp://mx.bank.test:25"}]\n'
    return load_policy_text(text + ("" if "bank.test" in text else routes), name="p.yaml")


def host(hop: Hop, evidence: TlsEvidence | None = NO_TLS, **more: object) -> HostRecord:
    return HostRecord(hop=hop, at=AT, evidence=evidence, **more)  # type: ignore[arg-type]


def record(
    *seen: HostRecord,
    hosts: tuple[Hop, ...] | None = None,
    route: str | None = ROUTE,
    problem: Failure | None = None,
) -> DomainRecord:
    return DomainRecord(domain=BANK, route=route, hosts=hosts, seen=seen, problem=problem)


def told(text: str, *records: DomainRecord, recipient: str | None = None) -> Forecast:
    return forecast(
        Records(records),
        policy(text),
        domain=BANK,
        recipient=recipient,
        stores=TrustStores(),
    )


@pytest.mark.parametrize(
    ("now", "then", "change"),
    [
        (ENCRYPTED, REFUSED, Change.NEW_BOUNCE),
        (UNKNOWN, REFUSED, Change.NEW_BOUNCE),
        (ENCRYPTED, DROPPED, Change.NEWLY_DROPPED),
        (REFUSED, DROPPED, Change.NEWLY_DROPPED),
        (DROPPED, DROPPED, Change.SAME),
        (ENCRYPTED, UNKNOWN, Change.UNKNOWN),
        (REFUSED, UNKNOWN, Change.UNKNOWN),
        (DROPPED, UNKNOWN, Change.UNKNOWN),
        (UNKNOWN, UNKNOWN, Change.UNKNOWN),
        (VERIFIED, ENCRYPTED, Change.LESS_PROTECTED),
        (ENCRYPTED, CLEAR, Change.LESS_PROTECTED),
        (CLEAR, VERIFIED, Change.BETTER_PROTECTED),
        (CLEAR, CLEAR, Change.SAME),
        (REFUSED, REFUSED, Change.STILL_REFUSED),
        (DROPPED, REFUSED, Change.STILL_REFUSED),
        (REFUSED, CLEAR, Change.DELIVERED_AGAIN),
        (DROPPED, CLEAR, Change.DELIVERED_AGAIN),
        (UNKNOWN, CLEAR, Change.NEWLY_KNOWN),
    ],
)
def test_what_a_change_amounts_to(now: Forecast, then: Forecast, change: Change) -> None:
    assert change_of(now, then) is change


def test_a_host_without_tls_under_two_settings() -> None:
    known = record(host(FIRST), hosts=(FIRST,))
    assert told("tls: Preferred", known) == Passes(
        protection=Protection.CLEAR, hop=FIRST, delivered=False
    )
    refused = told("tls: Required", known)
    assert isinstance(refused, Refused)
    assert str(refused.entry.status) == "451 4.7.6"
    assert refused.hop == FIRST
    assert fate(refused) == "451 4.7.6, at once"


@pytest.mark.parametrize(
    ("retry", "words"),
    [
        ("retry: salesforce", "451 4.7.6 now and again 8 times within 24 h, then 554 5.4.7"),
        ("retry: {delays: [30s]}", "451 4.7.6 now and again once within 30 s, then 554 5.4.7"),
        (
            "retry: {attempts: 3, first_delay: 1m, expire_after: 90m}",
            "451 4.7.6 now and again 2 times within 1.5 h, then 554 5.4.7",
        ),
        ("salesforce: {on_tls_failure: bounce-at-once}", "451 4.7.6, at once"),
        ("retry: none", "451 4.7.6, at once"),
    ],
)
def test_what_becomes_of_queued_mail(retry: str, words: str) -> None:
    refused = told(f"tls: Required\nreply: queued\n{retry}", record(host(FIRST), hosts=(FIRST,)))
    assert isinstance(refused, Refused)
    assert fate(refused) == words


def test_a_policy_that_is_tested_only_refuses_nothing() -> None:
    known = record(host(FIRST), hosts=(FIRST,))
    assert isinstance(told("tls: Required\nmode: testing", known), Passes)


class TestSeveralHosts:
    def test_a_host_that_was_never_tried_may_take_it(self) -> None:
        known = record(host(FIRST), hosts=(FIRST, SECOND))
        assert told("tls: Required", known) == Unknown(what=Unseen.HOST, hop=SECOND)

    def test_all_are_known_and_none_takes_it(self) -> None:
        known = record(host(FIRST), host(SECOND), hosts=(FIRST, SECOND))
        assert isinstance(told("tls: Required", known), Refused)

    def test_an_older_record_does_not_say_which_hosts_there_are(self) -> None:
        assert told("tls: Required", record(host(FIRST))) == Unknown(what=Unseen.HOSTS)

    def test_an_older_record_suffices_where_its_host_takes_it(self) -> None:
        assert isinstance(told("tls: Preferred", record(host(FIRST))), Passes)

    def test_one_that_fails_is_passed_over(self) -> None:
        lost = ConnectionFailure(
            problem=ConnectionProblem.REFUSED, stage=Stage.NOT_CONNECTED, detail="refused"
        )
        known = record(host(FIRST, None, failure=lost), host(SECOND), hosts=(FIRST, SECOND))
        assert told("tls: Preferred", known) == Passes(
            protection=Protection.CLEAR, hop=SECOND, delivered=False
        )


def test_what_broke_under_tls_says_nothing_of_clear_text() -> None:
    broke = host(
        FIRST,
        TlsEvidence(
            mode=TlsMode.STARTTLS,
            observed_at=AT,
            starttls_offered=True,
            starttls_sent=True,
            starttls_reply=Reply(code=220, text="go"),
            handshake=HandshakeDone(version="TLSv1.3", cipher="X"),
        ),
        failure=PeerRefusal(reply=Reply(code=554, text="no"), stage=Stage.EHLO),
        broke_under_tls=True,
    )
    known = record(broke, hosts=(FIRST,))
    assert told("tls: Off", known) == Unknown(what=Unseen.CLEAR_SESSION, hop=FIRST)
    assert isinstance(told("tls: Preferred", known), Refused)


def test_a_hosts_own_answer_counts_for_the_recipient_that_it_is_about() -> None:
    no = Failed(failure=PeerRefusal(reply=Reply(code=550, text="5.1.1 who?"), stage=Stage.RCPT))
    answers = (Answer(recipient="a@bank.test", in_clear=True, outcome=no),)
    known = record(host(FIRST, answers=answers), hosts=(FIRST,))
    theirs = told("tls: Preferred", known, recipient="a@bank.test")
    assert isinstance(theirs, Refused)
    assert str(theirs.entry.status) == "550 5.1.1"
    assert isinstance(told("tls: Preferred", known, recipient="b@bank.test"), Passes)
    assert isinstance(told("tls: Preferred", known), Passes)


def test_a_login_that_this_way_does_not_make_can_not_fail() -> None:
    no = Deferred(failure=PeerRefusal(reply=Reply(code=535, text="5.7.8 no"), stage=Stage.AUTH))
    answer = Answer(recipient="a@bank.test", in_clear=True, outcome=no, logged_in=True)
    known = record(host(FIRST, answers=(answer,), login=answer), hosts=(FIRST,))
    assert told("tls: Preferred", known, recipient="a@bank.test") == Passes(
        protection=Protection.CLEAR, hop=FIRST, delivered=False
    )


class TestWhichRecordCounts:
    def test_one_of_another_route_does_not(self) -> None:
        known = record(host(FIRST), hosts=(FIRST,), route="lab/good")
        assert told("tls: Required", known) == Unknown(what=Unseen.DOMAIN, route=ROUTE)

    def test_one_apart_from_any_policy_does(self) -> None:
        known = record(host(FIRST), hosts=(FIRST,), route=None)
        assert isinstance(told("tls: Required", known), Refused)

    def test_the_own_route_comes_first(self) -> None:
        own = record(host(FIRST), hosts=(FIRST,))
        apart = record(problem=REFUSAL, hosts=(), route=None)
        assert isinstance(told("tls: Preferred", apart, own), Passes)

    def test_what_is_captured_for_lack_of_a_route_comes_last(self) -> None:
        captured = record(host(FIRST), hosts=(FIRST,), route="capture")
        apart = record(problem=REFUSAL, hosts=(), route=None)
        text = "tls: Preferred\nroutes: [{match: not-bank.test, to: capture}]\n"
        assert isinstance(told(text, captured, apart), Refused)
        assert isinstance(told(text, captured), Passes)

    def test_an_older_record_fills_what_a_newer_one_leaves_open(self) -> None:
        newer = record(host(FIRST))
        older = record(host(FIRST), hosts=(FIRST,), route=None)
        assert isinstance(told("tls: Required", newer, older), Refused)

    def test_mail_of_other_domains_by_one_relay_counts(self) -> None:
        other = DomainRecord(
            domain=Domain("shop.test"), route=ROUTE, hosts=(FIRST,), seen=(host(FIRST),)
        )
        assert isinstance(told("tls: Required", other), Refused)


def test_an_email_relay_has_its_own_setting_and_its_filter_looks_at_senders() -> None:
    text = """
tls: Preferred
email_relays: [{name: front, host: mx.bank.test, tls: Required}]
domain_filters: [{relay: front, from: sales.test}]
"""
    known = Records(
        [
            record(host(FIRST), hosts=(FIRST,), route="mx-or-host:mx.bank.test"),
            record(host(SECOND), hosts=(SECOND,), route="capture"),
        ]
    )
    loaded = load_policy_text(text, name="p.yaml")
    assert looks_at_senders([loaded])

    def by(sender: Domain | None) -> Forecast:
        return forecast(
            known, loaded, domain=BANK, sender=sender, recipient=None, stores=TrustStores()
        )

    assert isinstance(by(Domain("sales.test")), Refused)
    assert isinstance(by(Domain("other.test")), Passes)
    assert isinstance(by(None), Passes)


def test_what_is_discarded_needs_no_record() -> None:
    loaded = load_policy_text("salesforce: {invalid_domains: discard}\n", name="p.yaml")
    result = forecast(
        Records(), loaded, domain=Domain("x.invalid"), recipient=None, stores=TrustStores()
    )
    assert result == Dropped()


def attempt(
    outcome: Outcome, *, hop: Hop | None = FIRST, ended: datetime = AT, delivered: bool = False
) -> Attempt:
    return build.attempt(
        hop=hop,
        rule=build.rule(TlsSetting.PREFERRED),
        route=ROUTE,
        session_id="s" if hop else None,
        verdict=Deliver(protection=Protection.CLEAR) if delivered else None,
        outcome=outcome,
        at=ended,
        hosts=(hop,) if hop else (),
    )


def session_of(session_id: str) -> Session:
    return build.session(id=session_id, hop=FIRST, at=AT, evidence=NO_TLS, faults=())


LATER = AT + timedelta(hours=1)


class TestGathering:
    def gathered(self, *attempts: Attempt) -> tuple[DomainRecord, ...]:
        gathering = Gathering()
        for each in attempts:
            gathering.add(each)
        return tuple(gathering.records(session_of))

    def test_a_delivery_is_an_answer_and_evidence(self) -> None:
        (only,) = self.gathered(attempt(build.OK, delivered=True))
        assert (only.domain, only.route, only.hosts) == (BANK, ROUTE, (FIRST,))
        assert only.seen[0].evidence == NO_TLS
        assert told("tls: Preferred", only, recipient="a@bank.test") == Passes(
            protection=Protection.CLEAR, hop=FIRST, delivered=True
        )

    def test_the_newest_counts_in_whatever_order_attempts_come(self) -> None:
        lost = Deferred(
            failure=ConnectionFailure(
                problem=ConnectionProblem.LOST, stage=Stage.EHLO, detail="lost"
            )
        )
        early, late = attempt(build.OK, delivered=True), attempt(lost, ended=LATER)
        for entries in ((early, late), (late, early)):
            (only,) = self.gathered(*entries)
            assert only.seen[0].failure == lost.failure
            assert only.seen[0].at == LATER

    def test_a_suppressed_address_says_nothing_of_its_domain(self) -> None:
        suppressed = LocalRefusal(problem=LocalProblem.SUPPRESSED, detail="bounced")
        assert self.gathered(attempt(Failed(failure=suppressed), hop=None)) == ()

    def test_no_host_is_a_problem_until_one_is_found(self) -> None:
        none = attempt(Deferred(failure=REFUSAL), hop=None)
        (only,) = self.gathered(none)
        assert (only.hosts, only.problem) == ((), REFUSAL)
        (only,) = self.gathered(none, attempt(build.OK, ended=LATER, delivered=True))
        assert (only.hosts, only.problem) == ((FIRST,), None)


def compared(*asked: Asked, then: str = "tls: Required") -> WhatIf:
    return compare(
        now=policy("tls: Preferred"),
        then=policy(then),
        asked=asked,
        known=Records([record(host(FIRST), hosts=(FIRST,))]),
        stores=TrustStores(),
    )


def test_rows_are_worst_first_and_counts_are_of_domains() -> None:
    result = compared(
        Asked(domain=Domain("never.test"), messages=9),
        Asked(domain=BANK, recipient="b@bank.test", messages=1),
        Asked(domain=BANK, recipient="a@bank.test", messages=36),
    )
    assert [row.asked.recipient for row in result.rows] == ["a@bank.test", "b@bank.test", None]
    assert {c: n for c, n in result.counts.items() if n} == {
        Change.NEW_BOUNCE: 1,
        Change.UNKNOWN: 1,
    }
    assert summary(result) == (
        "Of 2 domains, 1 would stop being delivered to (37 messages on record), 1 is not known."
    )


def test_a_report_says_what_a_probe_would_learn_and_what_would_be_reported() -> None:
    report = what_if_report(compared(Asked(domain=BANK), Asked(domain=Domain("never.test"))))
    bounce, unknown = report.rows
    assert (bounce.mark, unknown.mark) == (Mark.BAD, Mark.UNKNOWN)
    assert "does not offer STARTTLS" in bounce.because
    assert bounce.evidence[-1].startswith("reported as: 451 4.7.6 ")
    assert unknown.because.endswith("A probe would learn its hosts, and their TLS.")
    assert report.mark is Mark.BAD


def test_nothing_changes_and_the_report_says_so() -> None:
    result = compared(Asked(domain=BANK), then="tls: Off")
    assert summary(result) == "Of 1 domain, none would stop being delivered to, and all are known."
    assert what_if_report(result).mark is Mark.GOOD
    assert summary(compared()) == "Nothing was asked about, and nothing is on record."


def test_queued_has_the_code_of_an_expired_queue() -> None:
    refused = told("tls: Required\nreply: queued", record(host(FIRST), hosts=(FIRST,)))
    assert isinstance(refused, Refused)
    assert isinstance(refused.queued, Queued)
    assert refused.queued.within == timedelta(hours=24)


@pytest.mark.parametrize(
    ("by", "only", "rows"),
    [
        (By.DOMAIN, (), {("bank.test", None, 3), ("shop.test", None, 1)}),
        (
            By.RECIPIENT,
            (),
            {("bank.test", "a@bank.test", 2), ("bank.test", "b@bank.test", 1)}
            | {("shop.test", "c@shop.test", 1)},
        ),
        (By.DOMAIN, (Listed(domain=BANK),), {("bank.test", None, 3)}),
        (
            By.DOMAIN,
            (Listed(domain=BANK, recipient="b@bank.test"),),
            {("bank.test", "b@bank.test", 1)},
        ),
        (By.DOMAIN, (Listed(domain=Domain("never.test")),), {("never.test", None, 0)}),
        (By.RECIPIENT, (Listed(domain=Domain("never.test")),), {("never.test", None, 0)}),
        (
            By.RECIPIENT,
            (Listed(domain=BANK),),
            {("bank.test", "a@bank.test", 2), ("bank.test", "b@bank.test", 1)},
        ),
    ],
)
def test_what_is_asked_about(
    by: By, only: tuple[Listed, ...], rows: set[tuple[str, str | None, int]]
) -> None:
    asking = Asking(by=by, only=only)
    for address, count in (("a@bank.test", 2), ("b@bank.test", 1), ("c@shop.test", 1)):
        domain = Domain(address.partition("@")[2])
        asking.add(Listed(domain=domain, recipient=address), messages=count)
    assert {(a.domain, a.recipient, a.messages) for a in asking} == rows
