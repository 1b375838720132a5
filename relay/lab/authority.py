"""The lab's certificate authorities, and what they issue.

Two authorities of the same shape, a root with one intermediate each: *lab*, whose root users
and the relay may trust, and *unknown*, which stands for a private authority that nobody trusts.
Each one lies in one file, keys and certificates together, so that no reader ever sees half of it.
trustme makes them valid until the year 3000; to have new ones, delete the directory.
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, assert_never

import trustme

from relay.lab.recipes import Issuer, KeyKind, Recipe, Sent
from relay.lab.selfsigned import issue_self_signed

MAX_COMMON_NAME: Final = 64
"""Characters, RFC 5280 appendix A.1 (ub-common-name)."""

_TRUSTME_KEYS: Final = {
    KeyKind.EC_P256: trustme.KeyType.ECDSA,
    KeyKind.RSA_2048: trustme.KeyType.RSA,
}


class AuthorityError(Exception):
    """The directory of the authorities can't be used; the text says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedCertificate:
    """What a server loads: the certificates it sends, in order, and the key of the first."""

    chain_pem: bytes
    key_pem: bytes = field(repr=False)
    issued_at: datetime


@dataclass(frozen=True, slots=True)
class _Authority:
    root: trustme.CA
    intermediate: trustme.CA

    @classmethod
    def make(cls, name: str) -> _Authority:
        # Two labs must not share a subject: a client that trusts one would then report a bad
        # signature for the other, instead of an unknown issuer.
        unique = secrets.token_hex(4)

        def ca(kind: str, parent: trustme.CA | None, path_length: int) -> trustme.CA:
            return trustme.CA(
                parent_cert=parent,
                path_length=path_length,
                organization_name="Relaylab, for tests only",
                organization_unit_name=f"{name} {kind} {unique}",
            )

        root = ca("root", None, 1)
        return cls(root, ca("intermediate", root, 0))

    def to_json(self) -> bytes:
        return json.dumps(
            {
                place: {
                    "certificate": ca.cert_pem.bytes().decode("ascii"),
                    "key": ca.private_key_pem.bytes().decode("ascii"),
                }
                for place, ca in (("root", self.root), ("intermediate", self.intermediate))
            },
            indent=2,
        ).encode("ascii")

    @classmethod
    def from_json(cls, text: bytes) -> _Authority:
        data = json.loads(text)
        root, intermediate = (
            trustme.CA.from_pem(
                data[place]["certificate"].encode("ascii"), data[place]["key"].encode("ascii")
            )
            for place in ("root", "intermediate")
        )
        intermediate.parent_cert = root
        return cls(root, intermediate)


class LabAuthority:
    """The authorities that lie in `directory`, made there at the first use.

    Raises AuthorityError where the directory can't be written or holds something else.
    """

    def __init__(self, directory: Path, *, now: Callable[[], datetime] | None = None) -> None:
        self._now = now or (lambda: datetime.now(UTC))
        self._directory = directory
        self._issued: dict[tuple[Recipe, str, tuple[str, ...]], IssuedCertificate] = {}
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lab = self._load_or_make("lab")
            self._unknown = self._load_or_make("unknown")
            self._publish_root()
        except OSError as error:
            raise AuthorityError(
                f"the lab's certificates can't be kept in {directory}: {error.strerror}"
            ) from error

    @property
    def root_path(self) -> Path:
        """The file with the lab's root certificate, without its key: what a client may trust."""
        return self._directory / "lab-root.pem"

    @property
    def root_pem(self) -> bytes:
        """The lab's root certificate."""
        return self._lab.root.cert_pem.bytes()

    @property
    def intermediates_pem(self) -> bytes:
        """The lab's intermediate certificates, which an honest receiver sends."""
        return self._lab.intermediate.cert_pem.bytes()

    def issue(self, recipe: Recipe, host: str, *, also: tuple[str, ...] = ()) -> IssuedCertificate:
        """Return the certificate of a recipe for the receiver `host`, `also` bearing these names.

        The same one every time, until half the way to the nearer of its dates is gone: a
        certificate "not valid before tomorrow" must not turn valid in a lab that runs for long.
        """
        wanted = (recipe, host, also)
        now = self._now()
        known = self._issued.get(wanted)
        if known is None or not timedelta(0) <= now - known.issued_at <= recipe.nearest_date / 2:
            known = self._issued[wanted] = self._issue_now(recipe, host, also, now)
        return known

    def _issue_now(
        self, recipe: Recipe, host: str, also: tuple[str, ...], now: datetime
    ) -> IssuedCertificate:
        names = (*recipe.names_for(host), *also)
        not_before, not_after = now + recipe.valid_from, now + recipe.valid_until
        match recipe.issuer:
            case Issuer.ITSELF:
                leaf_pem, key_pem = issue_self_signed(
                    names, recipe.key, not_before=not_before, not_after=not_after
                )
                return IssuedCertificate(chain_pem=leaf_pem, key_pem=key_pem, issued_at=now)
            case Issuer.LAB_ROOT:
                authority, issuer = self._lab, self._lab.root
            case Issuer.LAB_INTERMEDIATE:
                authority, issuer = self._lab, self._lab.intermediate
            case Issuer.UNKNOWN_ROOT:
                authority, issuer = self._unknown, self._unknown.root
            case Issuer.UNKNOWN_INTERMEDIATE:
                authority, issuer = self._unknown, self._unknown.intermediate
            case _:
                assert_never(recipe.issuer)
        leaf = issuer.issue_cert(
            *names,
            common_name=names[0] if len(names[0]) <= MAX_COMMON_NAME else None,
            organization_name="Relaylab, for tests only",
            organization_unit_name=recipe.name,
            not_before=not_before,
            not_after=not_after,
            key_type=_TRUSTME_KEYS[recipe.key],
        )
        chain: Mapping[Sent, trustme.Blob] = {
            Sent.LEAF: leaf.cert_chain_pems[0],
            Sent.INTERMEDIATE: authority.intermediate.cert_pem,
            Sent.ROOT: authority.root.cert_pem,
        }
        return IssuedCertificate(
            chain_pem=b"".join(chain[sent].bytes() for sent in recipe.sends),
            key_pem=leaf.private_key_pem.bytes(),
            issued_at=now,
        )

    def _load_or_make(self, name: str) -> _Authority:
        path = self._directory / f"{name}-authority.json"
        if not path.exists():
            # A hard link is made by one process only; the other one reads what that one made.
            with self._written(_Authority.make(name).to_json()) as new, suppress(FileExistsError):
                os.link(new, path)
        try:
            return _Authority.from_json(path.read_bytes())
        except (ValueError, KeyError, TypeError) as error:
            raise AuthorityError(
                f"{path} is not an authority of the lab; delete it, and it is made anew"
            ) from error

    def _publish_root(self) -> None:
        with suppress(FileNotFoundError):
            if self.root_path.read_bytes() == self.root_pem:
                return
        with self._written(self.root_pem) as new:
            new.chmod(0o644)
            new.replace(self.root_path)

    @contextmanager
    def _written(self, content: bytes) -> Iterator[Path]:
        """Write a file of mode 0600 into the directory, through to the disk; remove it at the end.

        Whoever wants to keep it gives it another name.
        """
        handle, name = tempfile.mkstemp(dir=self._directory, prefix=".new-")
        path = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            yield path
        finally:
            path.unlink(missing_ok=True)
