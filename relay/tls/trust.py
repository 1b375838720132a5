"""What policies trust, loaded once: for verifying handshakes and the examination afterwards.

Both judges get the same certificates from here, so that they can only differ in judgement.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from relay.core.tls_policy import TrustAnchors

if TYPE_CHECKING:
    from relay.tls.trust_store import TrustStore

PemSource = Callable[[], bytes]
"""Returns certificates as PEM; called only when a policy needs them."""

_LAB_ALONE: Final = TrustAnchors(lab=True)


class TrustError(Exception):
    """A file of a policy's `trust` cannot be used; the text names the file and says why."""


class TrustStores:
    """Loads each `TrustAnchors` once.

    `lab_ca` and `lab_intermediates` return the lab's root and its intermediates; without a lab they
    are None, and a policy that trusts the lab trusts nothing by that. Files are read at the first
    use and kept: a changed file needs a new `TrustStores`.
    """

    def __init__(
        self, lab_ca: PemSource | None = None, *, lab_intermediates: PemSource | None = None
    ) -> None:
        self._lab_ca = lab_ca
        self._lab_intermediates = lab_intermediates
        self._stores: dict[TrustAnchors, TrustStore] = {}

    def store(self, anchors: TrustAnchors) -> TrustStore:
        """Return the loaded anchors; raises TrustError for a file that cannot be used."""
        if anchors not in self._stores:
            # It brings a library that takes long to load, and that no handshake needs.
            from relay.tls.trust_store import load_store

            self._stores[anchors] = load_store(
                anchors, lab_ca=self._lab_ca, lab_intermediates=self._lab_intermediates
            )
        return self._stores[anchors]

    def read(self, anchors: TrustAnchors) -> None:
        """Read every file of a policy; raises TrustError for one that cannot be used."""
        if anchors != _LAB_ALONE:
            self.store(anchors)

    def load_into(self, context: ssl.SSLContext, anchors: TrustAnchors) -> None:
        """Give anchors and revocation lists to a context; raises TrustError as `store` does."""
        if anchors != _LAB_ALONE:
            self.store(anchors).load_into(context)
        elif self._lab_ca is not None:
            context.load_verify_locations(cadata=self._lab_ca().decode("ascii"))
