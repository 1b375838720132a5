"""A relay in process with its management port, over real sockets."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from e2e_relay import Running

from relay.config.policy_file import load_policy
from relay.engine.relay import Relay, RelayOptions
from relay.inbound.listeners import ListenerConfig, ListenerKind
from relay.journal.browsing import open_browser
from relay.journal.contacts_store import ContactsStore
from relay.lab.authority import LabAuthority
from relay.lab.lab import Lab
from relay.web.app import management_app
from relay.web.binding import bind
from relay.web.live import Live
from relay.web.readiness import lab_readiness
from relay.web.safety import Access
from relay.web.served import ServedRelay
from relay.web.server import WebServer

API = "/api/v1"
INLINE = "tls: Required Verify\nreply: inline\n"
QUEUED = (
    "tls: Required Verify\nreply: queued\n"
    "retry: {attempts: 5, first_delay: 1h, expire_after: 24h}\n"
)


@dataclass
class Port:
    """A client of the port, and what is behind it; `policy_file` may be rewritten."""

    client: httpx.AsyncClient
    running: Running
    served: ServedRelay
    server: WebServer
    policy_file: Path

    async def send(self, *to: str, **more: Any) -> None:
        await self.running.send(*to, **more)

    async def get(self, path: str, *, status: int = 200, **parameters: Any) -> Any:
        return await self.ask("GET", path, status=status, params=parameters or None)

    async def ask(self, method: str, path: str, *, status: int = 200, **more: Any) -> Any:
        answer = await self.client.request(method, f"{API}{path}", **more)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def ids(self, **marks: Any) -> list[str]:
        found = await self.get("/mail", **marks)
        return [message["envelope"]["id"] for message in found["items"]]


@dataclass(frozen=True)
class SseEvent:
    id: str | None
    event: str
    data: Any


@contextlib.asynccontextmanager
async def relay_port(
    directory: Path,
    authority: LabAuthority,
    policy: str = INLINE,
    *,
    access: Access | None = None,
    live: Live | None = None,
    scripts: Path | None = None,
) -> AsyncIterator[Port]:
    """Serve a relay of its own under a policy's text; `scripts` is its file of fault scripts."""
    folder = directory / "policies"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "test.yaml"
    file.write_text(policy)
    journal = directory / "journal.sqlite3"
    options = RelayOptions(
        listeners=(ListenerConfig(kind=ListenerKind.SMTP, host="127.0.0.1", port=0),),
        journal=journal,
        bounce_lines=None,
        certificates=authority.root_path.parent,
        seed=1,
    )
    live = live or Live()
    async with (
        Lab(authority, now=lambda: datetime.now(UTC)) as lab,
        Relay(load_policy(file), options, lab=lab, writes=live, channels=(live,)) as relay,
    ):
        from relay.cli.reloading import Reloading

        reloading = Reloading(relay, file, directory / "reload.json", scripts=scripts)
        with contextlib.closing(open_browser(journal)) as browser:
            served = ServedRelay(
                relay=relay,
                journal=browser,
                contacts=ContactsStore(directory / "contacts.sqlite3"),
                live=live,
                policy_file=file,
                reload=reloading.kept,
            )
            bound = bind("127.0.0.1", 0)
            app = management_app(
                lab,
                readiness=lab_readiness(lab),
                access=access or Access(),
                bound=bound.host,
                served=served,
            )
            server = WebServer(app, bound)
            async with (
                httpx.AsyncClient(base_url=bound.url, trust_env=False, timeout=20) as client,
                server,
            ):
                running = Running(relay=relay, lab=lab, state=directory)
                yield Port(
                    client=client,
                    running=running,
                    served=served,
                    server=server,
                    policy_file=file,
                )
                live.close()


async def events_of(lines: AsyncIterator[str]) -> AsyncIterator[SseEvent]:
    """Read an event stream as browsers do (HTML Living Standard, section 9.2.6)."""
    last_id: str | None = None
    event, data = "message", []
    async for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "id":
                last_id = value
            case "event":
                event = value
            case "data":
                data.append(value)
            case "" if not line:
                if data:
                    yield SseEvent(id=last_id, event=event, data=json.loads("\n".join(data)))
                event, data = "message", []
