"""Fixed-point arithmetic of the strategy: parts of a tick, powers of two, decay by half-life.

Rules of this file
- Integers only, so every machine and every replay gets the same number.
- A *fine* price is a plain int in ``1 / FINE`` ticks. A *log* is a base-2 logarithm in ``1 / ONE`` parts.
- ``exp2`` is exact for whole exponents and strictly monotone for all others.
"""

from functools import lru_cache
from math import isqrt

from bmv.units import Millis

FINE = 1 << 24
"""Parts of a tick in a fine price."""
ONE_BITS = 64
ONE = 1 << ONE_BITS
"""The number one in factors and in logs."""
POWER_BITS = 128
"""Fraction bits of ``exp2``: 64 more than a log has, so neighbouring logs never give the same power."""
BPS = 10_000


def _roots() -> tuple[int, ...]:
    """Return 2**(1/2), 2**(1/4), ... down to the last bit of a log."""
    roots, root = [], 2 << POWER_BITS
    for _ in range(ONE_BITS):
        root = isqrt(root << POWER_BITS)
        roots.append(root)
    return tuple(roots)


_BIT_ROOTS = tuple(zip((1 << bit for bit in reversed(range(ONE_BITS))), _roots(), strict=True))


@lru_cache(maxsize=256)
def exp2(log: int) -> int:
    """Return 2**log in ``2**-POWER_BITS`` parts; ``log`` in ``1 / ONE``, of any sign."""
    whole, fraction = log >> ONE_BITS, log & (ONE - 1)
    power = 1 << POWER_BITS
    if fraction:
        for bit, root in _BIT_ROOTS:
            if fraction & bit:
                power = power * root >> POWER_BITS
    return power << whole if whole >= 0 else power >> -whole


@lru_cache(maxsize=256)
def log2(numerator: int, denominator: int, places: int = ONE_BITS) -> int:
    """Return the base-2 logarithm of a positive fraction in ``2**-places``, rounded down (bit by bit)."""
    bits = 3 * places
    whole = numerator.bit_length() - denominator.bit_length()
    if numerator << max(0, -whole) < denominator << max(0, whole):
        whole -= 1
    mantissa = (numerator << bits + max(0, -whole)) // (denominator << max(0, whole))
    log = whole
    for _ in range(places):
        mantissa = mantissa * mantissa >> bits
        bit = mantissa >> bits + 1
        mantissa >>= bit
        log = log << 1 | bit
    return log


def half_life_factor(elapsed: Millis, half_life: Millis) -> int:
    """Return 2**(-elapsed / half_life) in ``1 / ONE``; it never rises, and is exact at whole half-lives."""
    if elapsed <= Millis(0):
        return ONE
    return exp2(-(int(elapsed) << ONE_BITS) // int(half_life)) >> POWER_BITS - ONE_BITS


def decayed(value: int, elapsed: Millis, half_life: Millis) -> int:
    """Return what is left of ``value`` after ``elapsed``, rounded towards zero."""
    if not value:
        return 0
    left = abs(value) * half_life_factor(elapsed, half_life) >> ONE_BITS
    return left if value >= 0 else -left


def ema_step(average: int, target: int, elapsed: Millis, half_life: Millis) -> int:
    """Return the moving average after ``target`` held for ``elapsed``; any unit, half-life as given."""
    return target + decayed(average - target, elapsed, half_life)
