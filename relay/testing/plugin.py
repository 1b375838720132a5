"""The pytest plugin: a relay and its lab as fixtures, a policy as a marker.

pytest imports this module in every run of every project that has Relaylab installed. It therefore
imports the relay itself only where a fixture or a marker asks for it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pytest

if TYPE_CHECKING:
    from relay.core.settings import TlsSetting
    from relay.testing.running import RunningLab, RunningRelay

    PolicySource: TypeAlias = str | Path | Mapping[str, Any] | TlsSetting
    MakeMailRelay: TypeAlias = Callable[..., RunningRelay]

MARKER: Final = "mail_policy"
_SECTION: Final = "mail relay"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the one option, on the command line and in the configuration file."""
    says = "policy of the mail_relay fixture: a shipped policy's name, a setting's, or a path"
    parser.getgroup("mail relay").addoption("--mail-policy", metavar="POLICY", help=says)
    parser.addini("mail_policy", help=says, default="required-verify")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(policy, **settings): the policy that mail_relay enforces in this test; a name, "
        "a path, YAML text or its data, with settings in place of the policy's own keys.",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Read the policies of all markers, so that a mistake ends the run before the first test."""
    if hasattr(config, "workerinput"):
        # A worker of xdist can't end the run; there the mistake is an error of the test itself.
        return
    known: set[str] = set()
    mistakes: list[str] = []
    for item in items:
        marker = item.get_closest_marker(MARKER)
        if marker is None or (key := repr((marker.args, marker.kwargs, item.path))) in known:
            continue
        known.add(key)
        try:
            source, settings = _wanted(item, "required-verify")
            _read(source, settings, near=item.path.parent)
        except pytest.UsageError as error:
            mistakes.append(f"{item.nodeid}: {error}")
    if mistakes:
        raise pytest.UsageError("\n".join(mistakes))


def _wanted(item: pytest.Item, otherwise: PolicySource) -> tuple[PolicySource, dict[str, Any]]:
    """Return the policy and settings of a test's nearest marker; raise UsageError for misuse."""
    marker = item.get_closest_marker(MARKER)
    if marker is None:
        return otherwise, {}
    if len(marker.args) > 1:
        raise pytest.UsageError(
            f"@pytest.mark.{MARKER} takes one policy, not {len(marker.args)}; "
            "other keys of it go by name, as in tls='Required'"
        )
    if not marker.args and not marker.kwargs:
        raise pytest.UsageError(f"@pytest.mark.{MARKER} names no policy")
    source = marker.args[0] if marker.args else otherwise
    from relay.core.settings import TlsSetting

    if not isinstance(source, str | Path | Mapping | TlsSetting):
        raise pytest.UsageError(
            f"@pytest.mark.{MARKER} takes a name, a path, YAML text, its data or a setting, "
            f"not {type(source).__name__}"
        )
    return source, dict(marker.kwargs)


def _read(source: PolicySource, settings: Mapping[str, Any], *, near: Path) -> None:
    """Raise UsageError where this is no policy."""
    import yaml

    from relay.config.policy_file import PolicyNotFoundError
    from relay.config.problems import PolicyFileError
    from relay.testing.policies import read_policy

    try:
        read_policy(source, settings, near=near)
    except PolicyNotFoundError as error:
        raise pytest.UsageError(f"{error}; {error.hint}") from None
    except PolicyFileError as error:
        raise pytest.UsageError(f"the policy can't be used:\n{error}") from None
    except (OSError, yaml.YAMLError) as error:
        raise pytest.UsageError(f"the policy can't be read: {error}") from None


@pytest.fixture(scope="session")
def make_mail_relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeMailRelay]:
    """Return a function that starts a relay for the rest of the run, on a port of its own.

    It takes a policy, and settings in place of the policy's own keys by name. What one relay
    received stays until its `clear`. All trust one authority.
    """
    from relay.testing.loading import load_in_one_thread
    from relay.testing.running import running

    load_in_one_thread()
    certificates = tmp_path_factory.mktemp("mail-relay") / "certs"
    with ExitStack() as stack:

        def make(policy: PolicySource = "required-verify", **settings: Any) -> RunningRelay:
            return stack.enter_context(
                running(policy, settings=settings, certificates=certificates)
            )

        yield make


@pytest.fixture(scope="session")
def mail_relay_policy(pytestconfig: pytest.Config) -> PolicySource:
    """Return the policy of tests without a marker; override it for a module or a project.

    By default it is that of `--mail-policy`, or of `mail_policy` in the configuration file.
    """
    chosen: str = pytestconfig.getoption("--mail-policy") or pytestconfig.getini("mail_policy")
    return chosen


@pytest.fixture(scope="session")
def _mail_relay_of_the_run(make_mail_relay: MakeMailRelay) -> RunningRelay:
    return make_mail_relay()


@pytest.fixture
def mail_relay(
    request: pytest.FixtureRequest,
    _mail_relay_of_the_run: RunningRelay,
    mail_relay_policy: PolicySource,
) -> RunningRelay:
    """Return a relay that has no mail yet, under the policy of the test's marker.

    It is one relay on one port for the whole run (under xdist for each worker), cleared before each
    test.
    """
    item = request.node
    try:
        source, settings = _wanted(item, mail_relay_policy)
        _read(source, settings, near=item.path.parent)
    except pytest.UsageError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
    _mail_relay_of_the_run.clear()
    _mail_relay_of_the_run.load_policy(source, settings=settings, near=item.path.parent)
    return _mail_relay_of_the_run


@pytest.fixture
def mail_lab(mail_relay: RunningRelay) -> RunningLab:
    """Return the lab of `mail_relay`: receivers that each break SMTP TLS in one way."""
    return mail_relay.lab


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the dialogs of its relays to the report of a test that failed."""
    report = yield
    if report.when == "call" and report.failed:
        found = list(getattr(item, "funcargs", {}).values())
        if found and "relay.testing.running" in sys.modules:
            from relay.testing.report import mail_report
            from relay.testing.running import RunningRelay

            for relay in dict.fromkeys(one for one in found if isinstance(one, RunningRelay)):
                report.sections.append((f"{_SECTION} {relay.smtp_url}", mail_report(relay)))
    return report
