"""The lab's zone as a zone file (RFC 1035 section 5), for other name servers to load."""

from __future__ import annotations

from relay.lab.zone import Records


def zone_file(records: Records) -> str:
    """Return the records, one a line; they live zero seconds, as the lab's name server says."""
    return "".join(
        f"{name}. 0 IN {record}\n" for name, lines in records.items() for record in lines
    )
