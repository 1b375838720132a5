"""A Django project in one file: it confirms orders by mail."""

import secrets

from django.conf import settings
from django.core.mail import send_mail
from django.http import HttpRequest, JsonResponse
from django.urls import path

if not settings.configured:
    settings.configure(
        SECRET_KEY=secrets.token_hex(),
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["*"],
        EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend",
        DEFAULT_FROM_EMAIL="shop@example.test",
    )


def confirm(request: HttpRequest, address: str) -> JsonResponse:
    """Confirm an order; 502 where the confirmation could not be sent."""
    try:
        send_mail("Your order", "Thank you.", None, [address])
    except OSError as refused:
        return JsonResponse({"sent": False, "why": str(refused)}, status=502)
    return JsonResponse({"sent": True})


urlpatterns = [path("confirm/<address>", confirm)]
