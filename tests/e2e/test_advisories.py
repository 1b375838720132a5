"""What is delivered and still worth a report, as a user reads it."""

from __future__ import annotations

import json
from pathlib import Path

from e2e_command import relay, serving

POLICY = Path(__file__).parents[2] / "policies" / "required-verify.yaml"


def test_a_delivery_says_what_is_worth_a_report(tmp_path: Path) -> None:
    with serving(tmp_path, "--policy", str(POLICY)):
        sent = relay(tmp_path, "send", "anyone@expires-soon.lab.test")
        shown = relay(tmp_path, "messages", "show", "latest")
        record = json.loads(relay(tmp_path, "messages", "show", "latest", "--json").stdout)
        honest = relay(tmp_path, "send", "anyone@good.lab.test")
    assert sent.returncode == 0, sent.stderr
    for story in (sent.stdout, shown.stdout):
        flat = " ".join(story.split())
        assert "Note certificate-expires-soon: ends " in flat
        assert "why it was not renewed" in flat
        assert "encrypted and verified" in flat
        assert max(map(len, story.splitlines())) <= 80
    (outbound,) = [s for s in record["sessions"] if s["direction"] == "outbound"]
    assert [a["kind"] for a in outbound["advisories"]] == ["certificate-expires-soon"]
    assert outbound["faults"] == []
    assert honest.returncode == 0
    assert "Note" not in honest.stdout
