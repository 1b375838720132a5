"""`relay serve` with a journal less careful than ours: what the durability test must reject.

The first argument is SQLite's `synchronous`; the others are those of `relay`.
"""

import sqlite3
import sys
from pathlib import Path

from relay.cli import main
from relay.journal import schema, sqlite_journal

SYNCHRONOUS = sys.argv.pop(1)


def connect_writer(path: Path) -> sqlite3.Connection:
    connection = schema.connect_writer(path)
    connection.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
    return connection


sqlite_journal.connect_writer = connect_writer
main()
