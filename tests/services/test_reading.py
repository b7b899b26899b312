"""Readings of the emulator's account bytes, and of event queues forged byte by byte."""

import asyncio
import struct
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from bmv.app.truth import standing_orders
from bmv.app.world import World, WorldOptions
from bmv.chain.rpc import ACCOUNTS_PER_CALL, AccountImage, AccountsAt
from bmv.config import Settings
from bmv.errors import BadBytes
from bmv.model import Side
from bmv.sandbox.clock import LoopClock
from bmv.services.accounts import market_keys
from bmv.services.reading import Reader
from bmv.units import LAMPORTS_PER_SOL, Lamports, Millis, Slot
from bmv.venue.openbook_v1.addresses import OPENBOOK_V1
from bmv.venue.openbook_v1.codec import decode_market
from tests.services.living_world import (
    START_MS,
    Living,
    StillClock,
    accounts_of,
    image,
    living,
    reading,
    virtually,
)

AT = Millis(START_MS)
FILL, OUT, BID, MAKER = 1, 2, 4, 8
RING = 16


@dataclass
class ForgedQueue:
    """An event queue laid out by hand: 13 + 24 bytes of header, 88 bytes an event, in a ring of ``RING``."""

    events: list[bytes] = field(default_factory=list)
    consumed: int = 0

    def push(self, flags: int, owner: bytes, *, price: int, released: int, paid: int, fee: int = 0) -> None:
        """Append an event of an order at ``price`` ticks."""
        numbers = struct.pack("<QQQQQ", released, paid, fee, len(self.events), price)
        self.events.append(struct.pack("<BBB5x", flags, 0, 0) + numbers + owner + bytes(8))

    def trade(
        self, maker: bytes, taker: bytes, *, side: Side, price: int, lots: int, lot: int, ql: int
    ) -> None:
        """Append what one match pushes: the maker's fill, then the taker's."""
        base, quote = lots * lot, lots * price * ql
        buy, sell = (base, quote), (quote, base)
        own, other = (buy, sell) if side is Side.BID else (sell, buy)
        flag, opposite = (BID, 0) if side is Side.BID else (0, BID)
        self.push(FILL | MAKER | flag, maker, price=price, released=own[0], paid=own[1], fee=7)
        self.push(FILL | opposite, taker, price=price, released=other[0], paid=other[1], fee=9)

    def data(self) -> bytes:
        """Return the account's bytes."""
        ring = [bytes(88)] * RING
        for seq, event in enumerate(self.events):
            ring[seq % RING] = event
        count = len(self.events) - self.consumed
        head = struct.pack("<QQQ", self.consumed % RING, count, len(self.events))
        return b"serum" + struct.pack("<Q", 1 | 16) + head + b"".join(ring) + b"padding"


class Bench:
    """A world at its genesis and a reader of it, with a queue to forge."""

    def __init__(self) -> None:
        self.world = World(WorldOptions(wallets=2), StillClock(), idle_slots_told=False)
        self.wallets = accounts_of(self.world)
        market = image(self.world, self.world.market)
        assert market is not None
        self.keys = market_keys(self.world.market, OPENBOOK_V1, decode_market(market.data))
        self.reader = self.new_reader()
        self.queue = ForgedQueue()
        self.lot, self.ql = self.world.spec.base_lot_size, self.world.spec.quote_lot_size
        self.ours = [bytes(wallet.open_orders) for wallet in self.wallets]
        self.stranger = bytes(Pubkey.new_unique())

    def new_reader(self) -> Reader:
        """Return a reader that has read nothing."""
        return Reader(self.world.spec, self.keys, self.wallets, Settings)

    def accounts(self, slot: int = 1) -> AccountsAt:
        """Return a reading of the world with the forged queue in it."""
        found = reading(self.world, self.reader.keys, slot)
        old = found.accounts[2]
        assert old is not None
        found.accounts[2] = AccountImage(old.lamports, old.owner, self.queue.data())
        return found

    def trade(
        self, maker: bytes, taker: bytes, side: Side = Side.BID, price: int = 12_000, lots: int = 3
    ) -> None:
        """Forge a match."""
        self.queue.trade(maker, taker, side=side, price=price, lots=lots, lot=self.lot, ql=self.ql)


BENCH = Bench()


