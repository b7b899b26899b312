"""The signer that holds keys in this process: it answers for its own keys only, and names public keys."""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn, SupportsIndex

from nacl.bindings import crypto_sign
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from bmv.errors import UnsafeState


class UnknownKey(UnsafeState):
    """A signature was asked for with a key this signer does not hold."""

    def __init__(self, pubkey: Pubkey) -> None:
        super().__init__(f"{pubkey}: this signer does not hold the key")
        self.pubkey = pubkey


Job = tuple[Pubkey, bytes]
"""Who signs, and what."""
SIGNATURE_BYTES = 64
PART = 32
"""The least a thread is given; for fewer messages than this, threads are not worth it."""


class InProcessSigner:
    """Hold key pairs in memory and sign with libsodium, which takes half the time of solders' own signing."""

    __slots__ = ("_keypairs", "_threads")

    def __init__(self, keypairs: Iterable[Keypair]) -> None:
        self._keypairs = {keypair.pubkey(): bytes(keypair) for keypair in keypairs}
        self._threads: ThreadPoolExecutor | None = None

    def pubkeys(self) -> list[Pubkey]:
        """Return the public keys held, in the order they were given."""
        return list(self._keypairs)

    def sign(self, pubkey: Pubkey, message: bytes) -> bytes:
        """Return the 64-byte ed25519 signature of ``message``; UnknownKey where the key is not held."""
        return self._sign_part([(pubkey, message)])[0]

    def sign_all(self, jobs: Iterable[Job]) -> list[bytes]:
        """Return one signature per job, in order; threads share many jobs (libsodium frees the GIL).

        This thread takes a share too: handing over and waking up cost as much as several signatures.
        """
        asked = list(jobs)
        share = max(PART, -(-len(asked) // (os.cpu_count() or 1)))
        own, *others = [asked[at : at + share] for at in range(0, len(asked), share)] or [[]]
        if others and self._threads is None:
            self._threads = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="signer")
        parts = [self._threads.submit(self._sign_part, part) for part in others if self._threads]
        return [*self._sign_part(own), *(signature for part in parts for signature in part.result())]

    def _sign_part(self, jobs: Sequence[Job]) -> list[bytes]:
        keypairs = self._keypairs
        try:
            return [crypto_sign(message, keypairs[pubkey])[:SIGNATURE_BYTES] for pubkey, message in jobs]
        except KeyError as error:
            raise UnknownKey(error.args[0]) from None

    def __repr__(self) -> str:
        return f"InProcessSigner({', '.join(map(str, self._keypairs))})"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a signer is not pickled or copied")


class WatchedWallets:
    """Name wallets whose keys are not here: whatever asks for a signature is refused."""

    def __init__(self, wallets: Iterable[Pubkey]) -> None:
        self._wallets = list(wallets)

    def pubkeys(self) -> list[Pubkey]:
        """Return the wallets in the order they were given."""
        return list(self._wallets)

    def treasury(self) -> Pubkey | None:
        """Return that nobody here can convert."""
        return None

    def sign_all(self, jobs: Iterable[Job]) -> list[bytes]:
        """Raise UnknownKey for the first job there is."""
        for pubkey, _ in jobs:
            raise UnknownKey(pubkey)
        return []
