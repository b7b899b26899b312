"""New settings reach everything that was built under the old ones, and nothing else moves."""

from decimal import Decimal

import msgspec
import pytest

from bmv.config import KNOWN_KEYS, Settings
from bmv.config.settings import bounds
from bmv.core.decay import FINE
from bmv.core.decide import decide
from bmv.core.limits import Approved
from bmv.core.reconfiguring import settings_for
from bmv.core.state import Phase, State, new_state
from bmv.events import AnyEvent, ConfigChanged, ConfigRefused, Execute, MarketSeen, Report, Tick
from bmv.model import ForeignBook, Side, Trade
from bmv.units import BaseLots, Millis, Slot, Ticks
from tests.core.belongings import START, later, market, settings, wallet
from tests.core.world import World, new_world

PRICE = Ticks(20_000)


def changed(before: Settings, after: Settings, ms: int = 2_000) -> ConfigChanged:
    """Return the event of a reload."""
    old, new = before.by_key(), after.by_key()
    keys = tuple(key for key in KNOWN_KEYS if old[key] != new[key])
    return ConfigChanged(at=later(ms), settings=after.written(), changed=keys)


def quoted(chosen: Settings) -> State:
    """Return an engine that has just built its first ladder."""
    state = new_state(market(), 2, START)
    seen = MarketSeen(
        at=later(1_000),
        slot=Slot(100),
        book=ForeignBook(),
        wallets=(wallet(0), wallet(1)),
        trades=(Trade(1, later(900), PRICE, BaseLots(10**7), Side.BID, False),),
    )
    state, approved = decide(state, seen, chosen)
    assert state.phase is Phase.QUOTING
    assert any(isinstance(action, Execute) for action in approved.actions)
    return state


def reloaded(state: State, before: Settings, after: Settings) -> Approved:
    """Let an engine hear of new settings."""
    return decide(state, changed(before, after), after)[1]


def reports(approved: Approved) -> dict[str, dict[str, str | int]]:
    return {action.name: action.fields for action in approved.actions if isinstance(action, Report)}


def test_a_change_is_a_signal_that_rebuilds_and_names_the_keys() -> None:
    before = settings(GRID_LEVELS=24)
    state = quoted(before)
    told = reports(reloaded(state, before, settings(GRID_LEVELS=24, INSIDE_SPREAD_PCT=3, BUY_PACE_PCT=20)))
    assert told["CONFIG_RELOADED"] == {"changed": "INSIDE_SPREAD_PCT, BUY_PACE_PCT"}
    assert (told["GRID_REBUILD"]["trigger"], told["GRID_REBUILD"]["cause"]) == ("signal", "other settings")


def test_a_file_that_says_the_same_again_rebuilds_nothing() -> None:
    before = settings(GRID_LEVELS=24)
    state = quoted(before)
    event = ConfigChanged(
        at=later(2_000), settings=before.written(), changed=(), without_effect=("GRID_LEVELS",)
    )
    told = reports(decide(state, event, before)[1])
    assert told == {"CONFIG_RELOADED": {"changed": "nothing", "without_effect": "GRID_LEVELS"}}


def test_a_refused_file_changes_nothing_and_is_told() -> None:
    before = settings(GRID_LEVELS=24)
    state = quoted(before)
    target = state.target
    event = ConfigRefused(at=later(2_000), keys="X", reason="X: 1 is not allowed")
    told = reports(decide(state, event, before)[1])
    assert told == {"CONFIG_REFUSED": {"keys": "X", "reason": "X: 1 is not allowed"}}
    assert state.target == target


def test_the_lattice_is_anchored_anew_only_where_it_does_not_fit_any_more() -> None:
    before = settings(GRID_LEVELS=24)
    state = quoted(before)
    old = dict(state.market.lattices)
    after = settings(GRID_LEVELS=24, BUY_SIZE_RATIO=2, REBALANCE_THRESHOLD_PCT=2)
    reloaded(state, before, after)
    assert state.market.lattices == old
    # Twice as wide at half the density: the sides share the levels as before.
    wider = settings(GRID_LEVELS=24, BUY_CHANNEL_WIDTH_PCT=30, BUY_DENSITY=1)
    reloaded(state, after, wider)
    assert state.market.lattices[Side.BID] != old[Side.BID]
    assert state.market.lattices[Side.ASK] == old[Side.ASK]
    reloaded(state, wider, settings(GRID_LEVELS=48, BUY_CHANNEL_WIDTH_PCT=30, BUY_DENSITY=1))
    assert state.market.lattices[Side.ASK] != old[Side.ASK]


