"""The three ways of `relay prove`: on this relay, on another one, on whoever mails from outside."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from relay.audit.promises import KNOWN_GOOD
from relay.audit.proof import ScenarioProof, Verdict
from relay.audit.proof_file import PolicyFact, Proof, promises_digest, versions
from relay.audit.proof_report import words
from relay.audit.prove import Progress, Prover, ScenarioRecord, Sender
from relay.audit.prove_sender import Login, OutsideSender, RelaySender, marked_messages
from relay.audit.shown import Marked
from relay.cli.console import ExitCode, console, fail, say
from relay.cli.lab_own import open_own
from relay.cli.lab_serve import layout
from relay.cli.own_relays import own_relay
from relay.cli.progress import progress_bar
from relay.cli.prove_wanted import Wanted
from relay.cli.state import ELSEWHERE, StateDir, passing_state
from relay.core.routing import HostAddress
from relay.lab.authority import AuthorityError, LabAuthority
from relay.lab.lab import Lab, LabPortError
from relay.lookup.locality import stays_local

_LAST_PORT: Final = 65535


def prove_ourselves(wanted: Wanted) -> Proof:
    """Start a relay of ours under the claimed setting, and prove it."""

    async def main() -> Proof:
        with passing_state() as base:
            authority = LabAuthority(base / "certs")
            async with own_relay(wanted.claim, authority=authority, base=base) as standing:
                endpoint = standing.relay.endpoints[0]
                policy = standing.relay.policy
                return await _prove(
                    wanted,
                    standing.lab,
                    RelaySender(host=endpoint.host, port=endpoint.port, wait=wanted.wait),
                    f"this relay, under {wanted.claim.label}",
                    PolicyFact(source=policy.source, sha256=policy.sha256),
                )

    return asyncio.run(main())


def prove_relay(
    wanted: Wanted, relay: str, *, base_port: int, addresses: bool, state: Path | None
) -> Proof:
    """Stand the lab up where `relay lab export` says, and prove a relay that was told."""
    host, port = _host_and_port(relay)
    if not (host == "localhost" or stays_local(host)) and not wanted.allow_external:
        fail(
            f"--relay: {host} may be off this machine and its private networks",
            hint="Give its numeric address, or --allow-external to send there all the same.",
        )
    places = layout("127.0.0.1", base_port, addresses=addresses)
    user, password = os.environ.get("RELAY_PROVE_USER"), os.environ.get("RELAY_PROVE_PASSWORD")
    sender = RelaySender(
        host=host,
        port=port,
        wait=wanted.wait,
        login=Login(username=user, password=password) if user and password else None,
        may_log_in_clear=host in {"localhost", "127.0.0.1", "::1"},
    )

    async def main() -> Proof:
        lab = _lab(_authority(state), places)
        async with lab:
            return await _prove(wanted, lab, sender, f"the relay at {host}:{port}", None)

    return _run(main)


def prove_listening(
    wanted: Wanted,
    *,
    listen: Sequence[str],
    ports: str | None,
    public_name: str,
    domain: str,
    cert: Path | None,
    key: Path | None,
    state: Path | None,
) -> Proof:
    """Wait for the mail of a sender that can't be reached from here."""
    _mind_exposure(listen, allowed=wanted.allow_external)
    own = open_own(cert, key, None)
    places = _own_places(wanted.scenarios, listen, ports)
    hosts = dict.fromkeys(wanted.scenarios, public_name)

    async def main() -> Proof:
        lab = Lab(
            _authority(state),
            now=_steady_clock(),
            ports={name: port for name, (_, port) in places.items()},
            addresses={name: address for name, (address, _) in places.items()},
            hosts=hosts,
            certificates={KNOWN_GOOD: lambda _: own.issued} if own else None,
        )
        async with lab:
            sender = f"whoever mails to {public_name}"
            return await _prove(wanted, lab, OutsideSender(), sender, None, domain=domain)

    return _run(main)


async def _prove(  # noqa: PLR0917  # the one place behind the three ways
    wanted: Wanted,
    lab: Lab,
    sender: Sender,
    described: str,
    policy: PolicyFact | None,
    domain: str | None = None,
) -> Proof:
    run = secrets.randbits(32)
    marked = marked_messages(
        run, wanted.scenarios, tuple(secrets.randbits(32) for _ in wanted.scenarios)
    )
    if domain is not None:
        marked = tuple(_outside(one, domain) for one in marked)
    started_at = lab.now()
    with _told(
        len(marked), wait=wanted.wait, by_hand=sender.by_hand, as_json=wanted.as_json
    ) as progress:
        prover = Prover(lab, sender, wanted.claim, marked, wait=wanted.wait, progress=progress)
        places = await prover.start()
        if sender.by_hand:
            _tell_where(marked, places)
        records = await _until_interrupted(prover)
    return Proof(
        run=f"{run:08x}",
        claim=wanted.claim,
        promises_sha256=promises_digest(wanted.claim),
        sender=described,
        policy=policy,
        versions=versions(),
        started_at=started_at,
        ended_at=lab.now(),
        scenarios=records,
    )


