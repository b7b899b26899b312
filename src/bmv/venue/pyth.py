"""Pyth's push feeds on Solana: where a feed's account is, and the price in it.

Rules of this file
- A feed is kept at two addresses, by the current push program and by the upgraded one, each owned by its own
  receiver. An account with another owner says nothing.
- Only what all guardians have signed counts: verification level Full. Partial is one byte longer, so every
  offset behind it depends on it.
- A price that is not positive is no price.

Layout of PriceUpdateV2 (borsh, little-endian, 134 bytes; pyth-solana-receiver-sdk ``price_update.rs``)::

    0 discriminator 8 | 8 write authority 32 | 40 level u8: 1 Full, or 0 Partial and signatures u8
    | feed id 32 | price i64 | confidence u64 | exponent i32 | publish time i64 | previous publish time i64
    | average i64 | its confidence u64 | posted slot u64 | (one byte of padding where Full)
"""

import hashlib
import struct

import msgspec
from solders.pubkey import Pubkey

from bmv.errors import BadBytes
from bmv.units import Slot

SOL_USD = bytes.fromhex("ef0d8b6fda2ceba41da15d4095d1da392a0d2f8ed0c6c7bc0f4cfac8c280b56d")
EUR_USD = bytes.fromhex("a995d00bb36a63cef7fd2c287dc105fc8f3d93779f062f09551b0af3e81ec30b")
RECEIVER_OF: dict[Pubkey, Pubkey] = {
    Pubkey.from_string(push): Pubkey.from_string(receiver)
    for push, receiver in (
        ("pythWSnswVUd12oZpeFP8e9CVaEqJg25g1Vtc2biRsT", "rec5EKMGg6MxZYaMdyBfgwp4d5rB9T1VQH5pJv5LtFJ"),
        ("pyt2F414BA6dPttK6RddPZUdHfapoBN24GL5wbrPCou", "rec2HHDDnjLfj4kE7VyEtFA1HPGQLK33259532cRyHp"),
    )
}
"""The push programs, current and upgraded, and the receiver that owns what each of them keeps."""
ACCOUNT_SIZE = 134
MICROS = 6
"""Prices are returned in millionths."""

_DISCRIMINATOR = hashlib.sha256(b"account:PriceUpdateV2").digest()[:8]
_HEAD = struct.Struct("<8s32sB")
_BODY = struct.Struct("<32sqQiqqqQQ")
_FULL, _PARTIAL = 1, 0
_MAX_EXPONENT = 18


class PriceUpdate(msgspec.Struct, frozen=True):
    """A price and half the width of the interval it lies in, in millionths; ``published`` in unix seconds."""

    feed: bytes
    micros: int
    uncertainty: int
    published: int
    posted: Slot


def price_account(push_program: Pubkey, feed: bytes, shard: int = 0) -> Pubkey:
    """Return where a push program keeps a feed (32 bytes)."""
    return Pubkey.find_program_address([struct.pack("<H", shard), feed], push_program)[0]


def decode_price_update(data: bytes, feed: bytes) -> PriceUpdate:
    """Decode a feed's account; raise BadBytes where it is none, another feed's, not Full or no price."""
    what = "pyth price"
    if len(data) != ACCOUNT_SIZE:
        raise BadBytes(what, f"{len(data)} bytes instead of {ACCOUNT_SIZE}")
    discriminator, _, level = _HEAD.unpack_from(data)
    if discriminator != _DISCRIMINATOR:
        raise BadBytes(what, "another kind of account")
    if level != _FULL:
        known = "only partly verified" if level == _PARTIAL else f"verification level {level}"
        raise BadBytes(what, known)
    found, price, confidence, exponent, published, _, _, _, posted = _BODY.unpack_from(data, _HEAD.size)
    if found != feed:
        raise BadBytes(what, "another feed")
    micros, uncertainty = in_micros(price, exponent), in_micros(confidence, exponent)
    if micros <= 0:
        raise BadBytes(what, f"a price of {price}")
    return PriceUpdate(found, micros, uncertainty, published, Slot(posted))


def in_micros(value: int, exponent: int) -> int:
    """Return ``value`` x 10^exponent in millionths, rounded down; raise BadBytes for an absurd exponent."""
    if not -_MAX_EXPONENT <= exponent <= 0:
        raise BadBytes("pyth price", f"an exponent of {exponent}")
    shift = exponent + MICROS
    scale: int = 10 ** abs(shift)
    return value * scale if shift >= 0 else value // scale
