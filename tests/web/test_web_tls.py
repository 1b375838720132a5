"""HTTPS on the management port: for who trusts the lab, with the same guards."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from test_web_problems import assert_problem

from relay.lab.authority import LabAuthority
from relay.lab.lab import Lab
from relay.lab.recipes import shipped_recipes
from relay.web.app import management_app
from relay.web.binding import bind
from relay.web.problems import ProblemKind
from relay.web.readiness import lab_readiness
from relay.web.safety import Access
from relay.web.server import WebCertificate, WebServer

RESET = "/api/v1/lab/reset"


@pytest.fixture
def certificate(authority: LabAuthority, tmp_path: Path) -> WebCertificate:
    issued = authority.issue(shipped_recipes()["good"], "relay.lab.test", also=("127.0.0.1",))
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(issued.chain_pem)
    key.write_bytes(issued.key_pem)
    return WebCertificate(chain=chain, key=key)


@pytest.fixture
async def secure(
    lab: Lab, authority: LabAuthority, certificate: WebCertificate
) -> AsyncIterator[httpx.AsyncClient]:
    bound = bind("127.0.0.1", 0, tls=True)
    app = management_app(lab, readiness=lab_readiness(lab), access=Access(), bound=bound.host)
    trusting = ssl.create_default_context(cafile=str(authority.root_path))
    async with (
        WebServer(app, bound, certificate=certificate),
        httpx.AsyncClient(base_url=bound.url, trust_env=False, timeout=20, verify=trusting) as one,
    ):
        yield one


async def test_who_trusts_the_lab_is_served(secure: httpx.AsyncClient) -> None:
    assert secure.base_url.scheme == "https"
    assert (await secure.get("/livez")).json() == {"status": "live"}


async def test_who_does_not_is_not_and_clear_text_gets_nothing(secure: httpx.AsyncClient) -> None:
    async with httpx.AsyncClient(trust_env=False) as stranger:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await stranger.get(secure.base_url.join("/livez"))
        with pytest.raises(httpx.TransportError):
            await stranger.get(secure.base_url.copy_with(scheme="http").join("/livez"))


async def test_our_own_page_is_one_of_https(secure: httpx.AsyncClient) -> None:
    own = str(secure.base_url).rstrip("/")
    answer = await secure.post(RESET, headers={"Origin": own})
    assert answer.status_code == 204
    clear = own.replace("https:", "http:")
    answer = await secure.post(RESET, headers={"Origin": clear})
    assert_problem(answer, ProblemKind.CROSS_ORIGIN, 403)


def test_a_certificate_belongs_to_https_alone(certificate: WebCertificate) -> None:
    for tls, given in ((True, None), (False, certificate)):
        bound = bind("127.0.0.1", 0, tls=tls)
        with pytest.raises(ValueError, match="a certificate belongs to HTTPS"):
            WebServer(lambda *_: None, bound, certificate=given)  # type: ignore[arg-type, return-value]
        bound.socket.close()
