"""What a check found, in words that its table, its JUnit file and its page share."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import assert_never

from relay.audit.check import Check, Reached, why_not_reached
from relay.audit.check_host import Agreement, HostCheck
from relay.audit.check_verdicts import SettingVerdict
from relay.audit.check_versions import Accepted, Declined, NotAsked, VersionResult
from relay.audit.forecast import Passes, Refused, Unknown
from relay.core.failure_kinds import failure_kind
from relay.core.failure_remedies import REMEDIES
from relay.core.outcomes import ConnectionFailure, PeerRefusal, Stage
from relay.core.settings import Protection, TlsSetting
from relay.formats.report import Mark
from relay.tls.describe import distance, moment
from relay.tls.probing import unknown_suites
from relay.tls.probing_chain import ChainLink, ChainView, IssuedBy, Validity

_MEANING = {
    Protection.CLEAR: "delivered, in clear text",
    Protection.ENCRYPTED: "delivered, encrypted; nobody looked at the certificate",
    Protection.VERIFIED: "delivered, encrypted, to a verified host",
}


def verdict_meaning(verdict: SettingVerdict) -> str:
    """Say what a sender sees of a verdict: a delivery, or the text of the code."""
    match verdict.forecast:
        case Passes(protection=protection):
            return _MEANING[protection]
        case Refused() | Unknown():
            return verdict.text
        case _:
            assert_never(verdict.forecast)


def verdict_mark(verdict: SettingVerdict) -> Mark:
    """Say what a reader should make of a verdict that nobody had an expectation of."""
    match verdict.forecast:
        case Passes(protection=Protection.CLEAR) if verdict.setting is not TlsSetting.OFF:
            return Mark.WARNING
        case Passes(protection=Protection.CLEAR):
            return Mark.PLAIN
        case Passes():
            return Mark.GOOD
        case Refused():
            return Mark.WARNING
        case Unknown():
            return Mark.UNKNOWN
        case _:
            assert_never(verdict.forecast)


def summary(check: Check) -> tuple[str, Mark]:
    """Answer in a sentence: from which setting on mail to the target is refused."""
    if check.reached is Reached.NOBODY:
        return f"{check.target}: could not be determined", Mark.UNKNOWN
    if check.reached is Reached.DNS:
        return f"{check.target}: no mail is delivered, whatever the setting", Mark.BAD
    refused = [v.setting.label for v in check.verdicts if isinstance(v.forecast, Refused)]
    unknown = [v.setting.label for v in check.verdicts if isinstance(v.forecast, Unknown)]
    if len(refused) == len(check.verdicts):
        return f"{check.target}: no mail is delivered, whatever the setting", Mark.BAD
    bare = [v.setting.label for v in check.verdicts if _falls_back(v)]
    parts = [f"not delivered under {_listed(refused)}"] if refused else []
    parts += [f"in clear text under {_listed(bare)}"] if bare else []
    parts += [f"unknown under {_listed(unknown)}"] if unknown else []
    if not parts:
        return f"{check.target}: delivered under every setting", Mark.GOOD
    mark = Mark.BAD if refused else Mark.WARNING if bare else Mark.UNKNOWN
    return f"{check.target}: {'; '.join(parts)}", mark


def _falls_back(verdict: SettingVerdict) -> bool:
    """Whether a setting that tries TLS ends in clear text."""
    return verdict.setting is not TlsSetting.OFF and verdict.word == Protection.CLEAR.value


def trouble(check: Check) -> Iterator[str]:
    """Say why nothing, or not all, is known."""
    if check.problem is not None:
        yield why_not_reached(check.problem, None)
    for host in check.hosts:
        failure = host.record.failure
        if failure is not None and not host.reached:
            yield why_not_reached(failure, host.hop)


def broken_session(host: HostCheck) -> str | None:
    """Say what ended a session with a host that was reached, unless TLS is the reason."""
    failure = host.record.failure
    if failure is None or not host.reached:
        return None
    kind = failure_kind(failure)
    remedy = f" {REMEDIES[kind]}" if kind is not None and kind in REMEDIES else ""
    match failure:
        case PeerRefusal(reply=reply, stage=stage):
            return f"{stage.value}: the host said {reply}.{remedy}"
        case ConnectionFailure(detail=detail, stage=Stage() as stage):
            return f"{stage.value}: {detail}.{remedy}"
        case _:
            return f"{failure.stage.value}: {failure.kind}.{remedy}"


def version_words(result: VersionResult) -> tuple[str, str]:
    """Return the answer for one TLS version, and what there is to say of it."""
    match result.answer:
        case Accepted(cipher=cipher):
            return "accepted", cipher
        case Declined(detail=detail):
            return "declined", detail
        case NotAsked(why=why):
            return "not asked", why
        case _:
            assert_never(result.answer)


def not_tried_words() -> str:
    """Say what no check from this machine can find out."""
    import ssl

    lacking = ["SSL 2 and 3", *unknown_suites()]
    return (
        f"Not tried, because {ssl.OPENSSL_VERSION} has no part of it: {_listed(lacking)}. Among "
        "the suites of TLS 1.3 Python's ssl can't choose: it offers all and names the chosen one."
    )


def agreement_words(host: HostCheck) -> str | None:
    """Say what OpenSSL's own verification said, where that is worth a line."""
    said = host.confirmation.said
    match host.confirmation.agreement:
        case Agreement.AGREES:
            return f"agrees: {said}"
        case Agreement.DIFFERS:
            return f"DIFFERS from our examination: {said}"
        case Agreement.OTHER_CERTIFICATE:
            return f"was shown another certificate in a second session: {said}"
        case Agreement.NOT_REACHED:
            return f"could not be asked: the second session failed{f' ({said})' if said else ''}"
        case Agreement.NOT_ASKED:
            return None
        case _:
            assert_never(host.confirmation.agreement)


def validity_words(link: ChainLink, at: datetime) -> str:
    """Say a certificate's dates and what is left."""
    dates = f"{moment(link.not_before)} to {moment(link.not_after)}"
    match link.validity:
        case Validity.VALID:
            return f"{dates}, {link.days_left} days left"
        case Validity.EXPIRED:
            return f"{dates}, EXPIRED {distance(at - link.not_after)} ago"
        case Validity.NOT_YET:
            return f"{dates}, NOT YET VALID for {distance(link.not_before - at)}"
        case _:
            assert_never(link.validity)


def link_words(link: ChainLink, view: ChainView) -> tuple[str, bool]:
    """Return what leads from a certificate to the next thing, and whether the chain breaks here."""
    match link.issued_by:
        case IssuedBy.NEXT:
            return "", False
        case IssuedBy.TRUSTED:
            return f"trusted root {view.anchor or link.issuer}", False
        case IssuedBy.ITSELF:
            return "signed by itself, and not trusted", True
        case IssuedBy.ANOTHER_SENT:
            return f"out of order: issued by {link.issuer}, which is sent elsewhere", False
        case IssuedBy.WRONG_KEY:
            return f"the signature does not fit the key of {link.issuer}", True
        case IssuedBy.NOT_SENT:
            return f"not sent, and not trusted: {link.issuer}", True
        case _:
            assert_never(link.issued_by)


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
