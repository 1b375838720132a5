"""What a relay of the plugin loads in threads is loaded before: in one, by `load_in_one_thread`."""

from __future__ import annotations

import subprocess
import sys

# Mail to receivers that answer, to one that is looked up, and to one that no other is made like.
PROGRAM = """
import smtplib, sys, threading
loaded = []
class Noted:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("relay.") and threading.current_thread().name.startswith("asyncio_"):
            loaded.append(name)
sys.meta_path.insert(0, Noted())
from relay import running
from relay.testing.loading import load_in_one_thread
{load}
policy = {{
    "tls": "Required Verify",
    "routes": [{{"match": "mx.example", "to": "mx"}}],
    "dns": {{"server": "127.0.0.1:9", "timeout": "100ms"}},
}}
with running(policy) as relay:
    for domain in ("good.lab.test", "expired.lab.test", "mx.example"):
        with smtplib.SMTP("127.0.0.1", relay.port) as client:
            try:
                client.sendmail("a@example.test", [f"b@{{domain}}"], b"Subject: x\\r\\n\\r\\n")
            except smtplib.SMTPException:
                pass
print(loaded)
"""


def loaded_in_threads(load: str) -> str:
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(load=load)],
        capture_output=True,
        text=True,
        check=True,
    )
    return told.stdout.strip()


def test_nothing_is_left_to_load_in_a_thread() -> None:
    assert loaded_in_threads("load_in_one_thread()") == "[]"
    # Otherwise there is much, so that the question finds what there is.
    assert "'relay.engine.tries'" in loaded_in_threads("")
