"""The parts of a policy file about times, retries, codes, and what Salesforce leaves open."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from relay.config.file_shape import CodesBase, PolicyShape, RetryShape, SalesforceShape
from relay.config.file_types import (
    SALESFORCE_ATTEMPTS,
    SALESFORCE_EXPIRE_AFTER,
    SALESFORCE_FACTOR,
    SALESFORCE_FIRST_DELAY,
    SALESFORCE_SCHEDULE,
)
from relay.config.validate import Report
from relay.config.values import LONGEST
from relay.config.yaml_tree import SourceTree
from relay.core.codebook import CodeBook
from relay.core.codebook_data import SALESFORCE
from relay.core.delivery import Delivery
from relay.core.failure_kinds import FailureKind
from relay.core.replies import ReplyMode
from relay.core.routing import ONE_TRY, RetrySchedule
from relay.core.salesforce import BounceManagement, SalesforceSwitches


def read_delivery(shape: PolicyShape, tree: SourceTree, report: Report) -> Delivery:
    """Return how long to wait, when to try again, and which line ends to take.

    An inline reply comes after one try, whatever the file says about retries.
    """
    default = Delivery()
    reply = shape.reply or default.reply
    schedule = _schedule(shape.retry, tree, report)
    return Delivery(
        reply=reply,
        reply_within=shape.reply_within or default.reply_within,
        connect_timeout=shape.connect_timeout or default.connect_timeout,
        command_timeout=shape.command_timeout or default.command_timeout,
        schedule=schedule if reply is ReplyMode.QUEUED else ONE_TRY,
        bare_line_ends=shape.bare_line_ends or default.bare_line_ends,
        reuse=shape.reuse or default.reuse,
    )


def _schedule(
    retry: RetrySchedule | RetryShape | None, tree: SourceTree, report: Report
) -> RetrySchedule:
    match retry:
        case None:
            return SALESFORCE_SCHEDULE
        case RetrySchedule():
            return retry
        case RetryShape():
            return _scaled(_delays(retry, tree, report), _expiry(retry), retry.time_scale or 1.0)


def _delays(retry: RetryShape, tree: SourceTree, report: Report) -> tuple[timedelta, ...]:
    if retry.delays is not None:
        for key in ("attempts", "first_delay", "factor"):
            if getattr(retry, key) is not None:
                report.at_key(
                    tree, ("retry", key), "the delays are listed already", hint="remove one of both"
                )
        return tuple(retry.delays)
    attempts = retry.attempts or SALESFORCE_ATTEMPTS
    factor = retry.factor or SALESFORCE_FACTOR
    seconds = (retry.first_delay or SALESFORCE_FIRST_DELAY).total_seconds()
    delays: list[timedelta] = []
    for _ in range(attempts - 1):
        if seconds > LONGEST.total_seconds():
            report.at_key(
                tree, ("retry",), f"the delay before try {len(delays) + 2} exceeds {LONGEST.days}d"
            )
            break
        delays.append(timedelta(seconds=seconds))
        seconds *= factor
    return tuple(delays)


def _expiry(retry: RetryShape) -> timedelta | None:
    own = (retry.attempts, retry.first_delay, retry.factor, retry.delays)
    if retry.expire_after is not None or any(part is not None for part in own):
        return retry.expire_after
    return SALESFORCE_EXPIRE_AFTER


def _scaled(
    delays: tuple[timedelta, ...], expire_after: timedelta | None, scale: float
) -> RetrySchedule:
    return RetrySchedule(
        delays=tuple(delay / scale for delay in delays),
        expire_after=None if expire_after is None else expire_after / scale,
    )


def read_codes(shape: PolicyShape) -> CodeBook:
    """Return the code book with the file's own entries in it."""
    switch = shape.salesforce.refused_starttls if shape.salesforce else None
    book = _book(shape)
    return book if switch is None else replace(book, refused_starttls=switch)


def read_switches(shape: PolicyShape, bounces: BounceManagement | None) -> SalesforceSwitches:
    """Return Salesforce's switches, each with its default where the file leaves it out."""
    written, default = shape.salesforce or SalesforceShape(), SalesforceSwitches()
    return SalesforceSwitches(
        on_tls_failure=written.on_tls_failure or default.on_tls_failure,
        refused_starttls=written.refused_starttls or default.refused_starttls,
        email_relay_tls=written.email_relay_tls or default.email_relay_tls,
        invalid_domains=written.invalid_domains or default.invalid_domains,
        spf_compliance=written.spf_compliance or default.spf_compliance,
        sender_id_compliance=written.sender_id_compliance or default.sender_id_compliance,
        compliance_bcc=written.compliance_bcc,
        bounces=bounces,
    )


def _book(shape: PolicyShape) -> CodeBook:
    match shape.codes:
        case None:
            return SALESFORCE
        case CodesBase() as codes:
            entries = {kind: getattr(codes, kind.name.lower()) for kind in FailureKind}
            return codes.book.overridden({k: e for k, e in entries.items() if e is not None})
        case CodeBook() as book:
            return book
