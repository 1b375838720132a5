"""A stand-in for an application: sends by SMTP, and looks up what became of it over HTTP.

Standard library alone. Arguments are recipients; it ends with 1 if one of them was refused.
"""

# ruff: noqa: S310, T201 - a program of its own, with a fixed address to ask
import json
import os
import smtplib
import sys
import urllib.request
from email.message import EmailMessage

HOST = os.environ.get("SMTP_HOST", "127.0.0.1")
PORT = int(os.environ.get("SMTP_PORT", "1025"))
WEB = os.environ.get("RELAY_WEB_URL", f"http://{HOST}:8025")


def send(recipient: str) -> str | None:
    """Send a message and return the refusal; None when it was accepted."""
    message = EmailMessage()
    message["From"] = "app@example.com"
    message["To"] = recipient
    message["Subject"] = "An invoice"
    message.set_content("Please find the invoice in the portal.\n")
    with smtplib.SMTP(HOST, PORT, timeout=30) as client:
        try:
            client.send_message(message)
        except smtplib.SMTPDataError as error:
            return f"{error.smtp_code} {error.smtp_error.decode()}"
    return None


def latest_bounce() -> dict[str, object] | None:
    """Return the newest bounce on the relay's record."""
    with urllib.request.urlopen(f"{WEB}/api/v1/bounces?limit=1", timeout=30) as answer:
        found = json.load(answer)["items"]
    return found[0] if found else None


def main(recipients: list[str]) -> int:
    """Send to each recipient and say what followed."""
    refused = False
    for recipient in recipients:
        reply = send(recipient)
        print(f"{recipient}: {reply or 'accepted'}")
        if reply is not None:
            refused = True
            bounce = latest_bounce() or {}
            print(f"  cause:  {bounce.get('cause')}")
            print(f"  remedy: {bounce.get('remedy')}")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["anyone@good.lab.test", "anyone@expired.lab.test"]))
