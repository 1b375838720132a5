"""The types of a policy file's values: how each is read, and how a JSON Schema describes it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Final, TypeAlias

from pydantic import PlainValidator, WithJsonSchema

from relay.config import values
from relay.core.addresses import Domain, DomainPattern
from relay.core.codebook import CodeBook, CodeEntry
from relay.core.codebook_data import CODE_BOOKS
from relay.core.delivery import BareLineEnds, Reuse
from relay.core.destinations import RoutedTo, ToCapture, ToHost, ToScenario
from relay.core.email_relays import AuthMechanism, Secret
from relay.core.replies import ReplyMode
from relay.core.routing import ONE_TRY, ClearText, NameServer, RetrySchedule
from relay.core.salesforce import (
    BounceRule,
    EmailRelayTls,
    FlagContactOn,
    InvalidDomains,
    MatchingRecords,
    OnTlsFailure,
    RefusedStarttls,
    Suppression,
)
from relay.core.settings import OnBadCertificate, PolicyMode, TlsMode, TlsSetting, TlsVersion
from relay.core.tls_policy import CommonName

SALESFORCE_ATTEMPTS: Final = 9
SALESFORCE_FIRST_DELAY: Final = timedelta(minutes=5)
SALESFORCE_FACTOR: Final = 2.0
SALESFORCE_EXPIRE_AFTER: Final = timedelta(hours=24)


def _choice(options: dict[str, Any], what: str, *, otherwise: str | None = None) -> Any:
    def read(value: object) -> object:
        return values.read_choice(value, options, what, otherwise=otherwise)

    return PlainValidator(read)


def _one_of(*names: object) -> WithJsonSchema:
    return WithJsonSchema({"enum": list(names)})


def _text(pattern: str | None = None, **more: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", **({"pattern": pattern} if pattern else {}), **more})


def _spellings() -> list[str]:
    found: dict[str, None] = {}
    for setting in TlsSetting:
        label = setting.label
        found |= dict.fromkeys((label, label.replace(" ", ""), setting.value))
    return list(found)


def _salesforce_schedule() -> RetrySchedule:
    delays = tuple(
        SALESFORCE_FIRST_DELAY * SALESFORCE_FACTOR**step for step in range(SALESFORCE_ATTEMPTS - 1)
    )
    return RetrySchedule(delays=delays, expire_after=SALESFORCE_EXPIRE_AFTER)


SALESFORCE_SCHEDULE: Final = _salesforce_schedule()
"""Nine tries with gaps that double from five minutes, and 24 hours until a message expires."""

Setting: TypeAlias = Annotated[
    TlsSetting | None, PlainValidator(values.read_setting), _one_of(*_spellings())
]
Version: TypeAlias = Annotated[
    TlsVersion | None,
    PlainValidator(values.read_version),
    _one_of(1.0, 1.1, 1.2, 1.3, "1.0", "1.1", "1.2", "1.3"),
]
Pattern: TypeAlias = Annotated[
    DomainPattern,
    PlainValidator(values.read_pattern),
    _text(r"^\s*(\*|(\*\.)?[^\s*@,]+)\s*$", examples=["example.com", "*.example.com"]),
]
Name: TypeAlias = Annotated[
    Domain, PlainValidator(values.read_domain), _text(r"^[^\s*@,]+$", examples=["mx.example.com"])
]
BounceDomain: TypeAlias = Annotated[
    Domain | None,
    PlainValidator(values.read_domain),
    _text(r"^[^\s*@,]+$", examples=["bnc.example.com"]),
]
MailAddress: TypeAlias = Annotated[
    str | None,
    PlainValidator(values.read_address),
    _text(r"^.+@[^\s@]+$", examples=["archive@example.com"]),
]
Duration: TypeAlias = Annotated[
    timedelta,
    PlainValidator(values.read_duration),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?\s*(ms|s|m|h|d)?$"},
            ],
            "examples": ["25s", "5m", "24h"],
        }
    ),
]
OptionalDuration: TypeAlias = Duration | None
_RECEIVER = r"capture|lab/[a-z0-9-]+"
_HOST_AND_PORT = r"((smtp|smtps)://)?(\[[0-9A-Fa-f:.]+\]|[^\s/@:]+)(:[0-9]{1,5})?"
ToWhere: TypeAlias = Annotated[
    RoutedTo,
    PlainValidator(values.read_destination),
    _text(
        rf"^({_RECEIVER}|{_HOST_AND_PORT}|mx:[^\s/@:]+(:[0-9]{{1,5}})?)$",
        examples=["lab/expired", "capture", "mx.example.com:25", "smtps://127.0.0.1:465", "mx"],
    ),
]
ToListed: TypeAlias = Annotated[
    ToHost | ToScenario | ToCapture,
    PlainValidator(values.read_listed),
    _text(rf"^({_RECEIVER}|{_HOST_AND_PORT})$", examples=["mx1.example.com:25", "lab/good"]),
]
Flag: TypeAlias = Annotated[
    bool | None, PlainValidator(values.read_flag), WithJsonSchema({"type": "boolean"})
]
CommonNameChoice: TypeAlias = Annotated[
    CommonName | None,
    _choice({c.value: c for c in CommonName}, "a common_name choice"),
    _one_of(*(c.value for c in CommonName)),
]
PolicyModeChoice: TypeAlias = Annotated[
    PolicyMode | None,
    _choice({c.value: c for c in PolicyMode}, "a mode"),
    _one_of(*(c.value for c in PolicyMode)),
]
FileName: TypeAlias = Annotated[
    str,
    PlainValidator(lambda value: values.read_text(value, "a file name")),
    _text(minLength=1),
]
CodeLine: TypeAlias = Annotated[
    CodeEntry | None,
    PlainValidator(values.read_code_line),
    _text(r"^[45][0-9]{2} [45]\.[0-9]{1,3}\.[0-9]{1,3} .+$"),
]
Book: TypeAlias = Annotated[
    CodeBook,
    _choice(dict(CODE_BOOKS), "a code book"),
    _one_of(*CODE_BOOKS),
]
Port: TypeAlias = Annotated[
    int | None,
    PlainValidator(values.read_port),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 65535}),
]
HostName: TypeAlias = Annotated[
    str, PlainValidator(values.read_host_name), _text(r"^[^\s/@]+$", examples=["smtp.example.com"])
]
ListedHostName: TypeAlias = Annotated[
    str | ToScenario | ToCapture,
    PlainValidator(values.read_listed_host),
    _text(rf"^({_RECEIVER}|[^\s/@]+)$", examples=["mx1.example.com", "lab/good"]),
]
Preference: TypeAlias = Annotated[
    int | None,
    PlainValidator(values.read_preference),
    WithJsonSchema({"type": "integer", "minimum": 0, "maximum": 65535}),
]
Server: TypeAlias = Annotated[
    NameServer | None,
    PlainValidator(values.read_name_server),
    _text(r"^([0-9.]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$", examples=["127.0.0.1:5353", "[::1]:53"]),
]
ClearTextChoice: TypeAlias = Annotated[
    ClearText | None,
    _choice(
        {c.value: c for c in (ClearText.AFTER_ALL_HOSTS, ClearText.SAME_HOST)},
        "a time for clear text",
    ),
    _one_of("after-all-hosts", "same-host"),
]
Mode: TypeAlias = Annotated[
    TlsMode | None,
    _choice({mode.value: mode for mode in TlsMode}, "a way to start TLS"),
    _one_of(*(mode.value for mode in TlsMode)),
]
Attempts: TypeAlias = Annotated[
    int | None,
    PlainValidator(values.read_attempts),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 100}),
]
Factor: TypeAlias = Annotated[
    float | None,
    PlainValidator(values.read_factor),
    WithJsonSchema({"type": "number", "minimum": 1, "maximum": 100}),
]
TimeScale: TypeAlias = Annotated[
    float | None,
    PlainValidator(values.read_time_scale),
    WithJsonSchema({"type": "number", "minimum": 0.001, "maximum": 1000000}),
]
ScheduleName: TypeAlias = Annotated[
    RetrySchedule,
    _choice(
        {"none": ONE_TRY, "salesforce": SALESFORCE_SCHEDULE},
        "a retry schedule",
        otherwise="or a mapping, such as {attempts: 3, first_delay: 5m}",
    ),
    _one_of("none", "salesforce"),
]
Reply: TypeAlias = Annotated[
    ReplyMode | None,
    _choice({mode.value: mode for mode in ReplyMode}, "a way to reply"),
    _one_of(*(mode.value for mode in ReplyMode)),
]
LineEndChoice: TypeAlias = Annotated[
    BareLineEnds | None,
    _choice({choice.value: choice for choice in BareLineEnds}, "what to do about bare line ends"),
    _one_of(*(choice.value for choice in BareLineEnds)),
]
ReuseChoice: TypeAlias = Annotated[
    Reuse | None,
    _choice({choice.value: choice for choice in Reuse}, "whether messages share a session"),
    _one_of(*(choice.value for choice in Reuse)),
]
PreferredVerify: TypeAlias = Annotated[
    OnBadCertificate | None,
    _choice(
        {c.value: c for c in (OnBadCertificate.TERMINATE, OnBadCertificate.CLEAR)},
        "what Preferred Verify may do",
    ),
    _one_of("terminate", "clear"),
]

MatchingRecordsChoice: TypeAlias = Annotated[
    MatchingRecords | None,
    _choice({c.value: c for c in MatchingRecords}, "a choice of matching_records"),
    _one_of(*(c.value for c in MatchingRecords)),
]
FlagContactChoice: TypeAlias = Annotated[
    FlagContactOn | None,
    _choice({c.value: c for c in FlagContactOn}, "a choice of flag_contact_on"),
    _one_of(*(c.value for c in FlagContactOn)),
]
SuppressChoice: TypeAlias = Annotated[
    Suppression | None,
    _choice({c.value: c for c in Suppression}, "a choice of suppress"),
    _one_of(*(c.value for c in Suppression)),
]
BounceRuleChoice: TypeAlias = Annotated[
    BounceRule | None,
    _choice({c.value: c for c in BounceRule}, "a rule for bounces"),
    _one_of(*(c.value for c in BounceRule)),
]
RequiredOnBad: TypeAlias = Annotated[
    OnBadCertificate | None,
    _choice(
        {"deliver": OnBadCertificate.IGNORE, "terminate": OnBadCertificate.TERMINATE},
        "what Required may do",
    ),
    _one_of("deliver", "terminate"),
]
OnTlsFailureChoice: TypeAlias = Annotated[
    OnTlsFailure | None,
    _choice({c.value: c for c in OnTlsFailure}, "a choice of on_tls_failure"),
    _one_of(*(c.value for c in OnTlsFailure)),
]
RefusedStarttlsChoice: TypeAlias = Annotated[
    RefusedStarttls | None,
    _choice({c.value: c for c in RefusedStarttls}, "a choice of refused_starttls"),
    _one_of(*(c.value for c in RefusedStarttls)),
]
EmailRelayTlsChoice: TypeAlias = Annotated[
    EmailRelayTls | None,
    _choice({c.value: c for c in EmailRelayTls}, "a choice of email_relay_tls"),
    _one_of(*(c.value for c in EmailRelayTls)),
]
InvalidDomainsChoice: TypeAlias = Annotated[
    InvalidDomains | None,
    _choice({c.value: c for c in InvalidDomains}, "a choice of invalid_domains"),
    _one_of(*(c.value for c in InvalidDomains)),
]
RelayName: TypeAlias = Annotated[
    str, PlainValidator(values.read_relay_name), _text(minLength=1, examples=["corporate"])
]
Priority: TypeAlias = Annotated[
    int | None,
    PlainValidator(values.read_priority),
    WithJsonSchema({"type": "integer", "minimum": 1}),
]
Mechanism: TypeAlias = Annotated[
    AuthMechanism | None,
    _choice({m.value.lower(): m for m in AuthMechanism}, "an AUTH mechanism"),
    _one_of(*(m.value for m in AuthMechanism)),
]
UserName: TypeAlias = Annotated[str, PlainValidator(values.read_user_name), _text(minLength=1)]
VariableName: TypeAlias = Annotated[
    str | None,
    PlainValidator(values.read_variable_name),
    _text(r"^[A-Za-z_][A-Za-z0-9_]*$", examples=["RELAY_PASSWORD"]),
]
OptionalFileName: TypeAlias = FileName | None
Password: TypeAlias = Annotated[
    Secret | None, PlainValidator(values.read_password), _text(minLength=1)
]
