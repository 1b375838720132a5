"""Fixtures of the reliability tests; helpers of other rooms' tests are shared."""

import sys
from pathlib import Path

for _helpers in ("e2e", "lookup", "outbound"):
    sys.path.insert(0, str(Path(__file__).parents[1] / _helpers))

from e2e_fixtures import certificates, start  # noqa: E402 - found on the path just made

__all__ = ["certificates", "start"]
