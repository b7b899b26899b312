"""A small exchange of its own making: post-only orders of several wallets, takers, a full book, a crank.

It shares nothing with the sandbox. Money is lamports and lots, an order is (owner, side, price, size); what
the rules of the venue come to is written down once more, as plainly as it goes. Whoever breaks what must
never happen (two of our orders meeting, an overspent wallet) gets an AssertionError.
"""

import random
from dataclasses import dataclass, field
from itertools import count

from bmv.events import Crank, Execute, Prepare, Settle
from bmv.model import Fill, ForeignBook, LiveOrder, MarketSpec, Placement, Side, Trade, WalletView
from bmv.units import BaseAtoms, BaseLots, Lamports, Millis, Ticks

SLOTS = 128
FOREIGN = -1


class TransactionFailedError(Exception):
    """The change fails as a whole and leaves no trace."""


@dataclass(slots=True)
class Standing:
    """One order on the book."""

    owner: int
    side: Side
    price: int
    size: int
    number: int
    client_id: int = 0


@dataclass(slots=True)
class Account:
    """What one wallet owns; ``waiting`` is filled but not cranked yet, ``dead`` slots wait for the crank.

    The tokens of a ``frozen`` wallet do not move; a ``rejected`` one has every placement fail.
    """

    gas: int
    quote_held: int = 0
    quote_free: int = 0
    base_held: int = 0
    base_free: int = 0
    quote_waiting: int = 0
    base_waiting: int = 0
    dead: int = 0
    ready: bool = False
    frozen: bool = False
    rejected: bool = False


@dataclass(frozen=True, slots=True)
class Happened:
    """An entry of the event queue: what cranking it gives ``owner``."""

    owner: int
    quote: int = 0
    base: int = 0
    slots: int = 0


