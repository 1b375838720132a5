"""Turns a recipe into certificates: the leaf, and the authorities that are its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from relay.lab.authority import IssuedCertificate
from relay.lab.issuing import CertificateForm, Signer, issue
from relay.lab.recipes import Digest, Issuer, KeyKind, Recipe, Sent
from relay.lab.revocation import REVOKED_SERIAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Signers:
    """What an authority signs with."""

    root: Signer
    intermediate: Signer


def issue_chain(
    recipe: Recipe,
    common_name: str | None,
    names: tuple[str, ...],
    *,
    now: datetime,
    lab: Signers,
    unknown: Signers,
) -> IssuedCertificate:
    """Return a new certificate of `recipe`, for these names, with the chain that it is sent in."""
    authority, issuer = _issuer(recipe.issuer, lab=lab, unknown=unknown)
    subordinates: list[Signer] = []
    for number, subordinate in enumerate(recipe.subordinates, start=1):
        form = CertificateForm(
            unit=f"{recipe.name} subordinate {number}",
            not_before=now + subordinate.valid_from,
            not_after=now + subordinate.valid_until,
            key=subordinate.key,
            authority=subordinate.authority,
            path_length=subordinate.path_length,
            permits=subordinate.permits,
        )
        issuer = issue(form, issuer)
        subordinates.insert(0, issuer)
    leaf = issue(
        CertificateForm(
            unit=recipe.name,
            not_before=now + recipe.valid_from,
            not_after=now + recipe.valid_until,
            common_name=common_name,
            names=names,
            key=recipe.key,
            digest=recipe.signature,
            purpose=recipe.purpose,
            authority=recipe.authority,
            extras=recipe.extensions,
            serial=REVOKED_SERIAL if recipe.revoked else None,
        ),
        issuer,
    )
    chain: Mapping[Sent, list[Signer]] = {
        Sent.LEAF: [leaf],
        Sent.SUBORDINATES: subordinates,
        Sent.INTERMEDIATE: [authority.intermediate],
        Sent.ROOT: [authority.root],
    }
    return IssuedCertificate(
        chain_pem=b"".join(signer.pem for sent in recipe.sends for signer in chain[sent]),
        key_pem=leaf.key_pem,
        issued_at=now,
        weak=recipe.key is KeyKind.RSA_1024 or recipe.signature is Digest.SHA1,
    )


def _issuer(issuer: Issuer, *, lab: Signers, unknown: Signers) -> tuple[Signers, Signer | None]:
    """Return an issuer with its authority; None for a certificate that signs itself."""
    match issuer:
        case Issuer.ITSELF:
            return lab, None
        case Issuer.LAB_ROOT:
            return lab, lab.root
        case Issuer.LAB_INTERMEDIATE:
            return lab, lab.intermediate
        case Issuer.UNKNOWN_ROOT:
            return unknown, unknown.root
        case Issuer.UNKNOWN_INTERMEDIATE:
            return unknown, unknown.intermediate
        case _:
            assert_never(issuer)
