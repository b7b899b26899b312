"""Addresses the program derives, and its own."""

import hashlib
import struct

from solders.pubkey import Pubkey

from bmv.errors import BadBytes

OPENBOOK_V1 = Pubkey.from_string("srmqPvymJeFKQ4zGQed1GFppgkRHL9kaELCbyksJtPX")


def open_orders_seed(market: Pubkey) -> str:
    """Return the seed of the OpenOrders accounts of a market: the first 32 characters of its address."""
    return str(market)[:32]


def open_orders_address(owner: Pubkey, market: Pubkey, program: Pubkey = OPENBOOK_V1) -> Pubkey:
    """Return where the official client keeps the owner's OpenOrders account of a market."""
    return Pubkey.create_with_seed(owner, open_orders_seed(market), program)


def vault_signer_address(market: Pubkey, nonce: int, program: Pubkey = OPENBOOK_V1) -> Pubkey:
    """Return the address that owns a market's vaults; raise BadBytes when the nonce gives none."""
    # Derived here because the library's own refusal is an exception that cannot be named.
    seeds = bytes(market) + struct.pack("<Q", nonce)
    address = Pubkey(hashlib.sha256(seeds + bytes(program) + b"ProgramDerivedAddress").digest())
    if address.is_on_curve():
        raise BadBytes("market", f"nonce {nonce} gives no vault signer")
    return address
