"""A Flask application: it welcomes whoever signs up, by smtplib."""

import smtplib
from email.message import EmailMessage

from flask import Flask, current_app

app = Flask(__name__)
app.config.update(SMTP_HOST="127.0.0.1", SMTP_PORT=1025)


@app.post("/signup/<address>")
def signup(address: str) -> tuple[dict[str, str], int]:
    """Send a welcome; 202 once it is accepted, 502 where it is refused."""
    message = EmailMessage()
    message["From"] = "hello@example.test"
    message["To"] = address
    message["Subject"] = "Welcome"
    message.set_content("Nice to have you here.\n")
    config = current_app.config
    try:
        with smtplib.SMTP(config["SMTP_HOST"], config["SMTP_PORT"]) as client:
            client.send_message(message)
    except smtplib.SMTPResponseException as refused:
        return {"status": f"refused: {refused.smtp_code}"}, 502
    return {"status": "welcome"}, 202
