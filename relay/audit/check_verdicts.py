"""What each of the five settings makes of mail to a target, foretold from what a check saw.

The same `forecast` answers that `what-if` asks, so that a check, a forecast and the relay agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import assert_never

from relay.audit.forecast import Dropped, Passes, Refused, Unknown, forecast
from relay.audit.on_record import DomainRecord, Records
from relay.core.codebook import CodeBook
from relay.core.delivery import Policy
from relay.core.places import Place
from relay.core.rejudging import Unseen
from relay.core.settings import Protection, TlsSetting, TlsVersion
from relay.core.tls_policy import NamePolicy, TlsPolicy, TrustAnchors, build_table
from relay.tls.trust import TrustStores

_SOURCE = "relay check"

Told = Passes | Refused | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a check judges by, besides the setting."""

    trust: TrustAnchors
    names: NamePolicy
    minimum_tls: TlsVersion
    book: CodeBook

    def tls(self, setting: TlsSetting) -> TlsPolicy:
        """Return what a setting means on these terms."""
        return TlsPolicy.for_setting(
            setting, minimum_tls=self.minimum_tls, trust=self.trust, names=self.names
        )

    def policies(self) -> Mapping[TlsSetting, Policy]:
        """Return a policy for each setting."""
        place = Place(file=_SOURCE, line=1)
        return MappingProxyType(
            {
                setting: Policy(
                    source=_SOURCE,
                    sha256="",
                    tls=build_table(default=self.tls(setting), default_place=place),
                    codes=self.book,
                )
                for setting in TlsSetting
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingVerdict:
    """What a setting makes of mail to the target.

    `word` is 'clear', 'encrypted', 'verified', 'unknown', or the code that a sender gets, such as
    '451 4.7.5'; `text` is the words that come with the code.
    """

    setting: TlsSetting
    word: str
    text: str
    forecast: Told


def verdicts(record: DomainRecord, terms: Terms, stores: TrustStores) -> tuple[SettingVerdict, ...]:
    """Tell for each setting; raises TrustError where a file that is trusted can't be used."""
    return tuple(
        _verdict(setting, _forecast(record, policy, stores))
        for setting, policy in terms.policies().items()
    )


def _forecast(record: DomainRecord, policy: Policy, stores: TrustStores) -> Told:
    told = forecast(Records((record,)), policy, domain=record.domain, recipient=None, stores=stores)
    assert not isinstance(told, Dropped), "the policies of a check drop nothing"
    return told


def _verdict(setting: TlsSetting, told: Told) -> SettingVerdict:
    match told:
        case Passes(protection=protection):
            word, text = protection.value, ""
        case Refused(entry=entry):
            word, text = str(entry.status), entry.text
        case Unknown(what=what):
            # A check asks every host: one that is unknown is one that nobody could reach.
            text = "no host was reached" if what is Unseen.HOST else what.meaning
            word = "unknown"
        case _:
            assert_never(told)
    return SettingVerdict(setting=setting, word=word, text=text, forecast=told)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What a user expects of a setting: 'deliver', a protection, or a code."""

    setting: TlsSetting
    wanted: str

    @classmethod
    def parse(cls, text: str) -> Expectation:
        """Read 'required-verify=deliver' or 'required=4.7.6'; ValueError says what is wrong."""
        name, equals, wanted = text.partition("=")
        wanted = wanted.strip().lower()
        if not equals or not wanted:
            raise ValueError(f"{text!r} does not have the form SETTING=deliver or SETTING=CODE")
        words = {"deliver", *(protection.value for protection in Protection)}
        if wanted not in words and not wanted[0].isdigit():
            allowed = ", ".join(sorted(words))
            raise ValueError(f"{wanted!r} is neither a code such as 4.7.5 nor one of: {allowed}")
        return cls(setting=TlsSetting.parse(name), wanted=wanted)

    def met_by(self, verdict: SettingVerdict) -> bool | None:
        """Whether a verdict is as expected; None where it is unknown."""
        match verdict.forecast:
            case Unknown():
                return None
            case Passes():
                return self.wanted in {"deliver", verdict.word}
            case Refused(entry=entry):
                codes = {str(entry.status), entry.status.enhanced, str(entry.status.code)}
                return self.wanted in codes
            case _:
                assert_never(verdict.forecast)
