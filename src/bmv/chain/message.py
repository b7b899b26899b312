"""Version 0 messages as bytes: compiled once per shape, then filled in.

Rules of this file
- A *shape* is all of an instruction but its data: program, account metas, data length. Two instructions of
  one shape compile to messages that differ in data bytes only.
- The bytes equal those of solders' ``MessageV0.try_compile``, with lookup tables and without (tested).
- Account order: payer, signers that write, signers that read, writable, read-only; by key within a group.
- What neither signs nor is called goes into the first table that has it; those keys follow all others, first
  what is written, then what is read, table by table, by key within each.

Layout (Solana message format, v0; ``short`` is a compact-u16 length)::

    0x80 | signers u8 | read-only signers u8 | read-only others u8 | short n, n keys of 32 B | blockhash 32 B
    | short n, n x (program index u8, short a, a account indexes u8, short d, d data bytes)
    | short n, n x (table key 32 B, short w, w indexes to write, short r, r indexes to read)
"""

from collections.abc import Sequence
from functools import lru_cache

from solders.instruction import Instruction
from solders.pubkey import Pubkey

VERSION_0 = b"\x80"
MAX_KEYS = 256
"""Account indexes are one byte."""

_META_BYTES = 34
_METAS_AT = 40
_LENGTH_BYTES = 8
_SIGNER, _WRITABLE = 2, 1

_LookedUp = tuple["AddressTable", list[bytes], list[bytes]]

Names = bytes
"""Program key, u64 count, metas of (key, is_signer, is_writable), as solders serialises them."""
Shape = tuple[Names, int]
"""Whom an instruction names, and the length of its data."""
Piece = tuple[Shape, bytes]
"""An instruction, cut into its shape and its data."""


def short_length(value: int) -> bytes:
    """Encode a length below 65,536 as compact-u16: 7 bits a byte, low bits first, high bit means more."""
    if value < 0x80:
        return bytes((value,))
    if value < 0x4000:
        return bytes((value & 0x7F | 0x80, value >> 7))
    return bytes((value & 0x7F | 0x80, value >> 7 & 0x7F | 0x80, value >> 14))


def split(instruction: Instruction) -> Piece:
    """Cut one instruction into its shape and its data."""
    raw = bytes(instruction)
    names_end = _METAS_AT + _META_BYTES * int.from_bytes(raw[32:_METAS_AT], "little")
    data = raw[names_end + _LENGTH_BYTES :]
    return (raw[:names_end], len(data)), data


def joined(piece: Piece) -> Instruction:
    """Put an instruction together again."""
    (names, length), data = piece
    return Instruction.from_bytes(names + length.to_bytes(_LENGTH_BYTES, "little") + data)


@lru_cache(maxsize=4096)
def invoked_size(shape: Shape) -> int:
    """Return the bytes that an instruction of this shape takes in a message, its keys not counted."""
    names, data = shape
    accounts = (len(names) - _METAS_AT) // _META_BYTES
    return 1 + len(short_length(accounts)) + accounts + len(short_length(data)) + data


@lru_cache(maxsize=4096)
def _read_names(names: Names) -> tuple[bytes, tuple[bytes, ...], tuple[tuple[bytes, int], ...]]:
    """Return program, account keys, and what is asked of each."""
    asked = tuple(
        (names[at : at + 32], names[at + 32] << 1 | names[at + 33])
        for at in range(_METAS_AT, len(names), _META_BYTES)
    )
    return names[:32], tuple(key for key, _ in asked), asked


class AddressTable:
    """A lookup table on the chain: its key, the index of each address it holds, how many places it has."""

    __slots__ = ("index", "key", "size")

    def __init__(self, key: bytes, addresses: Sequence[bytes]) -> None:
        self.key, self.size = key, len(addresses)
        # Like solders' compiler: of an address that is in the table twice, the first place counts.
        self.index = {address: place for place, address in reversed(list(enumerate(addresses)))}


NO_TABLES: tuple[AddressTable, ...] = ()


