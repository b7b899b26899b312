"""Cut a whole ladder into contiguous segments, bids and asks together, that their wallets can pay for.

The wallets are taken in their order, from the inside of the ladder outwards. After each the states are kept
that no other beats: so many bids and so many asks served. More of either is never worse, as nothing but these
two numbers passes from one wallet to the next. The search is exact up to ``_MOST_STATES`` after each wallet.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bmv.config import Settings
from bmv.core.allocation import (
    NO_LIMIT,
    Homes,
    cost,
    exposure_limit,
    kept_beyond,
    largest_order,
    spendable,
)
from bmv.model import ASK, BID, SIDES, Level, MarketSpec, Placement, Side, WalletIndex, WalletView
from bmv.units import BaseLots, Ticks

_MOST_STATES = 64


@dataclass(slots=True, frozen=True)
class Burden:
    """What a level asks of its wallet: at most what any may place of it, what that spends and is worth.

    ``locks`` is what the order that stands there with ``holder`` locks beyond that.
    """

    side: Side
    price: Ticks
    size: BaseLots
    need: int
    worth: int
    holder: WalletIndex | None
    locks: int

    @property
    def key(self) -> tuple[Side, Ticks]:
        """Return what names the level."""
        return self.side, self.price

    def of(self, size: BaseLots) -> "Burden":
        """Return the same where only ``size`` of it is placed; not more than there is."""
        if size >= self.size:
            return self
        lots, all_lots = int(size), int(self.size)
        return replace(
            self, size=size, need=self.need // all_lots * lots, worth=self.worth // all_lots * lots, locks=0
        )

    def need_in(self, wallet: WalletIndex) -> int:
        """Return what it spends and locks in a wallet."""
        return self.need + self.locks if wallet == self.holder else self.need


@dataclass(slots=True)
class Room:
    """What one wallet can still take, by side where it is a list, and what it has taken."""

    wallet: WalletIndex
    seats: int
    left: list[int]
    worth: list[int]
    largest: Sequence[int]
    served: list[Burden] = field(default_factory=list)

    def pays(self, burden: Burden, without: Burden | None = None) -> bool:
        """Say whether the money is there, once ``without`` has left; seats are another matter."""
        side = burden.side
        left, worth = self.left[side], self.worth[side]
        if without is not None and without.side is side:
            left, worth = left + without.need_in(self.wallet), worth + without.worth
        return (
            burden.need_in(self.wallet) <= left
            and burden.worth <= worth
            and burden.need <= self.largest[side]
        )

    def take(self, burden: Burden) -> None:
        """Serve one more."""
        self.served.append(burden)
        self._count(burden, 1)

    def drop(self, burden: Burden) -> None:
        """Serve one less."""
        self.served.remove(burden)
        self._count(burden, -1)

    def _count(self, burden: Burden, sign: int) -> None:
        self.seats -= sign
        self.left[burden.side] -= sign * burden.need_in(self.wallet)
        self.worth[burden.side] -= sign * burden.worth

    def reach(self, row: Sequence[Burden], start: int) -> int:
        """Return how many of one side's ``row`` the empty wallet can serve from ``start`` on."""
        end = min(len(row), start + self.seats)
        if start >= end:
            return 0
        side = row[start].side
        left, worth = self.left[side], self.worth[side]
        for n in range(start, end):
            left, worth = left - row[n].need_in(self.wallet), worth - row[n].worth
            if left < 0 or worth < 0 or row[n].need > self.largest[side]:
                return n - start
        return end - start


def rooms_of(views: Sequence[WalletView], spec: MarketSpec, settings: Settings) -> dict[WalletIndex, Room]:
    """Return what each wallet can take where it serves nothing yet."""
    most = exposure_limit(settings)
    return {
        view.wallet: Room(
            view.wallet,
            settings.orders_per_wallet,
            [spendable(view, side, spec) for side in SIDES],
            [most, most],
            [largest_order(view, side, spec, settings) for side in SIDES],
        )
        for view in views
    }


