"""The signer that holds keys in this process: it answers for its own keys only, and names public keys."""

import os
from collections.abc import Iterable, Iterator, Sequence
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
HELPERS = (os.cpu_count() or 1) - 1
PART = 12
"""Messages for each thread that helps: waking it costs as much as a few signatures."""


class InProcessSigner:
    """Hold key pairs in memory and sign with libsodium, which takes half the time of solders' own signing.

    Up to ``helpers`` threads help with many messages.
    """

    __slots__ = ("_helpers", "_keypairs", "_threads")
    elsewhere = False

    def __init__(self, keypairs: Iterable[Keypair], helpers: int = HELPERS) -> None:
        self._keypairs = {keypair.pubkey(): bytes(keypair) for keypair in keypairs}
        self._helpers = helpers
        self._threads: ThreadPoolExecutor | None = None

    def pubkeys(self) -> list[Pubkey]:
        """Return the public keys held, in the order they were given."""
        return list(self._keypairs)

    def sign(self, pubkey: Pubkey, message: bytes) -> bytes:
        """Return the 64-byte ed25519 signature of ``message``; UnknownKey where the key is not held."""
        return self.sign_all([(pubkey, message)])[0]

    def sign_all(self, jobs: Iterable[Job]) -> list[bytes]:
        """Return one signature per job, in order; UnknownKey, and nothing signed, where a key is not held.

        Threads on other cores help with many jobs (libsodium frees the GIL), but are never waited for: what
        one of them has taken and not signed by the end, this thread signs as well. The bytes are the same.
        """
        keypairs = self._keypairs
        try:
            asked = [(message, keypairs[pubkey]) for pubkey, message in jobs]
        except KeyError as error:
            raise UnknownKey(error.args[0]) from None
        signatures: list[bytes | None] = [None] * len(asked)
        places = iter(range(len(asked)))
        for _ in range(min(self._helpers, len(asked) // PART - 1)):
            self._pool().submit(_sign_some, asked, signatures, places)
        _sign_some(asked, signatures, places)
        return [
            signature or crypto_sign(*job)[:SIGNATURE_BYTES]
            for job, signature in zip(asked, signatures, strict=True)
        ]

    def _pool(self) -> ThreadPoolExecutor:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._helpers, thread_name_prefix="signer")
        return self._threads

    def __repr__(self) -> str:
        return f"InProcessSigner({', '.join(map(str, self._keypairs))})"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a signer is not pickled or copied")


def _sign_some(
    asked: Sequence[tuple[bytes, bytes]], signatures: list[bytes | None], places: Iterator[int]
) -> None:
    """Sign whatever nobody has taken yet; threads share ``places``, each of which goes to one of them."""
    for place in places:
        signatures[place] = crypto_sign(*asked[place])[:SIGNATURE_BYTES]


class WatchedWallets:
    """Name wallets whose keys are not here: whatever asks for a signature is refused."""

    elsewhere = False

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
