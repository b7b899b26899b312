"""Our compiler of v0 messages against solders' own."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey

from bmv.chain.message import (
    AddressTable,
    MessageTemplate,
    Piece,
    joined,
    message_signers,
    short_length,
    split,
)

KEYS = [Pubkey.from_bytes(random.Random(n).randbytes(32)) for n in range(12)]
BLOCKHASH = bytes(range(32))
keys = st.sampled_from(KEYS)
instructions = st.builds(
    Instruction,
    program_id=keys,
    data=st.one_of(st.binary(max_size=40), st.integers(0, 300).map(bytes)),
    accounts=st.lists(st.builds(AccountMeta, keys, st.booleans(), st.booleans()), max_size=14),
)


tables = st.lists(
    st.builds(AddressLookupTableAccount, keys, st.lists(keys, min_size=1, max_size=10)),
    max_size=3,
    unique_by=lambda table: bytes(table.key),
)


def compile_message(
    payer: Pubkey, pieces: Sequence[Piece], blockhash: bytes, tables: Sequence[AddressTable] = ()
) -> bytes:
    """Return the message of a template that is used once."""
    template = MessageTemplate(payer, [shape for shape, _ in pieces], tables)
    return template.render(blockhash, [data for _, data in pieces])


def oracle(
    payer: Pubkey,
    asked: list[Instruction],
    blockhash: bytes,
    named: list[AddressLookupTableAccount] | None = None,
) -> bytes:
    """What solders compiles."""
    return to_bytes_versioned(MessageV0.try_compile(payer, asked, named or [], Hash.from_bytes(blockhash)))


def cut(asked: list[Instruction]) -> list[Piece]:
    """Cut instructions as our compiler takes them."""
    pieces = [split(one) for one in asked]
    assert [joined(piece) for piece in pieces] == asked
    return pieces


def ours(named: list[AddressLookupTableAccount]) -> list[AddressTable]:
    """The same tables as our compiler takes them."""
    return [AddressTable(bytes(table.key), [bytes(key) for key in table.addresses]) for table in named]


@settings(max_examples=400, deadline=None)
@given(keys, st.lists(instructions, max_size=6), st.binary(min_size=32, max_size=32))
def test_a_compiled_message_is_byte_for_byte_what_solders_compiles(
    payer: Pubkey, asked: list[Instruction], blockhash: bytes
) -> None:
    message = compile_message(payer, cut(asked), blockhash)
    assert message == oracle(payer, asked, blockhash)
    signers = MessageV0.from_bytes(message[1:]).header.num_required_signatures
    assert message_signers(message) == MessageV0.from_bytes(message[1:]).account_keys[:signers]


@settings(max_examples=100, deadline=None)
@given(keys, st.lists(instructions, min_size=1, max_size=4), st.data())
def test_a_template_filled_with_other_data_is_what_solders_compiles_for_them(
    payer: Pubkey, asked: list[Instruction], data: st.DataObject
) -> None:
    template = MessageTemplate(payer, [split(one)[0] for one in asked])
    datas = [data.draw(st.binary(min_size=len(one.data), max_size=len(one.data))) for one in asked]
    changed = [Instruction(one.program_id, new, one.accounts) for one, new in zip(asked, datas, strict=True)]
    rendered = template.render(BLOCKHASH, datas)
    assert rendered == oracle(payer, changed, BLOCKHASH)


@settings(max_examples=500, deadline=None)
@given(keys, st.lists(instructions, max_size=6), tables, st.data())
def test_a_message_that_looks_accounts_up_is_byte_for_byte_what_solders_compiles(
    payer: Pubkey, asked: list[Instruction], named: list[AddressLookupTableAccount], data: st.DataObject
) -> None:
    message = compile_message(payer, cut(asked), BLOCKHASH, ours(named))
    assert message == oracle(payer, asked, BLOCKHASH, named)
    template = MessageTemplate(payer, [split(one)[0] for one in asked], ours(named))
    datas = [data.draw(st.binary(min_size=len(one.data), max_size=len(one.data))) for one in asked]
    changed = [Instruction(one.program_id, new, one.accounts) for one, new in zip(asked, datas, strict=True)]
    rendered = template.render(BLOCKHASH, datas)
    assert rendered == oracle(payer, changed, BLOCKHASH, named)


def test_more_than_127_accounts_take_a_two_byte_count() -> None:
    many = [AccountMeta(Pubkey.from_bytes(bytes([1, n]) + bytes(30)), False, n % 2 == 0) for n in range(200)]
    asked = [Instruction(KEYS[0], b"x" * 200, many)]
    message = compile_message(KEYS[1], cut(asked), BLOCKHASH)
    assert message == oracle(KEYS[1], asked, BLOCKHASH)
    assert message_signers(message) == [KEYS[1]]


def test_more_accounts_than_an_index_can_name_are_refused() -> None:
    many = [AccountMeta(Pubkey.from_bytes(n.to_bytes(2, "big") + bytes(30)), False, True) for n in range(300)]
    with pytest.raises(ValueError, match="302 accounts"):
        compile_message(KEYS[0], cut([Instruction(KEYS[1], b"", many)]), BLOCKHASH)


@pytest.mark.parametrize(
    ("value", "coded"),
    [(0, "00"), (127, "7f"), (128, "8001"), (16383, "ff7f"), (16384, "808001"), (65535, "ffff03")],
)
def test_lengths_are_coded_as_compact_u16(value: int, coded: str) -> None:
    assert short_length(value).hex() == coded


def test_a_template_refuses_data_of_another_length_and_a_short_blockhash() -> None:
    template = MessageTemplate(KEYS[0], [split(Instruction(KEYS[1], b"1234", []))[0]])
    for blockhash, datas in (
        (BLOCKHASH, [b"123"]),
        (BLOCKHASH, []),
        (BLOCKHASH[:31], [b"1234"]),
    ):
        with pytest.raises(ValueError, match="lengths"):
            template.render(blockhash, datas)


@pytest.mark.parametrize(
    "raw", [b"", b"\x80\x01\x00\x00\x01", b"\x01\x01\x00\x00\x01" + bytes(64), bytes(100)]
)
def test_what_is_not_a_v0_message_has_no_signers(raw: bytes) -> None:
    with pytest.raises(ValueError, match="not a version 0 message"):
        message_signers(raw)