def burdens(
    levels: Sequence[Level],
    views: Sequence[WalletView],
    spec: MarketSpec,
    settings: Settings,
    flying: Sequence[Placement],
) -> list[Burden]:
    """Return what the levels ask of a wallet, without those of which none could place anything."""
    live = {(order.side, order.price): order for view in views for order in view.orders}
    holders = {(place.side, place.price): place.wallet for place in flying}
    holders |= {key: order.wallet for key, order in live.items()}
    most = [max((largest_order(view, side, spec, settings) for view in views), default=0) for side in SIDES]
    max_order = int(settings.max_order) or NO_LIMIT
    found = []
    for level in levels:
        key = level.side, level.price
        one_lot, worth = (cost(side, level.price, BaseLots(1), spec) for side in (level.side, BID))
        size = BaseLots(min(int(level.size), most[level.side] // one_lot, max_order // worth))
        if size > BaseLots(0):
            lots = int(size)
            locks = one_lot * kept_beyond(live.get(key), size, settings)
            found.append(Burden(*key, size, one_lot * lots, worth * lots, holders.get(key), locks))
    return found


@dataclass(slots=True, frozen=True)
class _State:
    """So many bids and asks are served, and by whom: the state before the last wallet."""

    bids: int
    asks: int
    before: "_State | None" = None


def cut(wanted: Sequence[Burden], rooms: Sequence[Room]) -> Homes | None:
    """Return a wallet for each of ``wanted``, in contiguous segments, or None where no cut was found."""
    bids = [burden for burden in wanted if burden.side is BID]
    asks = [burden for burden in wanted if burden.side is ASK]
    least_bids, least_asks = _least(bids, rooms), _least(asks, rooms)
    if least_bids[0] or least_asks[0]:
        return None
    states = [_State(0, 0)]
    for room, fewest_bids, fewest_asks in zip(rooms, least_bids[1:], least_asks[1:], strict=True):
        nexts = [state for each in states for state in _served(each, room, bids, asks)]
        states = _unbeaten([s for s in nexts if s.bids >= fewest_bids and s.asks >= fewest_asks])
    done = next((s for s in states if (s.bids, s.asks) == (len(bids), len(asks))), None)
    homes: dict[tuple[Side, Ticks], WalletIndex] = {}
    for room in reversed(rooms):
        if done is None or done.before is None:
            break
        before = done.before
        for burden in bids[before.bids : done.bids] + asks[before.asks : done.asks]:
            homes[burden.key] = room.wallet
        done = before
    return homes or None


def _least(row: Sequence[Burden], rooms: Sequence[Room]) -> list[int]:
    """Return how many of one side must be served before each wallet, and after the last.

    With fewer the others could not serve the rest, even were there no other side.
    """
    found = [len(row)]
    for room in reversed(rooms):
        start = found[-1]
        while start and room.reach(row, start - 1) >= found[-1] - start + 1:
            start -= 1
        found.append(start)
    return found[::-1]


def _served(state: _State, room: Room, bids: Sequence[Burden], asks: Sequence[Burden]) -> list[_State]:
    """Return what one more wallet can make of a state, where it fills its seats as far as its money goes."""
    most_bids, most_asks = room.reach(bids, state.bids), room.reach(asks, state.asks)
    fewest = min(most_bids, max(0, room.seats - most_asks))
    return [
        _State(state.bids + n, state.asks + min(most_asks, room.seats - n), state)
        for n in range(fewest, most_bids + 1)
    ]


def _unbeaten(states: Sequence[_State]) -> list[_State]:
    """Return those that no other serves as much of both sides as, the ends and what lies evenly between."""
    kept: list[_State] = []
    for state in sorted(states, key=lambda each: (-each.bids, -each.asks)):
        if not kept or state.asks > kept[-1].asks:
            kept.append(state)
    if len(kept) <= _MOST_STATES:
        return kept
    last = len(kept) - 1
    return [kept[n * last // (_MOST_STATES - 1)] for n in range(_MOST_STATES)]
