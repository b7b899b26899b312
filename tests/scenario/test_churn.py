"""Ten moves of 1 % in a row: what is written follows what enters or leaves the zones.

Nobody trades. One other maker follows the reference closely, inside our wide touch, so that P steps as the
reference does. There is no Pivot, so the anchor is F: with the default inertia the channel hardly moves and P
moves through it; with an inertia of a minute the whole channel slides along.
"""

from decimal import Decimal
from itertools import pairwise

import pytest

from bmv.app.assembly import Assembly
from bmv.app.demo import VIRTUAL_START_MS
from bmv.core.ladder import shares
from bmv.events import AnyAction, Report
from bmv.model import TOUCH, Side
from bmv.sandbox.people.crowd import CrowdOptions
from bmv.sandbox.prices import PricePath
from tests.scenario.courses import START
from tests.scenario.playing import DAY_MS, HOUR_MS, MINUTE_MS, Scenario, Seen, play

ONE_MAKER = CrowdOptions(quoters=1, dusters=0, walls=0, takers=0, arbitrageurs=0)
STEPS, STEP_MS = 10, 720_000
INERTIA = {"inert": DAY_MS, "sliding": MINUTE_MS}
SETTINGS = {
    "pivot_mode": "pure",
    "inside_spread": 300,
    "min_spread": 300,
    "rebalance_threshold": 50,
    "foreign_min": 1,
    "book_headroom": 1_000,
}


class Zones:
    """Which levels each rebuild may use: points of both zones (BUY only below P), and the touches."""

    def __init__(self) -> None:
        self.levels: list[set[tuple[Side, int]]] = []

    def hear(self, action: AnyAction, assembly: Assembly) -> None:
        """Note the zones of a rebuild."""
        if isinstance(action, Report) and action.name == "GRID_REBUILD":
            self.levels.append(self._now(assembly))

    def _now(self, assembly: Assembly) -> set[tuple[Side, int]]:
        engine = assembly.engine
        market, settings = engine.state.market, engine.settings
        assert market.channel is not None
        assert market.reading is not None
        counts = shares(settings.grid_levels or 0, market.density or settings.buy_density, settings)
        high = min(market.channel.buy_high, market.reading.price_fine)
        zones = {
            Side.BID: (market.channel.buy_low, high),
            Side.ASK: (market.channel.sell_low, market.channel.sell_high),
        }
        # A touch has no point: told by its price, which lies far below every point's number.
        touches = {
            (quote.side, int(quote.price)) for quote in engine.state.target.quotes if quote.point == TOUCH
        }
        return touches | {
            (side, point)
            for side, lattice in market.lattices.items()
            for point in lattice.fitted(lattice.points_in(*zones[side]), counts[side])
        }

    def changed(self) -> int:
        """Return how many levels entered or left from the second rebuild on."""
        return sum(len(before ^ after) for before, after in pairwise(self.levels))


def moved(levels: int, factor: float, inertia: str, control: int = 0) -> tuple[Seen, Zones]:
    """Play ten moves by ``factor``, twelve minutes apart; Target Control is ``control`` basis points."""
    rows = range(STEPS + 2)
    times = tuple(VIRTUAL_START_MS + row * STEP_MS for row in rows)
    prices = tuple(Decimal(f"{START * factor ** min(row, STEPS):.12g}") for row in rows)
    path = PricePath("steps", times, prices, STEP_MS)
    zones, wallets = Zones(), -(-levels // 32)
    settings = SETTINGS | {"channel_inertia": INERTIA[inertia], "target_control": control}
    hours = (STEPS + 1) * STEP_MS / HOUR_MS
    return play(Scenario(path, hours, ONE_MAKER, wallets, levels, settings=settings), zones.hear), zones


@pytest.mark.parametrize("factor", [1.01, 0.99])
@pytest.mark.parametrize(
    ("levels", "inertia", "control"),
    [
        (100, "sliding", 7_000),
        (800, "inert", 0),
        pytest.param(100, "sliding", 0, marks=pytest.mark.soak),
        pytest.param(100, "inert", 0, marks=pytest.mark.soak),
        pytest.param(100, "inert", 7_000, marks=pytest.mark.soak),
        pytest.param(800, "sliding", 0, marks=pytest.mark.soak),
        pytest.param(800, "sliding", 7_000, marks=pytest.mark.soak),
        pytest.param(800, "inert", 7_000, marks=pytest.mark.soak),
    ],
)
def test_ten_moves_write_what_enters_or_leaves_the_zones_and_at_most_one_new_binding(
    levels: int, inertia: str, control: int, factor: float
) -> None:
    seen, zones = moved(levels, factor, inertia, control)
    assert seen.samples[-1].price / seen.samples[0].price == pytest.approx(factor**STEPS, rel=0.005)
    assert len(zones.levels) > STEPS
    began = seen.samples[0].at
    written = sum(at > began for at, _, _ in seen.placed) + sum(at > began for at in seen.withdrawn)
    # A level that comes or goes is one order; a new binding counts every level once, though it writes twice.
    binding = len(zones.levels[0])
    assert STEPS < written <= 2 * zones.changed() + binding
    assert levels / 2 < seen.most_orders <= levels
