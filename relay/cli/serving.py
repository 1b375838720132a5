"""The note that a running relay leaves in its state directory: where it listens, under what policy.

`relay send` and `relay readyz` read it, so that ports need not be repeated, port 0 included. Only
the standard library: a container's health check imports this.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from relay.journal.whole_files import Outlives, write_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """One listener; `kind` is smtp, smtps or submission, `host` what a client connects to."""

    kind: str
    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A relay that serves.

    `lab_root` is the file with the lab's root certificate, `web` the management port's URL, None
    where there is none.
    """

    pid: int
    hostname: str
    policy: str
    lab_root: str
    listeners: tuple[Listening, ...]
    web: str | None = None

    def write(self, path: Path) -> None:
        """Leave the note, all of it or nothing; raises OSError."""
        note = json.dumps(asdict(self), indent=2) + "\n"
        # Void without its process, which no power cut spares.
        write_whole(path, note.encode("ascii"), outlives=Outlives.PROCESS)


def read_serving(path: Path) -> Serving | None:
    """Return the note of the relay that serves from this state directory; None if none does.

    A note that a killed relay left behind counts as none: its process is gone.
    """
    try:
        data = json.loads(path.read_text())
        found = Serving(
            **{**data, "listeners": tuple(Listening(**entry) for entry in data["listeners"])}
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return found if _is_alive(found.pid) else None


def _is_alive(pid: int) -> bool:
    if os.name == "nt":
        # Signal 0 would end the process there; connecting tells soon enough.
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
