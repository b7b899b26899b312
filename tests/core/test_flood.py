"""A stranger fills a side of the book with one-lot orders, over and over: it must not cost us much."""

import random
from collections import Counter
from collections.abc import Sequence

import pytest

from bmv.core.state import new_state
from bmv.events import AnyAction, Execute
from bmv.model import Side
from bmv.units import Millis
from tests.core.belongings import SOL, market, settings
from tests.core.exchange import FOREIGN, Account, Exchange, Standing
from tests.core.world import MIDDLE, World

ROOM = 60
DAY_MS = 86_400_000
LOOK_MS = 30_000
START_MS = 1_000_000


class Calm(World):
    """A world in which everything lands; it counts what the engine writes."""

    def send(self, actions: Sequence[AnyAction]) -> None:
        for action in actions:
            if isinstance(action, Execute):
                self.tally["placed"] += len(action.places)
        super().send(actions)


def calm_world() -> Calm:
    chosen = settings(
        ORDERS_PER_WALLET=20,
        GRID_LEVELS=40,
        SEED_PRICE=MIDDLE * 10,
        SEED_DAILY_VOLUME=1_000,
        IDLE_INTERVAL_MIN=1_440,
        DAILY_COST_BUDGET_SOL=1_000,
    )
    accounts = [Account(gas=SOL, quote_held=1_000 * SOL, base_held=10**6, ready=True) for _ in range(2)]
    spec = market(ROOM, ROOM)
    exchange = Exchange(spec, accounts, 20)
    state = new_state(spec, 2, Millis(START_MS))
    return Calm(random.Random(1), chosen, exchange, state, calm=True)


def live(world: Calm, ms: int) -> None:
    for _ in range(ms // LOOK_MS):
        world.look()
        world.now += LOOK_MS
        world.pass_time(1)


def own(world: Calm, side: Side) -> list[Standing]:
    return world.exchange.side(side, own=True)


def flood(world: Calm, side: Side, price: int) -> None:
    """Fill a side at ``price``: each order of ours behind that is evicted."""
    for _ in range(ROOM):
        world.exchange.rest(side, price, 1)


def dry(world: Calm) -> None:
    world.exchange.orders = [order for order in world.exchange.orders if order.owner != FOREIGN]


@pytest.mark.parametrize("every_min", [15, 25])
def test_filling_and_emptying_a_side_all_day_makes_us_write_each_level_a_few_times(every_min: int) -> None:
    world = calm_world()
    live(world, 600_000)
    bids = own(world, Side.BID)
    assert len(bids) > 10
    world.tally = Counter()
    floods = DAY_MS // (every_min * 60_000)
    for _ in range(floods):
        flood(world, Side.BID, bids[0].price - 1)
        live(world, 120_000)
        assert len(own(world, Side.BID)) == 1, "only the first order is better than the stranger's"
        dry(world)
        live(world, (every_min - 2) * 60_000)
    # 10, 20, 40, ... minutes: a day has room for seven such waits, and the whole ladder is never rewritten.
    assert world.tally["placed"] <= 8 * len(bids)
    assert world.tally["executed"] <= 20 < floods
    assert 0 < world.tally["BOOK_FLOODED"] <= 9
    live(world, DAY_MS)
    # The first order has come nearer meanwhile, as nobody traded.
    assert {o.price for o in bids[1:]} == {o.price for o in own(world, Side.BID)[1:]}


def test_while_the_stranger_stays_nothing_is_written_and_when_he_leaves_the_ladder_returns() -> None:
    world = calm_world()
    live(world, 600_000)
    ladder = {(o.side, o.price) for o in world.exchange.own()}
    flood(world, Side.BID, own(world, Side.BID)[0].price - 1)
    world.tally = Counter()
    live(world, 3 * 3_600_000)
    assert world.tally["placed"] == 0
    dry(world)
    live(world, 600_000)
    assert {(o.side, o.price) for o in world.exchange.own()} == ladder
