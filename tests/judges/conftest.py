"""Fixtures of the tests in which software that nobody here wrote judges the relay."""

from e2e_fixtures import certificates, start
from judge_node import node

__all__ = ["certificates", "node", "start"]