@pytest.fixture
def bench() -> Bench:
    fresh = Bench()
    fresh.reader.read(AT, fresh.accounts())
    return fresh


def test_the_first_reading_tells_every_wallet_and_later_ones_only_what_changed() -> None:
    bench = Bench()
    assert [view.wallet for view in bench.reader.read(AT, bench.accounts()).wallets] == [0, 1]
    assert bench.reader.read(AT, bench.accounts()).wallets == ()
    changed = bench.accounts()
    place = bench.reader.keys.index(bench.wallets[1].owner)
    owner = changed.accounts[place]
    assert owner is not None
    changed.accounts[place] = AccountImage(Lamports(1), owner.owner, owner.data)
    (view,) = bench.reader.read(AT, changed).wallets
    assert (view.wallet, int(view.gas)) == (1, 1)
    bench.reader.forget()
    assert [view.wallet for view in bench.reader.read(AT, bench.accounts()).wallets] == [0, 1]


def test_supply_and_locked_accounts_are_read_with_everything_else(bench: Bench) -> None:
    genesis = bench.world.genesis
    locked = [Pubkey(account) for account in genesis.locked_accounts]
    closed = Pubkey.new_unique()
    reader = Reader(bench.world.spec, bench.keys, bench.wallets, Settings, [*locked, closed])
    found = reading(bench.world, reader.keys, 1)
    seen = reader.read_supply(AT, found)
    assert int(seen.supply) == genesis.supply_atoms
    assert int(seen.locked) == genesis.supply_atoms * 30 // 100
    assert len(reader.read(AT, found).wallets) == 2
    nothing_locked = bench.reader.read_supply(AT, bench.accounts())
    assert (nothing_locked.supply, int(nothing_locked.locked)) == (seen.supply, 0)


def test_a_mint_that_is_none_is_bad_bytes(bench: Bench) -> None:
    found = bench.accounts()
    found.accounts[-1] = None
    with pytest.raises(BadBytes, match="mint"):
        bench.reader.read_supply(AT, found)


@pytest.mark.parametrize("side", list(Side))
def test_our_fill_is_told_with_its_numbers(bench: Bench, side: Side) -> None:
    bench.trade(bench.ours[1], bench.stranger, side=side, price=11_950, lots=4)
    seen = bench.reader.read(AT, bench.accounts())
    (fill,), (trade,) = seen.fills, seen.trades
    assert (fill.wallet, fill.side, int(fill.price), int(fill.size)) == (1, side, 11_950, 4)
    assert (fill.maker, int(fill.rebate), int(fill.fee), fill.self_trade) == (True, 7, 0, False)
    assert fill.counterparty == str(Pubkey.from_bytes(bench.stranger))
    assert (int(trade.price), int(trade.size), trade.taker_side, trade.own) == (
        11_950,
        4,
        side.opposite,
        True,
    )


def test_a_strangers_trade_is_a_trade_and_no_fill(bench: Bench) -> None:
    bench.trade(bench.stranger, bytes(Pubkey.new_unique()))
    seen = bench.reader.read(AT, bench.accounts())
    assert (len(seen.trades), seen.trades[0].own, seen.fills, seen.own_pending) == (1, False, (), 0)


def test_what_trades_through_a_left_over_account_of_ours_is_nobody_elses_and_no_fill(bench: Bench) -> None:
    left = bytes(Pubkey.new_unique())
    bench.reader.leftovers.watch({Pubkey(left): 0})
    bench.trade(left, bench.stranger)
    seen = bench.reader.read(AT, bench.accounts())
    assert [(trade.own, trade.maker) for trade in seen.trades] == [(True, str(Pubkey(left)))]
    assert seen.fills == ()
    # That account is gone by now, as the reading shows; what it still has in the queue stays ours.
    assert bench.reader.leftovers.keys == []
    bench.trade(left, bench.ours[1])
    seen = bench.reader.read(AT, bench.accounts())
    assert [(fill.wallet, fill.maker, fill.self_trade) for fill in seen.fills] == [(1, False, True)]
    assert [trade.own for trade in seen.trades] == [True]


def test_two_of_our_accounts_that_trade_are_found_out_on_both_sides(bench: Bench) -> None:
    bench.trade(bench.ours[0], bench.ours[1])
    fills = bench.reader.read(AT, bench.accounts()).fills
    assert [(fill.wallet, fill.maker, fill.self_trade) for fill in fills] == [
        (0, True, True),
        (1, False, True),
    ]


