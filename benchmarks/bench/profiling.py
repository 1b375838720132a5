"""Where the time of a relayed message goes: the relay under cProfile, by room of the house.

Two relays are loaded, with few and with many messages; what differs is the messages' own share,
without the start. A profile makes every call dearer and C code seem cheaper: shares, not times. The
journal's writer has a thread of its own, which is not in it.
"""

from __future__ import annotations

import pstats
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.bench.contenders import RELAYING, environment, serve
from benchmarks.bench.installing import CACHE, REPOSITORY
from benchmarks.bench.load import Sink, Tools, build, load, sink
from benchmarks.bench.processes import BenchError, free_port, greeting, started
from benchmarks.bench.rows import Loop

FEW: Final = 200
MANY: Final = 1200
TOP: Final = 15
LIBRARIES: Final = ("asyncio", "aiosmtpd", "aiosmtplib", "uvloop", "cryptography", "OpenSSL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What a function, or a room, cost for each message: own time in microseconds, and calls."""

    own: float = 0
    calls: float = 0

    def __add__(self, other: Share) -> Share:
        return Share(own=self.own + other.own, calls=self.calls + other.calls)


def profile(*, say: Callable[[str], None]) -> str:
    """Run the relay under cProfile; return two tables as Markdown."""
    tools = build(CACHE / "tools")
    with tempfile.TemporaryDirectory(prefix="relaylab-profile-") as name:
        directory = Path(name)
        with sink(tools, log=directory / "sink.log", tls=True) as server:
            profiles = []
            for count in (FEW, MANY):
                say(f"profile: {count} messages")
                profiles.append(_profiled(count, directory, tools, Sink(port=server.port)))
    return tables(per_message(*profiles, messages=MANY - FEW))


def _profiled(count: int, directory: Path, tools: Tools, hop: Sink) -> Mapping[Any, Any]:
    state, port = directory / str(count), free_port()
    state.mkdir()
    policy, out, log = state / "policy.yaml", state / "profile", directory / f"{count}.log"
    policy.write_text(RELAYING.format(ca=tools.ca, port=hop.port, reuse="on"))
    command = serve(port, policy=policy, state=state, loop=Loop.ASYNCIO)
    words = [sys.executable, "-m", "cProfile", "-o", str(out), *command]
    with started(words, log=log, env=environment()) as process:
        greeting(port, process, log=log)
        sent = load(tools, port, ["-s", "10", "-P", "-m", str(count)])
    if sent["msgs"] != count or not out.exists():
        raise BenchError(f"the profiled relay took {sent['msgs']} of {count}: {sent['said']}")
    stats: Mapping[Any, Any] = pstats.Stats(str(out)).stats  # type: ignore[attr-defined]
    return stats


def per_message(
    few: Mapping[Any, Any], many: Mapping[Any, Any], *, messages: int
) -> dict[tuple[str, str], Share]:
    """Return by room and function what one message cost, without waiting for sockets.

    What is built in counts for the room that calls it.
    """
    found: dict[tuple[str, str], Share] = defaultdict(Share)
    for key, after in many.items():
        file, _, function = key
        if "select.epoll" in function:
            continue
        before = few.get(key, (0, 0, 0.0, 0.0, {}))
        name = f"{_short(file)}: {re.sub(' at 0x[0-9a-f]+', '', function)}"
        callers = after[4].items() if file == "~" else ()
        for caller, (_, calls, own, _) in callers:
            _, calls_before, own_before, _ = before[4].get(caller, (0, 0, 0.0, 0.0))
            found[room_of(caller[0]), name] += _each(
                own - own_before, calls - calls_before, messages
            )
        if not callers:
            found[room_of(file), name] += _each(
                after[2] - before[2], after[1] - before[1], messages
            )
    return {name: share for name, share in found.items() if share.calls >= 0.05}


def _each(seconds: float, calls: float, messages: int) -> Share:
    return Share(own=seconds / messages * 1e6, calls=calls / messages)


def room_of(file: str) -> str:
    """Return the room of a module of ours; the library of another; or Python itself."""
    if file.startswith(str(REPOSITORY / "relay")):
        parts = Path(file).relative_to(REPOSITORY / "relay").parts
        return f"relay.{parts[0]}" if len(parts) > 1 else "relay"
    for library in LIBRARIES:
        if re.search(rf"[/.]{library}[/.]", file):
            return library
    return "other libraries"


def tables(shares: Mapping[tuple[str, str], Share]) -> str:
    """Return the rooms and the dearest functions as Markdown."""
    rooms: dict[str, Share] = defaultdict(Share)
    for (room, _), share in shares.items():
        rooms[room] += share
    everything = sum(rooms.values(), Share())
    lines = [
        f"One relayed message: {everything.calls:,.0f} calls.",
        "",
        "| room | share of the profiled time | calls |",
        "|---|--:|--:|",
    ]
    for room, share in sorted(rooms.items(), key=lambda item: -item[1].own):
        lines.append(f"| {room} | {share.own / everything.own:.1%} | {share.calls:,.1f} |")
    lines += ["", "| function | its own share | calls |", "|---|--:|--:|"]
    functions: dict[str, Share] = defaultdict(Share)
    for (_, function), share in shares.items():
        functions[function] += share
    for function, share in sorted(functions.items(), key=lambda item: -item[1].own)[:TOP]:
        shown = function.replace("|", "\\|")
        lines.append(f"| `{shown}` | {share.own / everything.own:.1%} | {share.calls:,.1f} |")
    return "\n".join(lines)


def _short(file: str) -> str:
    """Return a module's path as it is imported, wherever it is installed."""
    for base in (rf"{re.escape(str(REPOSITORY))}/", r".*/site-packages/", r".*/python3\.\d+/"):
        if found := re.match(base, file):
            return file[found.end() :]
    return "built in" if file == "~" else file
