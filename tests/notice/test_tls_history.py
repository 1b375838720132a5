"""When a TLS failure is news, by a domain's past."""

from __future__ import annotations

import pytest
from notice_records import (
    CLEAR,
    ENCRYPTED,
    EXPIRED,
    NOT_OFFERED,
    RETRIED,
    TERMINATED,
    VERIFIED,
    an_attempt,
)

from relay.core.codebook_data import SALESFORCE
from relay.core.notices import tls_trouble
from relay.core.replies import StatusCode
from relay.core.settings import TlsSetting
from relay.core.tls_history import TlsNews, past_of, tls_news
from relay.core.verdicts import Verdict

FIRST, STOPPED = TlsNews.FIRST_FAILURE, TlsNews.STOPPED_VERIFYING
PREFERRED, PREFERRED_VERIFY = TlsSetting.PREFERRED, TlsSetting.PREFERRED_VERIFY


@pytest.mark.parametrize(
    ("before", "now", "news"),
    [
        ((), TERMINATED, FIRST),
        ((), RETRIED, FIRST),
        ((), VERIFIED, None),
        ((), ENCRYPTED, None),
        ((), None, None),
        ((None, ENCRYPTED), TERMINATED, FIRST),
        ((TERMINATED,), TERMINATED, None),
        ((RETRIED,), TERMINATED, None),
        ((VERIFIED,), TERMINATED, STOPPED),
        ((VERIFIED,), RETRIED, STOPPED),
        ((VERIFIED, ENCRYPTED), TERMINATED, STOPPED),
        ((VERIFIED, None), TERMINATED, STOPPED),
        ((VERIFIED, TERMINATED), TERMINATED, None),
        ((VERIFIED, TERMINATED, VERIFIED), TERMINATED, STOPPED),
        ((TERMINATED, VERIFIED), VERIFIED, None),
    ],
)
def test_news(
    before: tuple[Verdict | None, ...], now: Verdict | None, news: TlsNews | None
) -> None:
    past = past_of(an_attempt(verdict, number=n) for n, verdict in enumerate(before))
    assert tls_news(past, an_attempt(now, number=99)) is news


def test_clear_text_is_news_where_a_verifying_setting_verified_before() -> None:
    verified = past_of([an_attempt(VERIFIED, setting=PREFERRED_VERIFY)])
    assert tls_news(verified, an_attempt(CLEAR, setting=PREFERRED_VERIFY)) is STOPPED
    assert tls_news(verified, an_attempt(CLEAR, setting=PREFERRED)) is None
    assert tls_news(past_of([]), an_attempt(CLEAR, setting=PREFERRED_VERIFY)) is None


def test_a_try_in_clear_by_plan_and_a_setting_without_tls_say_nothing() -> None:
    verified = past_of([an_attempt(VERIFIED)])
    assert verified.after(an_attempt(CLEAR, clear=True)) == verified
    assert verified.after(an_attempt(CLEAR, setting=TlsSetting.OFF)) == verified
    assert verified.after(an_attempt(CLEAR, setting=PREFERRED)).verified_at is None


def test_the_time_it_verified_last_is_known() -> None:
    attempts = [an_attempt(VERIFIED, number=1), an_attempt(VERIFIED, number=2)]
    assert past_of(attempts).verified_at == attempts[1].ended_at


def test_trouble_that_refuses_has_the_code_books_code() -> None:
    trouble = tls_trouble(an_attempt(TERMINATED), (EXPIRED,), book=SALESFORCE)
    assert trouble.code == StatusCode.parse("451 4.7.5")
    assert trouble.cause.endswith("Required Verify demands a trustworthy certificate.")


def test_trouble_that_lets_the_message_go_has_no_code_and_says_so() -> None:
    retried = an_attempt(RETRIED, setting=PREFERRED_VERIFY)
    trouble = tls_trouble(retried, (EXPIRED,), book=SALESFORCE)
    assert trouble.code is None
    assert trouble.cause.endswith("lets the message go in clear text instead.")
    clear = an_attempt(CLEAR, setting=PREFERRED_VERIFY)
    trouble = tls_trouble(clear, (NOT_OFFERED,), book=SALESFORCE)
    assert trouble.code is None
    assert trouble.cause.startswith("The host does not offer STARTTLS")
    assert "enable STARTTLS" in trouble.remedy
