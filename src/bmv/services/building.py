"""Actions -> instructions, with the compute each one needs.

A wallet's change is one list of steps that must land together: cancels first, then bids, then asks.
``ReplaceOrdersByClientIds`` places: its client ids make a second landing of the same orders harmless.
Compute figures: docs/layouts.md (measured on the compiled program), with a margin of a fifth.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from bmv.events import Execute
from bmv.model import Cancel, MarketSpec, Placement, Side
from bmv.services.accounts import WalletAccounts
from bmv.units import Lamports, notional
from bmv.venue.openbook_v1 import instructions as openbook
from bmv.venue.openbook_v1.instructions import MarketKeys, NewOrder, OrderType, SelfTrade
from bmv.venue.openbook_v1.layouts import OPEN_ORDERS_SIZE
from bmv.venue.openbook_v1.queues import QueueEvent
from bmv.venue.system import create_account_with_seed, transfer
from bmv.venue.token import create_associated_token_account, sync_native

IDS_PER_INSTRUCTION = 8
CRANK_FILLS = 12
CRANK_OWNERS = 20
CRANK_EVENTS = 60
_NO_MATCH_LIMIT = 65_535
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction, who pays and signs for it, and the compute units it may use."""

    payer: Pubkey
    instruction: Instruction
    units: int


def change_steps(
    action: Execute, wallet: WalletAccounts, market: MarketKeys, spec: MarketSpec, valid_until: int
) -> list[Step]:
    """Return the steps of one wallet's change; placements die after ``valid_until`` (unix seconds)."""
    steps = list(_cancel_steps(action.cancels, wallet, market))
    for side in Side:
        places = [place for place in action.places if place.side is side]
        payer = wallet.quote if side is Side.BID else wallet.base
        for chunk in _chunks(places):
            orders = [_new_order(place, spec, valid_until) for place in chunk]
            instruction = openbook.replace_orders_by_client_ids(
                market, wallet.open_orders, wallet.owner, payer, orders
            )
            steps.append(Step(wallet.owner, instruction, _with_margin(12_000 + 9_000 * len(chunk))))
    return steps


def _cancel_steps(cancels: Sequence[Cancel], wallet: WalletAccounts, market: MarketKeys) -> Iterator[Step]:
    named = [cancel for cancel in cancels if cancel.client_id]
    for chunk in _chunks(named):
        ids = [cancel.client_id for cancel in chunk]
        instruction = openbook.cancel_orders_by_client_ids(market, wallet.open_orders, wallet.owner, ids)
        yield Step(wallet.owner, instruction, _with_margin(4_000 + 2_000 * len(chunk)))
    for cancel in cancels:
        if not cancel.client_id:
            instruction = openbook.cancel_order(
                market, wallet.open_orders, wallet.owner, cancel.side, cancel.order_id
            )
            yield Step(wallet.owner, instruction, _with_margin(6_000))


def _new_order(place: Placement, spec: MarketSpec, valid_until: int) -> NewOrder:
    return NewOrder(
        side=place.side,
        price=int(place.price),
        size=int(place.size),
        max_quote=int(notional(place.price, place.size, spec.quote_lot_size)),
        self_trade=SelfTrade.ABORT,
        order_type=OrderType.POST_ONLY,
        client_id=place.client_id,
        limit=_NO_MATCH_LIMIT,
        max_ts=valid_until,
    )


def crank_steps(front: Sequence[QueueEvent], payer: WalletAccounts, market: MarketKeys) -> list[Step]:
    """Return one ConsumeEvents for the front of the queue; empty when nothing waits.

    It names everyone whose event it covers (else the program consumes nothing) and stops before the 13th
    fill (the program runs out of heap at the 14th).
    """
    owners: list[Pubkey] = []
    fills = covered = 0
    for event in front[:CRANK_EVENTS]:
        owner = Pubkey.from_bytes(event.owner)
        fills += event.is_fill
        if fills > CRANK_FILLS or (owner not in owners and len(owners) == CRANK_OWNERS):
            break
        if owner not in owners:
            owners.append(owner)
        covered += 1
    if not covered:
        return []
    instruction = openbook.consume_events(market, owners, covered)
    return [Step(payer.owner, instruction, _with_margin(8_000 + 2_500 * covered))]


def settle_steps(wallet: WalletAccounts, market: MarketKeys) -> list[Step]:
    """Return the step that moves a wallet's free funds home, its own quote account being the referrer."""
    instruction = openbook.settle_funds(
        market, wallet.open_orders, wallet.owner, wallet.base, wallet.quote, referrer=wallet.quote
    )
    return [Step(wallet.owner, instruction, _with_margin(22_000))]


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
        steps.append(Step(owner, create, 3_000))
        steps.append(Step(owner, openbook.init_open_orders(market, wallet.open_orders, owner), 5_000))
    for mint in (market.base_mint, market.quote_mint):
        steps.append(Step(owner, create_associated_token_account(owner, owner, mint), 40_000))
    if wrap > Lamports(0):
        steps.append(Step(owner, transfer(owner, wallet.quote, wrap), 1_000))
        steps.append(Step(owner, sync_native(wallet.quote), 5_000))
    return steps


def _with_margin(units: int) -> int:
    return units * 6 // 5


def _chunks(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), IDS_PER_INSTRUCTION):
        yield items[start : start + IDS_PER_INSTRUCTION]
