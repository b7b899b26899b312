"""Actions -> instructions, with the compute each one needs.

A wallet's change is one list of steps that must land together: cancels first, then one side after the other.
``ReplaceOrdersByClientIds`` places: its client ids make a second landing of the same orders harmless, and an
order that gives its id to a placement of the same change is withdrawn by it, without a cancel of its own.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TypeVar

import msgspec
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from bmv.chain.message import Names, Piece, Shape, joined, split
from bmv.events import Execute
from bmv.model import BID, Cancel, MarketSpec, Side
from bmv.services import compute
from bmv.services.accounts import WalletAccounts
from bmv.units import Lamports
from bmv.venue.openbook_v1 import instructions as openbook
from bmv.venue.openbook_v1.instructions import ORDER_BYTES, MarketKeys
from bmv.venue.openbook_v1.layouts import OPEN_ORDERS_SIZE
from bmv.venue.openbook_v1.queues import QueueEvent
from bmv.venue.system import create_account_with_seed, transfer
from bmv.venue.token import create_associated_token_account, sync_native

PER_INSTRUCTION = 8
"""Client ids, or orders, that one instruction takes."""
CRANK_FILLS = 12
CRANK_OWNERS = 16
CRANK_EVENTS = 60
CRANK_PARTS = 4
"""So many transactions of cranks go into a bundle of nothing else."""
_T = TypeVar("_T")


class Step(msgspec.Struct, frozen=True, gc=False):
    """One instruction, who pays and signs for it, and the compute units it may use."""

    payer: Pubkey
    piece: Piece
    units: int

    @classmethod
    def of(cls, payer: Pubkey, instruction: Instruction, units: int) -> "Step":
        """Return the step that runs an instruction."""
        return cls(payer, split(instruction), units)

    @property
    def instruction(self) -> Instruction:
        """Return the instruction as an object."""
        return joined(self.piece)


class Run(msgspec.Struct, frozen=True, gc=False):
    """The placements of one side of a change; any number of them, up to eight, can go into an instruction.

    ``names`` is whom their instruction names; ``orders`` are encoded, one by one.
    """

    payer: Pubkey
    names: Names
    orders: Sequence[bytes]

    def part(self, start: int, count: int) -> Step:
        """Return the instruction that places ``count`` of them from ``start`` on."""
        data = openbook.replace_orders_data(self.orders[start : start + count])
        return Step(self.payer, ((self.names, len(data)), data), compute.replaces(count))

    def after(self, count: int) -> "Run | None":
        """Return what is left after the first ``count``; None where nothing is."""
        left = self.orders[count:]
        return Run(self.payer, self.names, left) if left else None


Work = Step | Run


def replace_shape(names: Names, orders: int) -> Shape:
    """Return the shape of the instruction that names these and places so many orders."""
    return names, openbook.REPLACE_BYTES + ORDER_BYTES * orders


def change_steps(
    action: Execute, wallet: WalletAccounts, market: MarketKeys, spec: MarketSpec, valid_until: int
) -> list[Work]:
    """Return the work of one wallet's change; placements die after ``valid_until`` (unix seconds).

    The side of the first placement is placed first.
    """
    given = {place.client_id for place in action.places}
    alone = [cancel for cancel in action.cancels if cancel.client_id not in given]
    work: list[Work] = list(_cancel_steps(alone, wallet, market))
    first = action.places[0].side if action.places else BID
    for side in (first, first.opposite):
        places = [place for place in action.places if place.side is side]
        if places:
            orders = openbook.encode_post_only(places, spec.quote_lot_size, valid_until)
            work.append(Run(wallet.owner, _names(wallet, market, side), orders))
    return work


@lru_cache(maxsize=1024)
def _names(wallet: WalletAccounts, market: MarketKeys, side: Side) -> Names:
    """Return whom the instruction names that places a wallet's orders on a side."""
    payer = wallet.quote if side is Side.BID else wallet.base
    none = openbook.replace_orders_by_client_ids(market, wallet.open_orders, wallet.owner, payer, ())
    return split(none)[0][0]


def events_of(action: Execute) -> int:
    """Return how many events a change pushes into the queue at most."""
    return len(action.cancels) + len(action.places)


