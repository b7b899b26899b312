"""NewOrderV3 and the two replaces.

Rules of this file
- An order is paid for up front: from what is free in OpenOrders, the rest from the payer's token account;
  what it turns out not to need becomes free, it is not sent back.
- A replace cancels by client id what it finds, then places its orders one after another.
Source: the program's state.rs (process_new_order_v3, NewOrderV3Args, ReplaceOrdersByClientIdsArgs).
"""

from typing import NamedTuple

from bmv.sandbox import spl_token
from bmv.sandbox.account import Account, Invocation
from bmv.sandbox.openbook.cancels import cancel_named
from bmv.sandbox.openbook.failure import U64, Code, asserted, panicked, refused
from bmv.sandbox.openbook.fees import fee_tier
from bmv.sandbox.openbook.instructions import (
    IMMEDIATE_OR_CANCEL,
    POST_ONLY,
    NewOrder,
    unpack_order,
    unpack_orders,
)
from bmv.sandbox.openbook.market import (
    Market,
    check_signer,
    check_token_program,
    load_market,
    token_account,
    token_balance,
)
from bmv.sandbox.openbook.matching import Book, Proceeds, Taker, match
from bmv.sandbox.openbook.open_orders import OpenOrders, load_open_orders
from bmv.sandbox.openbook.queues import next_order_id

_REPLACE_CANCELS_WITH = (0, 4, 5, 1, 7, 3)
"""Where a replace names the accounts of a cancel."""


class _Desk(NamedTuple):
    """Everything an order needs, checked."""

    book: Book
    open_orders: OpenOrders
    request_queue: bytearray
    payer: Account
    wallet: bytes
    base_vault: Account
    quote_vault: Account
    fee_tier: int
    now: int


def new_order(invocation: Invocation, body: bytes) -> None:
    """Run NewOrderV3."""
    _place_all(invocation, [unpack_order(body)])


def replace_one(invocation: Invocation, body: bytes) -> None:
    """Run ReplaceOrderByClientId."""
    _replace(invocation, [unpack_order(body)])


def replace_many(invocation: Invocation, body: bytes) -> None:
    """Run ReplaceOrdersByClientIds."""
    _replace(invocation, unpack_orders(body))


def _replace(invocation: Invocation, orders: list[NewOrder]) -> None:
    if len(invocation.accounts) <= max(_REPLACE_CANCELS_WITH):
        raise panicked("too few accounts")
    refs = [invocation.accounts[at] for at in _REPLACE_CANCELS_WITH]
    cancel_named(invocation, refs, {order.client_id for order in orders} - {0})
    if orders:
        _place_all(invocation, orders)


def _place_all(invocation: Invocation, orders: list[NewOrder]) -> None:
    """Place orders that share their accounts; only the payer's mint can fit one side and not another."""
    desk = _open_desk(invocation, orders[0].is_bid)
    for order in orders:
        _check_payer(desk.book.market, desk.payer, order.is_bid)
        _place(desk, order)
    desk.open_orders.store()
    desk.book.market.store()


def _open_desk(invocation: Invocation, is_bid: bool) -> _Desk:
    """Check the 12 accounts of an order (a 13th, once for fee discounts, changes nothing)."""
    refs = invocation.accounts
    if not 12 <= len(refs) <= 14:
        raise asserted(1873, "number of accounts")
    discount = token_account(refs[12]) if len(refs) == 13 else None
    if len(refs) == 14:
        raise asserted(1899, "number of accounts")
    market_ref, oo_ref, requests_ref, events_ref, bids_ref, asks_ref, payer_ref, wallet = refs[:8]
    market = load_market(market_ref, invocation.program_id)
    check_signer(wallet)
    if discount is not None and discount.data[32:64] != wallet.key:
        raise asserted(553, "fee discount account of somebody else")
    request_queue = market.request_queue(requests_ref)
    events = market.event_queue(events_ref)
    payer = token_account(payer_ref)
    _check_payer(market, payer, is_bid)
    base_vault, quote_vault = market.base_vault(refs[8]), market.quote_vault(refs[9])
    check_token_program(refs[10])
    bids, asks = market.sides(bids_ref, asks_ref, (1927, 1928))
    return _Desk(
        Book(market, bids, asks, events, invocation.logs),
        load_open_orders(oo_ref, market, wallet, can_create=True),
        request_queue,
        payer,
        wallet.key,
        base_vault,
        quote_vault,
        fee_tier(market.own_address),
        invocation.unix_timestamp,
    )