def test_an_order_of_ours_that_takes_is_told_with_its_fee(bench: Bench) -> None:
    bench.trade(bench.stranger, bench.ours[0])
    (fill,) = bench.reader.read(AT, bench.accounts()).fills
    assert (fill.maker, int(fill.fee), int(fill.rebate), fill.self_trade) == (False, 9, 0, False)


@pytest.mark.parametrize("side", list(Side))
def test_what_waits_for_the_crank_counts_in_the_totals(bench: Bench, side: Side) -> None:
    bench.reader.forget()
    before = bench.reader.read(AT, bench.accounts()).wallets[0]
    bench.trade(bench.ours[0], bench.stranger, side=side, price=12_000, lots=5)
    seen = bench.reader.read(AT, bench.accounts())
    (after,) = seen.wallets
    base, quote = 5 * bench.lot, 5 * 12_000 * bench.ql
    gained = int(after.base_total - before.base_total), int(after.quote_total - before.quote_total)
    assert gained == ((base, -quote) if side is Side.BID else (-base, quote))
    assert (seen.own_pending, seen.queue_count) == (1, 2)
    bench.queue.consumed = 2
    assert bench.reader.read(AT, bench.accounts()).own_pending == 0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, RING // 2), st.booleans(), st.integers(1, 9)), min_size=1, max_size=12)
)
def test_every_trade_and_fill_is_told_exactly_once_however_the_ring_wraps(
    rounds: list[tuple[int, bool, int]],
) -> None:
    bench = BENCH
    bench.queue, bench.reader = ForgedQueue(), bench.new_reader()
    bench.reader.read(AT, bench.accounts())
    told_trades: list[int] = []
    told_fills: list[int] = []
    pushed_ours: list[int] = []
    for matches, ours, lots in rounds:
        for _ in range(matches):
            if ours:
                pushed_ours.append(len(bench.queue.events))
            bench.trade(bench.ours[0] if ours else bench.stranger, bytes(32), lots=lots)
        seen = bench.reader.read(AT, bench.accounts())
        told_trades += [trade.seq for trade in seen.trades]
        told_fills += [fill.seq for fill in seen.fills]
        bench.queue.consumed = len(bench.queue.events)
    assert told_trades == list(range(0, len(bench.queue.events), 2))
    assert told_fills == pushed_ours


def test_events_the_ring_overwrote_unread_are_counted(bench: Bench) -> None:
    bench.queue, bench.reader = ForgedQueue(), bench.new_reader()
    bench.reader.read(AT, bench.accounts())
    for _ in range(RING):
        bench.trade(bench.stranger, bytes(32))
    bench.queue.consumed = len(bench.queue.events)
    seen = bench.reader.read(AT, bench.accounts())
    assert (seen.events_missed, len(seen.trades)) == (RING, RING // 2)
    assert bench.reader.read(AT, bench.accounts()).events_missed == 0


def test_an_account_that_does_not_decode_swallows_no_fill(bench: Bench) -> None:
    bench.trade(bench.ours[0], bench.stranger)
    broken = bench.accounts()
    place = bench.reader.keys.index(bench.wallets[0].base)
    tokens = broken.accounts[place]
    assert tokens is not None
    broken.accounts[place] = AccountImage(tokens.lamports, tokens.owner, b"rubbish")
    with pytest.raises(BadBytes):
        bench.reader.read(AT, broken)
    assert len(bench.reader.read(AT, bench.accounts()).fills) == 1


@pytest.mark.parametrize("index", [0, 1, 2, 3, 4])
def test_a_market_account_that_is_gone_is_refused(bench: Bench, index: int) -> None:
    found = bench.accounts()
    found.accounts[index] = None
    with pytest.raises(BadBytes, match="does not exist"):
        bench.reader.read(AT, found)


def check_book(it: Living) -> int:
    """Compare a reading of the book with one made by hand from the orders; return how many are ours."""
    book = standing_orders(it.world.chain, it.assembly.market, it.assembly.wallets)
    reader = Reader(it.assembly.spec, it.assembly.market, it.assembly.wallets, Settings)
    told = reader.read(AT, reading(it.world, reader.keys))
    for side, best, firm, count, rivals in (
        (Side.BID, told.book.best_bid, told.book.firm_bid, told.book.bid_orders, told.book.bid_rivals),
        (Side.ASK, told.book.best_ask, told.book.firm_ask, told.book.ask_orders, told.book.ask_rivals),
    ):
        others = [order for order in book if order.side is side and order.wallet is None]
        worth, expected = 0, None
        for order in others:
            worth += order.price * order.size * it.assembly.spec.quote_lot_size
            if expected is None and worth >= LAMPORTS_PER_SOL:
                expected = order.price
        assert (best, firm, count) == (others[0].price if others else None, expected, len(others))
        for asked in {order.size for order in others}:
            foremost = next(order for order in others if order.size >= asked)
            told_first = next(rival for rival in rivals if int(rival.size) >= asked)
            assert (int(told_first.price), int(told_first.size)) == (foremost.price, foremost.size)
    ours = {(order.wallet, order.side, order.price, order.size) for order in book if order.wallet is not None}
    assert ours == {
        (order.wallet, order.side, int(order.price), int(order.size))
        for view in told.wallets
        for order in view.orders
    }
    return len(ours)


def test_a_living_book_is_priced_without_our_orders() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock) as it:
            running = asyncio.create_task(it.run_engine(240))
            counts = []
            for _ in range(11):
                await asyncio.sleep(20)
                counts.append(check_book(it))
            assert await running
            assert counts[-1] >= 12

    virtually(scenario)


