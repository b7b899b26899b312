"""From what several price sources say to one price that may be used, and for what.

Rules of this file
- Two levels. To *quote*, value and damp, one source is enough, and it may be ORACLE_QUOTING_MAX_AGE old. To
  *convert* (``firm``), ORACLE_MIN_SOURCES of different origin must agree within ORACLE_MAX_SPREAD, none
  older than ORACLE_MAX_AGE, and no check may speak against it.
- A reading is dropped where it is not positive, of the future, too old, or less certain than
  ORACLE_MAX_CONFIDENCE; then where it lies further from the median than 0.5 % and three median deviations.
- A price that jumps by more than ORACLE_MAX_JUMP is not told before the next round says the same.
- Weighted median of integers: where the weights on both sides are equal, the middle of the two, rounded down.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from bmv.config import Settings
from bmv.core.decay import BPS
from bmv.units import Millis

LEAST_OUTLYING_BPS = 50
OUTLYING_DEVIATIONS = 3
FUTURE_MS = Millis(30_000)
"""So far ahead of ours the clock of a source may be."""
CONFIRMS_BPS = 100
"""A jump is confirmed by a price this near to the first that showed it."""


class Origin(StrEnum):
    """Who makes a price: sources of one origin are one witness. A check only speaks against."""

    PYTH = "pyth"
    KRAKEN = "kraken"
    COINBASE = "coinbase"
    BINANCE = "binance"
    CHECK = "check"


@dataclass(frozen=True, slots=True)
class Reading:
    """What one source said: micro-dollars, half the width of what it may be, and when that was true.

    ``weight``: how much it counts beside others; a price in another currency counts less.
    """

    source: str
    origin: Origin
    micros: int
    uncertainty: int
    published: Millis
    weight: int = 2


@dataclass(frozen=True, slots=True)
class Verdict:
    """The price of one round; ``micros`` is None where there is none, ``reason`` says why it is not firm.

    ``dropped`` are the sources that did not count, each with the reason; ``spread_bps`` lies between those
    that did.
    """

    micros: int | None
    firm: bool
    reason: str = ""
    used: tuple[str, ...] = ()
    dropped: tuple[tuple[str, str], ...] = ()
    spread_bps: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """What was told last, and a jump that waits for another round to say the same."""

    micros: int | None = None
    jump: int | None = None


def judge(readings: Sequence[Reading], told: Told, now: Millis, settings: Settings) -> tuple[Verdict, Told]:
    """Return the price of a round of readings, and what to remember for the next."""
    checks = [reading for reading in readings if reading.origin is Origin.CHECK]
    dropped: dict[str, str] = {}
    sound: list[Reading] = []
    for reading in readings:
        if reading.origin is not Origin.CHECK:
            reason = _unsound(reading, now, settings)
            if reason:
                dropped[reading.source] = reason
            else:
                sound.append(reading)
    fresh = [reading for reading in sound if now - reading.published <= settings.oracle_max_age]
    # Old prices are looked at where there is nothing newer.
    kept = _without_outliers(fresh or sound, dropped)
    if not kept:
        return Verdict(None, False, "no source has a price", (), tuple(dropped.items())), told
    price = _median(kept)
    spread = (max(r.micros for r in kept) - min(r.micros for r in kept)) * BPS // price
    reason = _not_firm(kept, checks, price, spread, bool(fresh), now, settings)
    after = _after_jump(price, told, settings)
    names = tuple(reading.source for reading in kept)
    if after.micros != price:
        reason = f"a jump of more than ORACLE_MAX_JUMP to {price} is not confirmed"
        return Verdict(None, False, reason, names, tuple(dropped.items()), spread), after
    return Verdict(price, not reason, reason, names, tuple(dropped.items()), spread), after


def _unsound(reading: Reading, now: Millis, settings: Settings) -> str:
    if reading.micros <= 0 or reading.uncertainty < 0:
        return "not a price"
    if reading.published - now > FUTURE_MS:
        return "of the future"
    if now - reading.published > settings.oracle_quoting_max_age:
        return "stale"
    if reading.uncertainty * BPS > reading.micros * int(settings.oracle_max_confidence):
        return "too uncertain"
    return ""


def _without_outliers(readings: Sequence[Reading], dropped: dict[str, str]) -> list[Reading]:
    """Return the readings near the median; of two nobody can say which is wrong."""
    if len(readings) < 3:
        return list(readings)
    middle = _median(readings)
    deviations = sorted(abs(reading.micros - middle) for reading in readings)
    typical = deviations[(len(deviations) - 1) // 2]
    far = max(middle * LEAST_OUTLYING_BPS // BPS, OUTLYING_DEVIATIONS * typical)
    kept = []
    for reading in readings:
        if abs(reading.micros - middle) > far:
            dropped[reading.source] = "far from the others"
        else:
            kept.append(reading)
    return kept


def _median(readings: Sequence[Reading]) -> int:
    ordered = sorted(readings, key=lambda reading: (reading.micros, reading.source))
    half = sum(reading.weight for reading in ordered)
    below = 0
    for number, reading in enumerate(ordered):
        below += 2 * reading.weight
        if below == half:
            return (reading.micros + ordered[number + 1].micros) // 2
        if below > half:
            return reading.micros
    raise ValueError("the median of nothing")


def _not_firm(
    kept: Sequence[Reading],
    checks: Sequence[Reading],
    price: int,
    spread: int,
    is_fresh: bool,
    now: Millis,
    settings: Settings,
) -> str:
    """Return why nothing may be converted at this price; '' where it may."""
    if not is_fresh:
        return "every source is older than ORACLE_MAX_AGE"
    if len({reading.origin for reading in kept}) < settings.oracle_min_sources:
        return "fewer independent sources than ORACLE_MIN_SOURCES"
    most = int(settings.oracle_max_spread)
    if spread > most:
        return "the sources lie further apart than ORACLE_MAX_SPREAD"
    for check in checks:
        is_fresh_check = now - check.published <= settings.oracle_max_age
        if is_fresh_check and abs(check.micros - price) * BPS > price * most:
            return f"{check.source} speaks against it"
    return ""


def _after_jump(price: int, told: Told, settings: Settings) -> Told:
    """Return what is told now: the new price, or the old one while a jump waits for its confirmation."""
    if told.micros is None or abs(price - told.micros) * BPS <= told.micros * int(settings.oracle_max_jump):
        return Told(price)
    if told.jump is not None and abs(price - told.jump) * BPS <= told.jump * CONFIRMS_BPS:
        return Told(price)
    return Told(told.micros, price)
