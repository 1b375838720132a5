"""What the listeners show: files of the user's own, or one of the lab's certificates."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from relay import __version__
from relay.journal.whole_files import Outlives, write_whole
from relay.lab.authority import LabAuthority

_RECIPE: Final = "good"
_ALSO: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCertificate:
    """A certificate chain and its key, both PEM files."""

    chain: Path
    key: Path


def lab_certificate(
    authority: LabAuthority, directory: Path, hostname: str, *, now: datetime
) -> ServerCertificate:
    """Return one of the lab's certificates for `hostname`, in files of `directory`.

    It is the same at every start, until half of its time is gone; a note beside the files tells
    which one they hold, so that none of the libraries that read certificates is needed for it.
    """
    kept = ServerCertificate(chain=directory / "relay-chain.pem", key=directory / "relay-key.pem")
    note = directory / "relay-certificate.json"
    if not _is_current(note, kept, authority, hostname, now):
        from relay.lab.recipes import shipped_recipes

        recipe = shipped_recipes()[_RECIPE]
        issued = authority.issue(recipe, hostname, also=_ALSO)
        _write_private(kept.chain, issued.chain_pem)
        _write_private(kept.key, issued.key_pem)
        renewal = issued.issued_at + recipe.valid_until / 2
        told = {
            "issued": issued.issued_at.isoformat(),
            "renew": renewal.isoformat(),
            "digest": _digest(kept, authority, hostname),
        }
        _write_private(note, json.dumps(told, indent=2).encode("ascii"))
    return kept


def _is_current(
    note: Path, kept: ServerCertificate, authority: LabAuthority, hostname: str, now: datetime
) -> bool:
    try:
        told = json.loads(note.read_bytes())
        begin, end = (datetime.fromisoformat(told[key]) for key in ("issued", "renew"))
        return begin <= now <= end and told["digest"] == _digest(kept, authority, hostname)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _digest(kept: ServerCertificate, authority: LabAuthority, hostname: str) -> str:
    """Return a digest of the files and all that they follow from."""
    parts = (
        *(kept.chain.read_bytes(), kept.key.read_bytes()),
        *(authority.root_pem, authority.intermediates_pem),
        *(text.encode() for text in (hostname, *_ALSO, __version__)),
    )
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, all of it or nothing."""
    # After a power cut the digest in the note tells, and the start makes them anew.
    write_whole(path, content, mode=0o600, outlives=Outlives.PROCESS)
