"""A notice in plain words: a subject, and a text that fits a mail."""

from __future__ import annotations

import textwrap
from typing import Final, assert_never

from relay.core.notices import Notice, NoticeKind, Report

_WIDTH: Final = 72


def subject_of(notice: Notice) -> str:
    """Return one line that says what happened, where and how often."""
    code = f" ({notice.code})" if notice.code else ""
    return _plain(f"{_headline(notice)}{code}")


def text_of(notice: Notice) -> str:
    """Return what happened, why, what to do about it and how to see more; lines end in LF."""
    first, last = (f"{at:%Y-%m-%d %H:%M:%S} UTC" for at in (notice.first_at, notice.last_at))
    when = first if notice.count == 1 else f"{notice.count} times from {first} to {last}"
    rows = [
        ("When", when),
        ("Code", str(notice.code) if notice.code else "none: the message was not refused for it"),
        ("Setting", notice.setting.label),
        ("Host", notice.host or "none"),
        ("Cause", notice.cause),
        ("Remedy", notice.remedy),
        ("Next", notice.next),
    ]
    if notice.verified_at is not None:
        rows.insert(1, ("Before", f"verified until {notice.verified_at:%Y-%m-%d %H:%M:%S} UTC"))
    paragraphs = [textwrap.fill(f"{_headline(notice)}.", _WIDTH), ""]
    for name, value in rows:
        paragraphs.append(
            textwrap.fill(
                _plain(value),
                _WIDTH,
                initial_indent=f"{name:<9}",
                subsequent_indent=" " * 9,
                break_on_hyphens=False,
            )
        )
    if notice.report is Report.SUMMARY:
        paragraphs += ["", "Cause, host and command are those of the last one."]
    elif notice.kind is not NoticeKind.FIRST_TLS_FAILURE:
        paragraphs += ["", "If there is more of the same, one summary will follow."]
    return "\n".join([*paragraphs, ""])


def _headline(notice: Notice) -> str:
    domain = notice.domain
    many = notice.report is Report.SUMMARY
    times = "once more" if notice.count == 1 else f"{notice.count} times"
    match notice.kind:
        case NoticeKind.BOUNCED:
            return f"Mail to {domain} bounced{f' {times}' if many else ''}"
        case NoticeKind.FIRST_TLS_FAILURE:
            return f"TLS with {domain} failed for the first time"
        case NoticeKind.STOPPED_VERIFYING if many:
            return f"TLS with {domain} stopped verifying {times}"
        case NoticeKind.STOPPED_VERIFYING:
            return f"TLS with {domain} does not verify any more"
        case _:
            assert_never(notice.kind)


def _plain(text: str) -> str:
    """Keep a peer's words to what a terminal or a mail program would not obey."""
    return "".join(c if c.isprintable() else "?" for c in text)
