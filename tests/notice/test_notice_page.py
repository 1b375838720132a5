"""docs/notice.md says what the code does: payload, mail, numbers, and the receiver's check."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from notice_records import SECRET

from relay.core.addresses import Domain
from relay.core.jsonform import to_json
from relay.core.notices import Notice, NoticeKind, Report
from relay.core.replies import StatusCode
from relay.core.settings import TlsSetting
from relay.notice.channel import KEPT
from relay.notice.notifier import LOOK_BACK
from relay.notice.options import SHORTEST_SECRET, WINDOW, Target, WebhookOptions
from relay.notice.signing import sign
from relay.notice.words import subject_of, text_of

PAGE = (Path(__file__).parents[2] / "docs/notice.md").read_text("utf-8")
BODY = b'{"kind": "bounced"}'


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.fixture
def is_genuine(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, bytes], bool]:
    monkeypatch.setenv("RELAY_WEBHOOK_SECRET", SECRET.decode())
    names: dict[str, Callable[[str, bytes], bool]] = {}
    exec(block("python"), names)
    return names["is_genuine"]


def test_the_receivers_check_takes_what_the_relay_signs_and_nothing_else(
    is_genuine: Callable[[str, bytes], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    header = sign(SECRET, BODY, at=now)
    assert is_genuine(header, BODY)
    assert not is_genuine(header, BODY + b" ")
    assert not is_genuine(sign(b"another secret of some length", BODY, at=now), BODY)
    assert not is_genuine(sign(SECRET, BODY, at=now - timedelta(hours=1)), BODY)
    seconds = int(now.timestamp())
    assert not is_genuine(header.replace(f"t={seconds}", f"t={seconds + 1}"), BODY)


def shown() -> Notice:
    """Make the page's own payload into a notice again."""
    data = json.loads(block("json"))
    code = StatusCode(**data.pop("code"))
    times = {
        name: datetime.fromisoformat(data.pop(name))
        for name in ("first_at", "last_at", "verified_at")
    }
    return Notice(
        kind=NoticeKind(data.pop("kind")),
        report=Report(data.pop("report")),
        domain=Domain(data.pop("domain")),
        setting=TlsSetting(data.pop("setting")),
        code=code,
        **times,
        **data,
    )


def test_the_payload_is_a_notice_in_its_json_form() -> None:
    assert to_json(shown()) == json.loads(block("json"))


def test_the_mail_is_what_a_summary_reads_like() -> None:
    head, text = block("text").split("\n\n", 1)
    first, last = (
        datetime.fromisoformat(f"{at}+00:00")
        for at in re.findall(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC", text)
    )
    stopped = shown()
    summary = Notice(
        kind=NoticeKind.BOUNCED,
        report=Report.SUMMARY,
        domain=stopped.domain,
        count=3,
        first_at=first,
        last_at=last,
        code=stopped.code,
        setting=stopped.setting,
        host=stopped.host,
        cause=stopped.cause,
        remedy=stopped.remedy,
        message_id=stopped.message_id,
        bounce_id="1m803q6hcfzh0qe8b",
        verified_at=None,
        next="relay bounces show 1m803q6hcfzh0qe8b",
    )
    assert text_of(summary) == text
    assert head.splitlines()[0] == f"Subject: {subject_of(summary)}"


def test_every_kind_is_explained_and_the_numbers_are_true() -> None:
    table = re.findall(r"^\| `([a-z-]+)` \| [A-Z]", PAGE, re.MULTILINE)
    assert table == [kind.value for kind in NoticeKind]
    flat = " ".join(PAGE.split())
    options = WebhookOptions(target=Target.parse("http://127.0.0.1/"), secret=SECRET)
    waits = [f"{wait.total_seconds():g}" for wait in options.waits]
    assert f"after {', '.join(waits[:-1])} and {waits[-1]} seconds" in flat
    assert f"not within {options.timeout.total_seconds():g} seconds" in flat
    assert f"queue: {KEPT} of them" in flat
    assert f"newest {LOOK_BACK} messages" in flat
    assert f"{SHORTEST_SECRET} octets at least" in flat
    assert "within an hour (`--notice-window`)" in flat
    assert timedelta(hours=1) == WINDOW
