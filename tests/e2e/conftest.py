"""Fixtures of the end-to-end tests."""

from e2e_fixtures import certificates, start

__all__ = ["certificates", "start"]
