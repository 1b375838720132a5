"""The event loop that `relay serve` runs in."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType

import pytest
import typer

from relay.cli.loops import LoopKind, loop_factory


def test_auto_takes_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    uvloop = ModuleType("uvloop")
    uvloop.new_event_loop = asyncio.SelectorEventLoop  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "uvloop", uvloop)
    assert loop_factory(LoopKind.AUTO) is asyncio.SelectorEventLoop
    assert loop_factory(LoopKind.UVLOOP) is asyncio.SelectorEventLoop
    assert loop_factory(LoopKind.ASYNCIO) is asyncio.new_event_loop


def test_uvloop_that_is_not_installed_is_a_clear_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert loop_factory(LoopKind.AUTO) is asyncio.new_event_loop
    with pytest.raises(typer.Exit) as ended:
        loop_factory(LoopKind.UVLOOP)
    assert ended.value.exit_code == 2
    assert "pip install 'relaylab[uvloop]'" in capsys.readouterr().err