class KeyRoles:
    """The union of what a group of instructions asks of each account; grows one shape at a time."""

    __slots__ = ("_invoked", "_payer", "_roles")

    def __init__(self, payer: bytes) -> None:
        self._payer = payer
        self._roles = {payer: _SIGNER | _WRITABLE}
        self._invoked: list[tuple[bytes, Sequence[bytes], int]] = []

    def add(self, shape: Shape) -> None:
        """Take in the accounts of one more instruction."""
        names, data_length = shape
        program, keys, asked = _read_names(names)
        roles = self._roles
        roles.setdefault(program, 0)
        for key, role in asked:
            roles[key] = roles.get(key, 0) | role
        self._invoked.append((program, keys, data_length))

    @property
    def signers(self) -> int:
        """Count the signatures these instructions need, the payer's included."""
        return sum(1 for role in self._roles.values() if role & _SIGNER)

    @property
    def keys(self) -> int:
        """Count the accounts these instructions name."""
        return len(self._roles)

    def fixed_size(self, tables: Sequence[AddressTable] = NO_TABLES) -> int:
        """Return the bytes of a message with these accounts that do not depend on the instructions."""
        keys = len(self._roles)
        lookups = 1
        if tables:
            called = {program for program, _, _ in self._invoked}
            free = [key for key, role in self._roles.items() if role < _SIGNER and key not in called]
            for table in tables:
                here = [key for key in free if key in table.index]
                if here:
                    written = sum(self._roles[key] & _WRITABLE for key in here)
                    lengths = len(short_length(written)) + len(short_length(len(here) - written))
                    lookups += 32 + lengths + len(here)
                    keys -= len(here)
                    free = [key for key in free if key not in table.index]
        return 4 + len(short_length(keys)) + 32 * keys + 32 + lookups

    def compile(self, tables: Sequence[AddressTable] = NO_TABLES) -> tuple[bytes, list[bytes], bytes]:
        """Return the message up to the blockhash, what stands before each instruction's data, and its end."""
        roles, payer = self._roles, self._payer
        if len(roles) > MAX_KEYS:
            raise ValueError(f"{len(roles)} accounts in one message; an index is one byte")
        looked_up = self._looked_up(tables)
        loaded = [key for _, written, _ in looked_up for key in written]
        loaded += [key for _, _, read in looked_up for key in read]
        keys = sorted(roles.keys() - set(loaded), key=lambda key: (key != payer, 3 - roles[key], key))
        index = {key: position for position, key in enumerate([*keys, *loaded])}
        groups = [0, 0, 0, 0]
        for key in keys:
            groups[roles[key]] += 1
        header = (groups[3] + groups[2], groups[2], groups[0])
        head = VERSION_0 + bytes(header) + short_length(len(keys)) + b"".join(keys)
        before_data = [
            bytes((index[program],))
            + short_length(len(accounts))
            + bytes(index[key] for key in accounts)
            + short_length(data_length)
            for program, accounts, data_length in self._invoked
        ]
        return head, before_data, _lookups(looked_up)

    def _looked_up(self, tables: Sequence[AddressTable]) -> list[_LookedUp]:
        """Share the keys that need not stand in the message between the tables that have them."""
        if not tables:
            return []
        called = {program for program, _, _ in self._invoked}
        free = sorted(key for key, role in self._roles.items() if role < _SIGNER and key not in called)
        found: list[_LookedUp] = []
        for table in tables:
            here = [key for key in free if key in table.index]
            if here:
                written = [key for key in here if self._roles[key] & _WRITABLE]
                found.append((table, written, [key for key in here if not self._roles[key] & _WRITABLE]))
                free = [key for key in free if key not in table.index]
        return found


def _lookups(looked_up: Sequence[_LookedUp]) -> bytes:
    parts = [short_length(len(looked_up))]
    for table, *groups in looked_up:
        parts.append(table.key)
        for keys in groups:
            parts += short_length(len(keys)), bytes(table.index[key] for key in keys)
    return b"".join(parts)


class MessageTemplate:
    """A compiled message with holes for the blockhash and the data of each instruction.

    Raises ValueError for more than 256 distinct accounts.
    """

    __slots__ = ("_data_lengths", "_parts")

    def __init__(
        self, payer: Pubkey | bytes, shapes: Sequence[Shape], tables: Sequence[AddressTable] = NO_TABLES
    ) -> None:
        roles = KeyRoles(bytes(payer))
        for shape in shapes:
            roles.add(shape)
        head, before_data, lookups = roles.compile(tables)
        parts = [head, b"", short_length(len(shapes))]
        for before in before_data:
            parts += (before, b"")
        self._parts = [*parts, lookups]
        self._data_lengths = [length for _, length in shapes]

    def render(self, blockhash: bytes, datas: Sequence[bytes]) -> bytes:
        """Return the message for this blockhash (32 bytes) and these data, one per instruction.

        Raises ValueError where a length differs from the one the template was compiled for.
        """
        if len(blockhash) != 32 or list(map(len, datas)) != self._data_lengths:
            raise ValueError("the data do not have the lengths this template was compiled for")
        parts = self._parts.copy()
        parts[1] = blockhash
        parts[4::2] = datas
        return b"".join(parts)


def message_signers(message: bytes) -> list[Pubkey]:
    """Read the keys that must sign a v0 message, in signing order; ValueError if it is not one."""
    signers = message[1] if len(message) > 5 and message[:1] == VERSION_0 else 0
    keys_at = 5 if len(message) > 4 and message[4] < 0x80 else 6
    if signers < 1 or len(message) < keys_at + 32 * signers:
        raise ValueError("not a version 0 message")
    return [_pubkey(message[at : at + 32]) for at in range(keys_at, keys_at + 32 * signers, 32)]


_pubkey = lru_cache(maxsize=1024)(Pubkey.from_bytes)
