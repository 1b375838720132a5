"""Reads policy files into the core's dataclasses, or lists every problem with its place."""
