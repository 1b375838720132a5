"""Notices as signed HTTP requests.

    POST /path        body: the notice's JSON form
    Relaylab-Signature: t=...,v1=...       see `signing`
    Relaylab-Delivery: 1m7ztn1wxm4gv6m21   the same for every try

    2xx ──> taken
    408, 429, 5xx, no answer, no connection ──> once more, after each of the pauses
    anything else, redirects included ──> given up

The name is looked up for every try, and the connection goes to an address that was checked: no name
can lead a delivery off this machine's networks after the check.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Callable
from datetime import timedelta
from enum import Enum, unique
from typing import Final, Self, assert_never

import httpx

from relay.core.clock import Clock
from relay.core.jsonform import to_json
from relay.core.notices import Notice
from relay.lookup.locality import stays_local
from relay.lookup.resolver import AddressLookup, system_lookup
from relay.notice.options import NoticeError, Target, WebhookOptions
from relay.notice.signing import DELIVERY_HEADER, SIGNATURE_HEADER, sign

log = logging.getLogger("relay.notice")

_LATER: Final = frozenset({408, 429})
"""Answers besides 5xx after which the same request may be taken (RFC 9110, RFC 6585)."""


@unique
class _Answer(Enum):
    """How a try ended."""

    TAKEN = "taken"
    LATER = "later"
    NEVER = "never"


class Webhook:
    """A channel of notices; use it in `async with`.

    Opening raises NoticeError where the target is known to be off this machine's networks and
    `allow_external` was not given. Off them only https is spoken, allowed or not.
    """

    def __init__(
        self,
        options: WebhookOptions,
        *,
        allow_external: bool,
        clock: Clock,
        new_id: Callable[[], str],
        lookup: AddressLookup = system_lookup,
    ) -> None:
        self._options = options
        self._target = options.target
        self._allow_external = allow_external
        self._clock = clock
        self._new_id = new_id
        self._lookup = lookup
        self._client: httpx.AsyncClient

    def __str__(self) -> str:
        return f"webhook {self._target}"

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.timeout(self._options.timeout.total_seconds()):
                found = await self._addresses()
        except OSError:
            log.warning("%s: the host is not found now; it is looked up again for a notice", self)
        else:
            if not self._allowed(found):
                raise NoticeError(_refusal(self._target, self._allow_external))
        # Settings of the environment, proxies above all, would lead past the check of addresses.
        self._client = httpx.AsyncClient(
            trust_env=False,
            follow_redirects=False,
            timeout=self._options.timeout.total_seconds(),
            verify=ssl.create_default_context() if self._target.scheme == "https" else False,
        )
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._client.aclose()

    async def deliver(self, notice: Notice) -> bool:
        """Send a notice, with as many tries as the options say; return whether it was taken."""
        body = json.dumps(to_json(notice)).encode()
        delivery = self._new_id()
        for wait in (*self._options.waits, None):
            match await self._try(body, delivery, wait):
                case _Answer.TAKEN:
                    return True
                case _Answer.NEVER:
                    return False
                case _Answer.LATER if wait is not None:
                    await self._clock.sleep_until(self._clock.now() + wait)
                case _Answer.LATER:
                    pass
                case never:
                    assert_never(never)
        log.error("%s: delivery %s about %s is given up", self, delivery, notice.domain)
        return False

    async def _try(self, body: bytes, delivery: str, wait: timedelta | None) -> _Answer:
        again = "" if wait is None else f"; tried again in {wait.total_seconds():g} s"
        try:
            async with asyncio.timeout(self._options.timeout.total_seconds()):
                addresses = self._allowed(await self._addresses())
                if not addresses:
                    log.error("%s: %s", self, _refusal(self._target, self._allow_external))
                    return _Answer.NEVER
                status = await self._post(addresses, body, delivery)
        except (OSError, TimeoutError, httpx.HTTPError) as error:
            log.warning("%s: delivery %s: %s%s", self, delivery, type(error).__name__, again)
            return _Answer.LATER
        if 200 <= status < 300:
            return _Answer.TAKEN
        if status in _LATER or status >= 500:
            log.warning("%s: delivery %s: answered %d%s", self, delivery, status, again)
            return _Answer.LATER
        log.error("%s: delivery %s: answered %d, given up", self, delivery, status)
        return _Answer.NEVER

    async def _post(self, addresses: tuple[str, ...], body: bytes, delivery: str) -> int:
        """Return the status of the first address that takes a connection; its content is not read.

        Raises httpx.HTTPError.
        """
        target = self._target
        for address in addresses:
            host = f"[{address}]" if ":" in address else address
            request = self._client.build_request(
                "POST",
                f"{target.scheme}://{host}:{target.port}{target.path}",
                content=body,
                headers={
                    "Host": target.authority,
                    "Content-Type": "application/json",
                    "User-Agent": "relaylab",
                    SIGNATURE_HEADER: sign(self._options.secret, body, at=self._clock.now()),
                    DELIVERY_HEADER: delivery,
                },
                # The certificate is to name the host, not the address.
                extensions={"sni_hostname": target.host},
            )
            try:
                response = await self._client.send(request, stream=True)
            except httpx.ConnectError:
                if address == addresses[-1]:
                    raise
            else:
                await response.aclose()
                return response.status_code
        raise AssertionError("there is an address")

    async def _addresses(self) -> tuple[str, ...]:
        return await self._lookup(self._target.host, self._target.port)

    def _allowed(self, addresses: tuple[str, ...]) -> tuple[str, ...]:
        far = self._allow_external and self._target.scheme == "https"
        return addresses if far else tuple(a for a in addresses if stays_local(a))


def _refusal(target: Target, allow_external: bool) -> str:
    if allow_external:
        return f"the webhook {target} leaves this machine's networks: https only"
    return f"the webhook {target} is off this machine and its private networks"
