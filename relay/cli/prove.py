"""`relay prove`: is the ticked box enforced, judged by what the other side received."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from relay.cli import completion
from relay.cli.console import ExitCode, fail, say
from relay.cli.lab_serve import AddressesOption, BasePortOption
from relay.cli.reporting import HtmlOption, JunitOption, ReportJsonOption, deliver
from relay.cli.state import StateOption

if TYPE_CHECKING:
    from relay.audit.proof_file import Proof
    from relay.core.jsonform import Json


def prove(
    *,
    relay: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="The relay to prove; without it, this one."),
    ] = None,
    claims: Annotated[
        str,
        typer.Option(
            metavar="SETTING",
            autocompletion=completion.setting,
            help="The setting that is said to be in force.",
        ),
    ] = "required-verify",
    scenarios: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            autocompletion=completion.receivers_or_families,
            help="Scenarios or their families, by commas; good always comes first. "
            "[default: honest,starttls,handshake,certificate]",
        ),
    ] = None,
    wait: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="How long to wait for the known-good message, and then for all others.",
        ),
    ] = "120s",
    base_port: BasePortOption = 2600,
    addresses: AddressesOption = False,
    listen: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            help="Wait for mail from elsewhere on this address; given several times, one "
            "for each scenario.",
        ),
    ] = None,
    public_name: Annotated[
        str | None,
        typer.Option(metavar="HOST", help="With --listen: the name by which senders reach it."),
    ] = None,
    ports: Annotated[
        str | None,
        typer.Option(
            metavar="PORTS", help="With --listen: a port for each scenario, good's first."
        ),
    ] = None,
    domain: Annotated[
        str | None,
        typer.Option(
            metavar="DOMAIN",
            help="With --listen: mail goes to SCENARIO.DOMAIN. [default: the public name]",
        ),
    ] = None,
    cert: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --listen: what good shows, with its chain."),
    ] = None,
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --listen: the key of --cert.")
    ] = None,
    allow_external: Annotated[
        bool,
        typer.Option("--allow-external", help="Listen on, or send to, more than this machine."),
    ] = False,
    verify: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Judge a saved proof again; send nothing.")
    ] = None,
    bounced: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            autocompletion=completion.receivers,
            help="With --verify: scenarios for which the sender was told, where the lab can't "
            "see it, that it gave up. Your word, and recorded as that.",
        ),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep the proof with all its evidence.")
    ] = None,
    junit: JunitOption = None,
    html: HtmlOption = None,
    json: ReportJsonOption = False,
    state: StateOption = None,
) -> None:
    """Prove whether a relay keeps what a TLS setting claims.

    Judges by what receivers got. Sends a marked message to each scenario of the lab. Refused
    receivers must get nothing of it, honest ones all of it. Another relay is told where the lab is
    by `relay lab export`; with credentials in RELAY_PROVE_USER and RELAY_PROVE_PASSWORD it is
    logged in to. Exits 1 for a leak or a message that was refused without need, 3 where something
    could not be determined.
    """
    if verify is not None:
        if relay or listen or (save and not bounced):
            fail("--verify sends nothing; it goes with --bounced, --json, --junit and --html")
        proof = _verified(verify, as_json=json)
        if bounced is not None:
            proof = _told(proof, bounced)
        _finish(proof, save=save, junit=junit, html=html, as_json=json)
    if bounced is not None:
        fail("--bounced adds to a saved proof", hint="Give the file with --verify.")
    if listen is None and (ports or public_name or domain or cert or key):
        fail("--public-name, --ports, --domain, --cert and --key go with --listen")
    if listen is not None and (relay or public_name is None or scenarios is None):
        fail(
            "--listen takes --public-name and --scenarios, and no --relay",
            hint="Example: relay prove --listen 127.0.0.1 --public-name mx.example.com "
            "--scenarios no-starttls,expired",
        )
    from relay.cli.prove_wanted import Wanted, read_claim, read_scenarios, read_wait

    wanted = Wanted(
        claim=read_claim(claims),
        scenarios=read_scenarios(scenarios),
        wait=read_wait(wait),
        allow_external=allow_external,
        as_json=json,
    )
    from relay.cli.prove_run import prove_listening, prove_ourselves, prove_relay

    if listen is not None and public_name is not None:
        proof = prove_listening(
            wanted,
            listen=listen,
            ports=ports,
            public_name=public_name,
            domain=domain or public_name,
            cert=cert,
            key=key,
            state=state,
        )
    elif relay is not None:
        proof = prove_relay(wanted, relay, base_port=base_port, addresses=addresses, state=state)
    else:
        proof = prove_ourselves(wanted)
    _finish(proof, save=save, junit=junit, html=html, as_json=json, asked=relay)


def _finish(
    proof: Proof,
    *,
    save: Path | None,
    junit: Path | None,
    html: Path | None,
    as_json: bool,
    asked: str | None = None,
) -> NoReturn:
    """Keep and show a proof, and end the command as its verdicts say.

    `asked` is the relay that the messages were handed to just now.
    """
    from relay.audit.proof_file import dump
    from relay.audit.proof_report import report
    from relay.journal.whole_files import write_whole

    if save is not None:
        try:
            write_whole(save, dump(proof).encode())
        except OSError as error:
            fail(f"can't write {save}: {error.strerror}")
    deliver(report(proof), _plain(proof), as_json=as_json, junit=junit, html=html)
    if asked and _nothing_came(proof):
        say(
            f"Nothing came from {asked}. Where does its mail for *.lab.test go?\n"
            "`relay lab export --for postfix` (exim, haraka, relaylab) prints what leads it here.",
            err=True,
        )
    raise typer.Exit(_exit_code(proof))


def _nothing_came(proof: Proof) -> bool:
    """Whether a relay that could be reached, and did not refuse, led no message to the lab."""
    from relay.audit.proof import Told

    first = proof.scenarios[0]
    told = first.reported
    reached = told is None or (told.by is Told.REPLY and not told.final)
    return reached and not first.sessions


def _verified(file: Path, *, as_json: bool) -> Proof:
    """Judge a file again; a verdict that does not follow from its evidence ends the command."""
    from relay.audit.proof_file import ProofFileError, load
    from relay.audit.proof_report import words

    try:
        reading = load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        fail(f"can't read {file}: {getattr(error, 'strerror', None) or 'it is no text'}")
    except ProofFileError as error:
        fail(f"{file} can't be judged: {error}")
    if reading.other_promises:
        say("The claim promises something else in this version than in the file's.", err=True)
    for scenario, before, now in reading.changed:
        say(
            f"CHANGED: {scenario} is {words(now)} by the evidence, {words(before)} in the file.",
            err=True,
        )
    if reading.tampered:
        say("TAMPERED: the digest does not fit what the file says.", err=True)
    if not reading.holds:
        raise typer.Exit(ExitCode.FINDING)
    # Not into a JSON document.
    say("Verified: the digest fits, and every verdict follows from the evidence.", err=as_json)
    return reading.proof


def _told(proof: Proof, bounced: str) -> Proof:
    """Add the operator's word; end the command for a scenario that is not in the proof."""
    from relay.audit.proof_file import with_bounces

    names = [name.strip() for name in bounced.split(",")]
    known = [record.marked.scenario for record in proof.scenarios]
    if unknown := [name for name in names if name not in known]:
        fail(f"--bounced: the proof has no scenario {unknown[0]!r}", hint=", ".join(known))
    return with_bounces(proof, names)