def _cancel_steps(cancels: Sequence[Cancel], wallet: WalletAccounts, market: MarketKeys) -> Iterator[Step]:
    named = [cancel for cancel in cancels if cancel.client_id]
    for chunk in _chunks(named):
        ids = [cancel.client_id for cancel in chunk]
        instruction = openbook.cancel_orders_by_client_ids(market, wallet.open_orders, wallet.owner, ids)
        yield Step.of(wallet.owner, instruction, compute.cancels(len(chunk)))
    for cancel in cancels:
        if not cancel.client_id:
            instruction = openbook.cancel_order(
                market, wallet.open_orders, wallet.owner, cancel.side, cancel.order_id
            )
            yield Step.of(wallet.owner, instruction, compute.cancels(1))


def crank_parts(front: Sequence[QueueEvent]) -> Iterator[Sequence[QueueEvent]]:
    """Cut the front of the queue into what one transaction cranks: so many events, of so many accounts."""
    start = 0
    while start < len(front):
        owners: set[bytes] = set()
        end = start
        while end < len(front) and end - start < CRANK_EVENTS:
            if len(owners | {front[end].owner}) > CRANK_OWNERS:
                break
            owners.add(front[end].owner)
            end += 1
        yield front[start:end]
        start = end


def crank_steps(part: Sequence[QueueEvent], payer: Pubkey, market: MarketKeys) -> list[Step]:
    """Return the ConsumeEvents for one part of the queue; empty when nothing waits.

    They name everyone whose event they cover (else the program consumes nothing). Each takes twelve events:
    the program runs out of heap at the 14th fill of an instruction, and until it lands others may have
    consumed what was read, and fills have come in its place.
    """
    owners = [Pubkey.from_bytes(owner) for owner in dict.fromkeys(event.owner for event in part)]
    return [
        Step.of(payer, openbook.consume_events(market, owners, count), compute.consumes(count, 0))
        for count in (min(CRANK_FILLS, len(part) - start) for start in range(0, len(part), CRANK_FILLS))
    ]


def own_crank_step(open_orders: Sequence[Pubkey], events: int, payer: Pubkey, market: MarketKeys) -> Step:
    """Return a ConsumeEvents for ``events`` outs that these accounts of ours have just pushed.

    Where a stranger's event stands before them it stops there; so of fills nobody knew of it meets one at
    most (a taker's own fill follows each), far from the 14th, at which the program runs out of heap.
    """
    data = openbook.consume_events_data(events)
    names = _cranked(market, tuple(open_orders))
    return Step(payer, ((names, len(data)), data), compute.consumes(1, events))


@lru_cache(maxsize=1024)
def _cranked(market: MarketKeys, open_orders: tuple[Pubkey, ...]) -> Names:
    """Return whom a crank of these accounts names."""
    return split(openbook.consume_events(market, open_orders, CRANK_EVENTS))[0][0]


def settle_steps(wallet: WalletAccounts, market: MarketKeys, open_orders: Pubkey | None = None) -> list[Step]:
    """Return the step that moves a wallet's free funds home, its own quote account being the referrer.

    They come from the OpenOrders account the wallet uses, or from another one of its.
    """
    source = wallet.open_orders if open_orders is None else open_orders
    instruction = openbook.settle_funds(
        market, source, wallet.owner, wallet.base, wallet.quote, referrer=wallet.quote
    )
    return [Step.of(wallet.owner, instruction, compute.SETTLE)]


def prepare_steps(
    wallet: WalletAccounts, market: MarketKeys, wrap: Lamports, open_orders_rent: Lamports | None
) -> list[Step]:
    """Return the steps that open a wallet's accounts and wrap ``wrap``.

    ``open_orders_rent`` is None where the OpenOrders account exists already.
    """
    owner = wallet.owner
    steps: list[Step] = []
    if open_orders_rent is not None:
        seed = openbook.open_orders_seed(market.market)
        create = create_account_with_seed(
            owner, wallet.open_orders, owner, seed, open_orders_rent, OPEN_ORDERS_SIZE, market.program
        )
        steps.append(Step.of(owner, create, compute.CREATE_WITH_SEED))
        opened = openbook.init_open_orders(market, wallet.open_orders, owner)
        steps.append(Step.of(owner, opened, compute.INIT_OPEN_ORDERS))
    for mint in (market.base_mint, market.quote_mint):
        account = create_associated_token_account(owner, owner, mint)
        steps.append(Step.of(owner, account, compute.CREATE_TOKEN_ACCOUNT))
    if wrap > Lamports(0):
        steps.append(Step.of(owner, transfer(owner, wallet.quote, wrap), compute.TRANSFER))
        steps.append(Step.of(owner, sync_native(wallet.quote), compute.SYNC_NATIVE))
    return steps


def _chunks(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), PER_INSTRUCTION):
        yield items[start : start + PER_INSTRUCTION]
