"""Secret keys in the forms others keep them in -> key pairs.

- the file ``solana-keygen`` writes: a JSON list of 64 numbers;
- base58 text of 64 bytes (as wallets export it) or of 32 (the seed alone);
- an encrypted .env: ``openssl enc -aes-256-cbc -pbkdf2 -iter 600000 -salt``, binary or with ``-a``; inside,
  lines ``NAME=VALUE``, each value in one of the two forms above. Lines that are empty or begin with # are
  skipped, ``export`` before a name and quotes around a value are taken off, other values are refused.

The last 32 of 64 bytes are the public key; where they do not belong to the first 32, the key is refused. What
is wrong is told by place, never by content.
"""

import base64
import binascii
import re
from collections.abc import Iterator

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.padding import PKCS7
from solders.keypair import Keypair

from bmv.errors import BadInput
from bmv.secret import Secret

ITERATIONS = 600_000
_SALTED = b"Salted__"
_LINE = re.compile(r"(?:export\s+)?[A-Za-z_][A-Za-z0-9_]*\s*=\s*(.*)")
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_ALLOWED = "a JSON list of 64 numbers (solana-keygen) or base58 of 64 or 32 bytes, whose public key fits"


def parse_keypair(text: str, source: str) -> Keypair:
    """Return the key pair a text holds; raise BadInput (naming ``source``) where it holds none."""
    raw = _numbers(text) if text.lstrip().startswith("[") else _base58(text.strip())
    if raw is not None and len(raw) in (32, 64):
        keypair = Keypair.from_seed(raw[:32])
        if len(raw) == 32 or bytes(keypair.pubkey()) == raw[32:]:
            return keypair
    raise BadInput("secret key", "***", _ALLOWED, source)


def is_encrypted(content: bytes) -> bool:
    """Say whether a file begins as ``openssl enc`` begins its own."""
    return _binary(content) is not None


def decrypt_env(content: bytes, passphrase: Secret, source: str) -> list[Keypair]:
    """Return the key pairs of an encrypted .env, in its order; raise BadInput where it does not open."""
    sealed = _binary(content)
    if sealed is None or len(sealed) % 16 or len(sealed) < 32:
        raise BadInput("encrypted .env", "***", "a file made by openssl enc -aes-256-cbc -salt", source)
    derive = PBKDF2HMAC(algorithm=SHA256(), length=48, salt=sealed[8:16], iterations=ITERATIONS)
    key = derive.derive(passphrase.reveal().encode())
    opener = Cipher(algorithms.AES(key[:32]), modes.CBC(key[32:])).decryptor()
    unpadder = PKCS7(128).unpadder()
    try:
        padded = opener.update(sealed[16:]) + opener.finalize()
        text = (unpadder.update(padded) + unpadder.finalize()).decode()
    except ValueError:
        # The mode has no tag: wrong padding or no text is all that a wrong passphrase shows.
        allowed = f"its passphrase, and -pbkdf2 -iter {ITERATIONS}"
        raise BadInput("encrypted .env", "***", allowed, source) from None
    return [parse_keypair(value, place) for place, value in _values(text, source)]


def _values(text: str, source: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        place = f"{source}, line {number}"
        match = _LINE.fullmatch(stripped)
        if match is None:
            raise BadInput("encrypted .env", "***", "lines NAME=VALUE", place)
        value = match[1].strip()
        yield place, value[1:-1] if value[:1] in "'\"" and value[-1:] == value[:1] else value


def _binary(content: bytes) -> bytes | None:
    if content.startswith(_SALTED):
        return content
    try:
        decoded = base64.b64decode(b"".join(content.split()), validate=True)
    except binascii.Error:
        return None
    return decoded if decoded.startswith(_SALTED) else None


def _numbers(text: str) -> bytes | None:
    try:
        return bytes(msgspec.json.decode(text, type=list[int]))
    except (msgspec.DecodeError, ValueError):
        return None


def _base58(text: str) -> bytes | None:
    if not text or len(text) > 100 or set(text) - set(_BASE58):
        return None
    number = 0
    for digit in text:
        number = number * 58 + _BASE58.index(digit)
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
