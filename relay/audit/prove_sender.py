"""Who gets marked messages to the relay under test: this program over SMTP, or somebody else."""

from __future__ import annotations

import contextlib
import os
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import formatdate
from typing import Final

import aiosmtplib

from relay.audit.promises import KNOWN_GOOD
from relay.audit.proof import Reported, Told
from relay.audit.prove import NotHandedOverError
from relay.audit.shown import Marked, mark_of
from relay.core.replies import Reply
from relay.core.routing import LAB_DOMAIN

_ACCEPTED: Final = range(200, 300)
_MAX_WORDS: Final = 1000
"""Characters that are kept of a reply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Credentials for the relay under test."""

    username: str
    password: str = field(repr=False)

    @property
    def spoken(self) -> tuple[str, ...]:
        """The password as it is said in any mechanism, the longest text first."""
        user, password = self.username.encode(), self.password.encode()
        both = b64encode(b"\0" + user + b"\0" + password).decode()
        found = {self.password, b64encode(password).decode(), both} - {""}
        return tuple(sorted(found, key=len, reverse=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaySender:
    """Submits to a relay over SMTP, under TLS where it is offered, its certificate unverified.

    Notifications go to the known-good receiver: what they say counts, and how they travel, too.
    Credentials are given under TLS, or to this machine.
    """

    host: str
    port: int
    wait: timedelta
    login: Login | None = None
    may_log_in_clear: bool = False

    @property
    def by_hand(self) -> bool:
        """Messages come from here."""
        return False

    async def send(self, marked: Marked) -> Reported | None:
        """Submit a message; raises NotHandedOverError for what keeps its recipient from the relay.

        A refused recipient is a reply: a relay may have asked the receiver before it gave that.
        """
        client = aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            validate_certs=False,
            local_hostname="prove.relaylab.test",
            timeout=self.wait.total_seconds(),
        )
        try:
            await self._begin(client, marked)
            reply = await self._submit(client, marked)
        except aiosmtplib.SMTPResponseException as error:
            reply = Reply(code=error.code, text=error.message)
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            return Reported(
                by=Told.REPLY,
                text=f"the message could not be handed over ({type(error).__name__})",
                final=False,
            )
        finally:
            client.close()
        return Reported(by=Told.REPLY, text=self._words(reply), final=reply.code not in _ACCEPTED)

    async def _begin(self, client: aiosmtplib.SMTP, marked: Marked) -> None:
        try:
            await client.connect()
            if self.login is not None:
                if not self._may_log_in(client):
                    raise NotHandedOverError("the relay offers no TLS to log in under")
                await client.login(self.login.username, self.login.password)
            if client.is_ehlo_or_helo_needed:
                await client.ehlo()
            # A notification with the whole message in it shows best how notifications travel.
            options = ["RET=FULL"] if client.supports_extension("dsn") else []
            await client.mail(reverse_path(marked), options=options)
        except aiosmtplib.SMTPResponseException as error:
            refused = Reply(code=error.code, text=error.message)
            raise NotHandedOverError(self._words(refused)) from error
        except aiosmtplib.SMTPConnectError as error:
            raise NotHandedOverError(
                f"nothing takes a connection at {self.host}:{self.port} ({_why(error)})"
            ) from error
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise NotHandedOverError(
                f"the message could not be handed over ({type(error).__name__})"
            ) from error

    async def _submit(self, client: aiosmtplib.SMTP, marked: Marked) -> Reply:
        await client.rcpt(marked.recipient)
        answer = await client.data(message_for(marked))
        with contextlib.suppress(aiosmtplib.SMTPException, OSError):
            await client.quit()
        return Reply(code=answer.code, text=answer.message)

    def _words(self, reply: Reply) -> str:
        """Return a reply on one line, without what it may repeat of the password."""
        text = " ".join(str(reply).split())
        for secret in () if self.login is None else self.login.spoken:
            text = text.replace(secret, "[redacted]")
        return text if len(text) <= _MAX_WORDS else f"{text[:_MAX_WORDS]}..."

    def _may_log_in(self, client: aiosmtplib.SMTP) -> bool:
        under_tls = client.get_transport_info("sslcontext") is not None
        return under_tls or self.may_log_in_clear


@dataclass(frozen=True, slots=True)
class OutsideSender:
    """Somebody who mails the marked addresses from a system that can't be reached from here."""

    @property
    def by_hand(self) -> bool:
        """Messages come from elsewhere."""
        return True

    async def send(self, marked: Marked) -> Reported | None:
        """Do nothing: the address was told."""
        return None


def _why(error: aiosmtplib.SMTPConnectError) -> str:
    match error.__cause__:
        case OSError(errno=int(number)) if number > 0:
            return os.strerror(number)
        case OSError(strerror=str(words)):
            return words
        case _:
            return type(error).__name__.removeprefix("SMTP")


def reverse_path(marked: Marked) -> str:
    """Return the envelope's sender, who bears the mark too: where notifications go."""
    return f"{marked.mark}@{KNOWN_GOOD}.{LAB_DOMAIN}"


def message_for(marked: Marked) -> bytes:
    """Return a message that bears the mark in its header and its body."""
    lines = (
        f"From: Relaylab <{reverse_path(marked)}>",
        f"To: {marked.recipient}",
        f"Subject: Relaylab proof {marked.mark}",
        f"Date: {formatdate()}",
        f"Message-ID: <{marked.mark}@prove.relaylab.test>",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=us-ascii",
        "",
        *marked.whole,
        "",
    )
    return "\r\n".join(lines).encode("ascii")


def marked_messages(
    run: int, scenarios: tuple[str, ...], numbers: tuple[int, ...]
) -> tuple[Marked, ...]:
    """Return what to send to each scenario of a run; `numbers` are random, one for each."""
    messages = []
    for scenario, number in zip(scenarios, numbers, strict=True):
        mark = mark_of(run, number)
        messages.append(
            Marked(
                scenario=scenario,
                mark=mark,
                recipient=f"{mark}@{scenario}.{LAB_DOMAIN}",
                whole=(
                    f"{mark} begins here.",
                    "This message is either delivered whole or not at all.",
                    f"{mark} ends here.",
                ),
            )
        )
    return tuple(messages)
