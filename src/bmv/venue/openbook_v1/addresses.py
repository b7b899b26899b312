"""Addresses the program derives, and its own."""

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
    try:
        return Pubkey.create_program_address([bytes(market), struct.pack("<Q", nonce)], program)
    except ValueError as error:
        raise BadBytes("market", f"nonce {nonce} gives no vault signer") from error
