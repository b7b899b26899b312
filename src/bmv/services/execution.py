"""How well what we send lands: landed share, latency, and what rebuilds and orders cost.

It listens to what the journal gets. Latency runs from the decision to the moment the engine learns that the
chain has confirmed.
"""

import statistics

from bmv.events import AnyAction, BundleResolved, Execute, Report
from bmv.model import Outcome
from bmv.units import Lamports, Millis

MOST_LATENCIES = 100_000


class Execution:
    """Count bundles from the actions they carry to their outcome."""

    def __init__(self) -> None:
        self.rebuilds = 0
        self.rebuild_tips = self.rebuild_fees = self.tips = self.fees = Lamports(0)
        self.landed = self.lost = self.orders_landed = 0
        self.latencies_ms: list[int] = []
        self._asked: dict[int, tuple[Millis, int, bool]] = {}
        self._rebuilding = False

    def decided(self) -> None:
        """Begin what follows from another event."""
        self._rebuilding = False

    def did(self, action: AnyAction, at: Millis) -> None:
        """Note an action that was approved."""
        if isinstance(action, Report):
            if action.name == "GRID_REBUILD":
                self.rebuilds += 1
                self._rebuilding = True
        elif (ticket := getattr(action, "ticket", None)) is not None:
            places = len(action.places) if isinstance(action, Execute) else 0
            self._asked[ticket] = at, places, self._rebuilding and isinstance(action, Execute)

    def resolved(self, event: BundleResolved) -> None:
        """Note the outcome of a bundle that was sent; what serves a rebuild is at the rebuild's cost."""
        asked = [self._asked.pop(ticket) for ticket in event.tickets if ticket in self._asked]
        if event.outcome is not Outcome.LANDED:
            self.lost += 1
            return
        self.landed += 1
        self.tips += event.cost.tip
        self.fees += event.cost.fees
        self.orders_landed += sum(places for _, places, _ in asked)
        if any(of_rebuild for _, _, of_rebuild in asked):
            self.rebuild_tips += event.cost.tip
            self.rebuild_fees += event.cost.fees
        if asked and len(self.latencies_ms) < MOST_LATENCIES:
            self.latencies_ms.append(int(event.at - min(at for at, _, _ in asked)))

    def landed_share(self) -> float | None:
        """Return the share of bundles sent that landed; None while none is resolved."""
        known = self.landed + self.lost
        return self.landed / known if known else None

    def latency_ms(self, percent: int) -> int | None:
        """Return a percentile (1 to 99) of the latency of landed bundles; None of nothing."""
        if len(self.latencies_ms) < 2:
            return self.latencies_ms[0] if self.latencies_ms else None
        return round(statistics.quantiles(self.latencies_ms, n=100)[percent - 1])
