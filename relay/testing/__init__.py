"""A relay in other people's tests: in process, in a thread, and as fixtures of pytest."""
