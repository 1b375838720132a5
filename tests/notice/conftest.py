"""Fixtures of the tests of notices."""

from e2e_fixtures import certificates, start

__all__ = ["certificates", "start"]
