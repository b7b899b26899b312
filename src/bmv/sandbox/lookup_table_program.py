"""The address lookup table program, and what the runtime does with tables when a transaction names them.

Rules (solana-program/address-lookup-table ``processor.rs`` and ``state.rs``, agave's account loading)
- A table is created for a slot among the 512 newest with a block (the slot hashes), at an address derived
  from authority and slot; creating it again does nothing.
- What a slot appends can be looked up from the next slot on. 256 addresses at most.
- A deactivated table works until its deactivation slot has left the slot hashes; then it can be closed.
- Looked-up accounts follow a transaction's own keys: first what all tables give to write, then what they
  give to read. A transaction whose table is missing, foreign, broken or too short does not land.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace

from solders.pubkey import Pubkey

from bmv.sandbox import system_program
from bmv.sandbox.account import Account, AccountRef, Invocation, ProgramError
from bmv.sandbox.blockhash import SlotClock
from bmv.sandbox.transaction import Rejected, Transaction

PROGRAM_ID = bytes(Pubkey.from_string("AddressLookupTab1e1111111111111111111111111"))
MAX_ADDRESSES = 256
SLOT_HASHES = 512
MAX_LOCKS = 64
META = struct.Struct("<IQQBB32sH")
NEVER = 2**64 - 1
CREATE, FREEZE, EXTEND, DEACTIVATE, CLOSE = range(5)


@dataclass(slots=True)
class Meta:
    """The head of a table's account; ``has_authority`` 0 means frozen for ever."""

    kind: int
    deactivation_slot: int
    extended_slot: int
    fresh_from: int
    has_authority: int
    authority: bytes
    padding: int

    def pack(self) -> bytes:
        """Return its bytes."""
        fields = self.kind, self.deactivation_slot, self.extended_slot, self.fresh_from
        return META.pack(*fields, self.has_authority, self.authority, self.padding)


