"""The part of a policy file about where mail goes."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from types import MappingProxyType

from relay.config.file_shape import HostShape, PolicyShape, RelayShape, WrittenWhere
from relay.config.problems import KeyPath, did_you_mean
from relay.config.tls_parts import check_unique
from relay.config.validate import Report
from relay.config.values import DEFAULT_PORTS
from relay.config.yaml_tree import SourceTree
from relay.core.destinations import (
    PreferredHost,
    RoutedTo,
    ToCapture,
    ToHost,
    ToHosts,
    ToScenario,
)
from relay.core.email_relays import EmailRelays
from relay.core.routing import ClearText, Dns, RelayHost, RouteRule, Routing
from relay.core.salesforce import InvalidDomains
from relay.core.settings import TlsMode

PREFERENCE_STEP = 10
"""A host of a list without `preference` has so much more than the one that stands before it."""


def read_routing(
    shape: PolicyShape,
    tree: SourceTree,
    report: Report,
    *,
    email_relays: EmailRelays,
    known_scenarios: Set[str] | None,
) -> Routing:
    """Return the file's routes beside its email relays.

    Without `known_scenarios` the names of scenarios go unchecked.
    """
    where = _Where(tree=tree, report=report, known_scenarios=known_scenarios)
    routes = shape.routes or []
    check_unique(tree, report, [route.match for route in routes], lambda i: ("routes", i, "match"))
    rules = {
        route.match: RouteRule(
            pattern=route.match,
            to=where.read(route.to, ("routes", index, "to")),
            place=tree.place(("routes", index, "match")),
        )
        for index, route in enumerate(routes)
    }
    relay = None
    if shape.relay is not None:
        host_path: KeyPath = ("relay", "host")
        relay = RelayHost(to=where.read(shape.relay, ("relay",)), place=tree.place(host_path))
    return Routing(
        routes=MappingProxyType(rules),
        relay=relay,
        email_relays=email_relays,
        invalid_domains=_invalid_domains(shape),
        dns=_dns(shape),
        clear_text=shape.clear_text or ClearText.AFTER_ALL_HOSTS,
    )


def _invalid_domains(shape: PolicyShape) -> InvalidDomains:
    return (shape.salesforce and shape.salesforce.invalid_domains) or InvalidDomains.TRY


def _dns(shape: PolicyShape) -> Dns:
    if shape.dns is None:
        return Dns()
    return Dns(server=shape.dns.server, timeout=shape.dns.timeout or Dns().timeout)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Where:
    """Reads destinations as they are written, and reports those that can't stand."""

    tree: SourceTree
    report: Report
    known_scenarios: Set[str] | None

    def read(self, written: WrittenWhere, path: KeyPath) -> RoutedTo:
        match written:
            case RelayShape():
                return _host(written.host, written)
            case list():
                return self._hosts(written, path)
            case to:
                self._check_scenario(to, path)
                return to

    def _hosts(
        self, written: Sequence[ToHost | ToScenario | ToCapture | HostShape], path: KeyPath
    ) -> ToHosts:
        refused = any(gone[: len(path)] == path for gone in self.tree.removed)
        if not written and not refused:
            self.report.at_value(
                self.tree, path, "the list names no host", hint="name one, or remove the key"
            )
        hosts: list[PreferredHost] = []
        for at, entry in enumerate(written):
            before = hosts[-1].preference if hosts else 0
            own = entry.preference if isinstance(entry, HostShape) else None
            preference = before + PREFERENCE_STEP if own is None else own
            to = self._listed(entry, (*path, at))
            hosts.append(PreferredHost(to=to, preference=preference))
        return ToHosts(hosts=tuple(hosts))

    def _listed(
        self, entry: ToHost | ToScenario | ToCapture | HostShape, path: KeyPath
    ) -> ToHost | ToScenario | ToCapture:
        if not isinstance(entry, HostShape):
            self._check_scenario(entry, path)
            return entry
        self._check_scenario(entry.host, (*path, "host"))
        if isinstance(entry.host, str):
            return _host(entry.host, entry)
        self._check_no_port(entry, path)
        return entry.host

    def _check_no_port(self, entry: HostShape, path: KeyPath) -> None:
        for key in ("port", "tls_mode"):
            if getattr(entry, key) is not None:
                self.report.at_key(
                    self.tree,
                    (*path, key),
                    "a receiver of the lab has its own",
                    hint="remove the key",
                )

    def _check_scenario(self, to: object, path: KeyPath) -> None:
        check_scenario(self.tree, self.report, to, path, self.known_scenarios)


def check_scenario(
    tree: SourceTree, report: Report, to: object, path: KeyPath, known: Set[str] | None
) -> None:
    """Report a destination that is a receiver of the lab by a name that it does not have."""
    if known is None or not isinstance(to, ToScenario) or to.scenario in known:
        return
    report.at_value(
        tree,
        path,
        f"the lab has no scenario {to.scenario!r}",
        hint=did_you_mean(to.scenario, known) or "'relay lab list' names them all",
    )


def _host(name: str, written: RelayShape | HostShape) -> ToHost:
    mode = written.tls_mode or TlsMode.STARTTLS
    return ToHost(host=name, port=written.port or DEFAULT_PORTS[mode], mode=mode)
