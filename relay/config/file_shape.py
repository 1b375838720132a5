"""The shape of a policy file, as pydantic models: they validate it and give its JSON Schema.

Only the shape: what single values may be, and which keys there are. What concerns several values at
once is for `tls_parts` and `delivery_parts`. The docstrings are what editors show beside each key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, create_model

from relay.config.file_types import (
    Attempts,
    Book,
    BounceDomain,
    BounceRuleChoice,
    ClearTextChoice,
    CodeLine,
    CommonNameChoice,
    Duration,
    EmailRelayTlsChoice,
    Factor,
    FileName,
    Flag,
    FlagContactChoice,
    HostName,
    InvalidDomainsChoice,
    LineEndChoice,
    ListedHostName,
    MailAddress,
    MatchingRecordsChoice,
    Mechanism,
    Mode,
    Name,
    OnTlsFailureChoice,
    OptionalDuration,
    OptionalFileName,
    Password,
    Pattern,
    PolicyModeChoice,
    Port,
    Preference,
    PreferredVerify,
    Priority,
    RefusedStarttlsChoice,
    RelayName,
    Reply,
    RequiredOnBad,
    ReuseChoice,
    ScheduleName,
    Server,
    Setting,
    SuppressChoice,
    TimeScale,
    ToListed,
    ToWhere,
    UserName,
    VariableName,
    Version,
)
from relay.config.problems import KeyPath
from relay.core.codebook_data import SALESFORCE
from relay.core.destinations import RoutedTo, ToCapture, ToHost, ToScenario
from relay.core.failure_kinds import FailureKind

TEXT_FORM: Final = "<text>"
MAPPING_FORM: Final = "<mapping>"
LIST_FORM: Final = "<list>"
"""The forms of a value; as steps of an error's path they can't be mistaken for keys."""


def _form(value: object) -> str:
    return MAPPING_FORM if isinstance(value, dict) else TEXT_FORM


def _form_or_list(value: object) -> str:
    return LIST_FORM if isinstance(value, list) else _form(value)


class Shape(BaseModel):
    """What all parts of the file share: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class TlsChoices(Shape):
    """Keys about TLS that the policy has as a whole and that a rule may change."""

    tls: Setting = Field(default=None, title="TLS setting")
    """The TLS setting, as on Salesforce's Setup page: Off never tries TLS; Preferred encrypts if it
    can; Required never sends in clear text; the two Verify settings also judge the certificate.
    Default: Preferred."""
    minimum_tls: Version = Field(default=None, title="Lowest TLS version")
    """The lowest TLS version that counts as TLS. Default: 1.2, as at Salesforce."""
    trust: list[FileName] | None = Field(default=None, examples=[["lab"], ["system", "ca.pem"]])
    """The authorities that the Verify settings trust: `lab` (the lab's own), `system` (this
    machine's), or files in PEM, relative to the policy file. Default: [lab]."""
    crl: list[FileName] | None = Field(default=None, title="Revocation lists")
    """Certificate revocation lists in PEM, relative to the policy file. With one, the Verify
    settings refuse revoked certificates. Default: none."""
    names: list[Name] | None = Field(default=None, title="More reference names")
    """Names that a certificate may bear besides the name of the host that is connected to."""
    also_match_domain: Flag = Field(default=None, title="Also match the domain")
    """Whether a certificate may bear the recipient's domain instead of the host's name, as
    Salesforce's older wording has it. Default: false."""
    common_name: CommonNameChoice = Field(default=None, title="Common name")
    """Whether the subject's common name counts in a certificate without DNS names: `ignore`
    (RFC 9525) or `fallback`. Default: ignore."""
    mode: PolicyModeChoice = Field(default=None, title="Mode")
    """`enforce`, or `testing`: mail goes as under Preferred, and what the TLS setting would have
    refused is recorded. Default: enforce."""


class RuleShape(TlsChoices):
    """What holds for some domains; a key that is left out keeps what they have without the rule."""

    match: Pattern = Field(title="Domains")
    """A recipient domain: `example.com` is this domain alone, `*.example.com` its sub-domains of
    any depth, `*` every domain. The most specific rule wins."""


class RelayShape(Shape):
    """A host with port and way to start TLS."""

    host: HostName
    """The host's name or address. A Verify setting compares it with the certificate."""
    port: Port = None
    """The host's port. Default: 25, or 465 with implicit TLS."""
    tls_mode: Mode = None
    """`starttls`: TLS after the STARTTLS command. `implicit`: TLS at once. Default: starttls."""


