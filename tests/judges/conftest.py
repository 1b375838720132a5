"""Fixtures of the tests in which software that nobody here wrote judges the relay."""

from __future__ import annotations

import sys
from pathlib import Path

# Helpers that other rooms of the tests have already: relays, scripted peers, bad certificates.
sys.path += [str(Path(__file__).parents[1] / room) for room in ("audit", "e2e", "outbound", "tls")]
sys.path.append(str(Path(__file__).parents[1] / "project"))  # the commands of pages

from e2e_fixtures import certificates, start
from judge_node import node

__all__ = ["certificates", "node", "start"]
