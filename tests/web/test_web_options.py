"""The options of the management port: what they are read as, and what is said of them."""

from __future__ import annotations

import pytest
import typer

from relay.cli.web_port import TOKEN, web_lines, web_options


@pytest.mark.parametrize(
    ("listen", "token", "told"),
    [
        ("127.0.0.1", None, False),
        ("::1", None, False),
        ("localhost", None, False),
        ("0.0.0.0", None, True),
        ("192.0.2.7", None, True),
        ("box.example", None, True),
        ("0.0.0.0", "secret", False),
    ],
)
def test_who_may_use_it_without_a_token_is_told(
    monkeypatch: pytest.MonkeyPatch, listen: str, token: str | None, told: bool
) -> None:
    if token is None:
        monkeypatch.delenv(TOKEN, raising=False)
    else:
        monkeypatch.setenv(TOKEN, token)
    port = web_options(wanted=True, listen=listen, port=0, hosts=["a", "b"], read_only=True)
    assert port is not None
    assert port.hosts == ("a", "b")
    assert "secret" not in repr(port)
    assert port.open_to_strangers is told
    if listen == "0.0.0.0":
        bound = port.open()
        lines = web_lines(port, bound)
        assert web_lines(port, bound, pages=True)[0].startswith(f"http://127.0.0.1:{bound.port}/ ")
        bound.socket.close()
        assert lines[0] == f"http://127.0.0.1:{bound.port}/api/v1"
        assert any(TOKEN in line for line in lines) is told


def test_no_port_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, "")
    assert web_options(wanted=False, listen="x", port=0, hosts=None, read_only=False) is None
    assert web_lines(None, None) == []
    with pytest.raises(typer.Exit):
        web_options(wanted=True, listen="127.0.0.1", port=0, hosts=None, read_only=False)
