"""Whole ladders from state: how many levels stand, what a density step does, reasons for everything."""

from fractions import Fraction
from itertools import pairwise
from math import ceil

from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from bmv.core.capacity import capacity, grid_levels
from bmv.core.channel import channel
from bmv.core.decay import FINE
from bmv.core.price import PriceReading
from bmv.core.rebuilding import rebuild_if_due
from bmv.core.state import State
from bmv.model import TOUCH, Side
from bmv.units import BaseLots, Lamports, Millis
from tests.core.belongings import SOL, START, market, quoting_state, settings, wallet

P = 2_000_000


def world(wallets: int, room: int = 455) -> State:
    views = [wallet(n, sol=1_000 * SOL, lots=20_000_000) for n in range(wallets)]
    return quoting_state(views, spec=market(room, room))


def rebuilt(state: State, control: int, levels: int, price: int, average: int, pivot: int) -> None:
    """Rebuild for a price, F and Pivot in ticks, with Target Control fixed at ``control`` percent."""
    chosen = settings(GRID_LEVELS=levels, TARGET_CONTROL_PCT=control, REBALANCE_THRESHOLD_PCT="0.01")
    state.market.reading = PriceReading(price * FINE, "trades", True, price * FINE)
    state.market.channel = channel(price * FINE, average * FINE, pivot * FINE, chosen)
    state.now = state.now + Millis(60_000)
    state.signal = "a test asks"
    assert rebuild_if_due(state, chosen) is not None


@given(st.integers(0, 10**6), st.integers(0, 3), st.integers(0, 4 * 48))
def test_what_a_rise_brought_is_no_leave_to_buy_the_fall(sold: int, rebuilds: int, spent: int) -> None:
    state, sol = world(2), 2_000
    for _ in range(rebuilds):
        rebuilt(state, 0, 100, P, P, P)
        state.flow.record(Side.ASK, BaseLots(1), Lamports(sold * SOL), state.now)
    rebuilt(state, 0, 100, P, P, P)
    state.flow.record(Side.BID, BaseLots(1), Lamports(spent * SOL), state.now)
    rebuilt(state, 0, 100, P, P, P)
    # A minute of decay, and the quarter of 10 % of the SOL that counts.
    paid = spent - Fraction(25, 1_000) * sol
    assert state.flow.paid(state.now) >= min(paid, paid * Fraction(999, 1_000)) * SOL - 1
    least = 1 - paid / (Fraction(10, 100) * (sol + max(Fraction(0), paid)))
    assert state.flow.pace is not None
    assert state.flow.pace <= max(0, min(4, ceil(4 * least + Fraction(1, 100))))


def counts(state: State) -> dict[Side, int]:
    return {side: sum(quote.side is side for quote in state.target.quotes) for side in Side}


def test_a_density_step_gives_bids_what_it_takes_from_asks_in_every_ordinary_zone() -> None:
    for average, pivot in ((P, P), (P, P * 100 // 105), (P, P * 110 // 100)):
        state = world(4)
        rebuilt(state, 0, 100, P, average, pivot)
        assert 36 <= counts(state)[Side.BID] <= 50
        assert 40 <= counts(state)[Side.ASK] <= 50
        sparse = dict(state.market.lattices)
        rebuilt(state, 60, 100, P, average, pivot)
        # Density 2 x 1.6 = 3.2 is past 3.11: four, shares 67 and 33.
        assert 50 <= counts(state)[Side.BID] <= 67
        assert 26 <= counts(state)[Side.ASK] <= 33
        dense = dict(state.market.lattices)
        rebuilt(state, 40, 100, P, average, pivot)
        assert state.market.lattices == dense != sparse


@hypothesis(deadline=None, max_examples=40)
@given(
    st.integers(1, 6),
    st.integers(40, 455),
    st.integers(4, 160),
    st.lists(
        st.tuples(st.integers(0, 100), *(st.integers(700, 1_400) for _ in range(3))), min_size=1, max_size=4
    ),
)
def test_levels_never_exceed_grid_levels_seats_or_the_book_and_each_has_its_reason(
    wallets: int, room: int, levels: int, moves: list[tuple[int, int, int, int]]
) -> None:
    state = world(wallets, room)
    for control, price, average, pivot in moves:
        rebuilt(state, control, levels, *(P * mille // 1_000 for mille in (price, average, pivot)))
        found = counts(state)
        chosen = settings(GRID_LEVELS=levels)
        assert sum(found.values()) <= min(levels, grid_levels(state, chosen), 32 * wallets)
        assert all(found[side] <= capacity(side, state, chosen) for side in Side)
        for quote in state.target.quotes:
            assert quote.why is not None
            assert quote.point in {TOUCH, quote.why.point}
            assert 0 <= quote.why.share_ppm <= 1_000_000
        bids = [quote for quote in state.target.quotes if quote.side is Side.BID and quote.why]
        per_token = [quote.why.share_ppm / int(quote.price) for quote in bids if quote.why]
        # The weight of a lot never falls towards the lower border (a share is a whole part per million).
        for inner, outer in pairwise(per_token):
            assert outer >= inner * 0.97 - 2 / P
    assert state.now > START
