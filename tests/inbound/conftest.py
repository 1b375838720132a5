from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from inbound_harness import HOSTNAME, House, OpenHouse

from relay.inbound.server_tls import server_context


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def contexts(
    authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory
) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    directory: Path = tmp_path_factory.mktemp("server-certificate")
    leaf = authority.issue_cert(HOSTNAME, "127.0.0.1")
    chain, key = directory / "chain.pem", directory / "key.pem"
    for blob in leaf.cert_chain_pems:
        blob.write_to_path(chain, append=True)
    leaf.private_key_pem.write_to_path(key)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server_context(chain=chain, key=key), client


@pytest.fixture
async def open_house(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> AsyncIterator[OpenHouse]:
    houses: list[House] = []

    async def build(**options: object) -> House:
        server, client = contexts
        house = House(server_context=server, client_context=client, **options)
        houses.append(house)
        await house.open()
        return house

    yield build
    for house in houses:
        await house.close()


@pytest.fixture
async def house(open_house: OpenHouse) -> House:
    return await open_house()
