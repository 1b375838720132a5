"""The words of the project and every decision, as values and pure functions.

Rules of this room:

* No I/O and no clock: whatever happened is handed in as a value, `now` included.
* No exceptions for expected results: a host that fails is a value, not a raise. `ValueError` means
  that the text handed to a constructor is not what the type stands for.
* Every value is frozen; every union is closed by `match` with `assert_never`.
* A record has one JSON form, written by `relay.core.jsonform`.
"""
