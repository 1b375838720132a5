"""What outside judges say of the certificates in the lab's honest and certificate families."""

from __future__ import annotations

CHAIN = "chain violates the signer's constraints"
NAME = "name in the certificate does not match"
EXPIRED = "uses expired certificate"
UNKNOWN = "issuer is unknown"

# Typed by hand: OpenSSL's X509_V_ERR numbers, all that s_client reports, and GnuTLS's words. Both
# empty: content. The two disagree on rsa-1024 and must-staple; neither minds the common name.
JUDGEMENTS: dict[str, tuple[set[int], set[str]]] = {
    "good": (set(), set()),
    "tls12": (set(), set()),
    "tls13": (set(), set()),
    "ecdsa": (set(), set()),
    "rsa": (set(), set()),
    "wildcard": (set(), set()),
    "implicit-tls": (set(), set()),
    "wants-client-certificate": (set(), set()),
    "long-chain": (set(), set()),
    "ip-address-name": (set(), set()),
    "thousand-names": (set(), set()),
    "expired": ({10}, {EXPIRED}),
    "not-yet-valid": ({9}, {"uses not yet valid certificate"}),
    "expires-soon": (set(), set()),
    "expired-intermediate": ({10}, {EXPIRED}),
    "expired-and-wrong-host": ({10, 62}, {EXPIRED, NAME}),
    "rotates": (set(), set()),
    "self-signed": ({18}, {UNKNOWN}),
    "untrusted-root": ({20}, {UNKNOWN}),
    "untrusted-root-sent": ({19}, {UNKNOWN}),
    "missing-intermediate": ({20, 21}, {UNKNOWN}),
    "wrong-order-chain": (set(), set()),
    "revoked": (set(), set()),
    "must-staple": (set(), {"OCSP status is missing"}),
    "wrong-host": ({62}, {NAME}),
    "wildcard-too-deep": ({62}, {NAME}),
    "wildcard-too-wide": ({62}, {NAME}),
    "common-name-only": (set(), set()),
    "no-names": ({62}, {NAME}),
    "domain-not-host": ({62}, {NAME}),
    "ip-address-host": ({64}, {NAME}),
    "rsa-1024": ({66}, set()),
    "sha1-signature": ({68}, {"uses insecure algorithm"}),
    "wrong-purpose": ({26}, {"does not match the intended purpose"}),
    "ca-as-leaf": (set(), set()),
    "not-a-ca-issuer": ({26, 32, 79}, {"issuer is not a CA", CHAIN}),
    "name-constraint": ({47}, {CHAIN}),
    "path-length": ({25}, {CHAIN}),
    "unknown-critical-extension": ({34}, {"unknown critical extension"}),
}
