"""Lookup tables: the account against solders' own decoder, the instructions against the real program."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.address_lookup_table_account import AddressLookupTable
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata

from bmv.errors import BadBytes
from bmv.units import Slot
from bmv.venue.lookup_table import (
    AUTHORITY_OFFSET,
    COOL_DOWN_SLOTS,
    LookupTable,
    close_lookup_table,
    create_lookup_table,
    deactivate_lookup_table,
    decode_lookup_table,
    extend_lookup_table,
    table_address,
    table_size,
)

KEYS = [Pubkey.from_bytes(bytes([n + 1]) * 32) for n in range(80)]
ACTIVE = 2**64 - 1
FIRST_SLOT = 5_000


def image(deactivated: int, extended: int, start: int, frozen: bool, addresses: Sequence[Pubkey]) -> bytes:
    """Lay a table's account out by hand, as the program's source has it."""
    head = (1).to_bytes(4, "little") + deactivated.to_bytes(8, "little") + extended.to_bytes(8, "little")
    authority = bytes(33) if frozen else b"\1" + bytes(KEYS[0])
    return head + bytes([start]) + authority + bytes(2) + b"".join(map(bytes, addresses))


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(st.just(ACTIVE), st.integers(0, 2**40)),
    st.integers(0, 2**40),
    st.lists(st.sampled_from(KEYS), max_size=30),
    st.integers(0, 30),
    st.booleans(),
)
def test_a_table_decodes_to_what_solders_reads_in_it(
    deactivated: int, extended: int, addresses: list[Pubkey], fresh_from: int, frozen: bool
) -> None:
    start = min(fresh_from, len(addresses))
    data = image(deactivated, extended, start, frozen, addresses)
    table, theirs = decode_lookup_table(data), AddressLookupTable.deserialize(data)
    assert len(data) == table_size(len(addresses))
    assert list(table.addresses) == theirs.addresses
    assert table.authority == theirs.meta.authority
    assert (ACTIVE if table.deactivated is None else table.deactivated) == theirs.meta.deactivation_slot
    assert table.extended == theirs.meta.last_extended_slot
    assert table.fresh_from == theirs.meta.last_extended_slot_start_index
    assert frozen or data[AUTHORITY_OFFSET : AUTHORITY_OFFSET + 33] == b"\1" + bytes(KEYS[0])


@given(st.binary(max_size=200))
def test_any_other_bytes_give_a_table_or_a_typed_error(data: bytes) -> None:
    try:
        assert isinstance(decode_lookup_table(data), LookupTable)
    except BadBytes:
        assert len(data) < 56 or data[:4] != b"\1\0\0\0" or len(data) % 32 != 24 or data[20] or data[21] > 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data: b"\2" + data[1:], "type 2"),
        (lambda data: data[:-1], "length"),
        (lambda data: data[:20] + b"\3" + data[21:], "newest from 3"),
        (lambda data: data + bytes(32 * 255), "257 addresses"),
    ],
)
def test_a_broken_table_is_refused_with_the_reason(change: Any, why: str) -> None:
    with pytest.raises(BadBytes, match=why):
        decode_lookup_table(change(image(ACTIVE, 7, 1, False, KEYS[:2])))


def test_what_a_slot_adds_is_usable_after_it_and_nothing_once_it_is_retired() -> None:
    table = LookupTable(None, Slot(100), 2, KEYS[0], tuple(KEYS[:5]))
    assert table.usable(Slot(99)) == tuple(KEYS[:2])
    assert table.usable(Slot(100)) == tuple(KEYS[:5])
    retired = LookupTable(Slot(101), Slot(100), 2, KEYS[0], tuple(KEYS[:5]))
    assert retired.usable(Slot(200)) == ()


class Real:
    """The real program in LiteSVM, with slots of our choosing."""

    def __init__(self) -> None:
        self.svm = LiteSVM()
        self.owner = Keypair.from_seed(bytes(31) + b"\1")
        self.svm.airdrop(self.owner.pubkey(), 10**11)
        self.slot = FIRST_SLOT
        self.at(FIRST_SLOT)

    def at(self, slot: int) -> None:
        """Move to a slot; every slot had a block."""
        self.slot = slot
        self.svm.warp_to_slot(slot)
        hashes = [(one, Hash.default()) for one in range(slot - 1, max(slot - 513, 0), -1)]
        self.svm.set_slot_hashes(hashes)

    def run(self, *instructions: Instruction, tables: Sequence[Any] = ()) -> bool:
        """Send one transaction and say whether it succeeded."""
        self.svm.expire_blockhash()
        key = self.owner.pubkey()
        message = MessageV0.try_compile(key, list(instructions), list(tables), self.svm.latest_blockhash())
        sent = self.svm.send_transaction(VersionedTransaction(message, [self.owner]))
        return not isinstance(sent, FailedTransactionMetadata)

    def table(self, address: Pubkey) -> LookupTable | None:
        """Return what stands at an address."""
        account = self.svm.get_account(address)
        return decode_lookup_table(account.data) if account and account.lamports else None


def test_the_real_program_creates_extends_retires_and_closes_what_we_ask_for() -> None:
    real = Real()
    owner = real.owner.pubkey()
    address = table_address(owner, Slot(FIRST_SLOT - 3))
    assert real.run(
        create_lookup_table(owner, Slot(FIRST_SLOT - 3)), extend_lookup_table(address, owner, KEYS[:20])
    )
    real.at(FIRST_SLOT + 10)
    assert real.run(extend_lookup_table(address, owner, KEYS[20:47]))
    table = real.table(address)
    assert table is not None
    assert table.addresses == tuple(KEYS[:47])
    assert (table.authority, table.deactivated) == (owner, None)
    assert (int(table.extended), table.fresh_from) == (FIRST_SLOT + 10, 20)
    before = real.svm.get_balance(owner)
    assert before is not None
    rent = real.svm.get_balance(address)
    assert rent == real.svm.minimum_balance_for_rent_exemption(table_size(47))
    assert not real.run(close_lookup_table(address, owner, owner))
    assert real.run(deactivate_lookup_table(address, owner))
    real.at(FIRST_SLOT + 10 + COOL_DOWN_SLOTS - 1)
    assert not real.run(close_lookup_table(address, owner, owner))
    real.at(FIRST_SLOT + 10 + COOL_DOWN_SLOTS)
    assert real.run(close_lookup_table(address, owner, owner))
    assert real.table(address) is None
    after = real.svm.get_balance(owner)
    assert after is not None
    assert rent is not None
    # A failed transaction pays its fee as well.
    assert after == before + rent - 4 * 5_000


def test_the_real_program_refuses_a_slot_that_is_not_recent() -> None:
    real = Real()
    assert not real.run(create_lookup_table(real.owner.pubkey(), Slot(FIRST_SLOT - 600)))
