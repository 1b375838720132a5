"""`relay serve`: the relay and its lab, until a signal ends them."""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import sys
from contextlib import asynccontextmanager, closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from relay.cli.console import ExitCode, fail, say
from relay.cli.keeping import KeepDaysOption, KeepMessagesOption, keep_of
from relay.cli.lab_scripts import LabScriptOption, open_scripts
from relay.cli.loading import collect_as_usual, loading
from relay.cli.log_format import LogFormat, LogFormatOption, log_line, narrator, set_up_log
from relay.cli.loops import LoopKind, LoopOption, loop_factory
from relay.cli.noticing import (
    NoticeMailOption,
    NoticeWindowOption,
    SecretFileOption,
    WebhookOption,
    notice_options,
    notice_words,
)
from relay.cli.policy import PolicyOption, open_policy, policy_path
from relay.cli.reloading import Reloading
from relay.cli.serving import Listening, Serving, read_serving
from relay.cli.signals import Request, Requests, requests
from relay.cli.state import ELSEWHERE, StateDir, StateOption
from relay.cli.web_port import (
    DEFAULT_PORT,
    HINT,
    LOOPBACK,
    ReadOnlyOption,
    WebHostOption,
    WebListenOption,
    WebOption,
    WebPort,
    WebPortOption,
    WebTlsOption,
    managed,
    web_lines,
    web_options,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from relay.core.delivery import Policy
    from relay.engine.relay import Relay, RelayOptions
    from relay.inbound.credentials import Credentials
    from relay.inbound.listeners import Endpoint
    from relay.web.binding import Bound
    from relay.web.readiness import Readiness

_GREETED_WITHIN: Final = 0.05
"""Seconds within which clients that wait for the port are greeted."""


def serve(
    *,
    policy: PolicyOption = "required-verify",
    state: StateOption = None,
    listen: Annotated[
        str,
        typer.Option(
            envvar="RELAY_LISTEN", metavar="ADDRESS", help="Address to listen on; 0.0.0.0 for all."
        ),
    ] = "127.0.0.1",
    smtp_port: Annotated[
        int, typer.Option(envvar="RELAY_SMTP_PORT", min=0, max=65535, help="SMTP with STARTTLS.")
    ] = 1025,
    smtps_port: Annotated[
        int, typer.Option(envvar="RELAY_SMTPS_PORT", min=0, max=65535, help="Implicit TLS.")
    ] = 1465,
    submission_port: Annotated[
        int,
        typer.Option(
            envvar="RELAY_SUBMISSION_PORT", min=0, max=65535, help="STARTTLS and AUTH required."
        ),
    ] = 1587,
    submission: Annotated[
        bool, typer.Option(envvar="RELAY_SUBMISSION", help="Whether to offer submission at all.")
    ] = True,
    credentials: Annotated[
        Path | None,
        typer.Option(
            envvar="RELAY_CREDENTIALS",
            metavar="FILE",
            help="Lines of user:password for AUTH [default: any, on loopback only].",
            show_default=False,
        ),
    ] = None,
    certificate: Annotated[
        Path | None,
        typer.Option(
            "--cert",
            envvar="RELAY_CERT",
            metavar="FILE",
            help="Certificate chain to serve [default: one of the lab's].",
            show_default=False,
        ),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(envvar="RELAY_KEY", metavar="FILE", help="Key of --cert.", show_default=False),
    ] = None,
    hostname: Annotated[
        str, typer.Option(envvar="RELAY_HOSTNAME", help="The relay's own name in SMTP.")
    ] = "relay.lab.test",
    allow_external: Annotated[
        bool,
        typer.Option(
            "--allow-external",
            envvar="RELAY_ALLOW_EXTERNAL",
            help="Let mail leave for hosts off this machine and its private networks.",
        ),
    ] = False,
    seed: Annotated[
        int | None,
        typer.Option(
            envvar="RELAY_SEED",
            min=0,
            help="Decides the order of hosts of equal preference [default: chance].",
            show_default=False,
        ),
    ] = None,
    keep_messages: KeepMessagesOption = None,
    keep_days: KeepDaysOption = None,
    lab_script: LabScriptOption = None,
    webhook: WebhookOption = None,
    webhook_secret_file: SecretFileOption = None,
    notice_mail: NoticeMailOption = None,
    notice_window: NoticeWindowOption = "1h",
    web: WebOption = True,
    web_port: WebPortOption = DEFAULT_PORT,
    web_listen: WebListenOption = LOOPBACK,
    web_host: WebHostOption = None,
    read_only: ReadOnlyOption = False,
    web_tls: WebTlsOption = False,
    log_format: LogFormatOption = LogFormat.TEXT,
    loop: LoopOption = LoopKind.AUTO,
) -> None:
    """Start the relay and its lab; end them with Ctrl-C or SIGTERM.

    SIGHUP, which `relay policy reload` sends, reads the policy and the fault scripts again.
    Port 0 takes any free port; `relay send` and `relay readyz` find it by the state directory.
    """
    with loading():
        from relay.engine.relay import RelayOptions
        from relay.engine.server_certificate import ServerCertificate
        from relay.inbound.listeners import ListenerConfig, ListenerKind

        to_enforce = open_policy(policy)
    if (certificate is None) is not (key is None):
        fail("--cert and --key belong together", hint="Give both, or neither.")
    where = StateDir.of(state)
    ports = {ListenerKind.SMTP: smtp_port, ListenerKind.SMTPS: smtps_port}
    if submission:
        ports[ListenerKind.SUBMISSION] = submission_port
    options = RelayOptions(
        listeners=tuple(
            ListenerConfig(kind=kind, host=listen, port=port) for kind, port in ports.items()
        ),
        journal=where.journal,
        bounce_lines=where.bounce_lines,
        certificates=where.certificates,
        hostname=hostname,
        credentials=_credentials(credentials, listen, submission),
        allow_external=allow_external,
        certificate=ServerCertificate(chain=certificate, key=key) if certificate and key else None,
        seed=secrets.randbits(32) if seed is None else seed,
        notices=notice_options(
            webhook=webhook,
            secret_file=webhook_secret_file,
            mail=notice_mail,
            window=notice_window,
        ),
        lab_scripts=open_scripts(lab_script),
        keep=keep_of(keep_messages, keep_days),
    )
    port = web_options(
        wanted=web,
        listen=web_listen,
        port=web_port,
        hosts=web_host,
        read_only=read_only,
        tls=web_tls,
    )
    set_up_log(log_format)
    _run(
        to_enforce,
        policy_path(policy),
        scripts=lab_script,
        options=options,
        where=where,
        port=port,
        log_format=log_format,
        new_loop=loop_factory(loop),
    )


def _credentials(path: Path | None, listen: str, submission: bool) -> Credentials:
    """Load the file; without one anybody may log in on loopback, and nobody elsewhere.

    With submission, which is of no use without users, a public address is left to be refused.
    """
    from relay.inbound.credentials import Credentials, CredentialsError

    if path is None:
        return Credentials.anybody() if submission or _is_loopback(listen) else Credentials()
    try:
        return Credentials.load(path)
    except (OSError, CredentialsError) as error:
        fail(f"--credentials: {error}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _run(
    policy: Policy,
    policy_file: Path,
    *,
    scripts: Path | None,
    options: RelayOptions,
    where: StateDir,
    port: WebPort | None,
    log_format: LogFormat,
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    with loading():
        from relay.engine.relay import Relay
        from relay.inbound.listeners import ListenError
        from relay.journal.api import JournalError
        from relay.journal.browsing import open_browser
        from relay.journal.contacts_store import ContactsStore
        from relay.lab.authority import AuthorityError
        from relay.notice.options import NoticeError
        from relay.tls.trust import TrustError
        from relay.web.binding import WebListenError
        from relay.web.live import Live
        from relay.web.served import ServedRelay
    collect_as_usual()

    async def until_stopped() -> WebListenError | None:
        with requests() as asked:
            live = Live()
            async with Relay(
                policy, options, observer=narrator(log_format), writes=live, channels=(live,)
            ) as relay:
                where.reload_report.unlink(missing_ok=True)
                try:
                    bound = port.open() if port else None
                except WebListenError as error:
                    # Raised here, it would leave the relay's task group inside a group.
                    return error
                with closing(open_browser(where.journal)) as browser:
                    reloading = Reloading(relay, policy_file, where.reload_report, scripts=scripts)
                    served = ServedRelay(
                        relay=relay,
                        journal=browser,
                        contacts=ContactsStore(where.contacts),
                        live=live,
                        policy_file=policy_file,
                        reload=reloading.kept,
                    )
                    ready = _readiness(relay, where)
                    async with (
                        _preparing(relay) as prepared,
                        managed(port, bound, relay.lab, ready, served=served, after=prepared),
                    ):
                        _note(relay, options, bound).write(where.serving)
                        try:
                            if log_format is LogFormat.JSON:
                                say(log_line("serving", **asdict(_note(relay, options, bound))))
                            else:
                                _print_banner(
                                    relay, where, sys.argv[0], web_lines(port, bound, pages=True)
                                )
                                if (told := notice_words(options.notices)) is not None:
                                    say(f"Notices go by {told}.")
                            await _serve_until_stopped(asked, reloading, log_format)
                        finally:
                            where.serving.unlink(missing_ok=True)
        return None

    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            refused = runner.run(until_stopped())
    except (ListenError, JournalError, AuthorityError, TrustError, OSError) as error:
        fail(str(error), hint=_hint(error), code=ExitCode.UNDETERMINED)
    except NoticeError as error:
        fail(str(error), hint="With --allow-external a webhook may leave them, by https.")
    if refused is not None:
        fail(str(refused), hint=HINT, code=ExitCode.UNDETERMINED)


@asynccontextmanager
async def _preparing(relay: Relay) -> AsyncIterator[asyncio.Task[None]]:
    """Load what sends mail behind the start, in a task that no stop waits for."""

    async def prepare() -> None:
        # A thread that loads libraries slows the event loop down, to half its speed and less.
        await asyncio.sleep(_GREETED_WITHIN)
        with loading():
            await relay.prepare()

    preparing = asyncio.get_running_loop().create_task(prepare())
    try:
        yield preparing
    finally:
        preparing.cancel()
        await asyncio.wait((preparing,))


def _hint(error: Exception) -> str | None:
    from relay.inbound.listeners import ListenError, ListenProblem
    from relay.journal.api import JournalError, JournalLocked, JournalUnavailable
    from relay.lab.authority import AuthorityError

    match error:
        case ListenError(reason=ListenProblem.PORT_IN_USE, kind=kind):
            return (
                f"Choose another port with --{kind.value}-port (0 takes any free one), "
                "or stop the other program."
            )
        case ListenError(reason=ListenProblem.ANY_CREDENTIALS):
            return "Name users with --credentials FILE, or leave submission out: --no-submission."
        case JournalLocked():
            return "Stop the other relay, or choose another state directory with --state."
        case JournalUnavailable():
            return "Make room and see to its permissions, or choose another directory with --state."
        case JournalError():
            return "Choose another state directory with --state; this one stays as it is."
        case AuthorityError():
            return ELSEWHERE
        case _:
            return None


async def _serve_until_stopped(
    requests: Requests, reloading: Reloading, log_format: LogFormat
) -> None:
    """Do what signals ask for, until one asks for a stop."""
    while True:
        match await requests.next():
            case Request.STOP:
                words = "Stopping: no new sessions, finishing what is in hand."
                say(words if log_format is LogFormat.TEXT else log_line("stopping"), err=True)
                return
            case Request.RELOAD:
                report = await reloading.report()
                for line in report.lines:
                    say(line if log_format is LogFormat.TEXT else log_line("reload", words=line))


def _readiness(relay: Relay, where: StateDir) -> Readiness:
    """Return the check that `relay readyz` makes, of the journal, and of the started receivers."""
    from relay.cli.readyz import missing
    from relay.journal.api import JournalError

    async def left() -> list[str]:
        found = await asyncio.to_thread(lambda: missing(read_serving(where.serving)))
        try:
            await relay.steering.check()
        except JournalError:
            found.append("the journal can't be written")
        return [*found, *(f"lab/{name} does not listen" for name in relay.lab.deaf)]

    return left


def _note(relay: Relay, options: RelayOptions, web: Bound | None) -> Serving:
    import os

    return Serving(
        pid=os.getpid(),
        hostname=options.hostname,
        policy=relay.policy.source,
        lab_root=str(relay.lab.authority.root_path),
        listeners=tuple(
            Listening(kind=e.kind.value, host=_reachable(e), port=e.port) for e in relay.endpoints
        ),
        web=web.url if web else None,
    )


def _reachable(endpoint: Endpoint) -> str:
    """Return the address that a client on this machine connects to."""
    address = ipaddress.ip_address(endpoint.host)
    if not address.is_unspecified:
        return endpoint.host
    return "127.0.0.1" if address.version == 4 else "::1"


def _print_banner(relay: Relay, where: StateDir, program: str, web: list[str]) -> None:
    from relay.cli.banner import banner

    for line in banner(relay, where, program, web):
        say(line)