class HostShape(Shape):
    """One of several hosts."""

    host: ListedHostName
    """The host's name or address, or a receiver of the lab. A Verify setting compares the name with
    the certificate."""
    port: Port = None
    """The host's port. Default: 25, or 465 with implicit TLS."""
    tls_mode: Mode = None
    """`starttls`: TLS after the STARTTLS command. `implicit`: TLS at once. Default: starttls."""
    preference: Preference = None
    """As in MX records: the host with the lowest comes first, chance decides among equal ones.
    Default: 10 more than the host that stands before it."""


Listed: TypeAlias = Annotated[
    Annotated[ToListed, Tag(TEXT_FORM)] | Annotated[HostShape, Tag(MAPPING_FORM)],
    Discriminator(_form),
]
Where: TypeAlias = Annotated[
    Annotated[ToWhere, Tag(TEXT_FORM)]
    | Annotated[RelayShape, Tag(MAPPING_FORM)]
    | Annotated[list[Listed], Tag(LIST_FORM)],
    Discriminator(_form_or_list),
]
WrittenWhere: TypeAlias = RoutedTo | RelayShape | list[ToHost | ToScenario | ToCapture | HostShape]
"""A destination as the file has it."""


class RouteShape(Shape):
    """Where mail for some domains goes."""

    match: Pattern = Field(title="Domains")
    """A recipient domain: `example.com`, `*.example.com` (sub-domains of any depth) or `*`."""
    to: Where = Field(title="Destination")
    """`lab/NAME` (a receiver of the lab), `capture` (keeps everything), a host (`host`,
    `host:port`, `[IPv6]:port`, `smtp://host:port`, `smtps://host:port` for implicit TLS, or a
    mapping), a list of hosts, `mx:DOMAIN` (the hosts that this domain's MX records name), or `mx`
    (those of the recipient's own domain)."""


class DnsShape(Shape):
    """How MX records, and the addresses of the hosts that they name, are looked up."""

    server: Server = None
    """The name server's address, and its port where it is not 53. Default: the system's."""
    timeout: OptionalDuration = Field(default=None, examples=["5s"])
    """How long finding the hosts of one domain may take. Default: 5s."""


class RetryShape(Shape):
    """When mail is tried again.

    Without `attempts`, `first_delay`, `factor` and `delays`, what is left out is Salesforce's; with
    one of them and no `expire_after`, the last try is the end.
    """

    attempts: Attempts = None
    """How many tries there are, the first one included. Default: 9."""
    first_delay: OptionalDuration = None
    """The time between the first and the second try. Default: 5m."""
    factor: Factor = None
    """What each delay is multiplied by to give the next. Default: 2."""
    delays: list[Duration] | None = Field(default=None, examples=[["1s", "5s", "30s"]])
    """The times between the tries one by one, instead of attempts, first_delay and factor."""
    expire_after: OptionalDuration = Field(default=None, examples=["24h"])
    """How long after its acceptance a message is given up."""
    time_scale: TimeScale = Field(default=None, examples=[1440])
    """How many times faster than written the schedule is played; 1440 plays a day in a minute."""


class BounceShape(Shape):
    """Salesforce's bounce management; an empty mapping switches it on with its defaults."""

    domain: BounceDomain = None
    """The domain of the reverse paths that mail leaves with. Default: bnc.relay.test."""
    return_to_sender: Flag = None
    """Whether the sender gets a notification all the same. Default: false."""
    matching_records: MatchingRecordsChoice = None
    """On which contacts and leads with the address a bounce is shown: `all`, or the `first` that
    was imported. Default: all."""
    flag_contact_on: FlagContactChoice = None
    """Which bounces flag a contact: `any` failure, `hard` ones (5xx), or `user-unknown`, when the
    recipient's own host says that there is no such user. Default: any."""
    suppress: SuppressChoice = None
    """`flagged`: mail to an address that is flagged is refused until it is cleared. Default: no."""
    rule: BounceRuleChoice = None
    """`salesforce`, by `flag_contact_on`; or `pardot`: hard bounces at once, soft ones after five.
    Default: salesforce."""


class AuthShape(Shape):
    """What to log in with at an email relay: once its certificate was verified, and never else."""

    mechanism: Mechanism = None
    """`PLAIN` or `LOGIN`. Default: PLAIN."""
    username: UserName
    """The user's name."""
    password_env: VariableName = None
    """The environment variable that holds the password."""
    password_file: OptionalFileName = None
    """The file that holds the password and nothing else, relative to the policy file."""
    password: Password = None
    """The password itself. One of the other two keeps it out of the policy file."""


