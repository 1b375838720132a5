"""JSON lines as the log of a relay that serves."""

from __future__ import annotations

import json
from pathlib import Path

from e2e_command import relay, serving


def test_each_line_is_json_and_names_its_message_and_session(tmp_path: Path) -> None:
    with serving(tmp_path, "--no-web", "--log-format", "json") as server:
        assert relay(tmp_path, "send", "anyone@expired.lab.test").returncode == 1
        code, out, err = server.stop()
    assert code == 0, err
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["event"] for line in lines] == ["serving", "accepted", "attempted", "bounced"]
    _, accepted, attempted, bounced = lines
    assert accepted["message_id"] == attempted["message_id"] == bounced["message_id"]
    assert attempted["session_id"] == bounced["session_id"] != accepted["session_id"]
    assert (bounced["code"], attempted["outcome"]) == ("451 4.7.5", "deferred")
    assert all("at" in line for line in lines)
    assert [json.loads(line)["event"] for line in err.splitlines()] == ["stopping"]
