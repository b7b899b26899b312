"""What a layout says of a transaction that is not made yet, against transactions that are."""

import random

from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey

from bmv.chain.layout import KEPT, MAX_TRANSACTION_BYTES, Layout, empty_layout
from bmv.chain.message import AddressTable, Piece, invoked_size, split
from bmv.chain.transaction import fill
from bmv.venue.system import compute_unit_limit

RNG = random.Random(11)
KEYS = [Pubkey.from_bytes(RNG.randbytes(32)) for _ in range(12)]
PAYER, HASH = KEYS[0], Hash.from_bytes(RNG.randbytes(32))
HELD = KEYS[6:10]
TABLE = AddressTable(bytes(KEYS[11]), [bytes(key) for key in HELD])
THEIRS = AddressLookupTableAccount(KEYS[11], HELD)


def some(rng: random.Random) -> Instruction:
    """An instruction of any size that names some accounts."""
    metas = [AccountMeta(PAYER, True, True)]
    metas += [
        AccountMeta(key, False, rng.random() < 0.5) for key in rng.sample(KEYS[2:10], rng.randint(0, 8))
    ]
    return Instruction(KEYS[1], rng.randbytes(rng.randint(0, 300)), metas)


def laid_out(layout: Layout, pieces: list[Piece]) -> Layout:
    return layout.after(shape for shape, _ in pieces)


def test_what_fills_a_layout_is_what_solders_compiles_however_many_layouts_there_were() -> None:
    rng, empty = random.Random(1), empty_layout(PAYER, [TABLE])
    told = 0
    for _ in range(3 * KEPT):
        asked = [some(rng) for _ in range(rng.randint(1, 3))]
        layout = laid_out(empty, pieces := [split(one) for one in asked])
        units = rng.randint(1, 1_400_000)
        whole = [compute_unit_limit(units), *asked]
        theirs = to_bytes_versioned(MessageV0.try_compile(PAYER, whole, [THEIRS], HASH))
        assert layout.over == 65 + len(theirs) - MAX_TRANSACTION_BYTES
        assert layout.instructions == len(whole)
        if layout.over <= 0:
            told += 1
            assert fill(layout, [data for _, data in pieces], units, None, bytes(HASH)) == theirs
    assert told > KEPT


def test_what_is_left_is_exactly_what_one_more_instruction_may_take() -> None:
    rng = random.Random(2)
    for _ in range(200):
        layout = laid_out(empty_layout(PAYER, [TABLE]), [split(some(rng))])
        (names, length), _ = split(some(rng))
        left = layout.left(names) - invoked_size((names, length))
        assert layout.then((names, length)).over == -left


def test_the_same_way_on_is_worked_out_once() -> None:
    empty, shape = empty_layout(KEYS[3]), split(some(random.Random(3)))[0]
    assert empty_layout(KEYS[3], []) is empty
    assert empty.then(shape) is empty.then(shape)
    assert empty.then(shape).template is empty.then(shape).template
    assert empty_layout(KEYS[3], [TABLE]) is not empty


def test_layouts_of_a_payer_are_forgotten_before_they_are_many() -> None:
    empty, names = empty_layout(KEYS[4]), split(some(random.Random(4)))[0][0]
    first = empty.then((names, 0))
    for size in range(1, KEPT):
        empty.then((names, size))
    assert empty.then((names, 0)) is first
    empty.then((names, KEPT))
    assert empty.then((names, 0)) is not first
