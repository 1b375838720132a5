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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from relay.lab.chains import Signers
    from relay.lab.recipes import Recipe

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
class _Kept:
    """A certificate and its key, as PEM."""

    certificate: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Authority:
    root: _Kept
    intermediate: _Kept

    @classmethod
    def make(cls, name: str) -> _Authority:
        import trustme

        from relay.lab.issuing import ORGANIZATION, Signer

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

        def kept(ca: trustme.CA) -> _Kept:
            signer = Signer.from_pem(ca.cert_pem.bytes(), ca.private_key_pem.bytes())
            return _Kept(signer.pem, signer.key_pem)

        root = ca("root", None, _PATH_LENGTH)
        return cls(kept(root), kept(ca("intermediate", root, 0)))

    def to_json(self) -> bytes:
        return json.dumps(
            {
                place: {
                    "certificate": kept.certificate.decode("ascii"),
                    "key": kept.key.decode("ascii"),
                }
                for place, kept in (("root", self.root), ("intermediate", self.intermediate))
            },
            indent=2,
        ).encode("ascii")

    @classmethod
    def from_json(cls, text: bytes) -> _Authority:
        data = json.loads(text)
        root, intermediate = (
            _Kept(data[place]["certificate"].encode("ascii"), data[place]["key"].encode("ascii"))
            for place in ("root", "intermediate")
        )
        return cls(root, intermediate)

    def signers(self) -> Signers:
        """Read both; raise ValueError for what is no certificate or no key."""
        from relay.lab.chains import Signers
        from relay.lab.issuing import Signer

        return Signers(
            root=Signer.from_pem(self.root.certificate, self.root.key),
            intermediate=Signer.from_pem(self.intermediate.certificate, self.intermediate.key),
        )


_Wanted: TypeAlias = "tuple[Recipe, str, str, tuple[str, ...]]"
"""A recipe, the host and the address of its receiver, and further names."""


class LabAuthority:
    """The authorities that lie in `directory`, made there at the first use.

    Raises AuthorityError where the directory can't be written or holds something else. Keys and
    certificates are read when something is to be issued, with the libraries for that.
    """

    def __init__(self, directory: Path, *, now: Callable[[], datetime] | None = None) -> None:
        self._now = now or (lambda: datetime.now(UTC))
        self._directory = directory
        self._issued: dict[_Wanted, IssuedCertificate] = {}
        self._signers: dict[str, Signers] = {}
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lab = self._load_or_make("lab")
            self._unknown = self._load_or_make("unknown")
            self._publish(self.root_path, self.root_pem)
            if not self.crl_path.exists():
                self.renew_revocation_list()
        except OSError as error:
            raise self._unusable(error) from error

    @property
    def root_path(self) -> Path:
        """The file with the lab's root certificate, without its key: what a client may trust."""
        return self._directory / "lab-root.pem"

    @property
    def root_pem(self) -> bytes:
        """The lab's root certificate."""
        return self._lab.root.certificate

    @property
    def crl_path(self) -> Path:
        """The file with the revocation list of the lab's intermediate: for a policy's `crl`."""
        return self._directory / "lab-crl.pem"

    @property
    def intermediates_pem(self) -> bytes:
        """The lab's intermediate certificates, which an honest receiver sends."""
        return self._lab.intermediate.certificate

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
            from relay.lab.chains import issue_chain

            known = self._issued[wanted] = issue_chain(
                recipe,
                recipe.common_name_for(host, address),
                (*recipe.names_for(host, address), *also),
                now=now,
                lab=self._signers_of("lab"),
                unknown=self._signers_of("unknown"),
            )
        return known

    def renew_revocation_list(self) -> None:
        """Publish the list anew, unless the file holds one that the lab's intermediate signed.

        Raises AuthorityError.
        """
        from relay.lab.revocation import is_list_of, revocation_list

        issuer = self._signers_of("lab").intermediate
        try:
            with suppress(FileNotFoundError):
                if is_list_of(self.crl_path.read_bytes(), issuer):
                    return
            self._publish(self.crl_path, revocation_list(issuer, self._now()))
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> AuthorityError:
        return AuthorityError(
            f"the lab's certificates can't be kept in {self._directory}: {error.strerror}"
        )

    def _signers_of(self, name: str) -> Signers:
        known = self._signers.get(name)
        if known is None:
            authority = self._lab if name == "lab" else self._unknown
            try:
                known = self._signers[name] = authority.signers()
            except ValueError as error:
                raise self._damaged(name) from error
        return known

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}-authority-{_FILE_VERSION}.json"

    def _damaged(self, name: str) -> AuthorityError:
        return AuthorityError(
            f"{self._path(name)} is not an authority of the lab; delete it, and it is made anew"
        )

    def _load_or_make(self, name: str) -> _Authority:
        path = self._path(name)
        if not path.exists():
            # A list that another authority signed is of no use to the new one.
            self.crl_path.unlink(missing_ok=True)
            # A hard link is made by one process only; the other one reads what that one made.
            with self._written(_Authority.make(name).to_json()) as new, suppress(FileExistsError):
                os.link(new, path)
        try:
            return _Authority.from_json(path.read_bytes())
        except (ValueError, KeyError, TypeError) as error:
            raise self._damaged(name) from error

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
