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

from relay.lab.issuing import ORGANIZATION, CertificateForm, Signer, issue
from relay.lab.recipes import Digest, Issuer, KeyKind, Recipe, Sent
from relay.lab.revocation import REVOKED_SERIAL, is_list_of, revocation_list

_PATH_LENGTH: Final = 9
"""How many authorities may stand in line below a root; the lab's longest chain has six."""
_FILE_VERSION: Final = 2
"""Part of the files' names; a new number makes new authorities, where old ones won't do."""


class AuthorityError(Exception):
    """The directory of the authorities can't be used; the text says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedCertificate:
    """What a server loads: the certificates it sends, in order, and the key of the first.

    `weak` tells that OpenSSL refuses to load them at its usual security level.
    """

    chain_pem: bytes
    key_pem: bytes = field(repr=False)
    issued_at: datetime
    weak: bool = False


@dataclass(frozen=True, slots=True)
class _Authority:
    root: Signer
    intermediate: Signer

    @classmethod
    def make(cls, name: str) -> _Authority:
        # Two labs must not share a subject: a client that trusts one would then report a bad
        # signature for the other, instead of an unknown issuer.
        unique = secrets.token_hex(4)

        def ca(kind: str, parent: trustme.CA | None, path_length: int) -> trustme.CA:
            return trustme.CA(
                parent_cert=parent,
                path_length=path_length,
                organization_name=ORGANIZATION,
                organization_unit_name=f"{name} {kind} {unique}",
            )

        root = ca("root", None, _PATH_LENGTH)
        return cls(_signer(root), _signer(ca("intermediate", root, 0)))

    def to_json(self) -> bytes:
        return json.dumps(
            {
                place: {
                    "certificate": signer.pem.decode("ascii"),
                    "key": signer.key_pem.decode("ascii"),
                }
                for place, signer in (("root", self.root), ("intermediate", self.intermediate))
            },
            indent=2,
        ).encode("ascii")

    @classmethod
    def from_json(cls, text: bytes) -> _Authority:
        data = json.loads(text)
        root, intermediate = (
            Signer.from_pem(
                data[place]["certificate"].encode("ascii"), data[place]["key"].encode("ascii")
            )
            for place in ("root", "intermediate")
        )
        return cls(root, intermediate)


def _signer(ca: trustme.CA) -> Signer:
    return Signer.from_pem(ca.cert_pem.bytes(), ca.private_key_pem.bytes())


_Wanted = tuple[Recipe, str, str, tuple[str, ...]]
"""A recipe, the host and the address of its receiver, and further names."""


class LabAuthority:
    """The authorities that lie in `directory`, made there at the first use.

    Raises AuthorityError where the directory can't be written or holds something else.
    """

    def __init__(self, directory: Path, *, now: Callable[[], datetime] | None = None) -> None:
        self._now = now or (lambda: datetime.now(UTC))
        self._directory = directory
        self._issued: dict[_Wanted, IssuedCertificate] = {}
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lab = self._load_or_make("lab")
            self._unknown = self._load_or_make("unknown")
            self._publish(self.root_path, self.root_pem)
            if not self._has_revocation_list():
                issuer = self._lab.intermediate
                self._publish(self.crl_path, revocation_list(issuer, self._now()))
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
        return self._lab.root.pem

    @property
    def crl_path(self) -> Path:
        """The file with the revocation list of the lab's intermediate: for a policy's `crl`."""
        return self._directory / "lab-crl.pem"

    @property
    def intermediates_pem(self) -> bytes:
        """The lab's intermediate certificates, which an honest receiver sends."""
        return self._lab.intermediate.pem

    def issue(
        self, recipe: Recipe, host: str, address: str = "127.0.0.1", *, also: tuple[str, ...] = ()
    ) -> IssuedCertificate:
        """Return the certificate of a recipe for the receiver `host`, `also` bearing these names.

        `address` is the one that the receiver listens on. The certificate is the same one every
        time, until half the way to the nearest of its dates is gone: a certificate "not valid
        before tomorrow" must not turn valid in a lab that runs for long.
        """
        wanted = (recipe, host, address, also)
        now = self._now()
        known = self._issued.get(wanted)
        if known is None or not timedelta(0) <= now - known.issued_at <= recipe.nearest_date / 2:
            known = self._issued[wanted] = self._issue_now(recipe, host, address, also, now)
        return known

    def _issue_now(
        self, recipe: Recipe, host: str, address: str, also: tuple[str, ...], now: datetime
    ) -> IssuedCertificate:
        authority, issuer = self._issuer(recipe.issuer)
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
                common_name=recipe.common_name_for(host, address),
                names=(*recipe.names_for(host, address), *also),
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

    def _issuer(self, issuer: Issuer) -> tuple[_Authority, Signer | None]:
        """Return an issuer with its authority; None for a certificate that signs itself."""
        match issuer:
            case Issuer.ITSELF:
                return self._lab, None
            case Issuer.LAB_ROOT:
                return self._lab, self._lab.root
            case Issuer.LAB_INTERMEDIATE:
                return self._lab, self._lab.intermediate
            case Issuer.UNKNOWN_ROOT:
                return self._unknown, self._unknown.root
            case Issuer.UNKNOWN_INTERMEDIATE:
                return self._unknown, self._unknown.intermediate
            case _:
                assert_never(issuer)

    def _load_or_make(self, name: str) -> _Authority:
        path = self._directory / f"{name}-authority-{_FILE_VERSION}.json"
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

    def _has_revocation_list(self) -> bool:
        try:
            return is_list_of(self.crl_path.read_bytes(), self._lab.intermediate)
        except FileNotFoundError:
            return False

    def _publish(self, path: Path, content: bytes) -> None:
        """Write a file that everybody may read, unless it is there already."""
        with suppress(FileNotFoundError):
            if path.read_bytes() == content:
                return
        with self._written(content) as new:
            new.chmod(0o644)
            new.replace(path)

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