def test_the_ladder_is_the_one_a_new_engine_would_build() -> None:
    before = settings(GRID_LEVELS=24)
    after = settings(
        GRID_LEVELS=40,
        BUY_SIZE_RATIO=3,
        SELL_CHANNEL_WIDTH_PCT=20,
        MIN_BASE_SHARE_PCT=5,
        BUY_CHANNEL_WIDTH_PCT=12,
    )
    state, fresh = quoted(before), quoted(after)
    reloaded(state, before, after)
    assert [(quote.side, quote.price) for quote in state.target.quotes] == [
        (quote.side, quote.price) for quote in fresh.target.quotes
    ]
    assert state.market.weights == fresh.market.weights


def test_the_pivots_seed_follows() -> None:
    before = settings(SEED_PRICE="0.1", SEED_DAILY_VOLUME=10**6, PIVOT_MAX_DAILY_MOVE_PCT=100)
    after = settings(PIVOT_MODE="pure", PIVOT_MAX_DAILY_MOVE_PCT=100)
    state = quoted(before)
    seeded = state.market.capped_pivot.raw_fine
    reloaded(state, before, after)
    assert state.market.capped_pivot.raw_fine == int(PRICE) * FINE != seeded
    decide(state, changed(after, before, 3_000), before)
    assert state.market.capped_pivot.raw_fine == pytest.approx(seeded, rel=1e-6)


@pytest.mark.parametrize("key", KNOWN_KEYS)
def test_every_key_may_go_to_either_end_of_its_range_while_running(key: str) -> None:
    before = settings(GRID_LEVELS=24)
    names = {str(field.alias): name for name, field in Settings.model_fields.items()}
    for value in bounds(key).values():
        state = quoted(before)
        kind = Decimal if isinstance(before.by_key()[key], Decimal) else int
        after = before.model_copy(update={names[key]: kind(value)})
        told = reports(reloaded(state, before, after))
        assert told["CONFIG_RELOADED"] == {"changed": key if changed(before, after).changed else "nothing"}
        for ms in (10_000, 20_000, 30_000):
            state, _ = decide(state, Tick(at=later(ms), slot=Slot(100 + ms // 400)), after)
        assert state.phase is Phase.QUOTING


def test_a_reload_while_halting_places_nothing() -> None:
    before = settings(GRID_LEVELS=24)
    state = quoted(before)
    state.phase = Phase.HALTING
    approved = reloaded(state, before, settings(GRID_LEVELS=30))
    assert not any(isinstance(action, Execute) and action.places for action in approved.actions)


def test_the_journalled_event_carries_all_settings() -> None:
    before, after = settings(), settings(GRID_LEVELS=64, SEED_PRICE="0.000001", SEED_DAILY_VOLUME=5)
    line = msgspec.json.encode(changed(before, after))
    event: AnyEvent = msgspec.json.decode(line, type=AnyEvent)
    assert settings_for(event, before) == after
    assert settings_for(Tick(at=Millis(1), slot=Slot(1)), before) is before


def other(world: World) -> Settings:
    """Return settings that differ in many ways from those a world has."""
    rng = world.rng
    width = rng.choice([5, 15, 60])
    return settings(
        CHANNEL_MODE=rng.choice(["follow", "pivot"]),
        BUY_CHANNEL_WIDTH_PCT=width,
        SELL_CHANNEL_WIDTH_PCT=rng.choice([5, 30, 200]),
        ORDERS_PER_WALLET=rng.randint(2, world.exchange.most_orders),
        GRID_LEVELS=rng.choice(["auto", 4, 40]),
        BOOK_HEADROOM=rng.choice([0, 50]),
        SIZE_TOLERANCE_PCT=rng.choice([0, 25]),
        INSIDE_SPREAD_PCT=rng.choice(["0.5", "4"]),
        REBALANCE_THRESHOLD_PCT=rng.choice(["0.2", "1"]),
        MIN_BASE_SHARE_PCT=rng.choice([0, 20]),
        REF_NOTIONAL_SOL="0.01",
        SEED_PRICE=rng.choice(["0.02", "0.01"]),
        SEED_DAILY_VOLUME="1000",
    )


def test_reloads_in_any_weather_let_no_two_orders_meet_and_spend_nothing_twice() -> None:
    placed = reloads = 0
    for seed in range(16):
        world = new_world(seed)
        world.exchange.most_orders = 16
        world.bounds = settings(BOOK_HEADROOM=0)
        for step in range(160):
            if step % 8 == 7:
                before, world.chosen = world.chosen, other(world)
                keys = changed(before, world.chosen).changed
                event = ConfigChanged(at=Millis(world.now), settings=world.chosen.written(), changed=keys)
                world.happen(event)
                world.whatever_lands()
            world.step()
        world.halt()
        assert world.finish is not None
        assert world.finish.clean or world.frozen_at_end
        placed += world.tally["executed"]
        reloads += world.tally["CONFIG_RELOADED"]
    assert reloads == 16 * 20
    assert placed > 200