def test_a_market_that_is_disabled_or_closed_is_told(bench: Bench) -> None:
    assert bench.reader.read(AT, bench.accounts()).closed == ""
    for flags, words in ((3 | 128, "disabled"), (3 | 256, "closed")):
        found = bench.accounts()
        old = found.accounts[3]
        assert old is not None
        data = old.data[:5] + struct.pack("<Q", flags) + old.data[13:]
        found.accounts[3] = AccountImage(old.lamports, old.owner, data)
        assert words in bench.reader.read(AT, found).closed


@pytest.mark.parametrize(("wallets", "calls"), [(23, 1), (25, 2), (95, 4)])
def test_books_queue_market_and_open_orders_come_with_the_first_call(wallets: int, calls: int) -> None:
    world = World(WorldOptions(wallets=wallets), StillClock(), idle_slots_told=False)
    market = image(world, world.market)
    assert market is not None
    keys = market_keys(world.market, OPENBOOK_V1, decode_market(market.data))
    owned = accounts_of(world)
    reader = Reader(world.spec, keys, owned, Settings)
    first = set(reader.keys[:ACCOUNTS_PER_CALL])
    assert {keys.bids, keys.asks, keys.event_queue, keys.market} <= first
    assert {wallet.open_orders for wallet in owned} <= first
    assert -(-len(reader.keys) // ACCOUNTS_PER_CALL) == calls
    assert len(set(reader.keys)) == len(reader.keys) == 6 + 4 * wallets


def test_balances_of_a_later_slot_are_told_as_torn(bench: Bench) -> None:
    found = bench.accounts()
    assert not bench.reader.read(AT, found).torn
    assert bench.reader.read(AT, AccountsAt(found.slot, found.accounts, Slot(int(found.slot) + 1))).torn


def test_a_gap_names_what_stands_on_both_sides_of_it() -> None:
    bench = Bench()
    bench.trade(bench.stranger, bench.ours[0], price=11)
    bench.reader.read(AT, bench.accounts(5))
    for price in range(20, 20 + RING):
        bench.trade(bench.stranger, bytes(32), price=price)
    bench.queue.consumed = len(bench.queue.events) - 4
    told = bench.reader.read(AT, bench.accounts(9))
    gap = bench.reader.gap
    assert gap is not None
    assert (gap.after, gap.until, gap.first_seq, gap.missed) == (Slot(5), Slot(9), 2, RING)
    assert told.events_missed == RING
    assert [number >> 64 for number in gap.waiting] == [11, 11]
    prices = [20 + RING // 2 + number // 2 for number in range(RING)]
    assert [number >> 64 for number in gap.consumed] == prices[: RING - 4]
    assert bench.reader.read(AT, bench.accounts(10)).events_missed == 0
    assert bench.reader.gap is None