def _exit_code(proof: Proof) -> ExitCode:
    from relay.audit.proof import Verdict
    from relay.audit.proof_report import overall

    return {
        Verdict.ENFORCED: ExitCode.AS_EXPECTED,
        Verdict.LEAKED: ExitCode.FINDING,
        Verdict.OVER_BLOCKED: ExitCode.FINDING,
        Verdict.INCONCLUSIVE: ExitCode.UNDETERMINED,
    }[overall(proof)]


def _plain(proof: Proof) -> Json:
    """Return the proof without the sessions, which `--save` keeps."""
    from relay.audit.proof_report import overall
    from relay.core.jsonform import to_json

    return {
        "verdict": overall(proof).value,
        "claim": proof.claim.value,
        "promises_sha256": proof.promises_sha256,
        "sender": proof.sender,
        "policy": to_json(proof.policy),
        "versions": to_json(proof.versions),
        "run": proof.run,
        "started_at": to_json(proof.started_at),
        "ended_at": to_json(proof.ended_at),
        "scenarios": [
            {
                "scenario": record.marked.scenario,
                "recipient": record.marked.recipient,
                "verdict": record.proof.verdict.value,
                "because": record.proof.because,
                "attempts": record.proof.attempts,
                "reported": to_json(record.reported),
                "evidence": list(record.proof.evidence),
            }
            for record in proof.scenarios
        ],
    }
