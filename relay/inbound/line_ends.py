"""Line ends in a message's content: which are not CR LF, and what was hidden behind them.

RFC 5321 section 2.3.8 knows no line end but CR LF. Servers that take another one for a line end
too can be told that a message ends where it doesn't: SMTP smuggling (CVE-2023-51764 and its kin).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_FALSE_END: Final = re.compile(rb"(?:\r\n|\r|\n)\.(?:\r\n|\r|\n)")
_FALSE_END_CORES: Final = (b"\n.\n", b"\n.\r", b"\r.\n", b"\r.\r")
"""What every match of `_FALSE_END` holds; found faster, where there are millions of line ends."""
_NUL_END: Final = re.compile(rb"\r\n\0+\.\0*\r\n")
_NAMES: Final = {0x0D: "CR", 0x0A: "LF", 0x2E: "."}


@dataclass(frozen=True, slots=True, kw_only=True)
class LineEnds:
    """How many CR and LF stand alone; `false_end` is the first line of a dot between such ends."""

    bare_cr: int = 0
    bare_lf: int = 0
    false_end: bytes | None = None

    @property
    def proper(self) -> bool:
        """Whether every line ends in CR LF."""
        return not (self.bare_cr or self.bare_lf)

    def __str__(self) -> str:
        counted = ((self.bare_cr, "bare CR"), (self.bare_lf, "bare LF"))
        found = ", ".join(f"{count} {what}" for count, what in counted if count)
        if self.false_end is None:
            return found or "CR LF"
        sequence = " ".join(_NAMES[octet] for octet in self.false_end)
        return f"{found}, among them {sequence}, which some servers take for the end of data"


def line_ends(octets: bytes | bytearray) -> LineEnds:
    """Look at the line ends of content as it was sent, dot-stuffing not yet undone."""
    pairs = octets.count(b"\r\n")
    bare_cr, bare_lf = octets.count(b"\r") - pairs, octets.count(b"\n") - pairs
    if not (bare_cr or bare_lf):
        return LineEnds()
    cores = [at for core in _FALSE_END_CORES if (at := octets.find(core)) >= 0]
    found = _FALSE_END.search(octets, max(0, min(cores) - 1)) if cores else None
    return LineEnds(bare_cr=bare_cr, bare_lf=bare_lf, false_end=found and bytes(found[0]))


def normalised(octets: bytearray) -> bytearray:
    """Return content with CR LF for every bare CR and every bare LF."""
    # Three passes in C: one pattern with three arms would hold up all sessions for seconds.
    return octets.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")


def has_nul_end(lines: bytearray) -> bool:
    """Whether a line would be a lone dot for a server that drops NUL; lines end in CR LF."""
    return b"\0" in lines and _NUL_END.search(lines) is not None
