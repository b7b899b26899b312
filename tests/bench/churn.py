"""Orders written over days of recorded prices: ours, and those of a ladder replaced whole at each rebuild.

The whole system plays the prices (engine, clients, sandbox, virtual time). The baseline never runs: at every
rebuild of ours it is counted what withdrawing all that stands and placing the whole new ladder would have
written, for the same readings, the same ladder and the same packing into bundles; where we topped up a side,
that side. Its bundles cost the tips ours did on average. Bundles that open accounts or crank are the same for
both and listed apart; what stands at the end both withdraw, and it is not counted.

What ours wrote is also told by cause: which trigger, and what became of the level.

``python -m tests.bench.churn 30`` plays thirty days, ``... audio 7`` seven of the other recording.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bmv.app.assembly import Assembly
from bmv.core.plan import LAST_CLIENT_ID, MAX_CHANGE, cancel_of
from bmv.core.state import Phase, State
from bmv.events import AnyAction, Execute, Report
from bmv.model import TOUCH, LiveOrder, Placement, Quote, Side
from bmv.sandbox.prices import load_prices
from bmv.services.building import change_steps
from bmv.services.packing import Group, pack_bundles
from bmv.units import LAMPORTS_PER_SOL, Lamports, Ticks
from tests.scenario.playing import Scenario, play

PRICES = Path(__file__).parents[2].parent / "shared" / "data" / "prices"


@dataclass(slots=True)
class _Replaced:
    """What cancel-all-and-replace would have written so far."""

    writes: int = 0
    bundles: int = 0
    rebuilds: int = 0

    def hear(self, action: AnyAction, assembly: Assembly) -> None:
        """Count a rebuild of ours as a replacement."""
        if not isinstance(action, Report) or action.name != "GRID_REBUILD":
            return
        self.rebuilds += 1
        state = assembly.engine.state
        groups: list[Group] = []
        topped_up = action.fields["cause"] == "top-up"
        sides = [side for side in Side if not topped_up or state.target.topped_up_at.get(side) == state.now]
        for wallet, (orders, quotes) in _by_wallet(state, sides).items():
            self.writes += len(orders) + len(quotes)
            for change in _changes(wallet, orders, quotes):
                steps = change_steps(change, assembly.wallets[wallet], assembly.market, assembly.spec, 0)
                groups.append(Group(len(groups), steps))
        self.bundles += len(pack_bundles(groups, (assembly.market.market, Lamports(1))))


@dataclass(slots=True)
class _Causes:
    """Our writes by what rebuilt the ladder at that moment, and by what became of the level."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    _trigger: tuple[int, str] = 0, ""
    _firsts: set[tuple[Side, Ticks]] = field(default_factory=set)

    def hear(self, action: AnyAction, assembly: Assembly) -> None:
        """Count what a change writes; a change that follows later says so."""
        state = assembly.engine.state
        if isinstance(action, Report) and action.name == "GRID_REBUILD":
            name = action.fields["cause" if action.fields["trigger"] == "local" else "trigger"]
            self._trigger = int(state.now), str(name)
        elif isinstance(action, Execute) and state.phase is Phase.QUOTING:
            at, name = self._trigger
            for kind in self._kinds(action, state):
                self.counts[name if at == state.now else "later", kind] += 1

    def _kinds(self, change: Execute, state: State) -> Iterator[str]:
        """Yield for each write: the first order, a level made smaller or larger, one that comes or goes."""
        stood = {(order.side, order.price): order.size for order in state.views[change.wallet].orders}
        wanted = {(place.side, place.price): place.size for place in change.places}
        left = {(cancel.side, cancel.price) for cancel in change.cancels}
        self._firsts |= {(place.side, place.price) for place in change.places if place.point == TOUCH}
        for key, alone in [*((key, "goes") for key in left), *((key, "comes") for key in wanted)]:
            if key in self._firsts:
                yield "first"
            elif key in left and key in wanted and key in stood:
                yield "smaller" if wanted[key] < stood[key] else "larger"
            else:
                yield alone
        self._firsts -= left - wanted.keys()

    def shares(self, part: int) -> dict[str, float]:
        """Return the shares of the writes by trigger (``part`` 0) or by kind (1), the largest first."""
        summed: Counter[str] = Counter()
        for key, count in self.counts.items():
            summed[key[part]] += count
        return {name: round(count / summed.total(), 3) for name, count in summed.most_common()}


def _by_wallet(state: State, sides: Sequence[Side]) -> dict[int, tuple[list[LiveOrder], list[Quote]]]:
    """Return what stands and what is wanted of ``sides``, by wallet."""
    return {
        wallet: (
            [order for order in view.orders if order.side in sides],
            [quote for quote in state.target.quotes if quote.wallet == wallet and quote.side in sides],
        )
        for wallet, view in sorted(state.views.items())
    }


def _changes(wallet: int, orders: Sequence[LiveOrder], quotes: Sequence[Quote]) -> Iterator[Execute]:
    cancels = [cancel_of(order) for order in orders]
    places = [
        Placement(quote.wallet, quote.side, quote.point, quote.price, quote.size, number % LAST_CLIENT_ID + 1)
        for number, quote in enumerate(quotes)
    ]
    for start in range(0, max(len(cancels), len(places)), MAX_CHANGE):
        part = slice(start, start + MAX_CHANGE)
        yield Execute(start, wallet, tuple(cancels[part]), tuple(places[part]))


def run(days: int = 1, name: str = "ray") -> dict[str, object]:
    """Play so many days of a recording and return writes, bundles and tips a day, ours and the baseline's."""
    file = PRICES / f"{name}_sol_cross_1h.parquet"
    if not file.is_file():
        return {"bench": "churn", "skipped": "the recorded prices (shared/data/prices) are not here"}
    replaced, causes = _Replaced(), _Causes()

    def hear(action: AnyAction, assembly: Assembly) -> None:
        replaced.hear(action, assembly)
        causes.hear(action, assembly)

    seen = play(Scenario(load_prices(file), days * 24), hear)
    ours = len(seen.placed) + len(seen.withdrawn)
    changing = [each.cost.tip for each in seen.landed if seen.changes.intersection(each.tickets)]
    tip = sum(map(int, changing)) / len(changing)
    return {
        "bench": "churn",
        "prices": name,
        "days": days,
        "rebuilds": replaced.rebuilds,
        "baseline_writes_per_day": round(replaced.writes / days, 1),
        "ours_writes_per_day": round(ours / days, 1),
        "baseline_bundles_per_day": round(replaced.bundles / days, 1),
        "ours_bundles_per_day": round(len(changing) / days, 1),
        "baseline_tips_per_day_sol": round(replaced.bundles * tip / days / LAMPORTS_PER_SOL, 6),
        "ours_tips_per_day_sol": round(sum(map(int, changing)) / days / LAMPORTS_PER_SOL, 6),
        "other_bundles_per_day": round((len(seen.landed) - len(changing)) / days, 1),
        "ratio": round(replaced.writes / ours, 2),
        "written_by_trigger": causes.shares(0),
        "written_by_kind": causes.shares(1),
    }


def main(arguments: list[str]) -> None:
    """Play what the arguments name, days and recording in any order, and print one JSON line."""
    chosen: dict[str, Any] = {}
    for word in arguments:
        chosen |= {"days": int(word)} if word.isdigit() else {"name": word}
    print(json.dumps(run(**chosen)))


if __name__ == "__main__":
    main(sys.argv[1:])
