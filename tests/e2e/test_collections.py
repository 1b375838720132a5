"""What Python's garbage collector has to look at while a relay serves."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from pathlib import Path

from e2e_command import environment, relay

from relay.cli.serving import read_serving

SCRIPT = """
import atexit, gc

@atexit.register
def tell():
    print("collector:", gc.isenabled(), len(gc.get_objects()), gc.get_freeze_count())

from relay.cli import main
main()
"""


def test_what_a_start_brings_is_left_out_of_full_collections(tmp_path: Path) -> None:
    """Libraries are more than a hundred thousand objects; a look at all takes up to 100 ms."""
    words = ["serve", "--web", "--web-port", "0", "--no-submission"]
    words += ["--smtp-port", "0", "--smtps-port", "0"]
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *words],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert relay(tmp_path, "readyz", "--wait").returncode == 0
            note = read_serving(tmp_path / "serving.json")
            assert note is not None
            assert note.web is not None
            with urllib.request.urlopen(f"{note.web}/", timeout=30) as page:
                assert page.status == 200
            process.terminate()
            out, _ = process.communicate(timeout=30)
        finally:
            if process.poll() is None:
                process.kill()
    (line,) = (line for line in out.splitlines() if line.startswith("collector:"))
    _, enabled, looked_at, left_out = line.split()
    assert enabled == "True"
    assert int(looked_at) * 10 < int(left_out)
