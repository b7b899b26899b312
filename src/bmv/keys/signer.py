"""Secrets that do not show, and the signer that holds keys in this process.

Rules of this file
- No secret byte is reachable by printing, formatting, pickling, copying or comparing in variable time.
- A signer answers for its own keys only; it names public keys and nothing else.
"""

import hmac
from collections.abc import Iterable
from typing import NoReturn, SupportsIndex

from solders.keypair import Keypair
from solders.pubkey import Pubkey

from bmv.errors import UnsafeState


class UnknownKey(UnsafeState):
    """A signature was asked for with a key this signer does not hold."""

    def __init__(self, pubkey: Pubkey) -> None:
        super().__init__(f"{pubkey}: this signer does not hold the key")
        self.pubkey = pubkey


class Secret:
    """A text that is never shown; ``reveal`` is the only way to it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text itself; for the one line that needs it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    __hash__ = None  # type: ignore[assignment]  # a hash would tell equal secrets apart from others

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a secret is not pickled or copied")


class InProcessSigner:
    """Hold solders key pairs in memory and sign with them."""

    __slots__ = ("_keypairs",)

    def __init__(self, keypairs: Iterable[Keypair]) -> None:
        self._keypairs = {keypair.pubkey(): keypair for keypair in keypairs}

    def pubkeys(self) -> list[Pubkey]:
        """Return the public keys held, in the order they were given."""
        return list(self._keypairs)

    def sign(self, pubkey: Pubkey, message: bytes) -> bytes:
        """Return the 64-byte ed25519 signature of ``message``; UnknownKey where the key is not held."""
        keypair = self._keypairs.get(pubkey)
        if keypair is None:
            raise UnknownKey(pubkey)
        return bytes(keypair.sign_message(message))

    def __repr__(self) -> str:
        return f"InProcessSigner({', '.join(map(str, self._keypairs))})"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a signer is not pickled or copied")
