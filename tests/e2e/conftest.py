"""Fixtures of the end-to-end tests."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "lookup"))  # the name server of the tests
sys.path.append(str(Path(__file__).parents[1] / "formats"))  # bounces of other mail servers
sys.path.append(str(Path(__file__).parents[1] / "project"))  # the commands of pages

from e2e_fixtures import certificates, start

__all__ = ["certificates", "start"]
