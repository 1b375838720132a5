"""What the lab loads when somebody first asks for it is loaded beside the event loop."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BEGIN = """\
import asyncio, sys, threading
from datetime import UTC, datetime
from pathlib import Path
from relay.lab.authority import LabAuthority
from relay.lab.lab import Lab
from relay.lab.lookups import LabLookups

in_loop = {}

def note(event, args):
    if event == "import":
        here = threading.current_thread() is threading.main_thread()
        in_loop.setdefault(args[0].partition(".")[0], here)

async def use(lab):
    await lab.address("good")
    sys.addaudithook(note)
"""
LEGACY = """
    there = await lab.address("3des-only")
    reader, writer = await asyncio.open_connection(there.address, there.port)
    for line in (b"EHLO client.test", b"STARTTLS"):
        await reader.readline()
        writer.write(line + b"\\r\\n")
    while not (await reader.readline()).startswith(b"220"):
        pass
    writer.close()
    await lab.wait_until_idle("3des-only")
"""
NAME_SERVER = """
    async with LabLookups(lab, client="relay.example") as lookups:
        assert await lookups.name_server("null-mx")
"""
END = """
async def main():
    authority = LabAuthority(Path(sys.argv[1]))
    async with Lab(authority, now=lambda: datetime.now(UTC)) as lab:
        await use(lab)

asyncio.run(main())
print(in_loop[sys.argv[2]])
"""


@pytest.mark.parametrize(
    ("doing", "library"), [(LEGACY, "tlslite"), (NAME_SERVER, "dns")], ids=["legacy", "names"]
)
def test_a_library_that_one_receiver_needs_holds_up_no_session_of_another(
    doing: str, library: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + doing + END, tmp_path, library],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "False", done.stderr
