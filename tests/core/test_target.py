"""Target Control against its definition in exact fractions, and what it does to the ladder."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from bmv.config import Settings
from bmv.core.decide import decide
from bmv.core.ladder import shares, stepped_density
from bmv.core.state import State, Supply
from bmv.core.target import in_third_hands, target_control, wanted_density
from bmv.core.treasury import Memory
from bmv.events import Tick
from bmv.model import ForeignBook, Side
from bmv.units import BaseAtoms, Bps, MicroUsd, Slot, Ticks, UsdPerSol
from tests.core.belongings import BASE_LOT, later, order, quoting_state, settings, wallet

HOUR = 3_600_000
BPS = st.integers(0, 10_000)
BOOK = ForeignBook(Ticks(11_950), Ticks(12_050), Ticks(11_950), Ticks(12_050), 1, 1)


def held(supply: int, locked: int, lots: tuple[int, ...]) -> State:
    """Return a state whose wallets hold so many lots each."""
    state = quoting_state([wallet(index, lots=each) for index, each in enumerate(lots)])
    state.supply = Supply(BaseAtoms(supply), BaseAtoms(locked))
    return state


@given(
    st.integers(1, 10**18), BPS, st.lists(st.integers(0, 10**12), min_size=1, max_size=4), st.integers(0, 10)
)
def test_the_density_equals_its_definition(supply: int, locked: int, lots: list[int], gain: int) -> None:
    state = held(supply, supply * locked // 10_000, tuple(lots))
    chosen = settings(TARGET_CONTROL_GAIN=gain)
    free = 1 - Fraction(supply * locked // 10_000 + sum(lots) * BASE_LOT, supply)
    control = max(Fraction(0), free)
    assert target_control(state, chosen) == control
    wanted = min(Fraction(4), 2 * (1 + gain * control))
    assert int(wanted_density(state, chosen)) == wanted * 10_000 // 1


def test_owned_is_everything_in_the_wallets_orders_and_unsettled_tokens_included() -> None:
    asks = [order(0, Side.ASK, 13_000, 400)]
    state = quoting_state([wallet(0, lots=1_000, orders=asks), wallet(1, lots=500)])
    state.supply = Supply(BaseAtoms(10_000 * BASE_LOT), BaseAtoms(3_000 * BASE_LOT))
    assert target_control(state, settings()) == Fraction(55, 100)


def test_what_is_locked_and_owned_twice_over_leaves_nothing_in_third_hands() -> None:
    assert in_third_hands(BaseAtoms(10), BaseAtoms(8), BaseAtoms(8)) == 0
    assert in_third_hands(BaseAtoms(0), BaseAtoms(0), BaseAtoms(0)) == 0


def test_before_the_supply_is_seen_the_density_is_the_configured_one() -> None:
    assert wanted_density(quoting_state([wallet(0)]), settings()) == Bps(20_000)


@given(BPS)
def test_a_fixed_percentage_stands_for_what_the_chain_shows(percent: int) -> None:
    state = held(10**9, 0, (5,))
    chosen = settings(TARGET_CONTROL_PCT=percent / 100)
    assert target_control(state, chosen) == Fraction(percent, 10_000)


@given(st.integers(1, 10**9), st.integers(0, 10**9), st.integers(0, 10**9))
def test_more_in_third_hands_never_makes_the_zone_thinner(supply: int, one: int, other: int) -> None:
    more, less = (held(supply, locked, (0,)) for locked in sorted((one, other)))
    assert wanted_density(more, settings()) >= wanted_density(less, settings())


def test_the_damper_makes_the_zone_denser_at_once_and_by_its_share() -> None:
    state, chosen = quoting_state([wallet(0)]), settings(BUY_DENSITY=1)
    state.oracle.on_price(later(0), UsdPerSol(100_000_000))
    state.now = later(24 * HOUR)
    state.oracle.on_price(state.now, UsdPerSol(85_000_000))
    assert wanted_density(state, chosen) == Bps(10_000)
    state.memory = Memory(onset=MicroUsd(0))
    # D = 15 %: half of the way from DROP (5) to DROP + FULL (25).
    assert wanted_density(state, chosen) == Bps(15_000)
    # The next step of density gives the BUY zone more of 32 levels.
    assert stepped_density(Bps(15_000), Bps(10_000)) == Bps(20_000)
    assert shares(32, Bps(20_000), chosen)[0] > shares(32, Bps(10_000), chosen)[0]


def standing(state: State) -> dict[Side, int]:
    """Count the levels of each side."""
    sides = [quote.side for quote in state.target.quotes]
    return {side: sides.count(side) for side in Side}


def quoting_with(percent: int, levels: int) -> State:
    """Return an engine that has built its ladder with so much of the token in third hands."""
    state = quoting_state([wallet(index) for index in range(4)], book=BOOK)
    decide(state, Tick(at=later(10_000), slot=Slot(200)), densely(percent, levels))
    return state


def densely(percent: int, levels: int) -> Settings:
    """Return settings with a fixed Target Control."""
    return settings(GRID_LEVELS=levels, TARGET_CONTROL_PCT=percent)


@given(st.sampled_from([16, 32, 64, 100, 128]))
def test_a_token_in_third_hands_gets_more_bids_and_fewer_asks(levels: int) -> None:
    thin, dense = (standing(quoting_with(percent, levels)) for percent in (0, 70))
    assert dense[Side.BID] * 10 >= thin[Side.BID] * 12
    assert dense[Side.ASK] < thin[Side.ASK]
    assert sum(dense.values()) <= levels


def test_a_step_of_the_density_rebuilds_at_once_and_what_is_less_than_a_step_does_not() -> None:
    state = quoting_with(0, 64)
    before, built = standing(state), state.target.built_at
    state.seen_at = later(20_000)
    decide(state, Tick(at=later(20_000), slot=Slot(201)), densely(50, 64))
    assert (state.market.density, state.target.built_at) == (Bps(20_000), built)
    state.seen_at = later(30_000)
    decide(state, Tick(at=later(30_000), slot=Slot(202)), densely(60, 64))
    assert state.market.density == Bps(40_000)
    assert state.target.built_at == later(30_000)
    after = standing(state)
    # The lattices are laid anew for the new shares: as many levels as an engine that starts now would have.
    assert after == standing(quoting_with(60, 64))
    assert after[Side.BID] > before[Side.BID]
    assert after[Side.ASK] < before[Side.ASK]
