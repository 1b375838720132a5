"""A FastAPI application: it sends invitations, by aiosmtplib."""

import os
from email.message import EmailMessage
from typing import Annotated

import aiosmtplib
from fastapi import Depends, FastAPI, HTTPException

app = FastAPI()


def smtp_server() -> tuple[str, int]:
    """Return host and port of the server that mail goes to; tests override it."""
    return os.environ.get("SMTP_HOST", "127.0.0.1"), int(os.environ.get("SMTP_PORT", "1025"))


@app.post("/invitations/{address}", status_code=201)
async def invite(
    address: str, server: Annotated[tuple[str, int], Depends(smtp_server)]
) -> dict[str, str]:
    """Send an invitation; 502 with the relay's words where it is refused."""
    message = EmailMessage()
    message["From"] = "team@example.test"
    message["To"] = address
    message["Subject"] = "You are invited"
    message.set_content("Come in.\n")
    host, port = server
    try:
        await aiosmtplib.send(message, hostname=host, port=port, start_tls=False)
    except aiosmtplib.SMTPResponseException as refused:
        raise HTTPException(502, f"{refused.code} {refused.message}") from refused
    return {"invited": address}
