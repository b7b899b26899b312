"""Price-time matching of one new order against the book, and the events and totals it leaves.

Rules of this file
- One pass takes from one resting order; ``limit`` passes may take, after that the order only posts.
- Every fill pushes maker Fill, Out of an exhausted maker, taker Fill, in this order.
- Bids always end with an Out that tells what stays locked; asks only where something is given back.
- Self-trade means the same OpenOrders account. An ask's Out in a self-trade counts what stays locked in
  lots, not atoms: the program's own slip, kept.
- A full side drops its worst order, be it better than the one that comes.
Source: the program's matching.rs.
"""

from dataclasses import dataclass
from typing import NamedTuple

from bmv.sandbox.openbook.failure import U64, Code, panicked, refused
from bmv.sandbox.openbook.fees import maker_rebate, referrer_rebate, taker_fee, without_taker_fee
from bmv.sandbox.openbook.instructions import ABORT_TRANSACTION, CANCEL_PROVIDE
from bmv.sandbox.openbook.market import Market
from bmv.sandbox.openbook.open_orders import OpenOrders
from bmv.sandbox.openbook.queues import BID, FILL, MAKER, OUT, RELEASE, Event, EventQueue
from bmv.sandbox.openbook.slab import Leaf, Slab


class Book(NamedTuple):
    """What matching works on."""

    market: Market
    bids: Slab
    asks: Slab
    events: EventQueue
    logs: list[str]


@dataclass(slots=True)
class Taker:
    """An order on its way through the book: ``lots`` and (bids) ``locked`` quote atoms are left."""

    is_bid: bool
    price: int
    order_id: int
    owner: bytes
    owner_slot: int
    fee_tier: int
    client_id: int
    self_trade: int
    post_only: bool
    may_post: bool
    lots: int
    locked: int


@dataclass(slots=True)
class Proceeds:
    """What the taker's OpenOrders account gets and gives: base in lots, quote in atoms."""

    base_unlocked: int = 0
    quote_unlocked: int = 0
    base_credit: int = 0
    quote_credit: int = 0
    base_debit: int = 0
    quote_debit: int = 0


class _Match(NamedTuple):
    """The resting order a pass met, and how many lots of it would trade."""

    handle: int
    maker: Leaf
    lots: int


def match(book: Book, taker: Taker, limit: int) -> Proceeds:
    """Run the order through the book, at most ``limit`` passes that may take, and post what may stay."""
    proceeds = Proceeds()
    one_pass = _bid_pass if taker.is_bid else _ask_pass
    while limit:
        if not one_pass(book, taker, proceeds):
            return proceeds
        limit -= 1
    taker.post_only = taker.may_post = True
    one_pass(book, taker, proceeds)
    return proceeds


