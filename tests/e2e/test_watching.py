"""Whoever watches a relay that serves reads each line at once; nobody watching stops nothing."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
import record_builders as build

from relay.cli.console import say
from relay.cli.narrator import Narrator
from relay.core.records import Envelope


def envelope(at: datetime, *, sender: str = "a@b.test") -> Envelope:
    return build.envelope(reverse_path=sender, received_at=at, size=123)


def test_a_line_is_written_out_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    octets = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(octets, encoding="utf-8", newline="\n"))
    say("ä line")
    assert octets.getvalue() == "ä line\n".encode()


def test_what_the_encoding_lacks_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    octets = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(octets, encoding="ascii", newline="\n"))
    say("ä \ud800", err=True)
    assert octets.getvalue() == b"\\xe4 \\ud800\n"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes")
def test_a_reader_that_goes_away_ends_neither_the_program_nor_its_exit() -> None:
    reading, writing = os.pipe()
    program = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from relay.cli.console import say\ninput()\nsay('one')\nsay('two')\nprint('three')",
        ],
        stdin=subprocess.PIPE,
        stdout=writing,
        stderr=subprocess.PIPE,
    )
    os.close(writing)
    os.close(reading)
    _, trouble = program.communicate(b"\n", timeout=60)
    assert (program.returncode, trouble) == (0, b"")


def test_the_time_is_that_of_the_message(capsys: pytest.CaptureFixture[str]) -> None:
    at = datetime(2026, 5, 4, 3, 2, 1, 999_999, tzinfo=UTC)
    moments = [at, at + timedelta(microseconds=1), at, at + timedelta(hours=5)]
    for moment in moments:
        Narrator().accepted(envelope(moment, sender=""))
    assert capsys.readouterr().out.splitlines() == [
        f"{moment.astimezone():%H:%M:%S} message m1 from <>, 123 octets" for moment in moments
    ]
