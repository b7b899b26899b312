"""The ladder as people see it: every order that stands, flies or is wanted, with the reason for it.

Called many times a second, so what does not change is not made anew: the texts of a quote, and the whole
ladder while neither orders nor P have moved.
"""

from decimal import Decimal

from bmv.core.decay import FINE
from bmv.core.lattice import ORIGIN
from bmv.core.state import State
from bmv.events import Execute
from bmv.model import TOUCH, MarketSpec, Quote, Side
from bmv.observe.figures import sol
from bmv.observe.view import LevelView, OrderState, SideName
from bmv.units import BaseLots, Ticks

NO_POINT = -2
"""Shown as the point of an order that no level wants any more."""
SIDES: dict[Side, SideName] = {Side.BID: "bid", Side.ASK: "ask"}
MOST_TEXTS = 20_000


class Rungs:
    """Present the ladder of one market."""

    def __init__(self, spec: MarketSpec) -> None:
        self._spec = spec
        self._seen: tuple[object, ...] = ()
        self._shown: tuple[LevelView, ...] = ()
        self._texts: dict[Quote, tuple[str, str, str]] = {}

    def of(self, state: State) -> tuple[LevelView, ...]:
        """Return every order from the highest price down; the same tuple while nothing has changed."""
        price = state.market.reading.price_fine if state.market.reading else 0
        orders = [view.orders for view in state.views.values()]
        seen = (price, state.target.quotes, *orders, *state.in_flight.values())
        if len(seen) != len(self._seen) or any(a is not b for a, b in zip(seen, self._seen, strict=True)):
            self._seen, self._shown = seen, self._made(state, price)
        return self._shown

    def _made(self, state: State, price: int) -> tuple[LevelView, ...]:
        levels: dict[tuple[Ticks, Side, int], tuple[Quote, OrderState]] = {}
        wanted = {(quote.wallet, quote.side, quote.price): quote for quote in state.target.quotes}
        for quote in wanted.values():
            levels[quote.price, quote.side, quote.wallet] = quote, "missing"
        for place in state.flying_places():
            known = wanted.get((place.wallet, place.side, place.price))
            why = known.why if known is not None else None
            quote = Quote(place.wallet, place.side, place.point, place.price, place.size, why)
            levels[quote.price, quote.side, quote.wallet] = quote, "in-flight"
        leaving = {
            cancel.order_id
            for flight in state.in_flight.values()
            if isinstance(flight.action, Execute)
            for cancel in flight.action.cancels
        }
        for view in state.views.values():
            for order in view.orders:
                known = wanted.get((order.wallet, order.side, order.price))
                point, why = (known.point, known.why) if known is not None else (NO_POINT, None)
                quote = Quote(order.wallet, order.side, point, order.price, order.size, why)
                name: OrderState = "leaving" if order.order_id in leaving else "live"
                levels[quote.price, quote.side, quote.wallet] = quote, name
        if len(self._texts) > MOST_TEXTS:
            self._texts.clear()
        ordered = sorted(levels.items(), key=lambda level: (-int(level[0][0]), *level[0][1:]))
        return tuple(self._level(quote, name, price) for _, (quote, name) in ordered)

    def _level(self, quote: Quote, name: OrderState, price_fine: int) -> LevelView:
        price, size, why = self._texts.get(quote) or self._written(quote)
        distance = (int(quote.price) * FINE / price_fine - 1) * 100 if price_fine else 0.0
        return LevelView(
            side=SIDES[quote.side],
            price=price,
            size=size,
            wallet=quote.wallet,
            state=name,
            point=quote.point,
            distance_pct=f"{distance:.2f}",
            why=why,
        )

    def _written(self, quote: Quote) -> tuple[str, str, str]:
        price, size = self._spec.price(quote.price), self._spec.size(quote.size)
        texts = self._texts[quote] = (f"{price:f}", f"{size:f}", reason(quote, self._spec))
        return texts


def reason(quote: Quote, spec: MarketSpec) -> str:
    """Return in a line why a quote is wanted where it is and that large."""
    why = quote.why
    if why is None:
        return "no level of the ladder wants it any more"
    bid = quote.side is Side.BID
    budget = f"{sol(why.budget)} SOL" if bid else f"{spec.size(BaseLots(why.budget)):f}"
    place = f"level {why.rank + 1} from the inside"
    place += "" if why.point == TOUCH else f", lattice point {why.point - ORIGIN:+d}"
    share = f"{Decimal(why.share_ppm) / 10_000:.2f} % of {budget}"
    return f"{place}, {share}" + (f", cut by: {why.clip}" if why.clip else "")
