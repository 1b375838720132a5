"""Sessions to the next hop: open and observe, admit or not, and only then send."""