async def _until_interrupted(prover: Prover) -> tuple[ScenarioRecord, ...]:
    """Run to the end; Ctrl-C ends the wait and keeps what was seen until then."""
    try:
        return await prover.run()
    except asyncio.CancelledError:
        # The runner cancels once for a signal; a second one still ends the command.
        if (task := asyncio.current_task()) is not None:
            task.uncancel()
        return prover.records()


def _outside(marked: Marked, domain: str) -> Marked:
    """Return a message whose text somebody else writes."""
    return replace(marked, recipient=f"{marked.mark}@{marked.scenario}.{domain}", whole=())


@contextlib.contextmanager
def _told(total: int, *, wait: timedelta, by_hand: bool, as_json: bool) -> Iterator[Progress]:
    """Tell of progress on standard error: a bar on a terminal; line by line where one waits."""
    err = console(stderr=True)
    known: dict[str, Verdict] = {}
    first = f"waiting for the known-good message, {wait.total_seconds():g} s at most"
    begin = "settled" if by_hand else first
    with progress_bar(err, begin, total=total, hidden=as_json) as update:

        def tell(proofs: Mapping[str, ScenarioProof]) -> None:
            settled = sum(proof.verdict is not Verdict.INCONCLUSIVE for proof in proofs.values())
            update(completed=settled, description="settled" if settled else begin)
            for name, proof in proofs.items() if by_hand else ():
                if known.get(name, Verdict.INCONCLUSIVE) is not proof.verdict:
                    err.print(f"{name}: {words(proof.verdict)}, {proof.because}", markup=False)
                known[name] = proof.verdict

        yield tell


def _tell_where(marked: Sequence[Marked], places: Mapping[str, HostAddress]) -> None:
    say("Send a message to each of these addresses, through the relay to be proved:", err=True)
    for one in marked:
        place = places.get(one.scenario)
        if place is not None:
            say(f"  {one.scenario}: host {place.name}, port {place.port}", err=True)
            say(f"    {one.recipient}", err=True)
    say("Waiting. Ctrl-C ends the wait and judges what came.", err=True)


def _lab(authority: LabAuthority, places: Mapping[str, HostAddress]) -> Lab:
    return Lab(
        authority,
        now=_steady_clock(),
        ports={name: place.port for name, place in places.items()},
        addresses={name: place.address for name, place in places.items()},
    )


def _authority(state: Path | None) -> LabAuthority:
    return LabAuthority(StateDir.of(state).certificates)


def _run(main: Callable[[], Coroutine[None, None, Proof]]) -> Proof:
    try:
        return asyncio.run(main())
    except LabPortError as error:
        hint = "Does `relay lab serve` run there? Take other ports, here and in the export."
        fail(str(error), hint=hint, code=ExitCode.UNDETERMINED)
    except AuthorityError as error:
        fail(str(error), hint=ELSEWHERE, code=ExitCode.UNDETERMINED)


def _host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 0 < int(port) <= _LAST_PORT:
        fail(f"--relay takes HOST:PORT, not {text!r}", hint="Example: 127.0.0.1:25")
    return host, int(port)


def _mind_exposure(listen: Sequence[str], *, allowed: bool) -> None:
    """End the command for what is no address, or one that others reach without a word of it."""
    for text in listen:
        try:
            address = ip_address(text)
        except ValueError:
            fail(f"--listen takes a numeric address, not {text!r}")
        if address.is_loopback:
            continue
        exposes = (
            f"{text} exposes the chosen receivers to whoever reaches that address: they take any "
            "message, keep it in memory until the end, and pass nothing on"
        )
        if not allowed:
            fail(exposes, hint="Add --allow-external where that is meant.")
        say(f"Note: {exposes}.", err=True)


def _own_places(
    scenarios: Sequence[str], listen: Sequence[str], ports: str | None
) -> Mapping[str, tuple[str, int]]:
    """Return an address and a port for each scenario; end the command where they don't suffice."""
    count = len(scenarios)
    addresses = [*listen] * count if len(listen) == 1 else [*listen]
    texts = ports.split(",") if ports is not None else ["0"]
    if any(not w.strip().isdecimal() or int(w) > _LAST_PORT for w in texts):
        fail(f"--ports takes numbers up to {_LAST_PORT} by commas, not {ports!r}")
    numbers = [int(w) for w in texts]
    if len(numbers) == 1 and (numbers == [0] or len(listen) > 1):
        numbers *= count
    for option, given in (("--listen", addresses), ("--ports", numbers)):
        if len(given) != count:
            fail(
                f"{option} was given for {len(given)} of {count} scenarios, "
                f"which are {', '.join(scenarios)}"
            )
    places = list(zip(addresses, numbers, strict=True))
    if any(port and places.count((address, port)) > 1 for address, port in places):
        fail("two scenarios would share an address and a port")
    return dict(zip(scenarios, places, strict=True))


def _steady_clock() -> Callable[[], datetime]:
    """Return a clock that tells the time as it was here, and goes on evenly.

    How long sessions lie apart decides verdicts, and a system's clock may be set meanwhile.
    """
    began, ticks = datetime.now(UTC), time.monotonic()
    return lambda: began + timedelta(seconds=time.monotonic() - ticks)
