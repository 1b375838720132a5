"""The parts of a policy that are not about TLS, and the policy as a whole."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import Enum, unique
from types import MappingProxyType

from relay.core.addresses import Domain
from relay.core.codebook import CodeBook
from relay.core.codebook_data import SALESFORCE
from relay.core.outcomes import Failure
from relay.core.replies import ReplyMode
from relay.core.routing import (
    ONE_TRY,
    ClearText,
    HostAddress,
    Plan,
    RetrySchedule,
    RouteMatch,
    Routing,
    route,
)
from relay.core.salesforce import EmailRelayTls, SalesforceSwitches
from relay.core.tls_policy import PolicyMatch, PolicyTable


@unique
class BareLineEnds(Enum):
    """What becomes of a message with a bare CR or LF, which RFC 5321 section 2.3.8 forbids."""

    REFUSE = "refuse"
    """It is refused whole: 550 5.5.2."""
    NORMALISE = "normalise"
    """Each becomes CR LF; the session's record says how many there were."""


@unique
class Reuse(Enum):
    """Whether messages may share a session with a host."""

    OFF = "off"
    """Each message has a connection, a handshake and evidence of its own."""
    ON = "on"
    """A session is kept for the next message to the same host under the same policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How long to wait for a host, when to answer, when to try again, which lines to take.

    `reply_within` bounds an inline answer, so that it comes before a client's own time-out.
    `connect_timeout` and `command_timeout` bound one step with a host.
    """

    reply: ReplyMode = ReplyMode.INLINE
    reply_within: timedelta = timedelta(seconds=25)
    connect_timeout: timedelta = timedelta(seconds=5)
    command_timeout: timedelta = timedelta(seconds=10)
    schedule: RetrySchedule = ONE_TRY
    bare_line_ends: BareLineEnds = BareLineEnds.REFUSE
    reuse: Reuse = Reuse.OFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Where the mail for one domain goes, and under which TLS policy."""

    route: RouteMatch
    tls: PolicyMatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A whole policy file; each room is handed the part that it needs.

    `source` is the file as the user named it, `sha256` of its bytes.
    """

    source: str
    sha256: str
    tls: PolicyTable
    routing: Routing = field(default_factory=Routing)
    delivery: Delivery = field(default_factory=Delivery)
    codes: CodeBook = SALESFORCE
    salesforce: SalesforceSwitches = field(default_factory=SalesforceSwitches)

    def way(self, domain: Domain, *, sender: Domain | None) -> Way:
        """Return what holds for mail to `domain`; `sender` is None for the null reverse path.

        Through an email relay its own TLS setting holds, unless the switch says otherwise.
        """
        chosen, tls = self.routing.match(domain, sender=sender), self.tls.match(domain)
        if chosen.email_relay and self.salesforce.email_relay_tls is EmailRelayTls.RELAY:
            tls = PolicyMatch(domain=domain, rule=chosen.email_relay.rule)
        return Way(route=chosen, tls=tls)

    def plan(
        self,
        way: Way,
        answers: Sequence[HostAddress] | Failure,
        schedule: RetrySchedule,
        *,
        ours: Set[HostAddress] = frozenset(),
    ) -> Plan:
        """Return which hosts to try on `way`; the arguments are those of `route`."""
        return route(
            way.route.to,
            answers,
            schedule,
            ours=ours,
            # An earlier verdict may have allowed clear text under a policy that was laxer then.
            clear_text=self.routing.clear_text if way.tls.policy.allows_clear else ClearText.NEVER,
            on_tls_failure=self.salesforce.on_tls_failure,
        )

    @property
    def enforced(self) -> Policy:
        """This policy with nothing only tested."""
        rules = {
            pattern: replace(rule, policy=rule.policy.enforced)
            for pattern, rule in self.tls.rules.items()
        }
        return replace(self, tls=PolicyTable(rules=MappingProxyType(rules)))
