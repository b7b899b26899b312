"""Jupiter's swap program and its service's answers: what is in them, and whether our key may sign that.

An answer is code for our key written by somebody else. So nothing of it is signed but the swap itself; what
that needs around it we build. ``unlawful`` names the first thing that is wrong with an answer, in anything it
holds: who lies in one place is not believed in another.

Rules of this file
- The swap is an exact-in route of the one program, for exactly the amount asked, from the taker's own token
  account of the one mint to that of the other, without a fee for anybody, and guarantees what we ask for.
- Only the taker signs. Of our other accounts none is named.
- What it would set up is token accounts of the taker, and what it would clean up is the taker's wrapped SOL.
- Lookup tables hold on the chain what the answer says they hold.
- The blockhash is not taken; one that has expired shows that the answer is old.

Layouts (borsh, little-endian; the program's IDL, ``route_v2`` and ``shared_accounts_route_v2``)::

    discriminator 8 | (shared: id u8) | amount in u64 | quoted amount out u64 | slippage bps u16
    | platform fee bps u16 | positive slippage bps u16 | route plan
"""

import hashlib
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from bmv.errors import BadBytes
from bmv.units import BlockHeight, Bps
from bmv.venue.system import COMPUTE_BUDGET_PROGRAM
from bmv.venue.token import (
    TOKEN_PROGRAM,
    WRAPPED_SOL,
    associated_token_address,
    close_account,
    create_associated_token_account,
)

JUPITER = Pubkey.from_string("JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4")
USDC = Pubkey.from_string("EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v")
EVENT_AUTHORITY = Pubkey.find_program_address([b"__event_authority"], JUPITER)[0]
MAX_ACCOUNTS = 64
MAX_TABLES = 8
MAX_UNIT_PRICE = 5_000_000
"""Micro-lamports a unit. We never take an answer's price; one that asks for more wants our money burnt."""
FRESH_S = 30
BPS = 10_000

_AMOUNTS = struct.Struct("<QQHHH")
_UNIT_PRICE, _UNIT_LIMIT = 3, 2
_MAX_UNITS = 1_400_000


class _Form(NamedTuple):
    """One form of the instruction: where its amounts begin, and which account stands where."""

    amounts_at: int
    authority: int
    source: int
    destination: int
    mints: tuple[int, int]
    token_programs: tuple[int, int]
    event_authority: int
    program: int
    other_destination: int | None = None


def _tag(name: str) -> bytes:
    return hashlib.sha256(f"global:{name}".encode()).digest()[:8]


_FORMS = {
    _tag("route_v2"): _Form(8, 0, 1, 2, (3, 4), (5, 6), 8, 9, 7),
    _tag("shared_accounts_route_v2"): _Form(9, 1, 2, 5, (6, 7), (8, 9), 10, 11),
}


class SwapOrder(msgspec.Struct, frozen=True):
    """What we want: ``amount`` atoms of the one mint, into at least ``at_least`` of the other."""

    taker: Pubkey
    input_mint: Pubkey
    output_mint: Pubkey
    amount: int
    at_least: int
    max_slippage: Bps

    @property
    def source(self) -> Pubkey:
        """Return the taker's token account that is spent from."""
        return associated_token_address(self.taker, self.input_mint)

    @property
    def destination(self) -> Pubkey:
        """Return the taker's token account that receives."""
        return associated_token_address(self.taker, self.output_mint)


class Build(msgspec.Struct, frozen=True):
    """An answer of the service, decoded, not believed; amounts in atoms, ``fetched_at`` in unix seconds."""

    input_mint: Pubkey
    output_mint: Pubkey
    spends: int
    brings: int
    at_least: int
    slippage_bps: int
    budget: tuple[Instruction, ...]
    setup: tuple[Instruction, ...]
    swap: Instruction
    cleanup: Instruction | None
    others: tuple[Instruction, ...]
    tip: Instruction | None
    tables: dict[Pubkey, tuple[Pubkey, ...]]
    last_valid: BlockHeight
    fetched_at: int


class Route(NamedTuple):
    """The amounts in a swap's own data: what the program will hold itself to."""

    spends: int
    quoted: int
    slippage_bps: int
    platform_fee_bps: int
    positive_slippage_bps: int

    @property
    def at_least(self) -> int:
        """Return the least the program lets the swap bring, rounded down."""
        return self.quoted * (BPS - self.slippage_bps) // BPS


class Surroundings(msgspec.Struct, frozen=True):
    """What we know ourselves: tables as the chain has them, the block height, the time in unix seconds.

    ``ours`` are accounts of ours that a swap has no business with.
    """

    tables: Mapping[Pubkey, Sequence[Pubkey]]
    height: BlockHeight
    now: int
    ours: frozenset[Pubkey]


def decode_route(data: bytes) -> Route:
    """Read the amounts of a swap's data; raise BadBytes where it is no exact-in route."""
    form = _FORMS.get(data[:8])
    if form is None:
        raise BadBytes("jupiter swap", f"an unknown instruction {data[:8].hex()}")
    if len(data) < form.amounts_at + _AMOUNTS.size + 4:
        raise BadBytes("jupiter swap", f"only {len(data)} bytes")
    return Route(*_AMOUNTS.unpack_from(data, form.amounts_at))


def swap_receivers(data: bytes) -> tuple[int, int, int | None]:
    """Return which accounts of a swap are its source and its destination, and which may stand for the latter.

    The third is given as the program itself where it is not used. Raises BadBytes as ``decode_route`` does.
    """
    decode_route(data)
    form = _FORMS[data[:8]]
    return form.source, form.destination, form.other_destination


