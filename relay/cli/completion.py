"""What a shell completes: names of scenarios, settings and shipped policies.

A shell asks at every Tab, so that names come from where they cost least: nothing is loaded that
reads a policy or starts a lab, and files are not opened.
"""

from __future__ import annotations

from collections.abc import Iterable


def scenario(incomplete: str) -> list[str]:
    """Return the scenarios that begin so."""
    from relay.lab.catalogue import SCENARIOS

    return _beginning(incomplete, SCENARIOS)


def scenarios(incomplete: str) -> list[str]:
    """Return a list by commas, with each scenario that its last word may become."""
    from relay.lab.catalogue import SCENARIOS

    return _listed(incomplete, SCENARIOS)


def receivers(incomplete: str) -> list[str]:
    """Return a list by commas, with each scenario that has a receiver for its last word."""
    from relay.lab.catalogue import LAB_SCENARIOS

    return _listed(incomplete, LAB_SCENARIOS)


def receivers_or_families(incomplete: str) -> list[str]:
    """Return a list by commas, as `receivers`, with families and `all` too."""
    from relay.core.scenarios import Family
    from relay.lab.catalogue import LAB_SCENARIOS

    return _listed(incomplete, [*(member.value for member in Family), "all", *LAB_SCENARIOS])


def family(incomplete: str) -> list[str]:
    """Return the families of scenarios that begin so."""
    from relay.core.scenarios import Family

    return _beginning(incomplete, (member.value for member in Family))


def setting(incomplete: str) -> list[str]:
    """Return the TLS settings that begin so."""
    from relay.core.settings import TlsSetting

    return _beginning(incomplete, (member.value for member in TlsSetting))


def policy(incomplete: str) -> list[str]:
    """Return the shipped policies that begin so; where none does, a shell completes files."""
    from relay.config.resources import shipped

    return _beginning(incomplete, sorted(file.stem for file in shipped("policies").glob("*.yaml")))


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _listed(incomplete: str, names: Iterable[str]) -> list[str]:
    head, comma, word = incomplete.rpartition(",")
    chosen = head.split(",")
    return [f"{head}{comma}{name}" for name in _beginning(word, names) if name not in chosen]
