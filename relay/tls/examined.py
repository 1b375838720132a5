"""What was found in chains before, so that a chain seen again costs nothing.

What the checks find in a chain depends on the time by nothing but the moments at which something
begins or ends: a certificate, an anchor, a revocation list, or the weeks in which an end is near.
Between two such moments the result stands. One that tells how long ago something was stands for its
own instant alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, TypeVar

MOST: Final = 256
"""Results that are kept; the one that was not asked for longest goes first."""

_T_co = TypeVar("_T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Result(Generic[_T_co]):
    """What was found, and when it may change.

    `moments` are those at which it may; `dated` tells that it speaks of the time itself.
    """

    found: _T_co
    moments: Sequence[datetime]
    dated: bool


@dataclass(frozen=True, slots=True)
class _Kept:
    """A result with its bounds; `about` is held, for its identity to stay its own."""

    found: object
    about: object
    after: datetime | None
    before: datetime | None
    instant: datetime | None

    def holds(self, at: datetime) -> bool:
        if self.instant is not None:
            return at == self.instant
        late = self.after is None or self.after < at
        return late and (self.before is None or at < self.before)


class ExaminedChains:
    """A bounded memory of results."""

    def __init__(self, *, most: int = MOST) -> None:
        self._most = most
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def recall(
        self, key: Hashable, *, about: object, at: datetime, find: Callable[[], Result[_T_co]]
    ) -> _T_co:
        """Return what is known of `key` at a time, or `find` it.

        `about` is what the result is relative to, by identity: a trust store.
        """
        whole: Hashable = (key, id(about))
        for kept_as in (whole, (whole, at)):
            kept = self._kept.get(kept_as)
            if kept is not None and kept.holds(at):
                self._kept.move_to_end(kept_as)
                # Keys of different results differ, so that what was kept is of this type.
                return kept.found  # type: ignore[return-value]
        result = find()
        kept = _kept(result, about, at)
        kept_as = whole if kept.instant is None else (whole, at)
        self._kept[kept_as] = kept
        self._kept.move_to_end(kept_as)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return result.found


def _kept(result: Result[object], about: object, at: datetime) -> _Kept:
    instant = at if result.dated or at in result.moments else None
    return _Kept(
        result.found,
        about,
        after=max((moment for moment in result.moments if moment < at), default=None),
        before=min((moment for moment in result.moments if moment > at), default=None),
        instant=instant,
    )
