"""The public interface: which names there are, what they take, and that they are typed."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import relay

REPOSITORY = Path(__file__).parents[2]

NAMES = {
    "Bounce",
    "Clock",
    "Happened",
    "Message",
    "PolicyFileError",
    "PolicyNotFoundError",
    "ReceivedMessage",
    "Relay",
    "RunningClock",
    "RunningLab",
    "RunningRelay",
    "Session",
    "TlsSetting",
    "__version__",
    "running",
}
OPENING = {
    "policy": "'required-verify'",
    "settings": "None",
    "lab": "True",
    "port": "0",
    "state": "None",
    "certificates": "None",
    "allow_external": "False",
}
ADVANCE = {"days": "0", "hours": "0", "minutes": "0", "seconds": "0"}
WAIT_FOR = {
    "outcome": "-",
    "recipient": "None",
    "domain": "None",
    "code": "None",
    "timeout": "10.0",
}
LOAD_POLICY = {"policy": "-", "settings": "None", "near": "None"}
AT_CAPTURE = {"scenario": "'capture'"}
SHARED = {"address", "clear", "load_policy", "received", "wait_for"} | {
    "bounces",
    "ca_file",
    "ca_pem",
    "clock",
    "host",
    "messages",
    "port",
    "sessions",
    "smtp_url",
    "smtps_port",
    "submission_port",
}


def parameters(function: object) -> dict[str, str]:
    assert callable(function)
    return {
        name: "-" if one.default is one.empty else repr(one.default)
        for name, one in inspect.signature(function).parameters.items()
        if name != "self"
    }


def public(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def test_the_names_are_these_and_all_can_be_had() -> None:
    assert set(relay.__all__) == NAMES
    for name in NAMES:
        assert getattr(relay, name) is not None
    assert set(dir(relay)) >= NAMES
    with pytest.raises(AttributeError, match="nonsense"):
        _ = relay.nonsense  # type: ignore[attr-defined]


def test_what_they_have_and_take() -> None:
    assert public(relay.Relay) == SHARED
    assert public(relay.RunningRelay) == SHARED | {"lab"}
    assert public(relay.RunningLab) == {"address", "ca_file", "ca_pem", "received", "scenarios"}
    assert public(relay.Clock) == {"advance", "now", "settle"}
    assert public(relay.RunningClock) == {"advance", "now", "settle"}
    assert parameters(relay.Relay) == parameters(relay.running) == OPENING
    for face in (relay.Relay, relay.RunningRelay):
        assert parameters(face.wait_for) == WAIT_FOR
        assert parameters(face.load_policy) == LOAD_POLICY
        assert parameters(face.received) == parameters(face.address) == AT_CAPTURE
        assert parameters(face.clear) == {}
    for clock in (relay.Clock, relay.RunningClock):
        assert parameters(clock.advance) == ADVANCE


def test_importing_the_package_imports_nothing_of_it() -> None:
    program = "import relay, sys; print([m for m in sys.modules if m.startswith('relay.')])"
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "[]"


def test_a_relay_in_process_needs_neither_web_nor_command_line() -> None:
    program = (
        "import sys; from relay import running\n"
        "print(sorted({'fastapi', 'starlette', 'uvicorn', 'typer', 'rich', 'jinja2'}"
        " & set(sys.modules)))"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "[]"


TYPED = """
import relay


async def use() -> str:
    async with relay.Relay(relay.TlsSetting.REQUIRED, settings={"reply": "queued"}) as one:
        await one.clock.advance(hours=24)
        happened: relay.Happened = await one.wait_for("bounced", code="5.4.7")
        bounces: tuple[relay.Bounce, ...] = one.bounces
        messages: tuple[relay.Message, ...] = one.messages
        host, port = await one.address("expired")
        return f"{happened.recipient} {bounces[0].status} {messages[0].subject} {host} {port + 1}"


def use_in_a_thread() -> bytes:
    with relay.running({"tls": "Required"}, lab=True) as one:
        one.clock.advance(hours=24)
        taken: tuple[relay.ReceivedMessage, ...] = one.lab.received("good")
        return taken[0].content


def wrong(one: relay.RunningRelay) -> None:
    one.wait_for("delivrd")  # type: ignore[arg-type]
    one.port = 25  # type: ignore[misc]
    relay.running(tls="Required")  # type: ignore[call-arg]
"""


def test_a_typed_program_has_types(tmp_path: Path) -> None:
    """Strict, with a warning for each ignore that nothing needs: so the wrong uses are errors."""
    program = tmp_path / "program.py"
    program.write_text(TYPED)
    told = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", str(program)],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
    )
    assert told.returncode == 0, told.stdout
