"""Decay and logarithms against decimal arithmetic with 80 digits."""

from decimal import Decimal, localcontext

from hypothesis import given
from hypothesis import strategies as st

from bmv.core.decay import ONE, POWER_BITS, decayed, ema_step, exp2, half_life_factor, log2
from bmv.units import Millis

MILLIS = st.integers(0, 10**12)
HALF_LIVES = st.integers(1, 10**10)


def oracle_power(exponent: Decimal) -> Decimal:
    with localcontext() as context:
        context.prec = 80
        return Decimal(2) ** exponent


@given(MILLIS, HALF_LIVES)
def test_the_factor_is_two_to_the_minus_elapsed_over_half_life(elapsed: int, half_life: int) -> None:
    with localcontext() as context:
        context.prec = 80
        exact = oracle_power(-Decimal(elapsed) / half_life) * ONE
    assert abs(half_life_factor(Millis(elapsed), Millis(half_life)) - exact) <= 2


@given(MILLIS, st.integers(0, 10**9), HALF_LIVES)
def test_the_factor_never_rises_with_time(elapsed: int, more: int, half_life: int) -> None:
    later = half_life_factor(Millis(elapsed + more), Millis(half_life))
    assert 0 <= later <= half_life_factor(Millis(elapsed), Millis(half_life)) <= ONE


@given(st.integers(0, 80), HALF_LIVES)
def test_whole_half_lives_are_exact(count: int, half_life: int) -> None:
    assert half_life_factor(Millis(count * half_life), Millis(half_life)) == ONE >> count


def test_time_that_has_not_come_leaves_everything() -> None:
    assert half_life_factor(Millis(-5), Millis(10)) == ONE


@given(st.integers(-(20 << 64), 20 << 64))
def test_powers_are_right_to_one_part_in_two_to_the_hundred(log: int) -> None:
    with localcontext() as context:
        context.prec = 80
        exact = oracle_power(Decimal(log) / ONE)
        assert abs(Decimal(exp2(log)) / 2**POWER_BITS - exact) <= exact / 2**100 + Decimal(2) ** -127


@given(st.integers(-(20 << 64), 20 << 64))
def test_neighbouring_logs_give_different_powers(log: int) -> None:
    assert exp2(log) < exp2(log + 1)


@given(st.integers(1, 10**15), st.integers(1, 10**15))
def test_a_logarithm_is_the_last_one_whose_power_does_not_exceed_the_fraction(top: int, bottom: int) -> None:
    with localcontext() as context:
        context.prec = 80
        exact = (Decimal(top) / bottom).ln() / Decimal(2).ln() * ONE
        assert -2 <= log2(top, bottom) - exact <= Decimal(10) ** -40


@given(st.integers(-(10**20), 10**20), MILLIS, HALF_LIVES)
def test_what_is_left_keeps_the_sign_and_is_no_more(value: int, elapsed: int, half_life: int) -> None:
    left = decayed(value, Millis(elapsed), Millis(half_life))
    assert abs(left) <= abs(value)
    assert left * value >= 0


@given(st.integers(0, 10**20), st.integers(0, 10**20), MILLIS, HALF_LIVES)
def test_an_average_stays_between_where_it_was_and_where_it_goes(
    average: int, target: int, elapsed: int, half_life: int
) -> None:
    after = ema_step(average, target, Millis(elapsed), Millis(half_life))
    assert min(average, target) <= after <= max(average, target)


def test_an_average_goes_half_the_way_in_one_half_life() -> None:
    assert ema_step(1_000, 3_000, Millis(77), Millis(77)) == 2_000
