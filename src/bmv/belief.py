"""What no chain can tell again: the part of the engine's belief that outlives a process.

Prices are fine ticks, ``*_wide`` carry further bits of them; money is lamports.
"""

import msgspec

from bmv.units import BaseLots, Bps, Lamports, MicroUsd, Millis, Slot


class QueueMark(msgspec.Struct, frozen=True):
    """How far the market's events have been told: by the reading of ``slot``, up to ``next_seq``.

    ``waiting``: order ids of the fills that waited for a crank then.
    """

    slot: Slot
    next_seq: int
    waiting: tuple[int, ...] = ()


class Anchored(msgspec.Struct, frozen=True):
    """Where a side's lattice lies, and the shape its sizes are bound to."""

    side: int
    anchor_fine: int
    step: int
    per_point: int | None = None


class Belief(msgspec.Struct, frozen=True):
    """The belief at ``at``; everything up to ``mark`` is counted in it.

    ``last_fine`` is P as it was believed; ``unblended_fine`` (0: nothing) is what the trades from number
    ``counted_from`` on are blended with, ``jump`` the price that waits for its second reading and since
    when, ``walked`` how far P has drifted by the hour. ``net_base`` counts since the baseline of number
    ``baseline``. ``peaks`` and ``gain`` are the drawdown's. ``unshared`` is SOL that conversions bought and
    no wallet has yet. ``sol_recent`` and ``sol_history``: since when SOL/USD is known for the damper and
    for the Pivot, and its average since then.
    """

    at: Millis
    mark: QueueMark | None = None
    last_fine: int | None = None
    unblended_fine: int | None = None
    counted_from: int | None = None
    jump: tuple[int, int] | None = None
    walked: tuple[tuple[int, int], ...] = ()
    inertia_at: Millis = Millis(0)
    inertia_fine: int = 0
    inertia_wide: int = 0
    pivot_raw: int | None = None
    pivot_at: int = 0
    pivot_wide: int = 0
    density: Bps | None = None
    lattices: tuple[Anchored, ...] = ()
    traded_at: Millis = Millis(0)
    net_paid: int = 0
    net_paid_at: Millis = Millis(0)
    net_base: BaseLots = BaseLots(0)
    baseline: int = 0
    proceeds: Lamports = Lamports(0)
    gain: int = 0
    gain_mark: int = 0
    peaks: tuple[tuple[int, int], ...] = ()
    cost_day: int = 0
    cost_spent: Lamports = Lamports(0)
    cost_hour: int = 0
    cost_in_hour: Lamports = Lamports(0)
    usdc: MicroUsd = MicroUsd(0)
    usdc_high: MicroUsd = MicroUsd(0)
    onset: MicroUsd | None = None
    injecting: bool = False
    asked_at: Millis | None = None
    unshared: Lamports = Lamports(0)
    sol_recent: tuple[Millis, MicroUsd] | None = None
    sol_history: tuple[Millis, MicroUsd] | None = None


class TradeSum(msgspec.Struct, frozen=True):
    """All trades of an hour: when its last one was, sums of price x size, of size, and of our own size."""

    at: Millis
    notional: int
    volume: int
    own: int
