"""The market on paper: our wallets and orders, and what a print does to them.

Rules of this file
- A change of a wallet is carried out whole or not at all; a post-only order that would take is dropped.
- Two orders of ours that could meet are a defect of the engine and raise OwnCross.
- Fills settle at once: cranks and settlements are no part of a backtest, nor is the book's finite room.
- Which orders a print reaches is the fill model's to say:
  ``touch``    orders at the print's price or better
  ``through``  orders strictly better than the print's price
  ``queue``    as ``through``; at the print's own price only what is left after the queue that stood there
               before us (``queue_lots`` when the order was placed) has traded
- A print counts as ``edge`` worse than it is: nobody comes for an order that is not worth the way.
- A print with a size fills no more than that, best order first; without one (bars) it fills all it reaches.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from bmv.core.decay import BPS, FINE
from bmv.errors import OwnCross
from bmv.events import Execute
from bmv.model import Fill, LiveOrder, MarketSpec, Placement, Side, WalletIndex, WalletView
from bmv.units import BaseAtoms, BaseLots, Bps, Lamports, Millis, Ticks

Model = Literal["touch", "through", "queue"]
ORDER_SLOTS = 128
NEVER = 1 << 62
"""A price in fine ticks that no print reaches."""


class ChangeFailed(Exception):
    """A change could not be carried out and left no trace."""


@dataclass(slots=True)
class Order:
    """One of our orders; ``ahead`` are the lots of others that trade first at its price."""

    wallet: WalletIndex
    side: Side
    price: int
    size: int
    number: int
    client_id: int
    ahead: int = 0


@dataclass(slots=True)
class Purse:
    """What a wallet owns: lamports for fees, lamports for bids and lots for asks, locked ones included."""

    gas: int
    quote: int
    base: int


@dataclass(slots=True)
class Paper:
    """Our side of the market; ``bids`` and ``asks`` are sorted best first.

    What a wallet has above ``gas_floor`` lies beside it, to fill its gas up: the engine does not see it.
    """

    spec: MarketSpec
    purses: list[Purse]
    model: Model
    queue_lots: int = 0
    edge: Bps = Bps(0)
    gas_floor: int = NEVER
    bids: list[Order] = field(default_factory=list)
    asks: list[Order] = field(default_factory=list)
    dropped: int = 0
    changed: set[WalletIndex] = field(default_factory=set)
    _numbers: int = 0

    def reach(self) -> tuple[int, int]:
        """Return the prices in fine ticks at or beyond which a print may fill something of ours."""
        beyond = 0 if self.model != "through" else 1
        apart = int(self.edge)
        low = self.bids[0].price * FINE * (BPS - apart) // BPS - beyond if self.bids else -1
        high = self.asks[0].price * FINE * (BPS + apart) // BPS + beyond if self.asks else NEVER
        return low, high

    def execute(self, action: Execute, bid: int | None, ask: int | None) -> None:
        """Carry out a change where others quote ``bid`` and ``ask`` (ticks).

        Raises ChangeFailed where the wallet cannot pay, OwnCross where two orders of ours could meet.
        """
        leaving = {cancel.order_id for cancel in action.cancels}
        bids = [order for order in self.bids if order.number not in leaving]
        asks = [order for order in self.asks if order.number not in leaving]
        new = [place for place in action.places if not self._would_take(place, bid, ask)]
        self._pay_for(action.wallet, bids, asks, new)
        self.dropped += len(action.places) - len(new)
        for place in new:
            (bids if place.side is Side.BID else asks).append(self._placed(place))
        self.bids = sorted(bids, key=lambda order: (-order.price, order.number))
        self.asks = sorted(asks, key=lambda order: (order.price, order.number))
        if self.bids and self.asks and self.bids[0].price >= self.asks[0].price:
            raise OwnCross(f"own bid at {self.bids[0].price} meets own ask at {self.asks[0].price}")
        self.changed.add(action.wallet)

    def pay(self, wallet: WalletIndex, lamports: int) -> None:
        """Take a network cost out of a wallet's gas."""
        self.purses[wallet].gas -= lamports
        self.changed.add(wallet)

    def endow(self, wallet: WalletIndex, lamports: int, *, is_gas: bool) -> None:
        """Give a wallet SOL, for its gas or for its bids."""
        purse = self.purses[wallet]
        if is_gas:
            purse.gas += lamports
        else:
            purse.quote += lamports
        self.changed.add(wallet)

    def take_free(self, wallet: WalletIndex, lamports: int) -> None:
        """Take SOL that no bid has locked; raise ChangeFailed where a wallet has less."""
        locked = self._locked(order for order in self.bids if order.wallet == wallet)[Side.BID]
        if self.purses[wallet].quote - locked < lamports:
            raise ChangeFailed
        self.purses[wallet].quote -= lamports
        self.changed.add(wallet)

    def meet(self, price: int, size: int, at: Millis, seq: int, model: Model | None = None) -> list[Fill]:
        """Return what a print at ``price`` (fine ticks) of ``size`` lots (0: no limit) fills.

        ``model`` stands in for the fill model (``touch``: a taker with that limit, who is sure to reach us).
        """
        apart = 0 if model else int(self.edge)
        model = model or self.model
        fills: list[Fill] = []
        left = size or NEVER
        for orders in (self.bids, self.asks):
            for order in orders:
                gone = self._reached(order, _shifted(order.side, price, apart), left, model)
                if gone is None:
                    break
                if gone:
                    left -= gone
                    fills.append(self._filled(order, gone, at, seq + len(fills)))
        if fills:
            self.bids = [order for order in self.bids if order.size]
            self.asks = [order for order in self.asks if order.size]
        return fills

    def view(self, wallet: WalletIndex) -> WalletView:
        """Return a wallet as a reading of the chain shows it."""
        purse, lot = self.purses[wallet], self.spec.base_lot_size
        mine = [order for order in (*self.bids, *self.asks) if order.wallet == wallet]
        locked = self._locked(mine)
        return WalletView(
            wallet=wallet,
            gas=Lamports(min(purse.gas, self.gas_floor)),
            quote_held=Lamports(purse.quote - locked[Side.BID]),
            quote_free=Lamports(0),
            quote_locked=Lamports(locked[Side.BID]),
            base_held=BaseAtoms((purse.base - locked[Side.ASK]) * lot),
            base_free=BaseAtoms(0),
            base_locked=BaseAtoms(locked[Side.ASK] * lot),
            rent=Lamports(0),
            rebates=Lamports(0),
            order_slots=ORDER_SLOTS - len(mine),
            ready=True,
            orders=tuple(
                LiveOrder(wallet, o.side, Ticks(o.price), BaseLots(o.size), o.number, o.client_id)
                for o in mine
            ),
        )

    def _reached(self, order: Order, price: int, left: int, model: Model) -> int | None:
        """Return the lots of ``order`` that a print fills; None where it ends before it."""
        fine = order.price * FINE
        beyond = fine - price if order.side is Side.BID else price - fine
        if beyond < 0 or not left or (beyond == 0 and model == "through"):
            return None
        if beyond == 0 and model == "queue":
            waited = min(order.ahead, left)
            order.ahead -= waited
            left -= waited
        return min(order.size, left)

    def _filled(self, order: Order, size: int, at: Millis, seq: int) -> Fill:
        purse, paid = self.purses[order.wallet], order.price * size * self.spec.quote_lot_size
        sign = 1 if order.side is Side.BID else -1
        purse.base += sign * size
        purse.quote -= sign * paid
        order.size -= size
        self.changed.add(order.wallet)
        return Fill(
            seq=seq,
            at=at,
            wallet=order.wallet,
            side=order.side,
            price=Ticks(order.price),
            size=BaseLots(size),
            maker=True,
            rebate=Lamports(0),
            fee=Lamports(0),
            order_id=order.number,
            client_id=order.client_id,
            counterparty="tape",
        )

    def _would_take(self, place: Placement, bid: int | None, ask: int | None) -> bool:
        if place.side is Side.BID:
            return ask is not None and int(place.price) >= ask
        return bid is not None and int(place.price) <= bid

    def _pay_for(
        self, wallet: WalletIndex, bids: list[Order], asks: list[Order], new: Iterable[Placement]
    ) -> None:
        """Raise ChangeFailed where a wallet cannot pay for what it would have on the book."""
        purse = self.purses[wallet]
        locked = self._locked(order for order in (*bids, *asks) if order.wallet == wallet)
        for place in new:
            cost = int(place.price) * self.spec.quote_lot_size if place.side is Side.BID else 1
            locked[place.side] += cost * int(place.size)
        if locked[Side.BID] > purse.quote or locked[Side.ASK] > purse.base:
            raise ChangeFailed

    def _locked(self, orders: Iterable[Order]) -> dict[Side, int]:
        locked = dict.fromkeys(Side, 0)
        for order in orders:
            cost = order.price * self.spec.quote_lot_size if order.side is Side.BID else 1
            locked[order.side] += cost * order.size
        return locked

    def _placed(self, place: Placement) -> Order:
        self._numbers += 1
        return Order(
            place.wallet,
            place.side,
            int(place.price),
            int(place.size),
            self._numbers,
            place.client_id,
            self.queue_lots,
        )


def _shifted(side: Side, price: int, apart: int) -> int:
    """Return a print's price moved ``apart`` bps towards the orders it might fill."""
    return -(-price * BPS // (BPS - apart)) if side is Side.BID else price * BPS // (BPS + apart)
