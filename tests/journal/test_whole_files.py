"""Files put in place whole: what a reader finds while they are written, and after each end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.journal.whole_files import Outlives, whole_file, write_whole

KILLED = """
import os, signal, sys
from pathlib import Path
from relay.journal.whole_files import whole_file

with whole_file(Path(sys.argv[1])) as file:
    file.write(b"half of the n")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


@pytest.fixture
def umask() -> Iterator[None]:
    """What a user's shell has, whatever the tests were started with."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_a_reader_finds_the_old_content_until_the_new_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "note.json"
    write_whole(path, b"old")
    with whole_file(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert names_in(tmp_path) == ["note.json"]


def test_an_error_leaves_the_old_content_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "note.json"
    write_whole(path, b"old")

    def interrupted() -> None:
        with whole_file(path) as file:
            file.write(b"new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["note.json"]


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_killed_writer_leaves_the_old_content_and_is_in_nobodys_way(tmp_path: Path) -> None:
    path = tmp_path / "note.json"
    write_whole(path, b"old")
    ended = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    (left,) = {each.name for each in tmp_path.iterdir()} - {"note.json"}
    assert left.startswith(".note.json.")
    assert left.endswith(".part")
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize(("mode", "found"), [(0o600, 0o600), (0o666, 0o644)])
def test_the_mode_holds_from_the_first_octet_on(tmp_path: Path, mode: int, found: int) -> None:
    path = tmp_path / "key.pem"
    path.touch(mode=0o640)
    with whole_file(path, mode=mode) as file:
        assert os.fstat(file.fileno()).st_mode & 0o777 == found
    assert path.stat().st_mode & 0o777 == found


def test_two_writers_of_one_name_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    with whole_file(path) as one, whole_file(path) as two:
        one.write(b"one" * 100)
        two.write(b"two")
    assert path.read_bytes() == b"one" * 100
    assert names_in(tmp_path) == ["log.csv"]


@pytest.mark.parametrize(("outlives", "synced"), [(Outlives.PROCESS, 0), (Outlives.MACHINE, 2)])
def test_what_outlives_a_power_cut_is_synced_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outlives: Outlives, synced: int
) -> None:
    path = tmp_path / "evidence.json"
    calls: list[tuple[bool, bool]] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        kind = os.fstat(descriptor)
        calls.append((kind.st_ino == tmp_path.stat().st_ino, path.exists()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write_whole(path, b"new", outlives=outlives)
    # The content before the name is there, the directory once it is.
    assert calls == [(False, False), (True, True)][:synced]


def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"theirs")
    path = tmp_path / "link"
    path.symlink_to(other)
    write_whole(path, b"new")
    assert not path.is_symlink()
    assert (path.read_bytes(), other.read_bytes()) == (b"new", b"theirs")


def test_a_device_is_written_to_and_stays_a_device() -> None:
    write_whole(Path(os.devnull), b"new")
    assert Path(os.devnull).is_char_device()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_hands_the_content_on(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_whole(path, b"new")
        assert os.read(reader, 10) == b"new"
    finally:
        os.close(reader)
    assert path.is_fifo()


@pytest.mark.parametrize("name", ["missing/note.json", "directory"])
def test_a_name_that_can_not_be_had_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "directory").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_whole(tmp_path / name, b"new")
    assert names_in(tmp_path) == ["directory"]
    assert names_in(tmp_path / "directory") == []
