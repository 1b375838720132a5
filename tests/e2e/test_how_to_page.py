"""The how-to pages: each command works, in the page's order, and prints what the page shows."""

from __future__ import annotations

import contextlib
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_command import RELAY, environment, serving
from e2e_page import DOCS, Step, run, steps, write_files

REFUSED = 1
EXPIRED = DOCS / "expired-certificate.md"
PARTNER = DOCS / "partner-bounces.md"


@contextlib.contextmanager
def lab_serving(state: Path, scenario: str) -> Iterator[int]:
    """Start `relay lab serve` on free ports; yield this receiver's."""
    words = ("lab", "serve", "--base-port", "0", "--dns-port", "0", "--no-web")
    with subprocess.Popen(
        [RELAY, *words], env=environment(state), stdout=subprocess.PIPE, text=True
    ) as lab:
        assert lab.stdout is not None
        try:
            line = next(line for line in lab.stdout if line.startswith(f"{scenario} "))
            yield int(line.rpartition(":")[2])
        finally:
            lab.terminate()


def parted() -> tuple[list[Step], list[Step]]:
    """Return the steps of the page on expired certificates: with the relay, and without it."""
    told = steps(EXPIRED)
    lab = [shlex.split(step.command)[:3] for step in told].index(["relay", "lab", "serve"])
    assert len(told) == 11
    return told[:lab], told[lab + 1 :]


def test_an_expired_certificate_is_reproduced_as_the_page_says(tmp_path: Path) -> None:
    assert write_files(EXPIRED, tmp_path) == ["partner.yaml"]
    told, _ = parted()
    (serve,) = (n for n, step in enumerate(told) if step.command.startswith("relay serve"))
    for step in told[:serve]:
        run(step, tmp_path, expected=REFUSED)
    with serving(tmp_path / "state", *shlex.split(told[serve].command)[2:], cwd=tmp_path):
        for step in told[serve + 1 :]:
            run(step, tmp_path, expected=REFUSED if "relay send" in step.command else 0)


@pytest.mark.judge("openssl")
def test_an_expired_certificate_is_shown_to_any_client_as_the_page_says(tmp_path: Path) -> None:
    _, (listed, root, asked) = parted()
    run(root, tmp_path)
    with lab_serving(tmp_path / "state", "expired") as port:
        # By default as the page shows them; here at any free port.
        assert f"127.0.0.1:{run(listed, tmp_path).split()[-1]}" in asked.command
        here = Step(command=re.sub(r":26\d\d", f":{port}", asked.command), shown=asked.shown)
        assert "certificate has expired" in run(here, tmp_path, expected=1)


def test_a_partner_that_bounces_is_looked_into_as_the_page_says(tmp_path: Path) -> None:
    assert write_files(PARTNER, tmp_path) == ["same.yaml", "exception.yaml"]
    told = steps(PARTNER)
    assert len(told) == 6
    for step in told:
        run(step, tmp_path, expected=REFUSED if "same.yaml" in step.command else 0)


def test_what_a_page_leaves_out_is_left_out_and_nothing_else() -> None:
    step = Step(command="", shown="one\n...\nthree four\n")
    assert step.agrees_with("one\ntwo\nthree\nfour\n")
    assert not step.agrees_with("zero\none\nthree four\n")
    assert not step.agrees_with("one\ntwo\nthree\n")
    assert not step.agrees_with("one\nthree four\nfive\n")
