"""Fixtures of the reliability tests."""

from e2e_fixtures import certificates, start

__all__ = ["certificates", "start"]
