"""Domains whose mail fails, or finds its way, by DNS alone.

The lab's own name server answers for them. Their mail exchangers are receivers of other scenarios,
but for those of `no-mx` and `mx-many`, whose certificates must bear these domains' own names.
"""

from __future__ import annotations

from typing import Final

from relay.core.faults import FaultKind
from relay.core.outcomes import DnsProblem, Stage
from relay.core.scenarios import Family, Scenario, ScenarioClass
from relay.lab.dns_answers import (
    DnsAnswer,
    DnsScenario,
    Exchanger,
    Exchangers,
    NoSuchName,
    OwnAddress,
    Trouble,
)

MANY: Final = 60
"""Mail exchangers of `mx-many`: more than an answer over UDP has room for."""
_GOOD: Final = "mx.good.lab.test"
_TLS12: Final = "mx.tls12.lab.test"
_NO_STARTTLS: Final = "mx.no-starttls.lab.test"


def _found(
    name: str,
    answer: DnsAnswer,
    *,
    summary: str,
    in_the_wild: str,
    remedy: str,
    recipe: str | None = None,
    host_name: str | None = None,
) -> DnsScenario:
    """Return a domain whose preferred host is honest."""
    return DnsScenario(
        card=Scenario(
            name=name,
            family=Family.DNS,
            scenario_class=ScenarioClass.HONEST,
            summary=summary,
            in_the_wild=in_the_wild,
            stage=None,
            faults=(),
            recipe=recipe,
            remedy=remedy,
            host_name=host_name,
        ),
        answer=answer,
    )


def _not_found(
    name: str,
    answer: DnsAnswer,
    problem: DnsProblem,
    *,
    summary: str,
    in_the_wild: str,
    remedy: str,
) -> DnsScenario:
    """Return a domain for which there is no host to connect to."""
    return DnsScenario(
        card=Scenario(
            name=name,
            family=Family.DNS,
            scenario_class=ScenarioClass.FAULT,
            summary=summary,
            in_the_wild=in_the_wild,
            stage=Stage.NOT_CONNECTED,
            faults=(),
            recipe=None,
            remedy=remedy,
        ),
        answer=answer,
        problem=problem,
    )


SCENARIOS: Final = (
    _found(
        "no-mx",
        OwnAddress(),
        summary="The domain has no MX record but an address, so it is its own mail exchanger.",
        in_the_wild="Small domains and internal ones, where one machine serves everything.",
        remedy="Nothing; an MX record would say plainly which host takes the mail.",
        recipe="good",
        host_name="no-mx.lab.test",
    ),
    _not_found(
        "null-mx",
        Exchangers(records=(Exchanger(preference=0, host=""),)),
        DnsProblem.NULL_MX,
        summary="The domain has the null MX record, which says that it takes no mail.",
        in_the_wild=(
            "Domains that only have web pages, and misspellings of large mail providers that were "
            "registered so that mail to them fails at once."
        ),
        remedy="Correct the address; the domain's owner meant it so.",
    ),
    _not_found(
        "nxdomain",
        NoSuchName(),
        DnsProblem.NO_HOST,
        summary="The domain does not exist: the name server answers NXDOMAIN.",
        in_the_wild="Misspelt addresses, and domains that nobody renewed.",
        remedy="Correct the address; or renew the domain and give it MX records.",
    ),
    _not_found(
        "servfail",
        Trouble.SERVFAIL,
        DnsProblem.LOOKUP_FAILED,
        summary="The name server answers SERVFAIL, whatever is asked of the domain.",
        in_the_wild=(
            "DNSSEC signatures that ran out, seen through a resolver that checks them, and "
            "secondary name servers that lost their primary."
        ),
        remedy="Whoever runs the domain's name servers must look into their logs.",
    ),
    _not_found(
        "dns-timeout",
        Trouble.SILENT,
        DnsProblem.LOOKUP_FAILED,
        summary="The name server answers nothing at all, whatever is asked of the domain.",
        in_the_wild="Name servers that are down, or behind a firewall, and stale delegations.",
        remedy="Bring the domain's name servers back, or correct the delegation to them.",
    ),
    _found(
        "mx-preference",
        Exchangers(
            records=(Exchanger(preference=20, host=_TLS12), Exchanger(preference=10, host=_GOOD))
        ),
        host_name=_GOOD,
        summary="Two honest mail exchangers, of which the preferred one stands second.",
        in_the_wild="Every domain with a second host: name servers give records in any order.",
        remedy="Nothing; the lower number is preferred, wherever it stands.",
    ),
    DnsScenario(
        card=Scenario(
            name="mx-bad-then-good",
            family=Family.DNS,
            scenario_class=ScenarioClass.ADVISORY,
            summary="The preferred mail exchanger offers no TLS, and the next one is honest.",
            in_the_wild="An old gateway that kept its place in front after a migration.",
            stage=Stage.AFTER_EHLO,
            faults=(FaultKind.STARTTLS_NOT_OFFERED,),
            recipe=None,
            host_name=_NO_STARTTLS,
            remedy=(
                "Give the preferred host TLS, or take its MX record out: senders without a TLS "
                "policy hand it their mail in clear text."
            ),
        ),
        answer=Exchangers(
            records=(
                Exchanger(preference=10, host=_NO_STARTTLS),
                Exchanger(preference=20, host=_GOOD),
            )
        ),
    ),
    _found(
        "mx-good-then-bad",
        Exchangers(
            records=(
                Exchanger(preference=10, host=_GOOD),
                Exchanger(preference=20, host=_NO_STARTTLS),
            )
        ),
        host_name=_GOOD,
        summary="The preferred mail exchanger is honest, and the next one offers no TLS.",
        in_the_wild="A backup host at another provider, which nobody has looked at for years.",
        remedy=(
            "Give the backup host TLS: whoever keeps senders from the first host leads them to it."
        ),
    ),
    _not_found(
        "mx-loop",
        Exchangers(
            records=(Exchanger(preference=10, host=None), Exchanger(preference=20, host=_GOOD))
        ),
        DnsProblem.LOOPS_BACK,
        summary="The preferred mail exchanger is the relay itself; the next one must not be used.",
        in_the_wild=(
            "A relay that has a domain's mail by MX record but was never told to keep it, or where "
            "to pass it on."
        ),
        remedy=(
            "Tell the relay where the domain's mail goes, by a route, or point the MX record at "
            "the host that keeps it."
        ),
    ),
    _found(
        "mx-many",
        Exchangers(
            records=tuple(
                Exchanger(preference=10, host=f"mx{n}.mx-many.lab.test") for n in range(MANY)
            )
        ),
        summary="Sixty mail exchangers of equal preference, too many for an answer over UDP.",
        in_the_wild="Large providers; and firewalls that let DNS through over UDP alone.",
        remedy="Nothing; the sender's firewall must let DNS through over TCP too.",
        recipe="wildcard",
        host_name="mx0.mx-many.lab.test",
    ),
)
