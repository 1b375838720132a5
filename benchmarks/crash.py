"""Kill the relay again and again, and count what it promised and what became of that.

`make crash`, or `python benchmarks/crash.py [--rounds 1000] [--minutes 60] [--seed N]`. Rounds are
those of tests/reliability/test_kill_9.py: `relay serve` is started, three clients send, and it is
killed with SIGKILL at a random moment, start-up included, always on the same journal. A last relay
then works until nothing is queued. Ends earlier when the minutes are over. Exit code 1: something
was lost, was delivered twice outside the window that SMTP leaves, or the journal is damaged.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/e2e"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests/reliability"))

from reliability_host import Host, Taken
from test_kill_9 import (
    Client,
    Receivers,
    check_promises,
    check_records,
    drain,
    one_life,
    policy_of,
)

from relay.journal.checking import check_journal

EVERY: Final = 10
"""Rounds between two lines of progress."""


def say(line: str) -> None:
    """Print a line now, also into a pipe."""
    print(line, flush=True)  # noqa: T201


def kill_often(
    directory: Path, client: Client, chance: random.Random, *, rounds: int, minutes: float
) -> tuple[int, list[Taken]]:
    """Return how many rounds there were, and what the next hop took."""
    state, policy = directory / "state", directory / "policy.yaml"
    began = time.monotonic()
    done = 0
    with Host(answer=Receivers().answer) as host:
        while done < rounds and time.monotonic() - began < minutes * 60:
            host.life = done
            policy.write_text(policy_of(host))
            one_life(state, policy, client, chance)
            done += 1
            if done % EVERY == 0:
                say(
                    f"{done:5} kills in {time.monotonic() - began:4.0f} s: "
                    f"{len(client.promised)} answered with 250, {len(host.taken)} deliveries"
                )
        host.life = done
        drain(state, policy, host)
        return done, list(host.taken)


def main() -> int:
    """Run it and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    options = parser.parse_args()
    say(f"seed {options.seed}; at most {options.rounds} kills, {options.minutes:g} minutes")
    client, chance = Client(), random.Random(options.seed)  # noqa: S311 - decides moments
    with TemporaryDirectory(prefix="relaylab-crash-") as name:
        directory = Path(name)
        done, taken = kill_often(
            directory, client, chance, rounds=options.rounds, minutes=options.minutes
        )
        try:
            repeated = check_promises(client, taken)
            check_records(directory / "state", client)
        except AssertionError as error:
            say(f"FAILED after {done} kills: {error}")
            return 1
        damages = check_journal(directory / "state/journal.sqlite3").damages
    for damage in damages:
        say(f"FAILED: {damage.where}: {damage.what}")
    say(
        f"{done} kills: {len(client.sent)} messages begun, {len(client.promised)} answered with "
        f"250, 0 lost, {len(damages)} damages in the journal.\n"
        f"{repeated} deliveries were repeated, all of them by a later life of the relay, with one "
        "delivery in the journal:\nthe next hop took the message, and the kill came before that "
        "was written down (RFC 5321 section 4.5.4.1)."
    )
    return 1 if damages else 0


if __name__ == "__main__":
    sys.exit(main())
