"""One ladder over many wallets: contiguous segments, fitted to what each wallet holds.

Invariants
- A level keeps the wallet whose order already stands at its price, if that can still place it; where homes
  are given, that of its home.
- A wallet is never given more orders, or more money's worth of them, than it can place.
- No order is larger than MAX_ORDER_%_OF_WALLET of its wallet's balance of the asset it spends, or worth more
  than MAX_ORDER_SOL; no wallet's side is worth more than MAX_WALLET_EXPOSURE_SOL.
- What a limit cuts off a level goes to the next levels of the same wallet, outwards; the rest waits.
- An order that stands larger than wanted, and is kept, counts with what it really locks: else its wallet
  would be given levels that it cannot pay for.
- Quotes and what waits add up to the levels asked for, to the lamport (bids) or lot (asks).
- Seats are shared from the inside outwards, both sides alike: where they run short there is still a market.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace

import msgspec

from bmv.config import Settings
from bmv.core.decay import BPS
from bmv.core.plan import close_enough
from bmv.model import (
    ASK,
    BID,
    SIDES,
    Clip,
    Level,
    LiveOrder,
    MarketSpec,
    Placement,
    Quote,
    Side,
    WalletIndex,
    WalletView,
)
from bmv.units import BaseLots, Ticks, atoms_to_lots

NO_LIMIT = 1 << 128

Homes = Mapping[tuple[Side, Ticks], WalletIndex]


def spendable(view: WalletView, side: Side, spec: MarketSpec) -> int:
    """Return what a wallet owns of the asset a side spends: lamports for bids, base lots for asks."""
    if side is BID:
        return max(0, int(view.quote_total))
    return max(0, int(atoms_to_lots(view.base_total, spec.base_lot_size)))


def largest_order(view: WalletView, side: Side, spec: MarketSpec, settings: Settings) -> int:
    """Return the most one order of a wallet may spend: MAX_ORDER_% of what it owns, same units."""
    return spendable(view, side, spec) * int(settings.max_order_of_wallet) // BPS


def cost(side: Side, price: Ticks, size: BaseLots, spec: MarketSpec) -> int:
    """Return what an order spends: lamports for a bid, base lots for an ask."""
    return +size if side is ASK else +price * +size * spec.quote_lot_size


def spent(side: Side, orders: Iterable[Level | LiveOrder | Placement], spec: MarketSpec) -> int:
    """Return what orders of one side spend together, as ``cost`` counts it."""
    if side is ASK:
        return sum([+order.size for order in orders])
    return sum([+order.price * +order.size for order in orders]) * spec.quote_lot_size


def exposure_limit(settings: Settings) -> int:
    """Return the most that a wallet's orders of one side may be wanted to be worth, in lamports.

    An order may stand that is larger than wanted; with it the side must still fit.
    """
    return int(settings.max_wallet_exposure) * BPS // (BPS + int(settings.size_tolerance)) or NO_LIMIT


def kept_beyond(there: LiveOrder | None, size: BaseLots, settings: Settings) -> int:
    """Return the lots that an order locks beyond the ``size`` wanted of it, where it will be kept."""
    if there is None or there.size <= size:
        return 0
    return int(there.size - size) if close_enough(there.size, size, settings) else 0


class Waiting(msgspec.Struct, frozen=True):
    """Money of a side that no wallet can place now and what stopped it; ``levels`` wait as a whole.

    ``amount`` is in lamports (bids) or base lots (asks).
    """

    side: Side
    amount: int
    clip: Clip
    levels: int


def assign(
    levels: Sequence[Level],
    views: Sequence[WalletView],
    spec: MarketSpec,
    settings: Settings,
    flying: Sequence[Placement] = (),
    *,
    reshape: bool = False,
    homes: Homes | None = None,
) -> tuple[tuple[Quote, ...], tuple[Waiting, ...]]:
    """Give every level a wallet.

    ``levels`` run from the inside outwards on each side, no two at one price. Returns (quotes, waiting), the
    quotes in the order of the levels. ``flying`` are placements that may still come to stand: like an order
    that stands, they keep their level with their wallet. With ``reshape`` a wallet keeps no more of them than
    its share by funds: what is beyond goes to those that came with nothing standing. ``homes`` says where
    levels go, whatever stands; those it does not name are shared out.
    """
    seats = {view.wallet: settings.orders_per_wallet for view in views}
    live: tuple[dict[Ticks, LiveOrder], ...] = ({}, {})
    for view in views:
        for order in view.orders:
            live[order.side][order.price] = order
    sides = tuple(_Sharing(side, views, seats, spec, settings, flying, live[side], homes) for side in SIDES)
    if reshape:
        _share_out(sides, levels, placeable=True)
    homeless = [level for level in _inside_first(levels) if not sides[level.side].stays(level, reshape)]
    if not reshape:
        _share_out(sides, homeless, placeable=False)
    for level in homeless:
        sides[level.side].give_next(level)
    for side in SIDES:
        sides[side].pass_on()
    given = [sides[side].quotes for side in SIDES]
    quotes = [quote for level in levels if (quote := given[level.side].get(level.price))]
    return tuple(quotes), (*sides[0].waits(), *sides[1].waits())


def _share_out(sides: Sequence["_Sharing"], levels: Sequence[Level], *, placeable: bool) -> None:
    for side in SIDES:
        sides[side].set_quotas([level for level in levels if level.side is side], placeable=placeable)


def _inside_first(levels: Sequence[Level]) -> list[Level]:
    """Return the levels of both sides as one row, each side spread evenly over it."""
    bids = [level for level in levels if level.side is BID]
    asks = [level for level in levels if level.side is ASK]
    both = bids + asks
    place = [n * len(asks) for n in range(len(bids))] + [n * len(bids) for n in range(len(asks))]
    return [both[n] for n in sorted(range(len(both)), key=place.__getitem__)]


@dataclass(slots=True)
class _Purse:
    """What one wallet can still spend on one side, its largest order, and its share of the segment.

    ``left`` is below zero where kept orders lock more than is wanted of them and the rest was given away.
    ``worth`` is how much its orders may still come to, in lamports whatever the side spends.
    """

    wallet: WalletIndex
    left: int
    largest: int
    worth: int
    quota: int = 0

    @property
    def reach(self) -> int:
        """Return the most its next order may spend."""
        return max(0, self.left if self.left < self.largest else self.largest)


class _Sharing:
    """One side's levels being shared out; ``seats`` are those of both sides."""

    def __init__(
        self,
        side: Side,
        views: Sequence[WalletView],
        seats: dict[WalletIndex, int],
        spec: MarketSpec,
        settings: Settings,
        flying: Sequence[Placement],
        live: dict[Ticks, LiveOrder],
        homes: Homes | None,
    ) -> None:
        self.quotes: dict[Ticks, Quote] = {}
        self._side, self._bid, self._seats = side, side is BID, seats
        self._cut: dict[Ticks, tuple[int, Clip]] = {}
        self._waiting: dict[Clip, list[int]] = {}
        self._quote_lot_size = spec.quote_lot_size
        self._max_order = int(settings.max_order) or NO_LIMIT
        exposure = exposure_limit(settings)
        share = int(settings.max_order_of_wallet)
        funds = [(view.wallet, spendable(view, side, spec)) for view in views]
        self._ring = [_Purse(wallet, money, money * share // BPS, exposure) for wallet, money in funds]
        self._purses = {purse.wallet: purse for purse in self._ring}
        self._flying = {place.price: place for place in flying if place.side is side}
        self._live, self._homes = live, homes
        self._settings = settings
        self._turn = 0
        self._richest: list[tuple[int, WalletIndex, _Purse]] | None = None

    def stays(self, level: Level, within_quota: bool) -> bool:
        """Give a level to the wallet whose order stands there; return False if it can, or may, place none."""
        there = self._live.get(level.price)
        holder = there or self._flying.get(level.price)
        if self._homes is None:
            purse = self._purses.get(holder.wallet) if holder else None
        else:
            purse = self._purses.get(self._homes.get((self._side, level.price), -1))
        if purse is None or (within_quota and purse.quota <= 0):
            return False
        return self._give(level, purse, there)

    def set_quotas(self, levels: Sequence[Level], *, placeable: bool) -> None:
        """Share the cost of ``levels`` between the wallets in proportion to what they have left.

        ``placeable``: count of each no more than the largest order that any of them may place.
        """
        most = max([purse.largest for purse in self._ring], default=0) if placeable else NO_LIMIT
        lot = self._quote_lot_size
        costs = [+level.price * +level.size * lot if self._bid else +level.size for level in levels]
        total = sum([each if each < most else most for each in costs])
        lefts = [max(0, purse.left) for purse in self._ring]
        have = sum(lefts)
        for purse, left in zip(self._ring, lefts, strict=True):
            purse.quota = -(-total * left // have) if have else 0

    def give_next(self, level: Level) -> None:
        """Give a level to the wallet whose segment this is, else to the richest that can place it."""
        while self._turn < len(self._ring):
            purse = self._ring[self._turn]
            if purse.quota > 0 and self._give(level, purse, self._live.get(level.price)):
                return
            self._turn += 1
        if not self._give_richest(level):
            taken = not any(self._seats[purse.wallet] for purse in self._ring)
            self._wait(self._one_lot(level) * +level.size, Clip.SEATS if taken else Clip.FUNDS, levels=1)

    def _give_richest(self, level: Level) -> bool:
        if self._richest is None:
            self._richest = [(-purse.reach, purse.wallet, purse) for purse in self._ring]
            heapify(self._richest)
        while self._richest:
            _, wallet, purse = self._richest[0]
            if self._seats[wallet] > 0 and purse.worth >= self._worth_of_a_lot(level):
                # If the richest cannot pay for a lot, nobody can.
                given = self._give(level, purse, self._live.get(level.price))
                heapreplace(self._richest, (-purse.reach, wallet, purse))
                return given
            heappop(self._richest)
        return False

    def _one_lot(self, level: Level | Quote) -> int:
        """Return what one lot spends: its price for a bid, itself for an ask."""
        return self._worth_of_a_lot(level) if level.side is BID else 1

    def _worth_of_a_lot(self, level: Level | Quote) -> int:
        """Return what one lot is worth at the level's price, in lamports."""
        return +level.price * self._quote_lot_size

    def _give(self, level: Level, purse: _Purse, there: LiveOrder | None) -> bool:
        """Place as much of ``level`` as funds and limits allow, the rest waits; or say no.

        ``there`` is the order of ours that stands at its price.
        """
        wallet, price, size, why = purse.wallet, level.price, level.size, level.why
        if not size or not self._seats[wallet]:
            return False
        worth = +price * self._quote_lot_size
        one_lot = worth if self._bid else 1
        spends, exposed = one_lot * +size, worth * +size
        if (
            spends > purse.left
            or spends > purse.largest
            or exposed > purse.worth
            or exposed > self._max_order
        ):
            size, clip = self._fitting(size, purse, one_lot, worth)
            if not size:
                return False
            self._cut[price] = one_lot * int(level.size - size), clip
            why = why and why.cut_by(clip)
            spends, exposed = one_lot * +size, worth * +size
        self.quotes[price] = Quote(wallet, self._side, level.point, price, size, why)
        locked = one_lot * self._surplus(wallet, price, size) if there and there.size > size else 0
        purse.left -= locked + spends
        purse.quota -= spends
        purse.worth -= exposed
        self._seats[wallet] -= 1
        return True

    def _fitting(self, size: BaseLots, purse: _Purse, one_lot: int, worth: int) -> tuple[BaseLots, Clip]:
        """Return how much of ``size`` a wallet can place, and what keeps it from more."""
        exposed = min(self._max_order, purse.worth) // worth
        fits = min(int(size), purse.reach // one_lot, exposed)
        clip = Clip.FUNDS if purse.left < purse.largest else Clip.LARGEST_ORDER
        return BaseLots(fits), Clip.EXPOSURE if fits == exposed else clip

    def _surplus(self, wallet: WalletIndex, price: Ticks, size: BaseLots) -> int:
        """Return the lots that an order locks beyond the size wanted of it, where it will be kept."""
        there = self._live.get(price)
        return kept_beyond(there, size, self._settings) if there and there.wallet == wallet else 0

    def pass_on(self) -> None:
        """Give what was cut to the next levels of the same wallet that have room; the rest waits."""
        if not self._cut:
            return
        carried = dict.fromkeys(self._purses, 0)
        exposed: set[WalletIndex] = set()
        for price in sorted(self.quotes, reverse=self._side is BID):
            quote = self.quotes[price]
            if price in self._cut:
                amount, clip = self._cut[price]
                carried[quote.wallet] += amount
                if clip is Clip.EXPOSURE:
                    exposed.add(quote.wallet)
            elif carried[quote.wallet]:
                carried[quote.wallet] -= self._enlarge(
                    quote, self._purses[quote.wallet], carried[quote.wallet]
                )
        for wallet, amount in carried.items():
            if amount:
                purse = self._purses[wallet]
                clip = Clip.FUNDS if purse.left < purse.largest else Clip.LARGEST_ORDER
                self._wait(amount, Clip.EXPOSURE if wallet in exposed else clip)

    def _enlarge(self, quote: Quote, purse: _Purse, money: int) -> int:
        """Add to a quote what ``money``, its wallet and the limits allow; return what that takes.

        Where a larger order is kept for the quote, what that locks is there to be used.
        """
        one_lot, worth = self._one_lot(quote), self._worth_of_a_lot(quote)
        locked = self._surplus(quote.wallet, quote.price, quote.size)
        room = min(money, purse.left + one_lot * locked, purse.largest - one_lot * int(quote.size))
        exposed = min(purse.worth, self._max_order - worth * int(quote.size))
        more = max(0, min(room // one_lot, exposed // worth))
        size = BaseLots(int(quote.size) + more)
        self.quotes[quote.price] = Quote(quote.wallet, quote.side, quote.point, quote.price, size, quote.why)
        purse.left -= one_lot * (more + self._surplus(quote.wallet, quote.price, size) - locked)
        purse.worth -= worth * more
        return one_lot * more

    def waits(self) -> list[Waiting]:
        """Return what waits, by limit."""
        return [Waiting(self._side, amount, clip, levels) for clip, (amount, levels) in self._waiting.items()]

    def _wait(self, amount: int, clip: Clip, levels: int = 0) -> None:
        known = self._waiting.setdefault(clip, [0, 0])
        known[0] += amount
        known[1] += levels
