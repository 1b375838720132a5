"""The part of a policy file about email relays and the domain filters that lead to them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from relay.config.file_shape import AuthShape, DomainFilterShape, EmailRelayShape, PolicyShape
from relay.config.problems import KeyPath, did_you_mean
from relay.config.routing_parts import check_scenario
from relay.config.tls_parts import TlsParts
from relay.config.validate import Report
from relay.config.values import FileValueError, is_address, read_password
from relay.config.yaml_tree import SourceTree
from relay.core.addresses import Domain
from relay.core.destinations import (
    SMTP_PORT,
    Destination,
    ToCapture,
    ToHost,
    ToMxOrHost,
    ToScenario,
)
from relay.core.email_relays import (
    AuthMechanism,
    Credentials,
    DomainFilter,
    EmailRelay,
    EmailRelays,
    Secret,
)
from relay.core.salesforce import EmailRelayTls
from relay.core.settings import TlsSetting
from relay.core.tls_policy import TlsPolicy

_PASSWORDS: Final = ("password_env", "password_file", "password")


def read_email_relays(
    shape: PolicyShape,
    tree: SourceTree,
    report: Report,
    *,
    tls: TlsParts,
    base: Path,
    known_scenarios: Set[str] | None,
) -> EmailRelays:
    """Return the file's relays and filters; `base` is what its file names are relative to."""
    reader = _Relays(tree=tree, report=report, tls=tls, base=base, known_scenarios=known_scenarios)
    written = shape.email_relays or []
    if shape.relay is not None and written:
        report.at_key(
            tree,
            ("relay",),
            "email relays are named, too; only one of both can carry everything",
            hint="make it an email relay, with a domain filter that comes last",
        )
    reader.check_unique_names(written)
    relays = {relay.name: reader.relay(relay, index, shape) for index, relay in enumerate(written)}
    filters = reader.filters(shape.domain_filters or [], relays)
    if report.problems:
        return EmailRelays()
    return EmailRelays(relays=MappingProxyType(relays), filters=filters)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Relays:
    """Reads relays and filters, and reports what can't stand."""

    tree: SourceTree
    report: Report
    tls: TlsParts
    base: Path
    known_scenarios: Set[str] | None

    def check_unique_names(self, written: list[EmailRelayShape]) -> None:
        first: dict[str, int] = {}
        for index, relay in enumerate(written):
            if relay.name in first:
                line = self.tree.place(("email_relays", first[relay.name], "name")).line
                self.report.at_value(
                    self.tree,
                    ("email_relays", index, "name"),
                    f"the name {relay.name!r} is given twice, first on line {line}",
                )
            first.setdefault(relay.name, index)

    def relay(self, written: EmailRelayShape, index: int, shape: PolicyShape) -> EmailRelay:
        path: KeyPath = ("email_relays", index)
        to = self._host(written, path)
        setting = written.tls or TlsSetting.PREFERRED
        credentials = None
        if written.auth is not None and self._may_log_in(setting, path, shape):
            credentials = self._credentials(written.auth, (*path, "auth"))
        return EmailRelay(
            name=written.name,
            to=to,
            tls=self._policy(setting, to),
            place=self.tree.place((*path, "tls" if written.tls else "name")),
            credentials=credentials,
        )

    def _host(self, written: EmailRelayShape, path: KeyPath) -> Destination:
        host = written.host
        if isinstance(host, ToScenario | ToCapture):
            check_scenario(self.tree, self.report, host, (*path, "host"), self.known_scenarios)
            if written.port is not None:
                self.report.at_key(
                    self.tree,
                    (*path, "port"),
                    "a receiver of the lab has its own",
                    hint="remove the key",
                )
            return host
        port = written.port or SMTP_PORT
        if is_address(host):
            return ToHost(host=host, port=port)
        return ToMxOrHost(domain=Domain(host), port=port)

    def _policy(self, setting: TlsSetting, to: Destination) -> TlsPolicy:
        """Return the relay's own setting with the rest of the policy's own.

        Where a certificate may bear the domain instead of the host, that is the relay's domain: the
        recipient's has nothing to do with this host.
        """
        names = self.tls.default.names
        if names.recipient_domain:
            own = (to.domain,) if isinstance(to, ToMxOrHost) else ()
            names = replace(names, recipient_domain=False, extra=(*names.extra, *own))
        return self.tls.for_setting(setting, names=names)

    def _may_log_in(self, setting: TlsSetting, path: KeyPath, shape: PolicyShape) -> bool:
        refused_tls = (*self.tree.written(path), "tls") in self.tree.removed
        if setting is not TlsSetting.REQUIRED_VERIFY:
            if not refused_tls:
                self.report.at_key(
                    self.tree,
                    (*path, "auth"),
                    f"AUTH needs Required Verify, and this relay has {setting.label}: a password "
                    "is for nobody but the host whose certificate was verified",
                    hint="write 'tls: Required Verify', or remove the key",
                )
            return False
        switches = shape.salesforce
        if switches and switches.email_relay_tls is EmailRelayTls.RECIPIENT_DOMAIN:
            self.report.at_key(
                self.tree,
                (*path, "auth"),
                "AUTH needs Required Verify, and 'email_relay_tls: recipient-domain' sets the "
                "relay's own setting aside",
                hint="remove one of both",
            )
            return False
        return True

    def _credentials(self, written: AuthShape, path: KeyPath) -> Credentials | None:
        given = [key for key in _PASSWORDS if getattr(written, key) is not None]
        refused = any(self.tree.written((*path, key)) in self.tree.removed for key in _PASSWORDS)
        if not given and not refused:
            self.report.at_value(
                self.tree, path, f"there is no password; allowed: {', '.join(_PASSWORDS)}"
            )
        for key in given[1:]:
            self.report.at_key(
                self.tree,
                (*path, key),
                f"the password comes from {given[0]} already",
                hint="remove one of both",
            )
        if len(given) != 1:
            return None
        password = self._password(written, (*path, given[0]))
        if password is None:
            return None
        return Credentials(
            mechanism=written.mechanism or AuthMechanism.PLAIN,
            username=written.username,
            password=password,
        )

    def _password(self, written: AuthShape, path: KeyPath) -> Secret | None:
        if written.password is not None:
            return written.password
        try:
            if written.password_env is not None:
                return read_password(_from_environment(written.password_env))
            assert written.password_file is not None
            return read_password(_from_file(self.base / Path(written.password_file).expanduser()))
        except FileValueError as error:
            self.report.at_value(self.tree, path, str(error), hint=error.hint)
            return None

    def filters(
        self, written: list[DomainFilterShape], relays: Mapping[str, EmailRelay]
    ) -> tuple[DomainFilter, ...]:
        # A relay that was refused for another reason is not unknown besides.
        complete = not any(gone[:1] == ("email_relays",) for gone in self.tree.removed)
        last = max((entry.priority or 0 for entry in written), default=0)
        first: dict[int, int] = {}
        filters: list[DomainFilter] = []
        for index, entry in enumerate(written):
            path: KeyPath = ("domain_filters", index)
            if entry.relay not in relays and complete:
                known = ", ".join(relays) or "none"
                self.report.at_value(
                    self.tree,
                    (*path, "relay"),
                    f"there is no email relay {entry.relay!r}; named: {known}",
                    hint=did_you_mean(entry.relay, relays),
                )
            priority = entry.priority
            if priority is None:
                last += 1
                priority = last
            elif priority in first:
                line = self.tree.place(("domain_filters", first[priority], "priority")).line
                self.report.at_value(
                    self.tree,
                    (*path, "priority"),
                    f"priority {priority} is given twice, first on line {line}",
                    hint="leave it out for the next number",
                )
            first.setdefault(priority, index)
            filters.append(
                DomainFilter(
                    relay=entry.relay,
                    senders=tuple(entry.sender or ()),
                    recipients=tuple(entry.to or ()),
                    priority=priority,
                    active=entry.active is not False,
                    place=self.tree.place((*path, "relay")),
                )
            )
        return tuple(filters)


def _from_environment(name: str) -> str:
    if not os.environ.get(name):
        raise FileValueError(f"the environment variable {name} is not set")
    return os.environ[name]


def _from_file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise FileValueError(f"can't read {str(path)!r}: {error.strerror}") from None
    except ValueError:
        raise FileValueError(f"{str(path)!r} is not a text in UTF-8") from None
