from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

from relay.inbound.server_tls import server_context


def test_what_a_server_context_is_and_is_not(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    server, _ = contexts
    assert server.minimum_version is ssl.TLSVersion.TLSv1_2
    assert server.options & ssl.OP_NO_RENEGOTIATION
    assert server.options & ssl.OP_NO_COMPRESSION
    assert server.verify_mode is ssl.CERT_NONE


def test_files_that_do_not_fit(tmp_path: Path, authority: trustme.CA) -> None:
    one, other = authority.issue_cert("one.test"), authority.issue_cert("other.test")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    one.cert_chain_pems[0].write_to_path(chain)
    with pytest.raises(FileNotFoundError):
        server_context(chain=chain, key=key)
    other.private_key_pem.write_to_path(key)
    with pytest.raises(ssl.SSLError):
        server_context(chain=chain, key=key)
