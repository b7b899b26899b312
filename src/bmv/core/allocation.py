"""One ladder over many wallets: contiguous segments, fitted to what each wallet holds.

Invariants
- A level keeps the wallet whose order already stands at its price, if that can still place it.
- A wallet is never given more orders, or more money's worth of them, than it can place.
- No order is larger than MAX_ORDER_%_OF_WALLET of its wallet's balance of the asset it spends.
- What nobody can place is returned as waiting, never dropped silently.
- Seats are shared from the inside outwards, both sides alike: where they run short there is still a market.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bmv.config import Settings
from bmv.core.decay import BPS
from bmv.model import Level, MarketSpec, Quote, Side, WalletIndex, WalletView
from bmv.units import BaseLots, Ticks, atoms_to_lots

_Key = tuple[Side, Ticks]


def spendable(view: WalletView, side: Side, spec: MarketSpec) -> int:
    """Return what a wallet owns of the asset a side spends: lamports for bids, base lots for asks."""
    if side is Side.BID:
        return max(0, int(view.quote_total))
    return max(0, int(atoms_to_lots(view.base_total, spec.base_lot_size)))


def largest_order(view: WalletView, side: Side, spec: MarketSpec, settings: Settings) -> int:
    """Return the most one order of a wallet may spend: MAX_ORDER_% of what it owns, same units."""
    return spendable(view, side, spec) * int(settings.max_order_of_wallet) // BPS


def cost(side: Side, price: Ticks, size: BaseLots, spec: MarketSpec) -> int:
    """Return what an order spends: lamports for a bid, base lots for an ask."""
    return int(size) if side is Side.ASK else int(price) * int(size) * spec.quote_lot_size


def assign(
    levels: Sequence[Level], views: Sequence[WalletView], spec: MarketSpec, settings: Settings
) -> tuple[tuple[Quote, ...], tuple[Level, ...]]:
    """Give every level a wallet.

    ``levels`` run from the inside outwards on each side, no two at one price. Returns (quotes, waiting);
    ``waiting`` holds the levels, or the parts of levels, that no wallet can place.
    """
    seats = {view.wallet: settings.orders_per_wallet for view in views}
    sharing = {
        side: _Sharing(
            spec.quote_lot_size if side is Side.BID else 0,
            {
                v.wallet: _Purse(
                    v.wallet, spendable(v, side, spec), largest_order(v, side, spec, settings), seats
                )
                for v in views
            },
        )
        for side in Side
    }
    standing = {(order.side, order.price): order.wallet for view in views for order in view.orders}
    homeless: list[Level] = []
    for level in _inside_first(levels):
        wallet = standing.get((level.side, level.price))
        if wallet is None or not sharing[level.side].stays(level, wallet):
            homeless.append(level)
    for side in Side:
        sharing[side].set_quotas([level for level in homeless if level.side is side])
    for level in homeless:
        sharing[level.side].give_next(level)
    waiting = [level for side in Side for level in sharing[side].waiting]
    found = [sharing[level.side].quotes.get(level.price) for level in levels]
    return tuple(quote for quote in found if quote is not None), tuple(waiting)


def _inside_first(levels: Iterable[Level]) -> list[Level]:
    """Return the levels of both sides as one row, each side spread evenly over it."""
    sides: dict[Side, list[Level]] = {side: [] for side in Side}
    for level in levels:
        sides[level.side].append(level)
    bids, asks = sides[Side.BID], sides[Side.ASK]
    row = [(rank * len(asks), 0, level) for rank, level in enumerate(bids)]
    row += [(rank * len(bids), 1, level) for rank, level in enumerate(asks)]
    return [level for *_, level in sorted(row, key=lambda entry: entry[:2])]


@dataclass(slots=True)
class _Purse:
    """What one wallet can still spend on one side, its largest order, and its seats (both sides share)."""

    wallet: WalletIndex
    left: int
    largest: int
    seats: dict[WalletIndex, int]
    quota: int = 0

    def affords(self, one_lot: int) -> int:
        """Return how many lots its next order may have."""
        return min(self.left, self.largest) // one_lot if self.seats[self.wallet] > 0 else 0


@dataclass(slots=True)
class _Sharing:
    """One side's levels being shared out; ``quote_lot_size`` is 0 where a lot costs a lot (asks)."""

    quote_lot_size: int
    purses: dict[WalletIndex, _Purse]
    quotes: dict[Ticks, Quote] = field(default_factory=dict)
    waiting: list[Level] = field(default_factory=list)
    ring: list[_Purse] = field(default_factory=list)
    turn: int = 0

    def stays(self, level: Level, wallet: WalletIndex) -> bool:
        """Give a level to the wallet whose order stands there; return False if it can place none of it."""
        purse = self.purses[wallet]
        if not purse.affords(self._one_lot(level)):
            return False
        self._give(level, purse)
        return True

    def set_quotas(self, levels: Sequence[Level]) -> None:
        """Share the cost of ``levels`` between the wallets in proportion to what they have left."""
        self.ring = list(self.purses.values())
        total = sum(self._one_lot(level) * int(level.size) for level in levels)
        have = sum(purse.left for purse in self.ring)
        for purse in self.ring:
            purse.quota = -(-total * purse.left // have) if have else 0

    def give_next(self, level: Level) -> None:
        """Give a level to the wallet whose segment this is, else to the richest that can place it."""
        one_lot = self._one_lot(level)
        ring = self.ring
        while self.turn < len(ring) and (ring[self.turn].quota <= 0 or not ring[self.turn].affords(one_lot)):
            self.turn += 1
        if self.turn < len(ring):
            self._give(level, ring[self.turn])
            return
        able = [purse for purse in ring if purse.affords(one_lot)]
        if able:
            self._give(level, max(able, key=lambda purse: (min(purse.left, purse.largest), -purse.wallet)))
        else:
            self.waiting.append(level)

    def _one_lot(self, level: Level) -> int:
        return int(level.price) * self.quote_lot_size or 1

    def _give(self, level: Level, purse: _Purse) -> None:
        """Place as much of ``level`` as funds and the largest order allow; the rest waits."""
        one_lot = self._one_lot(level)
        size = BaseLots(min(int(level.size), purse.affords(one_lot)))
        self.quotes[level.price] = Quote(purse.wallet, level.side, level.point, level.price, size)
        purse.left -= one_lot * int(size)
        purse.quota -= one_lot * int(size)
        purse.seats[purse.wallet] -= 1
        if size < level.size:
            self.waiting.append(Level(level.side, level.point, level.price, level.size - size))