class EmailRelayShape(Shape):
    """A host that mail goes through, as Salesforce's Email Relay: what its domain filters say."""

    name: RelayName
    """The name by which domain filters know it."""
    host: ListedHostName
    """A mail domain or a host's name (MX records come first, then its addresses), an address, or a
    receiver of the lab. A Verify setting compares the host's name with the certificate."""
    port: Port = None
    """The host's port; Salesforce offers 25, 587, 10025 and 11025. Default: 25."""
    tls: Setting = Field(default=None, title="TLS setting")
    """The TLS setting of this relay; it holds whatever the recipient's domain is.
    Default: Preferred."""
    auth: AuthShape | None = None
    """What to log in with; only with Required Verify. Default: no AUTH."""


class DomainFilterShape(Shape):
    """Which mail goes through an email relay; the first filter that matches decides."""

    relay: RelayName
    """The relay's name."""
    sender: list[Pattern] | None = Field(
        default=None, alias="from", title="From domains", examples=["*.example.com, example.com"]
    )
    """Domains of the sender, as a comma-separated text or a list. Default: any, and the null
    reverse path of notifications, which matches no domain."""
    to: list[Pattern] | None = Field(
        default=None, title="To domains", examples=["partner-x.com", ["*.example.com"]]
    )
    """Domains of the recipient, as a comma-separated text or a list. Default: any."""
    priority: Priority = None
    """The filter with the lowest comes first. Default: the next number, so that it comes last."""
    active: Flag = None
    """Whether the filter counts. Default: true."""


class SalesforceShape(Shape):
    """What Salesforce leaves open, or tells in two ways: which one to follow."""

    preferred_verify_on_bad_certificate: PreferredVerify = None
    """What Preferred Verify does about a bad certificate: `terminate` the session, not delivered
    (Object Reference), or deliver in `clear` text (Help). Default: terminate."""
    required_on_bad_certificate: RequiredOnBad = None
    """What Required does about a bad certificate: `deliver`, for it is not verified (Object
    Reference, Help), or `terminate` the session (Knowledge 000388924). Default: deliver."""
    on_tls_failure: OnTlsFailureChoice = None
    """What follows when TLS fails under a setting that requires it: `retry` until the message
    expires (Knowledge 000206241), or `bounce-at-once` (Help). Default: retry."""
    refused_starttls: RefusedStarttlsChoice = None
    """What is reported when a host refuses STARTTLS: the code book's entry (`no-go-ahead`), or the
    host's own words (`host-reply`). Default: no-go-ahead."""
    email_relay_tls: EmailRelayTlsChoice = None
    """Which TLS setting holds for an email relay: its own (`relay`), or that of the
    `recipient-domain`. Default: relay."""
    invalid_domains: InvalidDomainsChoice = None
    """What becomes of mail to a domain below `.invalid`: `try` to deliver it, or `discard` it as if
    it had been sent (Knowledge 000393553). Default: try."""
    spf_compliance: Flag = None
    """Whether mail leaves with reverse paths of the relay's own domain, for hosts that check SPF;
    what comes back is handed on to the sender (enableEmailSpfCompliance, on in an org).
    Bounce management does it anyway. Default: false."""
    sender_id_compliance: Flag = None
    """Whether mail gets a `Sender` field of that domain, unless it has one
    (enableEmailSenderIdCompliance). Default: false."""
    compliance_bcc: MailAddress = None
    """An address that gets a hidden copy of every message, notifications excepted
    (enableComplianceBcc). Default: none."""
    bounce_management: BounceShape | None = None
    """Mail leaves with a reverse path of its own, to which bounces return, and bounces flag
    contacts. Default: off."""


_CODE_LINES: dict[str, Any] = {
    kind.name.lower(): (
        CodeLine,
        Field(default=None, alias=kind.value, description=f"The code and text for {kind.value}."),
    )
    for kind in FailureKind
}


class CodesBase(Shape):
    """A code book with single entries replaced."""

    book: Book = Field(default_factory=lambda: SALESFORCE, title="Code book")
    """The book that the entries below change."""


if TYPE_CHECKING:
    # A model made at run time is no type to a type checker; it adds nothing but the optional lines.
    CodesShape = CodesBase
else:
    CodesShape = create_model("CodesShape", __base__=CodesBase, **_CODE_LINES)

Retry: TypeAlias = Annotated[
    Annotated[ScheduleName, Tag(TEXT_FORM)] | Annotated[RetryShape, Tag(MAPPING_FORM)],
    Discriminator(_form),
]
Codes: TypeAlias = Annotated[
    Annotated[Book, Tag(TEXT_FORM)] | Annotated[CodesShape, Tag(MAPPING_FORM)],
    Discriminator(_form),
]


