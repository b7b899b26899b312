"""Building, measuring and signing wire transactions, with solders as the judge."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from bmv.chain.layout import MAX_TRANSACTION_BYTES, empty_layout
from bmv.chain.message import AddressTable, Piece, Shape, split
from bmv.chain.transaction import (
    Tip,
    build_transaction,
    sign,
    signature,
    tipping,
)
from bmv.keys.signer import InProcessSigner, UnknownKey
from bmv.units import Lamports
from bmv.venue.system import compute_unit_limit, transfer

RNG = random.Random(7)
WALLETS = [Keypair.from_seed(RNG.randbytes(32)) for _ in range(3)]
PAYER, OTHER, THIRD = (wallet.pubkey() for wallet in WALLETS)
SIGNER = InProcessSigner(WALLETS)
PROGRAM, TIP_ACCOUNT = (Pubkey.from_bytes(RNG.randbytes(32)) for _ in range(2))
BLOCKHASH = RNG.randbytes(32)
TIP = (TIP_ACCOUNT, Lamports(5000))


READ = [Pubkey.from_bytes(RNG.randbytes(32)) for _ in range(6)]
TABLES = [AddressTable(bytes(TIP_ACCOUNT), [bytes(key) for key in READ[:4]])]


def order(size: int = 100, *signers: Pubkey, read: int = 0) -> Piece:
    """Some instruction with ``size`` bytes of data, which also reads accounts."""
    metas = [AccountMeta(key, True, True) for key in signers or (PAYER,)]
    metas += [AccountMeta(key, False, place % 2 == 0) for place, key in enumerate(READ[:read])]
    return split(Instruction(PROGRAM, bytes(size), metas))


def shapes_of(asked: list[Piece]) -> list[Shape]:
    """Return the shapes alone."""
    return [shape for shape, _ in asked]


def over_by(asked: list[Piece], tip: Tip | None = None, tables: Sequence[AddressTable] = ()) -> int:
    """Return by how many bytes a transaction would be too large."""
    tail = [] if tip is None else [tipping(PAYER, tip)]
    return empty_layout(PAYER, tables).after(shapes_of([*asked, *tail])).over


def test_the_compute_limit_comes_first_and_the_tip_last() -> None:
    message = build_transaction(PAYER, [order()], 200_000, TIP, BLOCKHASH)
    transaction = VersionedTransaction.from_bytes(sign(message, SIGNER))
    sent = transaction.message.instructions
    names = [transaction.message.account_keys[one.program_id_index] for one in sent]
    limit, tip = compute_unit_limit(200_000), transfer(PAYER, TIP_ACCOUNT, Lamports(5000))
    assert names == [limit.program_id, PROGRAM, tip.program_id]
    assert (sent[0].data, sent[2].data) == (limit.data, tip.data)
    assert transaction.message.account_keys[sent[2].accounts[1]] == TIP_ACCOUNT


def test_the_signed_bytes_are_what_solders_signs_for_several_signers() -> None:
    message = build_transaction(PAYER, [order(9, OTHER, THIRD)], 1000, TIP, BLOCKHASH)
    raw = sign(message, SIGNER)
    theirs = VersionedTransaction.from_bytes(raw)
    assert theirs.verify_with_results() == [True, True, True]
    assert bytes(VersionedTransaction(theirs.message, WALLETS)) == raw
    assert signature(raw) == str(theirs.signatures[0])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(1, 3), st.integers(0, 6)), max_size=8),
    st.booleans(),
    st.booleans(),
)
def test_the_measured_size_is_the_size_of_the_signed_transaction(
    shapes: list[tuple[int, int, int]], tipped: bool, looked_up: bool
) -> None:
    asked = [
        order(size, *(wallet.pubkey() for wallet in WALLETS[:count]), read=read)
        for size, count, read in shapes
    ]
    tip, tables = TIP if tipped else None, TABLES if looked_up else []
    over = over_by(asked, tip, tables)
    size = MAX_TRANSACTION_BYTES + over
    if over <= 0:
        assert len(sign(build_transaction(PAYER, asked, 1, tip, BLOCKHASH, tables=tables), SIGNER)) == size
    else:
        assert size > MAX_TRANSACTION_BYTES
        with pytest.raises(ValueError, match="at most 1232"):
            build_transaction(PAYER, asked, 1, tip, BLOCKHASH, tables=tables)


def test_the_last_byte_that_fits_is_1232() -> None:
    room = 200 - over_by([order(200)], TIP)
    assert over_by([order(room)], TIP) == 0
    assert over_by([order(room + 1)], TIP) == 1
    assert len(sign(build_transaction(PAYER, [order(room)], 1, TIP, BLOCKHASH), SIGNER)) == 1232


def test_more_than_64_instructions_do_not_fit() -> None:
    asked = [order(0)] * 63
    assert over_by(asked) <= 0
    assert over_by(asked, TIP) > 0
    with pytest.raises(ValueError, match="at most 64"):
        build_transaction(PAYER, asked, 1, TIP, BLOCKHASH)


def test_a_transaction_of_a_strange_wallet_is_not_signed() -> None:
    message = build_transaction(PAYER, [order(8, TIP_ACCOUNT)], 1, None, BLOCKHASH)
    with pytest.raises(UnknownKey, match=str(TIP_ACCOUNT)):
        sign(message, SIGNER)


def test_an_oversized_message_is_not_signed() -> None:
    message = build_transaction(PAYER, [order()], 1, None, BLOCKHASH)
    with pytest.raises(ValueError, match="at most 1232"):
        sign(message + bytes(1232), SIGNER)


@pytest.mark.parametrize("raw", [b"", bytes(200), b"\x01" + bytes(20)])
def test_unsigned_bytes_have_no_signature(raw: bytes) -> None:
    with pytest.raises(ValueError, match="not a signed transaction"):
        signature(raw)