def _check_payer(market: Market, payer: Account, is_bid: bool) -> None:
    if not market.is_payer_mint(payer, is_bid):
        raise asserted(1919 if is_bid else 1920, "payer is not of the mint this side pays with")


def _place(desk: _Desk, order: NewOrder) -> None:
    if desk.now > order.max_ts:
        raise refused(Code.ORDER_MAX_TIMESTAMP_EXCEEDED)
    open_orders, is_bid = desk.open_orders, order.is_bid
    deposit = _lock_quote(desk, order.max_quote) if is_bid else _lock_base(desk, order.lots)
    order_id = next_order_id(desk.request_queue, is_bid, order.price)
    slot = open_orders.take_slot(order_id, is_bid, order.client_id)
    taker = Taker(
        is_bid,
        order.price,
        order_id,
        open_orders.key,
        slot,
        desk.fee_tier,
        order.client_id,
        order.self_trade,
        post_only=order.order_type == POST_ONLY,
        may_post=order.order_type != IMMEDIATE_OR_CANCEL,
        lots=order.lots,
        locked=order.max_quote,
    )
    _credit(open_orders, match(desk.book, taker, order.limit), desk.book.market.base_lot)
    if deposit:
        vault = desk.quote_vault if is_bid else desk.base_vault
        spl_token.transfer(desk.payer, vault, desk.wallet, deposit)


def _lock_quote(desk: _Desk, atoms: int) -> int:
    """Lock what a bid may spend; return how much of it the payer owes."""
    open_orders, market = desk.open_orders, desk.book.market
    from_free = min(atoms, open_orders.quote_free)
    deposit = atoms - from_free
    if token_balance(desk.payer) < deposit:
        raise refused(Code.INSUFFICIENT_FUNDS)
    open_orders.quote_free -= from_free
    open_orders.quote_total += deposit
    market.quote_deposits += deposit
    if open_orders.quote_total > U64 or market.quote_deposits > U64:
        raise panicked("too much quote")
    return deposit


def _lock_base(desk: _Desk, lots: int) -> int:
    """Lock what an ask may sell; return how much of it the payer owes."""
    open_orders, market = desk.open_orders, desk.book.market
    atoms = lots * market.base_lot
    from_free = min(atoms, open_orders.base_free)
    deposit = atoms - from_free
    if atoms > U64 or token_balance(desk.payer) < deposit:
        raise refused(Code.INSUFFICIENT_FUNDS)
    open_orders.base_free -= from_free
    open_orders.base_total += deposit
    market.base_deposits += deposit
    if open_orders.base_total > U64 or market.base_deposits > U64:
        raise panicked("too much base")
    return deposit


def _credit(open_orders: OpenOrders, proceeds: Proceeds, base_lot: int) -> None:
    """Book what matching brought and took; panics where the account cannot bear it."""
    open_orders.base_total += proceeds.base_credit * base_lot
    open_orders.unlock(False, (proceeds.base_credit + proceeds.base_unlocked) * base_lot)
    open_orders.quote_total += proceeds.quote_credit
    open_orders.unlock(True, proceeds.quote_credit + proceeds.quote_unlocked)
    if open_orders.base_total > U64 or open_orders.quote_total > U64:
        raise panicked("too much of something")
    open_orders.base_total -= proceeds.base_debit * base_lot
    open_orders.quote_total -= proceeds.quote_debit
    if open_orders.base_total < 0 or open_orders.quote_total < 0:
        raise panicked("more paid than there was")
    if open_orders.base_free > open_orders.base_total:
        raise asserted(3276, "more base free than there is")
    if open_orders.quote_free > open_orders.quote_total:
        raise asserted(3277, "more quote free than there is")
