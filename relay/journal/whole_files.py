"""Files put in place whole: a reader of the name finds the old content or the new, never a part.

    write a file of another name beside it  ──>  sync it  ──>  give it the name  ──>  sync the name

Only the standard library: a container's health check imports this.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, unique
from pathlib import Path
from typing import BinaryIO


@unique
class Outlives(Enum):
    """What the new content has to outlive, once it has its name."""

    PROCESS = "process"
    """The writer, killed at any moment: nothing is synced. For what is void after a power cut."""
    MACHINE = "machine"
    """A power cut: the content is synced before it gets its name, and then the name itself."""


@contextmanager
def whole_file(
    path: Path, *, mode: int = 0o666, outlives: Outlives = Outlives.MACHINE
) -> Iterator[BinaryIO]:
    """Hand out a file to write, which takes the place of `path` where the block ends in order.

    An error in the block leaves `path` as it was, and nothing beside it. `kill -9` leaves it as it
    was, too, and beside it a part of no use, `.NAME.RANDOM.part`. A new file of that name is made
    each time, with `mode` less the umask, so that a secret with mode 0600 is at no moment readable
    by others, whatever mode an older file had. A symbolic link is replaced, not followed; a device
    or a pipe, which can't be replaced, is written to as it is.

    Raises OSError where the file can't be written, put in place or synced.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        with path.open("wb") as file:
            yield file
        return
    part = path.with_name(f".{path.name}.{os.urandom(4).hex()}.part")

    def private(name: str, flags: int) -> int:
        return os.open(name, flags, mode)

    try:
        with open(part, "xb", opener=private) as file:
            yield file
            if outlives is Outlives.MACHINE:
                file.flush()
                # Else the name could be durable before what it stands for: an empty file.
                os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    if outlives is Outlives.MACHINE:
        sync_directory(path.parent)


def write_whole(
    path: Path, content: bytes, *, mode: int = 0o666, outlives: Outlives = Outlives.MACHINE
) -> None:
    """Put `content` in the place of a file as `whole_file` does; raises OSError."""
    with whole_file(path, mode=mode, outlives=outlives) as file:
        file.write(content)


def sync_directory(directory: Path) -> None:
    """Make new files' names durable; only POSIX systems can and need to."""
    if os.name != "posix":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
