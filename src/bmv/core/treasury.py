"""The treasury: how much of the reserve stands in USDC, and which conversion is due (SPEC 3.7).

Rules of this file
- Pure functions of what is seen and of a frozen memory; shares are exact fractions, amounts whole micro-USD.
- Four rules: injection, damper and lower half buy SOL, the upper half sells it, and only out of the proceeds
  of asks that no bid has locked. One speaks per step: the first that has MIN_CONVERSION_USD to do.
- Targets move continuously with P and SOL/USD; steps of at most MAX_CONVERSION_% follow them, one per
  CONVERSION_COOLDOWN, and none at a stale oracle price.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from bmv.config import Settings
from bmv.core.conversion import oracle_stale
from bmv.core.decay import BPS
from bmv.core.oracle import Oracle
from bmv.model import Conversion, Direction, Rule
from bmv.units import LAMPORTS_PER_SOL, Bps, Lamports, MicroUsd, Millis, UsdPerSol, lamports_worth, usd_value

LEAST_GAP = Fraction(2, 100)
"""The upper half does nothing about a smaller gap between target and share."""


@dataclass(frozen=True, slots=True)
class Reserve:
    """R: ``sol`` is all SOL and wrapped SOL above gas floors and rent, ``locked`` of it stands in bids.

    ``proceeds`` is what asks brought in and no conversion has spent yet.
    """

    sol: Lamports
    locked: Lamports
    proceeds: Lamports
    usdc: MicroUsd
    sol_usd: UsdPerSol

    @property
    def sol_value(self) -> Fraction:
        """Return what the SOL is worth, in micro-USD."""
        return Fraction(int(self.sol) * int(self.sol_usd), LAMPORTS_PER_SOL)

    @property
    def total(self) -> Fraction:
        """Return R in micro-USD."""
        return self.sol_value + int(self.usdc)

    @property
    def usdc_share(self) -> Fraction:
        """Return s; 0 where there is no reserve."""
        return int(self.usdc) / self.total if self.total else Fraction(0)

    @property
    def spendable(self) -> Lamports:
        """Return the SOL the upper half may sell."""
        return max(Lamports(0), min(self.proceeds, self.sol - self.locked))


@dataclass(frozen=True, slots=True)
class Position:
    """Where P stands in the channel: all prices in fine ticks; ``low`` and ``high`` are its outer borders."""

    price: int
    pivot: int
    anchor: int
    low: int
    high: int

    @property
    def below_anchor(self) -> bool:
        """Say whether the lower half rules; else the upper does."""
        return self.price < self.anchor

    @property
    def upper(self) -> Fraction:
        """Return u: P between the Pivot (0) and the upper border (1)."""
        return _between(self.price, self.pivot, self.high)

    @property
    def lower(self) -> Fraction:
        """Return d: P between the anchor (0) and the lower border (1)."""
        return _between(-self.price, -self.anchor, -self.low)


@dataclass(frozen=True, slots=True)
class Memory:
    """What the rules remember: ``high`` is H, ``onset`` is S1 while the damper runs and None else.

    ``usdc`` is what was held at the last step, ``asked_at`` when the last conversion was asked for.
    """

    usdc: MicroUsd = MicroUsd(0)
    high: MicroUsd = MicroUsd(0)
    onset: MicroUsd | None = None
    injecting: bool = False
    asked_at: Millis | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """What is seen at ``now``; ``position`` is None without a Pivot, ``drop`` is the damper's D."""

    now: Millis
    oracle: Oracle
    reserve: Reserve
    position: Position | None
    drop: Fraction


@dataclass(frozen=True, slots=True)
class Hold:
    """No conversion is due now, for this reason."""

    reason: str


def sol_drop(oracle: Oracle, now: Millis, settings: Settings) -> Fraction:
    """Return D: how far SOL stands below its average of DAMPER_HOURS; negative above, 0 where unknown."""
    average = oracle.recent.exact(now, settings.damper_window)
    if average is None or oracle.sol_usd is None:
        return Fraction(0)
    return 1 - int(oracle.sol_usd) / Fraction(*average)


def damper_share(memory: Memory, drop: Fraction, settings: Settings) -> Fraction:
    """Return how much of S1 the damper spends, and how much denser it makes the BUY zone; 0 when off."""
    if memory.onset is None:
        return Fraction(0)
    return _clamped((drop - _part(settings.damper_drop)) / _part(settings.damper_full))


def upper_target(position: Position, settings: Settings) -> Fraction:
    """Return the share of R that should stand in USDC in the upper half."""
    return position.upper * _part(settings.upper_usdc_max)


def lower_floor(high: MicroUsd, position: Position, settings: Settings) -> Fraction:
    """Return the micro-USD to which USDC may fall in the lower half; ``high`` is H."""
    return int(high) * (1 - position.lower * _part(settings.lower_usdc_max))


