"""Points in time as options take them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relay.cli.console import fail

if TYPE_CHECKING:
    from datetime import datetime

FORMS: Final = "2026-03-01, 2026-03-01T13:37 (GMT), or 24h, 7d, 30m ago."


def moment(text: str | None, option: str) -> datetime | None:
    """Read a point in time, aware, in UTC; ends the command where it is none."""
    import re
    from datetime import UTC, datetime, timedelta

    if text is None:
        return None
    units = {"m": "minutes", "h": "hours", "d": "days"}
    try:
        if found := re.fullmatch(r"(\d+)([mhd])", text.strip()):
            return datetime.now(UTC) - timedelta(**{units[found[2]]: int(found[1])})
        at = datetime.fromisoformat(text.strip())
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        fail(f"{option} {text}: not a time", hint=f"Give one such as {FORMS}")
