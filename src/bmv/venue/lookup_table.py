"""The address lookup table program: account layout, addresses of tables, and the five instructions.

A version 0 message may name an account by one byte, its index in a table on the chain, instead of 32.

Rules of the program
- A table's address is derived from its authority and a slot that was recent when it was created.
- It holds at most 256 addresses; what one slot adds can be used from the next slot on.
- A deactivated table can be closed when its deactivation slot has left the 512 newest slot hashes; until
  then it still works. Closing returns the rent.

Layout (solana-program/address-lookup-table ``state.rs``; integers little-endian)::

    0 type u32 (1) | 4 deactivation slot u64 (2^64 - 1: active) | 12 last extended slot u64
    | 20 first index of that extension u8 | 21 authority: option u8, 32 B | 54 padding u16
    | 56 addresses of 32 B
"""

import struct
from collections.abc import Sequence

import msgspec
from solders.address_lookup_table_account import ID, derive_lookup_table_address
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from bmv.errors import BadBytes
from bmv.units import Slot
from bmv.venue.system import SYSTEM_PROGRAM

LOOKUP_TABLE_PROGRAM = ID
META_SIZE = 56
AUTHORITY_OFFSET = 21
MAX_ADDRESSES = 256
COOL_DOWN_SLOTS = 513
"""Slots with blocks between deactivating and closing, the deactivation's own included."""

_META = struct.Struct("<IQQBB32sH")
_ACTIVE = 2**64 - 1
_LOOKUP_TABLE = 1
_CREATE, _EXTEND, _DEACTIVATE, _CLOSE = 0, 2, 3, 4


class LookupTable(msgspec.Struct, frozen=True):
    """A table; ``deactivated`` is None while it is active, ``authority`` None where it is frozen.

    The addresses from ``fresh_from`` on were added in slot ``extended``.
    """

    deactivated: Slot | None
    extended: Slot
    fresh_from: int
    authority: Pubkey | None
    addresses: tuple[Pubkey, ...]

    def usable(self, slot: Slot) -> tuple[Pubkey, ...]:
        """Return the addresses a transaction can use that lands after ``slot``; none once it is retired."""
        if self.deactivated is not None:
            return ()
        return self.addresses if slot >= self.extended else self.addresses[: self.fresh_from]


def table_size(addresses: int) -> int:
    """Return the bytes of a table's account."""
    return META_SIZE + 32 * addresses


def decode_lookup_table(data: bytes) -> LookupTable:
    """Decode a table's account; raise BadBytes where it is none."""
    if len(data) < META_SIZE or (len(data) - META_SIZE) % 32:
        raise BadBytes("lookup table", f"{len(data)} bytes is not the length of one")
    kind, deactivated, extended, fresh_from, has_authority, authority, _ = _META.unpack_from(data)
    if kind != _LOOKUP_TABLE or has_authority > 1:
        raise BadBytes("lookup table", f"type {kind}, authority option {has_authority}")
    count = (len(data) - META_SIZE) // 32
    if count > MAX_ADDRESSES or fresh_from > count:
        raise BadBytes("lookup table", f"{count} addresses, the newest from {fresh_from}")
    return LookupTable(
        deactivated=None if deactivated == _ACTIVE else Slot(deactivated),
        extended=Slot(extended),
        fresh_from=fresh_from,
        authority=Pubkey.from_bytes(authority) if has_authority else None,
        addresses=tuple(Pubkey.from_bytes(data[at : at + 32]) for at in range(META_SIZE, len(data), 32)),
    )


def table_address(authority: Pubkey, recent_slot: Slot) -> Pubkey:
    """Return the address of the table that ``authority`` creates naming ``recent_slot``."""
    return derive_lookup_table_address(authority, int(recent_slot))[0]


def create_lookup_table(authority: Pubkey, recent_slot: Slot) -> Instruction:
    """Create an empty table; the authority signs and pays. ``recent_slot`` must be among the slot hashes."""
    address, bump = derive_lookup_table_address(authority, int(recent_slot))
    data = struct.pack("<IQB", _CREATE, int(recent_slot), bump)
    return Instruction(LOOKUP_TABLE_PROGRAM, data, _accounts(address, authority, pays=True))


def extend_lookup_table(table: Pubkey, authority: Pubkey, addresses: Sequence[Pubkey]) -> Instruction:
    """Append addresses; the authority signs and pays the rent they need."""
    data = struct.pack("<IQ", _EXTEND, len(addresses)) + b"".join(map(bytes, addresses))
    return Instruction(LOOKUP_TABLE_PROGRAM, data, _accounts(table, authority, pays=True))


def deactivate_lookup_table(table: Pubkey, authority: Pubkey) -> Instruction:
    """Begin a table's cool-down; it cannot be undone."""
    data = struct.pack("<I", _DEACTIVATE)
    return Instruction(LOOKUP_TABLE_PROGRAM, data, _accounts(table, authority, pays=False))


def close_lookup_table(table: Pubkey, authority: Pubkey, recipient: Pubkey) -> Instruction:
    """Close a table that has cooled down; its lamports go to ``recipient``."""
    accounts = [*_accounts(table, authority, pays=False), AccountMeta(recipient, False, True)]
    return Instruction(LOOKUP_TABLE_PROGRAM, struct.pack("<I", _CLOSE), accounts)


def _accounts(table: Pubkey, authority: Pubkey, *, pays: bool) -> list[AccountMeta]:
    accounts = [AccountMeta(table, False, True), AccountMeta(authority, True, False)]
    if pays:
        accounts += [AccountMeta(authority, True, True), AccountMeta(SYSTEM_PROGRAM, False, False)]
    return accounts
