import pytest
from django.test import Client


def test_confirmed(mail_relay):
    assert Client().post("/confirm/jo@good.lab.test").json() == {"sent": True}
    (message,) = mail_relay.messages
    assert (message.sender, message.subject) == ("shop@example.test", "Your order")
    assert mail_relay.received("good")[0].encrypted


@pytest.mark.parametrize("fault", ["expired", "self-signed", "no-starttls"])
def test_the_shop_says_so_when_the_mail_could_not_be_sent(mail_relay, fault):
    answer = Client().post(f"/confirm/jo@{fault}.lab.test")
    assert answer.status_code == 502
    assert "4.7." in answer.json()["why"]
    assert mail_relay.received(fault) == ()


@pytest.mark.mail_policy("preferred")
def test_under_preferred_it_is_sent_in_clear(mail_relay):
    assert Client().post("/confirm/jo@no-starttls.lab.test").json() == {"sent": True}
    assert not mail_relay.received("no-starttls")[0].encrypted
