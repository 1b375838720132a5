"""Outside formats, read and written: DSN, tables, JSON lines."""
