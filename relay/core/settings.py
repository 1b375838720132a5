"""TLS settings: Salesforce's five names, and the three facts that each name stands for.

Sources: Salesforce Help "Set Up TLS", Object Reference `EmailRelay.TlsSetting`. The two disagree
on Preferred Verify with a bad certificate; `OnBadCertificate` of a `TlsPolicy` says which is meant.
"""

from __future__ import annotations

from enum import Enum, unique


@unique
class TlsSetting(Enum):
    """A TLS setting by Salesforce's name; the value is its spelling in JSON."""

    OFF = "off"
    PREFERRED = "preferred"
    PREFERRED_VERIFY = "preferred-verify"
    REQUIRED = "required"
    REQUIRED_VERIFY = "required-verify"

    @property
    def label(self) -> str:
        """The setting as Salesforce's Setup page prints it, such as 'Required Verify'."""
        return self._value_.replace("-", " ").title()

    @property
    def requires_tls(self) -> bool:
        """Whether mail may never travel in clear text."""
        return self in {TlsSetting.REQUIRED, TlsSetting.REQUIRED_VERIFY}

    @property
    def verifies(self) -> bool:
        """Whether the certificate's chain and name are judged."""
        return self in {TlsSetting.PREFERRED_VERIFY, TlsSetting.REQUIRED_VERIFY}

    @classmethod
    def parse(cls, text: str) -> TlsSetting:
        """Read the UI's, the API's or the kebab spelling; raise ValueError listing the names."""
        wanted = "".join(c for c in text.lower() if c.isalnum())
        for setting in cls:
            if setting.value.replace("-", "") == wanted:
                return setting
        allowed = ", ".join(setting.label for setting in cls)
        raise ValueError(f"{text!r} is not a TLS setting; allowed: {allowed}")


@unique
class Starttls(Enum):
    """Whether a session tries TLS at all."""

    NEVER = "never"
    TRY = "try"


@unique
class OnNoTls(Enum):
    """What follows when no TLS session comes about."""

    CLEAR = "clear"
    CLEAR_LATER = "clear-later"
    """Clear text, but in a later session; never what a setting itself means."""
    TERMINATE = "terminate"


@unique
class OnBadCertificate(Enum):
    """What follows when TLS stands but the certificate is at fault."""

    IGNORE = "ignore"
    CLEAR = "clear"
    TERMINATE = "terminate"


@unique
class PolicyMode(Enum):
    """Whether failures of a policy have consequences; words of RFC 8461 section 3.2."""

    ENFORCE = "enforce"
    TESTING = "testing"
    """Mail goes as under Preferred; what enforcement would have refused is recorded."""


@unique
class TlsVersion(Enum):
    """A TLS protocol version, as users write it."""

    TLS1_0 = "1.0"
    TLS1_1 = "1.1"
    TLS1_2 = "1.2"
    TLS1_3 = "1.3"

    @property
    def label(self) -> str:
        """The name that OpenSSL and log files use, such as 'TLSv1.2'."""
        return "TLSv1" if self is TlsVersion.TLS1_0 else f"TLSv{self.value}"


@unique
class TlsMode(Enum):
    """How a host starts TLS: after the STARTTLS command, or at once (RFC 8314 section 3)."""

    STARTTLS = "starttls"
    IMPLICIT = "implicit"


@unique
class Protection(Enum):
    """What protected a message on its way to the next hop."""

    CLEAR = "clear"
    ENCRYPTED = "encrypted"
    VERIFIED = "verified"
