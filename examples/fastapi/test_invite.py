import httpx
import pytest
from invite import app, smtp_server


@pytest.fixture
def client(mail_relay):
    app.dependency_overrides[smtp_server] = lambda: (mail_relay.host, mail_relay.port)
    yield httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app.test")
    app.dependency_overrides.clear()


async def test_invited(client, mail_relay):
    assert (await client.post("/invitations/jo@good.lab.test")).status_code == 201
    mail_relay.wait_for("delivered", recipient="jo@good.lab.test")


async def test_the_answer_has_the_relays_words(client, mail_relay):
    answer = await client.post("/invitations/jo@starttls-refused.lab.test")
    assert answer.status_code == 502
    assert answer.json()["detail"].startswith("451 4.7.5 ")
    mail_relay.wait_for("tls-failed", code="4.7.5")


@pytest.mark.mail_policy(
    {"tls": "Required Verify", "routes": [{"match": "partner.example", "to": "lab/expired"}]}
)
async def test_a_partner_whose_certificate_has_expired(client, mail_relay):
    answer = await client.post("/invitations/jo@partner.example")
    assert answer.status_code == 502
    assert mail_relay.bounces[0].faults[0].kind.value == "certificate-expired"
