"""Runs real messages against the lab and compares what was stored with what was expected."""