def _bid_pass(book: Book, taker: Taker, proceeds: Proceeds) -> bool:
    """Take from the best ask, or end the order; return whether there is more to take."""
    market = book.market
    if not market.quote_lot:
        raise panicked("quote lot is zero")
    spendable = without_taker_fee(taker.fee_tier, taker.locked) // market.quote_lot
    best = book.asks.best()
    crossed = best is not None and taker.price >= book.asks.price(best)
    traded = quote = fee = 0
    if best is not None and crossed and not taker.post_only:
        maker = book.asks.leaf(best)
        traded = min(maker.quantity, taker.lots, spendable // maker.price)
        if traded:
            met = _Match(best, maker, traded)
            if maker.owner == taker.owner:
                return _bid_meets_itself(book, taker, proceeds, met)
            quote, fee = _fill(book, taker, met)
    taker.lots -= traded
    taker.locked = (taker.locked - quote - fee) & U64
    proceeds.base_credit += traded
    proceeds.quote_debit += quote + fee
    if traded and taker.lots and taker.locked:
        return True
    _end_bid(book, taker, proceeds, may_post=taker.may_post and not crossed)
    return False


def _ask_pass(book: Book, taker: Taker, proceeds: Proceeds) -> bool:
    """Take from the best bid, or end the order; return whether there is more to take."""
    best = book.bids.best()
    crossed = best is not None and taker.price <= book.bids.price(best)
    traded = quote = fee = 0
    if best is not None and crossed and not taker.post_only:
        maker = book.bids.leaf(best)
        traded = min(maker.quantity, taker.lots)
        met = _Match(best, maker, traded)
        if maker.owner == taker.owner:
            return _ask_meets_itself(book, taker, proceeds, met)
        quote, fee = _fill(book, taker, met)
    taker.lots -= traded
    proceeds.quote_credit += (quote - fee) & U64
    proceeds.base_debit += traded
    if traded and taker.lots:
        return True
    if taker.may_post and not crossed and taker.lots:
        _post(book, taker, taker.lots)
    else:
        proceeds.base_unlocked += taker.lots
        _push_out(book, taker, taker.lots * book.market.base_lot, 0)
    return False


def _fill(book: Book, taker: Taker, met: _Match) -> tuple[int, int]:
    """Trade with a resting order; return the quote atoms that changed hands and the taker's fee on them."""
    handle, maker, lots = met
    market = book.market
    makers = book.asks if taker.is_bid else book.bids
    base = lots * market.base_lot & U64
    quote = lots * maker.price * market.quote_lot & U64
    rebate = maker_rebate(maker.fee_tier, quote)
    received, paid = ((quote + rebate) & U64, base) if taker.is_bid else (base, quote - rebate)
    makers_side = 0 if taker.is_bid else BID
    book.events.push(
        Event(
            FILL | MAKER | makers_side,
            maker.owner_slot,
            maker.fee_tier,
            received,
            paid,
            rebate,
            maker.order_id,
            maker.owner,
            maker.client_id,
        )
    )
    if lots == maker.quantity:
        _push_release(book, maker, makers_side, 0, 0)
        makers.remove(maker.order_id)
    else:
        makers.set_quantity(handle, maker.quantity - lots)
    fee = taker_fee(taker.fee_tier, quote)
    if quote:
        received, paid = (base, (quote + fee) & U64) if taker.is_bid else ((quote - fee) & U64, base)
        book.events.push(
            Event(
                FILL | BID if taker.is_bid else FILL,
                taker.owner_slot,
                taker.fee_tier,
                received,
                paid,
                fee,
                taker.order_id,
                taker.owner,
                taker.client_id,
            )
        )
    referrer = referrer_rebate(fee)
    market.rebates += referrer
    market.quote_fees += fee - rebate - referrer
    market.quote_deposits -= fee - rebate
    return quote, fee


def _push_out(book: Book, taker: Taker, unlocked: int, still_locked: int) -> None:
    """Tell the crank what of the taker is free now and what stays locked; nothing locked frees the slot."""
    book.events.push(
        Event(
            OUT | BID if taker.is_bid else OUT,
            taker.owner_slot,
            0,
            unlocked & U64,
            still_locked & U64,
            0,
            taker.order_id,
            taker.owner,
            taker.client_id,
        )
    )


def _push_release(book: Book, maker: Leaf, side: int, released: int, still_locked: int) -> None:
    """Tell the crank to free what a resting order loses: it ran out, gave way or was dropped."""
    book.events.push(
        Event(
            OUT | RELEASE | side,
            maker.owner_slot,
            0,
            released & U64,
            still_locked & U64,
            0,
            maker.order_id,
            maker.owner,
            maker.client_id,
        )
    )


def _give_way(book: Book, taker: Taker, met: _Match) -> int:
    """Take back the taker's own resting order, all or the met part; return the lots the taker gives up."""
    if taker.self_trade == ABORT_TRANSACTION:
        raise refused(Code.WOULD_SELF_TRADE)
    handle, maker, lots = met
    given, taken = (maker.quantity, 0) if taker.self_trade == CANCEL_PROVIDE else (lots, lots)
    left = maker.quantity - given
    if taker.is_bid:
        makers, side, unit = book.asks, 0, book.market.base_lot
    else:
        makers, side, unit = book.bids, BID, maker.price * book.market.quote_lot
    _push_release(book, maker, side, given * unit, left * unit)
    if left:
        makers.set_quantity(handle, left)
    else:
        makers.remove(maker.order_id)
    return taken


def _bid_meets_itself(book: Book, taker: Taker, proceeds: Proceeds, met: _Match) -> bool:
    given_up = _give_way(book, taker, met)
    unlocked = given_up * met.maker.price * book.market.quote_lot & U64
    taker.lots -= given_up
    locked = (taker.locked - unlocked) & U64
    if not taker.lots or not locked:
        unlocked, locked = taker.locked, 0
    taker.locked = locked
    proceeds.quote_unlocked += unlocked
    _push_out(book, taker, unlocked, locked)
    return bool(locked)


def _ask_meets_itself(book: Book, taker: Taker, proceeds: Proceeds, met: _Match) -> bool:
    given_up = _give_way(book, taker, met)
    taker.lots -= given_up
    _push_out(book, taker, given_up * book.market.base_lot, taker.lots)
    proceeds.base_unlocked += given_up
    return taker.lots > 0


def _end_bid(book: Book, taker: Taker, proceeds: Proceeds, may_post: bool) -> None:
    """Post what the locked quote still buys, if anything may be posted, and give the rest back."""
    quote_lot = book.market.quote_lot
    lots = min(taker.lots, taker.locked // quote_lot // taker.price) if may_post else 0
    still_locked = lots * taker.price * quote_lot
    proceeds.quote_unlocked += taker.locked - still_locked
    _push_out(book, taker, taker.locked - still_locked, still_locked)
    if lots:
        _post(book, taker, lots)


def _post(book: Book, taker: Taker, lots: int) -> None:
    """Put ``lots`` on the book; a full side makes room by dropping its worst order."""
    side = book.bids if taker.is_bid else book.asks
    leaf = Leaf(taker.owner_slot, taker.fee_tier, taker.order_id, taker.owner, lots, taker.client_id)
    if side.insert(leaf):
        return
    book.logs.append(f"Program log: {'bids' if taker.is_bid else 'offers'} full! booting...")
    worst = side.remove_worst()
    unit = worst.price * book.market.quote_lot if taker.is_bid else book.market.base_lot
    _push_release(book, worst, BID if taker.is_bid else 0, worst.quantity * unit, 0)
    side.insert(leaf)


def cancel(book: Book, open_orders: OpenOrders, order_id: int, is_bid: bool) -> None:
    """Take one order off the book and unlock its funds; raises ORDER_NOT_FOUND or ORDER_NOT_YOURS."""
    leaf = (book.bids if is_bid else book.asks).remove(order_id)
    if leaf is None:
        raise refused(Code.ORDER_NOT_FOUND)
    release(book, open_orders, leaf, is_bid)


def release(book: Book, open_orders: OpenOrders, leaf: Leaf, is_bid: bool) -> None:
    """Unlock the funds of an order just taken off the book and tell the crank; raises ORDER_NOT_YOURS."""
    if leaf.owner != open_orders.key:
        raise refused(Code.ORDER_NOT_YOURS)
    unit = leaf.price * book.market.quote_lot if is_bid else book.market.base_lot
    unlocked = leaf.quantity * unit & U64
    open_orders.unlock(is_bid, unlocked)
    book.events.push(
        Event(
            OUT | BID if is_bid else OUT,
            leaf.owner_slot,
            0,
            unlocked,
            0,
            0,
            leaf.order_id,
            leaf.owner,
            leaf.client_id,
        )
    )