class PolicyShape(TlsChoices):
    """A policy of Relaylab: everything about how mail is sent on."""

    restrict_tls_to: list[Pattern] | None = Field(
        default=None,
        title="Restrict TLS to these domains",
        examples=["*.subdomains.com, partner-x.com", ["*.subdomains.com", "partner-x.com"]],
    )
    """Salesforce's "Restrict TLS to these domains": `tls` holds for these alone, all others get
    Preferred. A comma-separated text as in Setup, or a list; empty means all domains."""
    rules: list[RuleShape] | None = None
    """What holds for some domains, laid over `tls` and `restrict_tls_to`."""
    routes: list[RouteShape] | None = None
    """Where mail goes. Without a route, NAME.lab.test goes to the lab's receiver of that name,
    and everything else to the capture receiver."""
    relay: Where | None = Field(default=None, title="Relay for everything")
    """What carries everything, as Salesforce's Email Relay does, written like the `to` of a route;
    routes are not used."""
    email_relays: list[EmailRelayShape] | None = Field(default=None, title="Email relays")
    """Hosts that mail goes through, as Salesforce's Email Relays: what a domain filter leads there.
    Not together with `relay`."""
    domain_filters: list[DomainFilterShape] | None = Field(default=None, title="Domain filters")
    """Which mail goes through which email relay, as Salesforce's Email Domain Filters. What no
    filter matches is delivered directly: by `routes`, in the lab, or to the capture receiver."""
    dns: DnsShape | None = Field(default=None, title="Name service")
    """How MX records are looked up, where a destination asks for them. Hosts that the policy itself
    names are looked up by the system."""
    clear_text: ClearTextChoice = Field(default=None, title="Clear text among several hosts")
    """When a setting that allows clear text falls back to it, with several hosts to try:
    `after-all-hosts`, when all were asked for TLS in vain, or on the `same-host` at once.
    Default: after-all-hosts."""
    reply: Reply = Field(default=None, title="When to reply")
    """`inline`: the client gets the outcome of one try itself. `queued`: it gets 250 at once, and
    failures become bounces. Default: inline."""
    reply_within: OptionalDuration = Field(default=None, examples=["25s"])
    """How long an inline reply may take. Default: 25s."""
    connect_timeout: OptionalDuration = Field(default=None, examples=["5s"])
    """How long to wait for a connection to a host. Default: 5s."""
    command_timeout: OptionalDuration = Field(default=None, examples=["10s"])
    """How long to wait for a host's reply to one command. Default: 10s."""
    reuse: ReuseChoice = Field(default=None, title="Whether messages share a session")
    """`off`: each message has a connection to the host and a handshake of its own. `on`: a session
    is kept for the next message to the same host under the same policy. Default: off."""
    retry: Retry | None = None
    """When mail is tried again: `none`, `salesforce` (9 tries, gaps doubling from 5m, 24h), or a
    mapping. Default: salesforce when queued; an inline reply comes after one try."""
    bare_line_ends: LineEndChoice = Field(default=None, title="Bare CR or LF in a message")
    """`refuse`: a message with a bare CR or LF gets 550 5.5.2. `normalise`: each becomes CR LF, and
    the session's record says so. Default: refuse."""
    codes: Codes | None = None
    """The code book: which codes and texts failures get, as a name, or as a mapping that also
    replaces single entries."""
    salesforce: SalesforceShape | None = None
    """Switches for what Salesforce leaves open, or tells in two ways: which one to follow."""


SHAPES: Final[dict[str, type[Shape]]] = {
    "rules": RuleShape,
    "routes": RouteShape,
    "relay": RelayShape,
    "email_relays": EmailRelayShape,
    "domain_filters": DomainFilterShape,
    "dns": DnsShape,
    "retry": RetryShape,
    "codes": CodesShape,
    "salesforce": SalesforceShape,
}
"""The model of each key of the file that has keys of its own."""


def shape_at(path: KeyPath) -> type[Shape]:
    """Return the model that the key at `path` belongs to."""
    match path:
        case (_,):
            return PolicyShape
        case ("routes", int(), "to", int(), _) | ("relay", int(), _):
            return HostShape
        case ("routes", int(), "to", _):
            return RelayShape
        case ("email_relays", int(), "auth", _):
            return AuthShape
        case ("salesforce", "bounce_management", _):
            return BounceShape
        case (first, *_):
            return SHAPES[str(first)]
        case _:
            raise ValueError("the file itself is no key")


def keys_of(shape: type[Shape]) -> tuple[str, ...]:
    """Return the keys of a model as the file spells them."""
    return tuple(field.alias or name for name, field in shape.model_fields.items())