@dataclass(slots=True)
class Exchange:
    """The market and everybody's orders in it."""

    spec: MarketSpec
    accounts: list[Account]
    most_orders: int
    orders: list[Standing] = field(default_factory=list)
    queue: list[Happened] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    evicted: int = 0
    dropped: int = 0
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    def cost(self, side: Side, price: int, size: int) -> int:
        return price * size * self.spec.quote_lot_size if side is Side.BID else size

    def side(self, side: Side, *, own: bool | None = None) -> list[Standing]:
        """Return a side's orders, best first; only ours, or only those of others, where ``own`` is given."""
        found = [o for o in self.orders if o.side is side and own in {None, o.owner != FOREIGN}]
        return sorted(found, key=lambda o: (-o.price if side is Side.BID else o.price, o.number))

    # What the engine may ask for

    def execute(self, action: Execute) -> None:
        """Carry out one change, all of it or nothing."""
        before = [Standing(o.owner, o.side, o.price, o.size, o.number, o.client_id) for o in self.orders]
        account = self.accounts[action.wallet]
        saved = (account.quote_free, account.quote_held, account.base_free, account.base_held, account.dead)
        queue = len(self.queue)
        try:
            for cancel in action.cancels:
                self._cancel(action.wallet, cancel.order_id)
            for place in action.places:
                self._place(place)
        except TransactionFailedError:
            self.orders = before
            account.quote_free, account.quote_held, account.base_free, account.base_held, account.dead = saved
            del self.queue[queue:]
            raise
        self.check()

    def prepare(self, action: Prepare) -> None:
        account = self.accounts[action.wallet]
        account.ready = True
        if account.gas < int(action.wrap):
            raise TransactionFailedError
        account.gas -= int(action.wrap)
        account.quote_held += int(action.wrap)

    def crank(self, _: Crank, rng: random.Random) -> None:
        """Consume the front of the queue, as much as somebody felt like."""
        for event in [
            self.queue.pop(0) for _ in range(rng.randint(min(1, len(self.queue)), len(self.queue)))
        ]:
            account = self.accounts[event.owner]
            account.quote_free += event.quote
            account.quote_waiting -= event.quote
            account.base_free += event.base
            account.base_waiting -= event.base
            account.dead -= event.slots

    def settle(self, action: Settle) -> None:
        account = self.accounts[action.wallet]
        if account.frozen:
            raise TransactionFailedError
        account.quote_held, account.quote_free = account.quote_held + account.quote_free, 0
        account.base_held, account.base_free = account.base_held + account.base_free, 0

    # What others do

    def rest(self, side: Side, price: int, size: int) -> None:
        """Let somebody place a post-only order."""
        best = self.side(side.opposite)
        if best and (price >= best[0].price if side is Side.BID else price <= best[0].price):
            return
        self.orders.append(Standing(FOREIGN, side, price, size, next(self._numbers)))
        self._evict(side)

    def take(self, side: Side, price: int, size: int, now: Millis) -> None:
        """Let somebody buy (BID) or sell up to ``price``; what is not matched is not posted."""
        for maker in self.side(side.opposite):
            if size == 0 or (maker.price > price if side is Side.BID else maker.price < price):
                break
            matched = min(size, maker.size)
            size -= matched
            maker.size -= matched
            self._matched(maker, matched, side, now)
        self.orders = [order for order in self.orders if order.size]

    def leave(self, rng: random.Random) -> None:
        """Let somebody withdraw an order."""
        foreign = [order for order in self.orders if order.owner == FOREIGN]
        if foreign:
            self.orders.remove(rng.choice(foreign))

    # What can be seen

    def view(self, wallet: int) -> WalletView:
        account = self.accounts[wallet]
        mine = [order for order in [*self.side(Side.BID), *self.side(Side.ASK)] if order.owner == wallet]
        locked = {
            side: sum(self.cost(side, order.price, order.size) for order in mine if order.side is side)
            for side in Side
        }
        lot = self.spec.base_lot_size
        return WalletView(
            wallet=wallet,
            gas=Lamports(account.gas),
            quote_held=Lamports(account.quote_held),
            quote_free=Lamports(account.quote_free),
            quote_locked=Lamports(locked[Side.BID] + account.quote_waiting),
            base_held=BaseAtoms(account.base_held * lot),
            base_free=BaseAtoms(account.base_free * lot),
            base_locked=BaseAtoms((locked[Side.ASK] + account.base_waiting) * lot),
            rent=Lamports(0),
            rebates=Lamports(0),
            order_slots=SLOTS - len(mine) - account.dead,
            ready=account.ready,
            frozen=account.frozen,
            orders=tuple(
                LiveOrder(wallet, o.side, Ticks(o.price), BaseLots(o.size), o.number, o.client_id)
                for o in mine
            ),
        )

    def foreign(self) -> ForeignBook:
        bids, asks = self.side(Side.BID, own=False), self.side(Side.ASK, own=False)
        best = [Ticks(side[0].price) if side else None for side in (bids, asks)]
        return ForeignBook(best[0], best[1], best[0], best[1], len(bids), len(asks))

    def own(self) -> list[Standing]:
        return [order for order in self.orders if order.owner != FOREIGN]

    def check(self) -> None:
        """Assert what must hold in every state of the market."""
        bids, asks = self.side(Side.BID), self.side(Side.ASK)
        assert not bids or not asks or bids[0].price < asks[0].price, "the book crosses itself"
        for wallet, account in enumerate(self.accounts):
            held = account.quote_held, account.quote_free, account.base_held, account.base_free, account.gas
            assert min(held) >= 0, f"wallet {wallet} spent what it does not have"
            mine = sum(order.owner == wallet for order in self.orders)
            assert mine <= self.most_orders, f"wallet {wallet} holds {mine} orders"
            assert mine + account.dead <= SLOTS

    # Inside

    def _cancel(self, wallet: int, number: int) -> None:
        for order in self.orders:
            if (order.owner, order.number) == (wallet, number):
                self.orders.remove(order)
                self._release(order)
                return

    def _release(self, order: Standing) -> None:
        account, freed = self.accounts[order.owner], self.cost(order.side, order.price, order.size)
        if order.side is Side.BID:
            account.quote_free += freed
        else:
            account.base_free += freed
        self._slot_dies(order.owner)

    def _slot_dies(self, owner: int) -> None:
        self.accounts[owner].dead += 1
        self.queue.append(Happened(owner, slots=1))

    def _place(self, place: Placement) -> None:
        account, price, size = self.accounts[place.wallet], int(place.price), int(place.size)
        clash = [o for o in self.orders if (o.owner, o.client_id) == (place.wallet, place.client_id)]
        assert not clash, "a client id is used twice"
        mine = sum(order.owner == place.wallet for order in self.orders)
        if not account.ready or account.rejected or mine + account.dead >= SLOTS:
            raise TransactionFailedError
        for other in self.side(place.side.opposite):
            if price >= other.price if place.side is Side.BID else price <= other.price:
                assert other.owner == FOREIGN, f"own {place.side.name} at {price} meets own at {other.price}"
                self.dropped += 1
                self._slot_dies(place.wallet)
                return
        self._pay(account, self.cost(place.side, price, size), place.side)
        self.orders.append(
            Standing(place.wallet, place.side, price, size, next(self._numbers), place.client_id)
        )
        if place.side is Side.BID:
            self.queue.append(Happened(place.wallet))
        self._evict(place.side)

    def _pay(self, account: Account, price: int, side: Side) -> None:
        if account.frozen and side is Side.ASK and price > account.base_free:
            raise TransactionFailedError
        free = account.quote_free if side is Side.BID else account.base_free
        held = account.quote_held if side is Side.BID else account.base_held
        if price > free + held:
            raise TransactionFailedError
        from_free = min(free, price)
        if side is Side.BID:
            account.quote_free, account.quote_held = free - from_free, held - (price - from_free)
        else:
            account.base_free, account.base_held = free - from_free, held - (price - from_free)

    def _evict(self, side: Side) -> None:
        room = self.spec.bid_capacity if side is Side.BID else self.spec.ask_capacity
        found = self.side(side)
        if len(found) > room:
            self.orders.remove(found[-1])
            if found[-1].owner != FOREIGN:
                self.evicted += 1
                self._release(found[-1])

    def _matched(self, maker: Standing, size: int, taker_side: Side, now: Millis) -> None:
        number, own = next(self._numbers), maker.owner != FOREIGN
        price, lots = Ticks(maker.price), BaseLots(size)
        self.trades.append(Trade(number, now, price, lots, taker_side, own))
        if not own:
            return
        fill = Fill(
            number,
            now,
            maker.owner,
            maker.side,
            price,
            lots,
            maker=True,
            rebate=Lamports(0),
            fee=Lamports(0),
            order_id=maker.number,
            client_id=maker.client_id,
        )
        self.fills.append(fill)
        account = self.accounts[maker.owner]
        quote = maker.price * size * self.spec.quote_lot_size if maker.side is Side.ASK else 0
        base = size if maker.side is Side.BID else 0
        account.quote_waiting += quote
        account.base_waiting += base
        account.dead += maker.size == 0
        self.queue.append(Happened(maker.owner, quote, base, int(maker.size == 0)))
