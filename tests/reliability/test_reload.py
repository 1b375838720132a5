"""The policy is read again: for the next message, never for the one in hand."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from e2e_command import RELAY, environment, relay, serving
from e2e_relay import Start
from reliability_host import Host

from relay.cli.readyz import wait_until_ready
from relay.cli.serving import Listening, Serving
from relay.config.policy_file import load_policy
from relay.lab.authority import LabAuthority
from relay.tls.trust import TrustError

BROKEN = "tls: Requird\nminimum_tls: 1.9\ncolour: blue\n"
BUSY_ONCE = """\
scripts:
  - scenario: good
    seed: 7
    rules:
      - {phase: rcpt, next: 1, reply: 450 4.2.1 Mailbox busy}
"""


async def test_a_message_in_hand_ends_under_the_policy_that_it_began_under(
    start: Start, tmp_path: Path
) -> None:
    """The host has no STARTTLS: policy A refuses that, policy B sends in clear."""
    with Host() as host:
        host.gate.clear()
        route = f"routes: [{{match: slow.test, to: '127.0.0.1:{host.port}'}}]\n"
        demanding, lenient = tmp_path / "a.yaml", tmp_path / "b.yaml"
        demanding.write_text(f"tls: Required\n{route}")
        lenient.write_text(f"tls: Off\n{route}")
        async with start(load_policy(demanding)) as running, asyncio.TaskGroup() as tasks:
            first = tasks.create_task(running.send("a@slow.test", mark="first"))
            assert await asyncio.to_thread(host.connected.wait, 10)
            await running.relay.load(load_policy(lenient))
            assert running.relay.policy.source == str(lenient)
            assert not first.done()
            host.gate.set()
            assert (await first).code == 451
            assert "STARTTLS required" in (await first).text
            assert host.taken == []
            assert (await running.send("a@slow.test", mark="second")).code == 250
            rules = {
                mark: running.record(mark).attempts[0].rule.file for mark in ("first", "second")
            }
            envelopes = {mark: running.record(mark).envelope for mark in ("first", "second")}
        assert rules == {"first": str(demanding), "second": str(lenient)}
        assert {mark: e.policy for mark, e in envelopes.items()} == rules
        assert len(host.taken) == 1


async def test_trust_files_are_read_again(start: Start, tmp_path: Path, certificates: Path) -> None:
    anchors, policy = tmp_path / "anchors.pem", tmp_path / "policy.yaml"
    policy.write_text("tls: Required Verify\ntrust: [anchors.pem]\n")
    anchors.write_bytes(LabAuthority(tmp_path / "stranger").root_pem)
    async with start(load_policy(policy)) as running:
        assert (await running.send("a@good.lab.test", mark="stranger")).code == 451
        anchors.write_bytes(LabAuthority(certificates).root_pem)
        assert (await running.send("a@good.lab.test", mark="before")).code == 451
        await running.relay.load(load_policy(policy))
        assert (await running.send("a@good.lab.test", mark="after")).code == 250
        in_force = running.relay.policy
        again = load_policy(policy)
        anchors.write_text("no certificate at all")
        with pytest.raises(TrustError, match=r"anchors\.pem"):
            await running.relay.load(again)
        assert running.relay.policy is in_force
        assert (await running.send("a@good.lab.test", mark="kept")).code == 250


def test_relay_policy_reload_puts_the_changed_file_in_force(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("tls: Required Verify\n")
    with serving(tmp_path, "--policy", str(policy)) as server:
        assert relay(tmp_path, "send", "a@expired.lab.test").returncode == 1
        policy.write_text("tls: Required\n")
        reload = relay(tmp_path, "policy", "reload")
        assert (reload.returncode, reload.stderr) == (0, "")
        assert str(policy) in reload.stdout
        assert relay(tmp_path, "send", "a@expired.lab.test").returncode == 0
        _, out, err = server.stop()
    assert reload.stdout in out
    assert "Traceback" not in err


def test_a_bad_file_keeps_the_policy_of_before_and_every_problem_is_said(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("tls: Required\n")
    with serving(tmp_path, "--policy", str(policy)) as server:
        policy.write_text(BROKEN)
        reload = relay(tmp_path, "policy", "reload")
        assert reload.returncode == 1
        as_json = relay(tmp_path, "policy", "reload", "--json")
        assert as_json.returncode == 1
        policy.unlink()
        gone = relay(tmp_path, "policy", "reload")
        assert gone.returncode == 1
        assert relay(tmp_path, "send", "a@expired.lab.test").returncode == 0
        _, out, _ = server.stop()
    for line in (1, 2, 3):
        assert f"{policy}:{line}:" in reload.stdout
    assert "3 problems; the policy of before stays in force" in reload.stdout
    assert reload.stdout in out
    told = json.loads(as_json.stdout)
    assert (told["outcome"], len(told["problems"])) == ("kept", 3)
    assert f"can't read {policy}" in gone.stdout


def test_fault_scripts_are_read_again_with_the_policy(tmp_path: Path) -> None:
    """Counters begin anew with every reading, whether the file has changed or not."""
    policy, script = tmp_path / "policy.yaml", tmp_path / "flaky.yaml"
    policy.write_text("tls: Required\n")
    script.write_text(BUSY_ONCE)
    with serving(tmp_path, "--policy", str(policy), "--lab-script", str(script)) as server:

        def sent() -> int:
            return relay(tmp_path, "send", "a@good.lab.test").returncode

        assert [sent(), sent()] == [1, 0]
        same = relay(tmp_path, "policy", "reload")
        assert (same.returncode, same.stderr) == (0, "")
        assert same.stdout.splitlines()[1:] == [
            f"Reloaded {script}: counters, times and chance begin anew.",
            f"fault script for good: 1 rule, seed 7 ({script}:2)",
        ]
        assert [sent(), sent()] == [1, 0]
        script.write_text(BUSY_ONCE.replace("good", "no-starttls"))
        as_json = relay(tmp_path, "policy", "reload", "--json")
        assert as_json.returncode == 0
        assert [sent(), sent()] == [0, 0]
        script.unlink()
        gone = relay(tmp_path, "policy", "reload")
        assert gone.returncode == 1
        _, out, err = server.stop()
    assert json.loads(as_json.stdout)["lab_script"] == {
        "file": str(script),
        "outcome": "loaded",
        "problems": [],
        "in_force": [f"fault script for no-starttls: 1 rule, seed 7 ({script}:2)"],
    }
    assert f"can't read {script}: No such file or directory" in gone.stdout
    assert same.stdout in out
    assert gone.stdout in out
    assert "Traceback" not in err


def test_bad_fault_scripts_are_kept_out_with_every_mistake_and_the_policy_goes_on(
    tmp_path: Path,
) -> None:
    policy, script = tmp_path / "policy.yaml", tmp_path / "flaky.yaml"
    policy.write_text("tls: Required Verify\n")
    script.write_text(BUSY_ONCE.replace("next: 1, ", ""))
    with serving(tmp_path, "--policy", str(policy), "--lab-script", str(script)):
        policy.write_text("tls: Required\n")
        script.write_text(BUSY_ONCE.replace("rcpt", "rctp").replace("good", "goood"))
        reload = relay(tmp_path, "policy", "reload")
        assert reload.returncode == 1
        assert relay(tmp_path, "send", "a@expired.lab.test").returncode == 0
        assert relay(tmp_path, "send", "a@good.lab.test").returncode == 1
        policy.write_text(BROKEN)
        script.write_text("scripts: []\n")
        crossed = relay(tmp_path, "policy", "reload")
        assert crossed.returncode == 1
        assert relay(tmp_path, "send", "a@good.lab.test").returncode == 0
    first, *problems, end = reload.stdout.splitlines()
    assert first == f"Reloaded {policy}: it holds from the next message on."
    assert [problem.split(": ")[:2] for problem in problems] == [
        [f"{script}:2:15", "scripts[0].scenario"],
        [f"{script}:5:17", "scripts[0].rules[0].phase"],
    ]
    expected = "can't be used: 2 problems; the fault scripts of before stay in force."
    assert end == f"{script} {expected}"
    assert "the policy of before stays in force." in crossed.stdout
    assert f"Reloaded {script}" in crossed.stdout


def test_a_trust_file_that_can_not_be_used_keeps_the_policy_of_before(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("tls: Required Verify\n")
    with serving(tmp_path, "--policy", str(policy)):
        policy.write_text("tls: Required Verify\ntrust: [absent.pem]\n")
        reload = relay(tmp_path, "policy", "reload")
        assert reload.returncode == 1
        assert "absent.pem" in reload.stdout
        assert relay(tmp_path, "send", "a@good.lab.test").returncode == 0


def test_without_a_relay_nobody_is_signalled(tmp_path: Path) -> None:
    """The process that a dead relay's note names may be anybody's by now."""
    none = relay(tmp_path, "policy", "reload")
    assert none.returncode == 3
    assert "no relay serves" in none.stderr
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        Serving(
            pid=stranger.pid,
            hostname="relay.lab.test",
            policy="policy.yaml",
            lab_root="lab-root.pem",
            listeners=(Listening(kind="smtp", host="127.0.0.1", port=1),),
        ).write(tmp_path / "serving.json")
        stale = relay(tmp_path, "policy", "reload")
        assert stale.returncode == 3
        assert stranger.poll() is None
        stranger.communicate(b"\n")
    assert stranger.returncode == 0


def test_a_closed_terminal_stops_the_relay(tmp_path: Path) -> None:
    """SIGHUP has two meanings; a relay whose window was closed must not keep the ports."""
    master, slave = pty.openpty()
    in_a_terminal = (
        "import os, sys\nos.setsid()\n"
        f"for fd in (0, 1, 2): os.dup2(os.open({os.ttyname(slave)!r}, os.O_RDWR), fd)\n"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    ports = ("--smtp-port", "0", "--smtps-port", "0", "--no-submission")
    with subprocess.Popen(
        [sys.executable, "-c", in_a_terminal, RELAY, "serve", *ports],
        env=environment(tmp_path),
    ) as process:
        assert wait_until_ready(tmp_path / "serving.json", 30) == []
        os.close(slave)
        os.close(master)
        assert process.wait(30) == 0
    assert not (tmp_path / "serving.json").exists()


def test_nobody_reading_what_it_says_does_not_stop_it(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        assert server.process.stdout is not None
        server.process.stdout.close()
        assert relay(tmp_path, "send", "a@good.lab.test").returncode == 0
        assert relay(tmp_path, "send", "a@expired.lab.test").returncode == 1
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        assert server.process.stderr is not None
        assert "Traceback" not in server.process.stderr.read()