def step(memory: Memory, seen: Situation, settings: Settings) -> Memory:
    """Return the memory after seeing ``seen``.

    USDC that arrives below the anchor, or while the damper runs, adds to H and S1: what somebody puts in is
    not spent at once.
    """
    usdc, position = seen.reserve.usdc, seen.position
    arrived = max(MicroUsd(0), usdc - memory.usdc)
    below = position is not None and position.below_anchor
    if memory.onset is None:
        onset = usdc if seen.drop > _part(settings.damper_drop) else None
    else:
        onset = memory.onset + arrived if seen.drop >= _part(settings.damper_drop) / 2 else None
    return replace(
        memory,
        usdc=usdc,
        high=memory.high + arrived if below else usdc,
        onset=onset,
        injecting=_injecting(memory, seen.reserve, settings),
    )


def next_conversion(seen: Situation, memory: Memory, settings: Settings) -> Conversion | Hold:
    """Return the conversion that is due; ``memory`` is the one after ``step`` with the same ``seen``."""
    if oracle_stale(seen.oracle, seen.now, settings):
        return Hold("the oracle's price is stale")
    if memory.asked_at is not None and seen.now - memory.asked_at < settings.conversion_cooldown:
        return Hold("the last conversion was a moment ago")
    small = ""
    for want in _wants(seen, memory, settings):
        conversion = _sized(want, seen.reserve, settings)
        if conversion.usdc >= settings.min_conversion:
            return conversion
        small = small or f"the {want.rule} has less than MIN_CONVERSION_USD to do"
    return Hold(small or "the treasury is where it should be")


def asked(memory: Memory, now: Millis) -> Memory:
    """Return the memory after a conversion was asked for: the next one waits for CONVERSION_COOLDOWN."""
    return replace(memory, asked_at=now)


@dataclass(frozen=True, slots=True)
class _Want:
    """What a rule would exchange, in micro-USD."""

    rule: Rule
    amount: Fraction
    why: str


def _wants(seen: Situation, memory: Memory, settings: Settings) -> Iterator[_Want]:
    """Yield what each rule wants, in their order; a rule that wants nothing is left out."""
    reserve, position = seen.reserve, seen.position
    usdc = int(reserve.usdc)
    if memory.injecting:
        why = f"SOL is {_text(1 - reserve.usdc_share)} of the reserve"
        yield _Want(Rule.INJECTION, _sol_lacking(reserve, settings), why)
    if memory.onset is not None:
        left = int(memory.onset) * (1 - damper_share(memory, seen.drop, settings))
        if usdc > left:
            yield _Want(Rule.DAMPER, usdc - left, f"SOL stands {_text(seen.drop)} below its average")
    if position is None:
        return
    if position.below_anchor:
        floor = lower_floor(memory.high, position, settings)
        if usdc > floor:
            why = f"the price is {_text(position.lower)} of the way to the lower border"
            yield _Want(Rule.LOWER, usdc - floor, why)
    elif position.price > position.pivot and memory.onset is None:
        gap = upper_target(position, settings) - reserve.usdc_share
        if gap > LEAST_GAP:
            why = f"USDC is {_text(reserve.usdc_share)} of the reserve, {_text(gap)} short"
            yield _Want(Rule.UPPER, gap / 2 * reserve.total, why)


def _sized(want: _Want, reserve: Reserve, settings: Settings) -> Conversion:
    """Cut what a rule wants to what one step may convert and to what is there."""
    amount = MicroUsd(int(min(want.amount, reserve.total * _part(settings.max_conversion))))
    if want.rule is Rule.UPPER:
        sol = min(lamports_worth(amount, reserve.sol_usd), reserve.spendable)
        return Conversion(want.rule, Direction.SELL_SOL, usd_value(sol, reserve.sol_usd), sol, want.why)
    usdc = min(amount, reserve.usdc)
    return Conversion(want.rule, Direction.BUY_SOL, usdc, lamports_worth(usdc, reserve.sol_usd), want.why)


def _injecting(memory: Memory, reserve: Reserve, settings: Settings) -> bool:
    """Begin INJECTION_MARGIN below the least share of SOL; go on until less than a conversion is lacking."""
    lacking = _sol_lacking(reserve, settings)
    if memory.injecting:
        return lacking >= int(settings.min_conversion)
    return lacking > reserve.total * _part(settings.injection_margin)


def _sol_lacking(reserve: Reserve, settings: Settings) -> Fraction:
    """Return the micro-USD of SOL that are missing up to MIN_SOL_RESERVE_%."""
    return reserve.total * _part(settings.min_sol_reserve) - reserve.sol_value


def _part(bps: Bps) -> Fraction:
    return Fraction(int(bps), BPS)


def _clamped(share: Fraction) -> Fraction:
    return min(Fraction(1), max(Fraction(0), share))


def _between(value: int, zero: int, one: int) -> Fraction:
    """Return where ``value`` lies between ``zero`` and ``one``, clamped; no way at all is already done."""
    if one <= zero:
        return Fraction(value > zero)
    return _clamped(Fraction(value - zero, one - zero))


def _text(share: Fraction) -> str:
    tenths = round(share * 1_000)
    return f"{tenths // 10}.{tenths % 10} %"
