"""Fixtures of the tests of notices."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "e2e"))

from e2e_fixtures import certificates, start

__all__ = ["certificates", "start"]
