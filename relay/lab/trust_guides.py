"""How to trust the lab's root from one program, tool by tool: lines to paste."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class TrustGuide:
    """The lines for one tool, in order; each may be pasted as it is."""

    tool: str
    lines: tuple[str, ...]


def trust_guides(root: Path) -> tuple[TrustGuide, ...]:
    """Return the guides for a root certificate that lies at `root`.

    They name the root for one process or one call; none of them touches a system's trust store.
    """
    path = str(root)
    shell, quoted = shlex.quote(path), json.dumps(path)
    make_store = (
        f"keytool -importcert -noprompt -alias relaylab -file {shell} "
        "-keystore relaylab.p12 -storetype PKCS12 -storepass relaylab"
    )
    use_store = (
        "java -Djavax.net.ssl.trustStore=relaylab.p12 "
        "-Djavax.net.ssl.trustStorePassword=relaylab -jar app.jar"
    )
    curl = (
        f"curl --cacert {shell} --ssl-reqd smtp://localhost:1025 "
        "--mail-from me@example.com --mail-rcpt you@good.lab.test -T message.eml"
    )
    openssl = (
        "openssl s_client -starttls smtp -connect localhost:1025 "
        f"-CAfile {shell} -verify_return_error"
    )
    python = (
        f"context = ssl.create_default_context(cafile={path!r})",
        "smtp.starttls(context=context)",
    )
    go = (
        f"pem, err := os.ReadFile({quoted})",
        "pool := x509.NewCertPool(); pool.AppendCertsFromPEM(pem)",
        'client.StartTLS(&tls.Config{RootCAs: pool, ServerName: "localhost"})',
    )
    return (
        TrustGuide("Python", python),
        TrustGuide("Node", (f"NODE_EXTRA_CA_CERTS={shell} node app.js",)),
        TrustGuide("Java", (make_store, use_store)),
        TrustGuide("curl", (curl,)),
        TrustGuide("OpenSSL", (openssl,)),
        TrustGuide("Go", go),
    )