class LookupTables:
    """The program, and the runtime's look-ups; ``slot`` is the one being executed, set by the chain."""

    def __init__(self, clock: SlotClock) -> None:
        self.slot = clock.start_slot
        self._clock = clock

    def process(self, invocation: Invocation) -> None:
        """Run one instruction; raises ``ProgramError``."""
        kinds = {
            CREATE: self._create,
            FREEZE: self._freeze,
            EXTEND: self._extend,
            DEACTIVATE: self._deactivate,
            CLOSE: self._close,
        }
        try:
            (tag,) = struct.unpack_from("<I", invocation.data)
            if tag not in kinds:
                raise ProgramError("invalid", why="InvalidInstructionData")
            kinds[tag](invocation.accounts, invocation.data[4:])
        except struct.error as cut:
            raise ProgramError("invalid", why="InvalidInstructionData") from cut
        except IndexError as missing:
            raise ProgramError("invalid", why="NotEnoughAccountKeys") from missing

    def resolve(self, tx: Transaction, account: Callable[[bytes], Account | None]) -> Transaction:
        """Return ``tx`` with the keys its tables name; raise Rejected where one does not have them."""
        if not tx.lookups:
            return tx
        writable: list[bytes] = []
        readonly: list[bytes] = []
        for lookup in tx.lookups:
            addresses = self._usable(account(lookup.table))
            try:
                writable += [addresses[index] for index in lookup.writable]
                readonly += [addresses[index] for index in lookup.readonly]
            except IndexError as beyond:
                words = "Transaction address table lookup uses an invalid index"
                raise Rejected("InvalidAddressLookupTableIndex", words) from beyond
        keys = (*tx.keys, *writable, *readonly)
        if len(set(keys)) != len(keys):
            raise Rejected("AccountLoadedTwice", "Account loaded twice")
        if len(keys) > MAX_LOCKS:
            raise Rejected("TooManyAccountLocks", "Transaction locked too many accounts")
        flags = *tx.writable, *(True for _ in writable), *(False for _ in readonly)
        return replace(tx, keys=keys, writable=flags, lookups=())

    def _usable(self, table: Account | None) -> list[bytes]:
        """Return the addresses that can be looked up in the slot being executed."""
        missing = "Transaction loads an address table account that doesn't exist"
        if table is None or not table.lamports:
            raise Rejected("AddressLookupTableNotFound", missing)
        if table.owner != PROGRAM_ID:
            words = "Transaction loads an address table account with an invalid owner"
            raise Rejected("InvalidAddressLookupTableOwner", words)
        if len(table.data) < META.size or table.data[0] != 1 or (len(table.data) - META.size) % 32:
            words = "Transaction loads an address table account with invalid data"
            raise Rejected("InvalidAddressLookupTableData", words)
        meta, addresses = _read(table)
        if self._has_cooled(meta):
            raise Rejected("AddressLookupTableNotFound", missing)
        return addresses if self.slot > meta.extended_slot else addresses[: meta.fresh_from]

    def _is_recent(self, slot: int) -> bool:
        """Say whether ``slot`` is among the slot hashes: the newest 512 before this one that have a block."""
        if slot >= self.slot or slot < self._clock.start_slot or self._clock.is_skipped(slot):
            return False
        return self._clock.height(self.slot) - self._clock.height(slot) <= SLOT_HASHES

    def _has_cooled(self, meta: Meta) -> bool:
        slot = meta.deactivation_slot
        return slot not in (NEVER, self.slot) and not self._is_recent(slot)

    def _create(self, refs: list[AccountRef], body: bytes) -> None:
        recent_slot, bump = struct.unpack_from("<QB", body)
        table, authority, payer = refs[0], refs[1], refs[2]
        _signed(payer)
        if not self._is_recent(recent_slot):
            raise ProgramError("invalid", why="InvalidInstructionData")
        seeds = [authority.key, struct.pack("<Q", recent_slot), bytes([bump])]
        if bytes(Pubkey.create_program_address(seeds, Pubkey(PROGRAM_ID))) != table.key:
            raise ProgramError("invalid", why="InvalidArgument")
        if table.account.owner == PROGRAM_ID:
            return
        needed = system_program.rent_exempt_lamports(META.size)
        if table.account.lamports < needed:
            system_program.transfer(payer.account, table.account, needed - table.account.lamports)
        system_program.allocate(table.account, META.size)
        table.account.owner = PROGRAM_ID
        table.account.data[:] = Meta(1, NEVER, 0, 0, 1, authority.key, 0).pack()

    def _freeze(self, refs: list[AccountRef], _body: bytes) -> None:
        meta, addresses = _authorised(refs[0], refs[1])
        if meta.deactivation_slot != NEVER:
            raise ProgramError("invalid", why="InvalidArgument")
        if not addresses:
            raise ProgramError("invalid", why="InvalidInstructionData")
        meta.has_authority, meta.authority = 0, bytes(32)
        refs[0].account.data[: META.size] = meta.pack()

    def _extend(self, refs: list[AccountRef], body: bytes) -> None:
        (count,) = struct.unpack_from("<Q", body)
        added = struct.unpack_from("<" + "32s" * min(count, MAX_ADDRESSES + 1), body, 8)
        table = refs[0]
        meta, addresses = _authorised(table, refs[1])
        if meta.deactivation_slot != NEVER or len(addresses) >= MAX_ADDRESSES:
            raise ProgramError("invalid", why="InvalidArgument")
        if not added or len(addresses) + len(added) > MAX_ADDRESSES:
            raise ProgramError("invalid", why="InvalidInstructionData")
        if meta.extended_slot != self.slot:
            meta.extended_slot, meta.fresh_from = self.slot, len(addresses)
        table.account.data = bytearray(meta.pack() + b"".join(addresses) + b"".join(added))
        needed = system_program.rent_exempt_lamports(len(table.account.data)) - table.account.lamports
        if needed > 0:
            _signed(refs[2])
            system_program.transfer(refs[2].account, table.account, needed)

    def _deactivate(self, refs: list[AccountRef], _body: bytes) -> None:
        meta, _ = _authorised(refs[0], refs[1])
        if meta.deactivation_slot != NEVER:
            raise ProgramError("invalid", why="InvalidArgument")
        meta.deactivation_slot = self.slot
        refs[0].account.data[: META.size] = meta.pack()

    def _close(self, refs: list[AccountRef], _body: bytes) -> None:
        table, recipient = refs[0], refs[2]
        meta, _ = _authorised(table, refs[1])
        if table.key == recipient.key or not self._has_cooled(meta):
            raise ProgramError("invalid", why="InvalidArgument")
        recipient.account.lamports += table.account.lamports
        table.account.lamports, table.account.data = 0, bytearray()


def _read(account: Account) -> tuple[Meta, list[bytes]]:
    data = bytes(account.data)
    addresses = [data[at : at + 32] for at in range(META.size, len(data), 32)]
    return Meta(*META.unpack_from(data)), addresses


def _authorised(table: AccountRef, authority: AccountRef) -> tuple[Meta, list[bytes]]:
    """Read a table whose authority signs."""
    if table.account.owner != PROGRAM_ID:
        raise ProgramError("invalid", why="InvalidAccountOwner")
    if len(table.account.data) < META.size or table.account.data[0] != 1:
        raise ProgramError("invalid", why="UninitializedAccount")
    meta, addresses = _read(table.account)
    if not meta.has_authority:
        raise ProgramError("invalid", why="Immutable")
    if meta.authority != authority.key:
        raise ProgramError("invalid", why="IncorrectAuthority")
    _signed(authority)
    return meta, addresses


def _signed(ref: AccountRef) -> None:
    if not ref.is_signer:
        raise ProgramError("invalid", why="MissingRequiredSignature")
