import pytest
from signup import app


@pytest.fixture
def client(mail_relay):
    app.config.update(SMTP_HOST=mail_relay.host, SMTP_PORT=mail_relay.port)
    return app.test_client()


def test_welcome(client, mail_relay):
    assert client.post("/signup/jo@good.lab.test").status_code == 202
    assert mail_relay.messages[0].parsed()["To"] == "jo@good.lab.test"


def test_refused_at_once(client, mail_relay):
    answer = client.post("/signup/jo@wrong-host.lab.test")
    assert (answer.status_code, answer.json) == (502, {"status": "refused: 451"})
    assert mail_relay.bounces[0].faults[0].kind.value == "certificate-name-mismatch"


@pytest.mark.mail_policy("required-verify", reply="queued", retry="salesforce")
def test_accepted_and_given_up_after_a_day(client, mail_relay):
    assert client.post("/signup/jo@wrong-host.lab.test").status_code == 202
    mail_relay.clock.advance(hours=24)
    final = mail_relay.wait_for("bounced", recipient="jo@wrong-host.lab.test")
    assert str(final.code) == "554 5.4.7"
    (notification,) = mail_relay.received("capture")
    assert notification.recipients == ("hello@example.test",)
