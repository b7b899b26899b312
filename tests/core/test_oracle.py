"""The sliding time average against sums over the list of all prices, in exact fractions."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from bmv.core.decide import decide
from bmv.core.oracle import Oracle, Rates, SlidingAverage
from bmv.core.state import Supply, Treasury
from bmv.events import OracleSeen, SupplySeen, TreasurySeen
from bmv.units import BaseAtoms, Lamports, MicroUsd, Millis, UsdPerSol
from tests.core.belongings import START, later, quoting_state, settings, wallet

STEPS = st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 10**9)), min_size=1, max_size=40)


def oracle(steps: list[tuple[int, int]], now: int, window: int) -> Fraction:
    """Average by definition: each price from its moment to the next, as far as the window reaches."""
    ends = [at for at, _ in steps[1:]] + [now]
    shares = [
        (max(0, end - max(at, now - window)), price) for (at, price), end in zip(steps, ends, strict=True)
    ]
    length = sum(share for share, _ in shares)
    return (
        Fraction(sum(share * price for share, price in shares), length) if length else Fraction(steps[-1][1])
    )


def moments(waits: list[tuple[int, int]]) -> list[tuple[int, int]]:
    at, steps = 0, []
    for wait, price in waits:
        at += wait
        steps.append((at, price))
    return steps


@given(STEPS, st.integers(0, 20_000), st.lists(st.integers(0, 9_000), max_size=5))
def test_the_average_equals_its_definition_whenever_it_is_asked(
    waits: list[tuple[int, int]], window: int, later_by: list[int]
) -> None:
    average, told = SlidingAverage(), []
    for at, price in moments(waits):
        average.add(Millis(at), price)
        told.append((at, price))
        exact = average.exact(Millis(at), Millis(window))
        assert exact is not None
        assert Fraction(*exact) == oracle(told, at, window)
    for wait in sorted(later_by):
        now = told[-1][0] + wait
        exact = average.exact(Millis(now), Millis(window))
        assert exact is not None
        assert Fraction(*exact) == oracle(told, now, window)


@given(STEPS, st.integers(1, 700), st.integers(700, 20_000))
def test_a_coarse_average_errs_by_no_more_than_one_cell_can_hide(
    waits: list[tuple[int, int]], grain: int, window: int
) -> None:
    average, told = SlidingAverage(Millis(grain)), []
    for at, price in moments(waits):
        average.add(Millis(at), price)
        told.append((at, price))
        exact = average.exact(Millis(at), Millis(window))
        assert exact is not None
        prices = [price for _, price in told]
        covered = min(window, at - told[0][0])
        off = abs(Fraction(*exact) - oracle(told, at, window))
        assert off * max(1, covered) <= (max(prices) - min(prices)) * grain


def test_a_year_of_prices_by_the_hour_stays_small_and_its_whole_average_exact() -> None:
    average, told = SlidingAverage(Millis(3_600_000)), []
    for minute in range(0, 400 * 24 * 60, 7):
        told.append((minute * 60_000, 10_000_000 + minute * 7919 % 1_000_003))
        average.add(Millis(told[-1][0]), told[-1][1])
    assert len(average._pieces) <= 400 * 24 + 1
    now, hours = told[-1][0], 365 * 24
    window = now % 3_600_000 + hours * 3_600_000
    exact = average.exact(Millis(now), Millis(window))
    assert exact is not None
    assert Fraction(*exact) == oracle(told, now, window)


def test_a_price_told_late_holds_from_the_newest_on_and_an_outage_changes_nothing() -> None:
    average = SlidingAverage()
    assert average.exact(Millis(5), Millis(10)) is None
    average.add(Millis(100), 10)
    average.add(Millis(90), 30)
    assert average.value(Millis(100), Millis(50)) == 30
    assert average.value(Millis(10_000), Millis(50)) == 30


def test_rates_are_known_until_they_are_too_old() -> None:
    seen = Oracle()
    assert seen.rates(Millis(10), Millis(50)) == Rates()
    seen.on_price(Millis(10), UsdPerSol(150_000_000))
    seen.eur_usd = MicroUsd(1_080_000)
    assert seen.rates(Millis(60), Millis(50)) == Rates(UsdPerSol(150_000_000), MicroUsd(1_080_000))
    assert seen.rates(Millis(61), Millis(50)) == Rates()


def test_the_oracle_remembers_the_newest_price() -> None:
    seen = Oracle()
    seen.on_price(Millis(10), UsdPerSol(150_000_000))
    seen.on_price(Millis(20), UsdPerSol(130_000_000))
    assert seen == Oracle(UsdPerSol(130_000_000), Millis(20), seen.recent, seen.history)
    assert seen.recent.value(Millis(30), Millis(1_000)) == 140_000_000
    assert seen.history.value(Millis(30), Millis(1_000)) == 140_000_000


def test_what_oracle_chain_and_treasury_say_becomes_belief_and_asks_for_nothing() -> None:
    state, chosen = quoting_state([wallet(0)]), settings()
    state.market.priced_at = START
    for event in (
        OracleSeen(at=later(1), sol_usd=UsdPerSol(150_000_000)),
        SupplySeen(at=later(2), supply=BaseAtoms(10**18), locked=BaseAtoms(3 * 10**17)),
        TreasurySeen(at=later(3), sol=Lamports(7), usdc=MicroUsd(8)),
    ):
        state, approved = decide(state, event, chosen)
        assert approved.actions == ()
    assert state.oracle.sol_usd == 150_000_000
    assert state.supply == Supply(BaseAtoms(10**18), BaseAtoms(3 * 10**17))
    assert state.treasury == Treasury(Lamports(7), MicroUsd(8))
