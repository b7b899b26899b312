"""A key out of a passphrase, and what it seals: scrypt and AES-256-GCM.

Rules of this file
- Everything sealed is bound to the whole head of the file (version, scrypt's numbers, salt) and to what it
  is: a seal made for one purpose opens for no other. docs/keys.md gives every byte.
- Nonces are 96 random bits; one file's key sees some thousand of them in its life.
- scrypt's numbers come from the file and are bounded below as well, so nobody can ask for a weaker key.
"""

import os
import struct
import unicodedata
from typing import NoReturn, SupportsIndex

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from bmv.secret import Secret

SALT_BYTES, KEY_BYTES, NONCE_BYTES, TAG_BYTES = 32, 32, 12, 16
MAGIC = b"bmv-keystore"
VERSION = 1
_HEAD = struct.Struct("<12sBIII32s")
_N_RANGE = range(2**17, 2**21)


class Kdf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the key follows from the passphrase: scrypt's cost, block size, parallelism; the salt in hex."""

    salt: str
    n: int = 2**17
    r: int = 8
    p: int = 1
    name: str = "scrypt"

    def __post_init__(self) -> None:
        if self.name != "scrypt" or self.r != 8 or self.p != 1:
            raise ValueError("scrypt with r = 8 and p = 1 is asked for")
        if self.n not in _N_RANGE or self.n & (self.n - 1):
            raise ValueError("scrypt's n is a power of two from 131072 to 1048576")
        if len(bytes.fromhex(self.salt)) != SALT_BYTES:
            raise ValueError(f"the salt has {SALT_BYTES} bytes")

    @classmethod
    def fresh(cls) -> "Kdf":
        """Return the default cost with a new random salt."""
        return cls(salt=os.urandom(SALT_BYTES).hex())

    def head(self) -> bytes:
        """Return the 61 bytes that every seal of the file is bound to."""
        return _HEAD.pack(MAGIC, VERSION, self.n, self.r, self.p, bytes.fromhex(self.salt))


class Sealer:
    """Seal and open with the key of one passphrase and one head; it does not show, pickle or copy."""

    __slots__ = ("_cipher", "_head")

    def __init__(self, passphrase: Secret, kdf: Kdf) -> None:
        scrypt = Scrypt(salt=bytes.fromhex(kdf.salt), length=KEY_BYTES, n=kdf.n, r=kdf.r, p=kdf.p)
        text = unicodedata.normalize("NFC", passphrase.reveal())
        self._cipher = AESGCM(scrypt.derive(text.encode()))
        self._head = kdf.head()

    def seal(self, plain: bytes, bound: bytes) -> bytes:
        """Return nonce, ciphertext and tag of ``plain``, tied to ``bound``."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, self._head + bound)

    def open(self, sealed: bytes, bound: bytes) -> bytes | None:
        """Return what was sealed; None where key, text or ``bound`` is another."""
        if len(sealed) < NONCE_BYTES + TAG_BYTES:
            return None
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], self._head + bound)
        except InvalidTag:
            return None

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a key is not pickled or copied")
