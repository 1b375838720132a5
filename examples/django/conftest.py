"""Points Django at the relay, and takes back the test backend that Django would put there."""

import django
import pytest
import shop  # noqa: F401  # configures the settings
from django.test import override_settings

django.setup()


@pytest.fixture(autouse=True)
def email_through_the_relay(mail_relay):
    with override_settings(EMAIL_HOST=mail_relay.host, EMAIL_PORT=mail_relay.port):
        yield
