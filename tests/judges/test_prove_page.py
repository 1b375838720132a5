"""The commands of docs/prove.md that lead another relay to the lab, with Postfix as that relay."""

from __future__ import annotations

import asyncio
import re
import shlex
from pathlib import Path

import pytest
from e2e_command import RELAY, environment, relay
from e2e_ports import free_run
from judge_postfix_client import postfix_at_level

from relay.lab.authority import LabAuthority
from relay.lab.catalogue import LAB_SCENARIOS

PAGE = Path(__file__).parents[2] / "docs/prove.md"


def commands() -> list[list[str]]:
    text = PAGE.read_text().replace("\\\n", " ")
    found = re.findall(r"^\$ (relay .*?)(?: #.*)?$", text, re.MULTILINE)
    return [shlex.split(line)[1:] for line in found]


@pytest.mark.judge("postfix", root=True)
@pytest.mark.parametrize(("level", "code"), [("encrypt", 0), ("may", 1)])
async def test_another_relay_is_proved(tmp_path: Path, level: str, code: int) -> None:
    (export,) = (words for words in commands() if words[0] == "lab")
    (prove,) = (words for words in commands() if "--relay" in words)
    state = tmp_path / "state"
    root = LabAuthority(state / "certs").root_pem
    base = str(free_run(len(LAB_SCENARIOS)))
    exported = relay(state, *export[: export.index(">")], "--base-port", base)
    async with postfix_at_level(level, transport=exported.stdout.encode(), ca=root) as postfix:
        words = [f"127.0.0.1:{postfix.port}" if word == "127.0.0.1:25" else word for word in prove]
        process = await asyncio.create_subprocess_exec(
            RELAY, *words, "--base-port", base, "--scenarios", "no-starttls,expired",
            env=environment(state), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == code, (out, err)
    said = out.decode()
    assert ("LEAK <-- MAIL FROM:<rlp-" in said) is (level == "may")
    assert re.search(r"^expired +TLS +enforced", said, re.MULTILINE)