def unlawful(build: Build, order: SwapOrder, known: Surroundings) -> str | None:
    """Return why nothing of ``build`` may be signed for ``order``; None where its swap may."""
    return next(_complaints(build, order, known), None)


def _complaints(build: Build, order: SwapOrder, known: Surroundings) -> Iterator[str]:
    """Yield what is wrong; each part may rely on those before it having found nothing."""
    yield from _about_terms(build, order)
    yield from _about_swap(build, order)
    yield from _about_accounts(build.swap, order, known)
    yield from _about_surroundings(build, order)
    for one in build.budget:
        yield from _about_budget(one)
    yield from _about_tables(build, known)
    if build.last_valid <= known.height:
        yield "its blockhash has expired"
    if abs(known.now - build.fetched_at) > FRESH_S:
        yield "it is not of now"


def _about_terms(build: Build, order: SwapOrder) -> Iterator[str]:
    if (build.input_mint, build.output_mint) != (order.input_mint, order.output_mint):
        yield "it swaps other tokens"
    if build.spends != order.amount:
        yield "it spends another amount"
    if build.at_least < order.at_least:
        yield "it guarantees less than we accept"
    if build.brings < build.at_least or build.slippage_bps > int(order.max_slippage):
        yield "its terms contradict themselves, or allow too much slippage"


def _about_swap(build: Build, order: SwapOrder) -> Iterator[str]:
    """Judge the program and the amounts in the swap's own data; what is said beside it are only words."""
    if build.swap.program_id != JUPITER:
        yield f"its swap calls {build.swap.program_id}"
    try:
        route = decode_route(bytes(build.swap.data))
    except BadBytes as error:
        yield f"its swap is {error.why}"
        return
    if route.spends != order.amount:
        yield "its swap spends another amount"
    if route.quoted != build.brings:
        yield "its swap and its words differ"
    if route.slippage_bps > int(order.max_slippage):
        yield "its swap allows too much slippage"
    if route.at_least < order.at_least:
        yield "its swap guarantees less than we accept"
    if route.platform_fee_bps or route.positive_slippage_bps:
        yield "its swap takes a fee"


def _about_accounts(swap: Instruction, order: SwapOrder, known: Surroundings) -> Iterator[str]:
    form, keys = _FORMS[bytes(swap.data)[:8]], [meta.pubkey for meta in swap.accounts]
    if not form.program < len(keys) <= MAX_ACCOUNTS:
        yield f"its swap names {len(keys)} accounts"
    pinned = {
        form.authority: (order.taker, "another wallet's tokens are spent"),
        form.source: (order.source, "another account is spent from"),
        form.destination: (order.destination, "what it brings goes elsewhere"),
        form.mints[0]: (order.input_mint, "another token is spent"),
        form.mints[1]: (order.output_mint, "another token is bought"),
        form.token_programs[0]: (TOKEN_PROGRAM, "another token program is called"),
        form.token_programs[1]: (TOKEN_PROGRAM, "another token program is called"),
        form.event_authority: (EVENT_AUTHORITY, "another event authority is named"),
        form.program: (JUPITER, "another program is named"),
    }
    for place, (key, why) in pinned.items():
        if keys[place] != key:
            yield why
    other = form.other_destination
    if other is not None and keys[other] not in (JUPITER, order.destination):
        yield "what it brings goes elsewhere"
    if any(meta.is_signer and meta.pubkey != order.taker for meta in swap.accounts):
        yield "somebody else would have to sign"
    if not known.ours.isdisjoint(keys):
        yield "it names an account of ours that it has no business with"


def _about_surroundings(build: Build, order: SwapOrder) -> Iterator[str]:
    """Judge what stands around the swap, though none of it is taken."""
    mints = (order.input_mint, order.output_mint)
    lawful = [_bare(create_associated_token_account(order.taker, order.taker, mint)) for mint in mints]
    if any(_bare(one) not in lawful or bytes(one.data) not in (b"", b"\0", b"\1") for one in build.setup):
        yield "its setup holds more than token accounts of ours"
    wrapped = associated_token_address(order.taker, WRAPPED_SOL)
    if build.cleanup is not None and build.cleanup != close_account(wrapped, order.taker, order.taker):
        yield "its cleanup is something else"
    if build.others:
        yield "it holds further instructions"
    if build.tip is not None:
        yield "it pays a tip"


def _bare(instruction: Instruction) -> tuple[Pubkey, tuple[Pubkey, ...], bool]:
    """Return an instruction as program and accounts, and whether nobody but the first of them signs."""
    keys = tuple(meta.pubkey for meta in instruction.accounts)
    return instruction.program_id, keys, not any(meta.is_signer for meta in instruction.accounts[1:])


def _about_budget(instruction: Instruction) -> Iterator[str]:
    data = bytes(instruction.data)
    value = int.from_bytes(data[1:], "little")
    if instruction.program_id != COMPUTE_BUDGET_PROGRAM or instruction.accounts:
        yield "its compute budget is something else"
    elif data[:1] == bytes([_UNIT_PRICE]) and len(data) == 9:
        if value > MAX_UNIT_PRICE:
            yield f"it pays {value} micro-lamports a unit"
    elif data[:1] != bytes([_UNIT_LIMIT]) or len(data) != 5 or value > _MAX_UNITS:
        yield "its compute budget is something else"


def _about_tables(build: Build, known: Surroundings) -> Iterator[str]:
    if len(build.tables) > MAX_TABLES:
        yield f"it names {len(build.tables)} lookup tables"
    for table, addresses in build.tables.items():
        on_chain = known.tables.get(table)
        if on_chain is None or tuple(on_chain[: len(addresses)]) != addresses:
            yield f"the lookup table {table} holds something else"
