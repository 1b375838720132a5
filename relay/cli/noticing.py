"""What `relay serve` is told of notices: targets, and a secret that is never an argument."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from relay.cli.console import fail

if TYPE_CHECKING:
    from relay.core.addresses import Address
    from relay.notice.options import NoticeOptions, WebhookOptions

SECRET: Final = "RELAY_WEBHOOK_SECRET"  # noqa: S105  # the variable's name, not a secret

WebhookOption = Annotated[
    str | None,
    typer.Option(
        "--webhook",
        envvar="RELAY_WEBHOOK",
        metavar="URL",
        help="Tell of bounces and TLS failures by signed POST requests.",
        show_default=False,
    ),
]
SecretFileOption = Annotated[
    Path | None,
    typer.Option(
        "--webhook-secret-file",
        envvar="RELAY_WEBHOOK_SECRET_FILE",
        metavar="FILE",
        help=f"The secret that they are signed with [default: ${SECRET}].",
        show_default=False,
    ),
]
NoticeMailOption = Annotated[
    str | None,
    typer.Option(
        "--notice-mail",
        envvar="RELAY_NOTICE_MAIL",
        metavar="ADDRESS",
        help="Tell of them by mail to this address.",
        show_default=False,
    ),
]
NoticeWindowOption = Annotated[
    str,
    typer.Option(
        "--notice-window",
        envvar="RELAY_NOTICE_WINDOW",
        metavar="TIME",
        help="How long more of the same is collected for one summary.",
    ),
]


def notice_options(
    *, webhook: str | None, secret_file: Path | None, mail: str | None, window: str
) -> NoticeOptions | None:
    """Return who is told, None for nobody; end the command where that makes no sense."""
    from relay.notice.options import NoticeOptions

    if webhook is None and secret_file is not None:
        fail("--webhook-secret-file is of no use without --webhook")
    if webhook is None and mail is None:
        return None
    return NoticeOptions(
        webhook=None if webhook is None else _webhook(webhook, secret_file),
        mail=None if mail is None else _address(mail),
        window=_window(window),
    )


def _webhook(url: str, secret_file: Path | None) -> WebhookOptions:
    from relay.notice.options import Target, WebhookOptions

    try:
        target = Target.parse(url)
    except ValueError as error:
        fail(f"--webhook: {error}")
    try:
        return WebhookOptions(target=target, secret=_secret(secret_file))
    except ValueError as error:
        fail(str(error), hint="This makes one: openssl rand -hex 32")


def _secret(file: Path | None) -> bytes:
    if file is not None:
        try:
            return file.read_bytes().strip()
        except OSError as error:
            fail(f"--webhook-secret-file: {file}: {error.strerror}")
    secret = os.environ.get(SECRET, "").strip()
    if not secret:
        fail(
            "a webhook needs a secret to sign its deliveries with",
            hint=f"Put one into ${SECRET}, or into a file: --webhook-secret-file FILE.",
        )
    return secret.encode(errors="surrogateescape")


def _address(text: str) -> Address:
    from relay.core.addresses import parse_address

    try:
        return parse_address(text)
    except ValueError as error:
        fail(f"--notice-mail: {error}")


def _window(text: str) -> timedelta:
    from relay.config.values import read_duration

    try:
        return read_duration(text)
    except ValueError as error:
        fail(f"--notice-window: {error}")


def notice_words(options: NoticeOptions | None) -> str | None:
    """Say who is told, for the banner; None for nobody."""
    if options is None:
        return None
    ways = [
        *([f"webhook {options.webhook.target}"] if options.webhook else []),
        *([f"mail to {options.mail}"] if options.mail else []),
    ]
    return " and ".join(ways)
