"""Draw the pictures of docs/strategy.md with the real functions: `python docs/pictures/draw.py [FOLDER]`.

The same settings and code draw the same bytes, so a test tells when a picture no longer shows what is built.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bmv.config import DAY_MS, HOUR_MS, Settings
from bmv.core.channel import Channel, Inertia, channel
from bmv.core.decay import FINE
from bmv.core.ladder import Zone, build_side, shares
from bmv.core.lattice import Lattice
from bmv.core.pivot import CappedPivot, PivotWindow, Seed
from bmv.core.treasury import Memory, Position, damper_share, lower_floor, upper_target
from bmv.model import Side, Trade
from bmv.units import BaseLots, Bps, MicroUsd, Millis, Ticks

START = 1_000_000
POINTS = 60
HOUR_LOTS = 1_000
SEED_DAILY_LOTS = 24_000
BID, ASK, PRICE, PIVOT = "#2a7f62", "#b3423a", "#1c1c1c", "#6a5acd"
mpl.rcParams.update({"svg.hashsalt": "bmv", "svg.fonttype": "none", "font.size": 9, "axes.grid": True})
mpl.rcParams.update({"grid.alpha": 0.25, "axes.spines.top": False, "axes.spines.right": False})


@dataclass(frozen=True)
class Moment:
    """One hour of a picture, prices in units of the price at the start."""

    day: float
    price: float
    pivot: float
    channel: Channel


def rise(day: float) -> float:
    """Three times the price within one day, then flat."""
    return 3 ** min(1.0, max(0.0, day - 1))


def crash(day: float) -> float:
    """Lose 60 % within a week."""
    return 0.4 ** min(1.0, max(0.0, (day - 1) / 7))


def bleed(day: float) -> float:
    """Lose 1 % a day."""
    return 0.99**day


PATHS: tuple[tuple[str, Callable[[float], float], int], ...] = (
    ("3x in a day", rise, 5),
    ("-60 % in a week", crash, 14),
    ("-1 % a day", bleed, 60),
)


def lived(path: Callable[[float], float], days: int, settings: Settings) -> list[Moment]:
    """Let price, F, Pivot and channel live through a path, hour by hour; somebody trades every hour."""
    inertia, capped = Inertia(), CappedPivot()
    window, seed = PivotWindow(started=Millis(0)), Seed(START * FINE, SEED_DAILY_LOTS)
    moments: list[Moment] = []
    for hour in range(24 * days + 1):
        now, ticks = Millis(hour * HOUR_MS), Ticks(round(START * path(hour / 24)))
        window.add(Trade(hour, now, ticks, BaseLots(HOUR_LOTS), Side.BID, own=False))
        pivot = capped.step(
            window.value_fine(now, settings.history_window, seed), now, settings.pivot_max_daily_move
        )
        price = int(ticks) * FINE
        average = inertia.step(price, now, settings.channel_inertia)
        zones = channel(price, average, pivot, settings)
        if zones is None or pivot is None:
            raise AssertionError("a seeded Pivot is always there")
        moments.append(Moment(hour * HOUR_MS / DAY_MS, shown(price), shown(pivot), zones))
    return moments[:: max(1, len(moments) // POINTS)]


def shown(fine: int) -> float:
    """Return a fine price in units of the price at the start."""
    return fine / FINE / START


def draw_channel(axes: Axes, moments: Sequence[Moment], title: str) -> None:
    """Draw price, Pivot and both zones over time."""
    days = [one.day for one in moments]
    zones = [one.channel for one in moments]
    for side, color in ((Side.BID, BID), (Side.ASK, ASK)):
        low, high = ([shown(zone.borders(side)[n]) for zone in zones] for n in (0, 1))
        # A zone whose borders have passed each other is empty: nothing is drawn there.
        open_ = [b >= a for a, b in zip(low, high, strict=True)]
        axes.fill_between(days, low, high, where=open_, color=color, alpha=0.25, linewidth=0)
    axes.plot(days, [one.price for one in moments], color=PRICE, linewidth=1.2, label="price P")
    axes.plot(days, [one.pivot for one in moments], color=PIVOT, linewidth=1, linestyle="--", label="Pivot")
    axes.set_title(title)
    axes.set_xlabel("days")


def channels() -> Figure:
    """Draw the channel through a rise, a crash and a bleed, in both modes."""
    figure = Figure(figsize=(11, 6.5), layout="constrained")
    grid = figure.subplots(2, len(PATHS))
    for row, mode in enumerate(("follow", "pivot")):
        settings = Settings(CHANNEL_MODE=mode)
        for column, (title, path, days) in enumerate(PATHS):
            draw_channel(grid[row][column], lived(path, days, settings), f"{mode}: {title}")
    grid[0][0].set_ylabel("price (1 = at the start)")
    grid[1][0].set_ylabel("price (1 = at the start)")
    grid[0][0].legend(loc="upper left", frameon=False)
    return figure


def ladder() -> Figure:
    """Draw sizes over prices of a whole ladder in a quiet market: 50 SOL of bids, the same worth of asks."""
    settings, price = Settings(), START * FINE
    zones = channel(price, price, price, settings)
    if zones is None:
        raise AssertionError("there is a Pivot")
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    axes = figure.subplots()
    counts = shares(128, settings.buy_density, settings)
    for side, color, label in ((Side.BID, BID, "bids"), (Side.ASK, ASK, "asks")):
        bid = side is Side.BID
        low, high = zones.borders(side)
        width = settings.buy_channel_width if bid else settings.sell_channel_width
        zone = Zone(
            lattice=Lattice.anchored(side, price, width, 128, settings.anchor_band),
            low_fine=low,
            high_fine=high,
            levels=counts[side],
            budget=50_000_000_000_000 if bid else 50_000_000,
            price_fine=price,
            opposite=None,
            spread=Bps(100),
            size_ratio=settings.buy_size_ratio if bid else settings.sell_size_ratio,
            reanchor=settings.reanchor,
            quote_lot_size=1,
        )
        levels = build_side(zone).levels
        offsets = [(int(one.price) / START - 1) * 100 for one in levels]
        axes.bar(offsets, [int(one.size) for one in levels], width=0.12, color=color, label=label)
    axes.axvline(0, color=PRICE, linewidth=1)
    axes.set_xlabel("distance from P in %")
    axes.set_ylabel("size in base lots")
    axes.legend(frameon=False)
    return figure


def treasury() -> Figure:
    """Draw the treasury's targets over P, and what the damper spends over the fall of SOL/USD."""
    settings, price = Settings(), START * FINE
    zones = channel(price, price, price, settings)
    if zones is None:
        raise AssertionError("there is a Pivot")
    places = [
        Position(price * percent // 1_000, price, zones.anchor, zones.buy_low, zones.sell_high)
        for percent in range(830, 1_321, 5)
    ]
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    above, below = (
        [one for one in places if not one.below_anchor],
        [one for one in places if one.below_anchor],
    )
    held = MicroUsd(100_000_000)
    floors = [float(lower_floor(held, one, settings)) / int(held) * 100 for one in below]
    left.plot([percent_off(one) for one in below], floors, color=BID, label="USDC left, % of what was held")
    targets = [float(upper_target(one, settings)) * 100 for one in above]
    left.plot([percent_off(one) for one in above], targets, color=ASK, label="USDC target, % of the reserve")
    left.set_xlabel("P from the Pivot in %")
    left.legend(frameon=False)
    running, drops = Memory(onset=held), [Fraction(n, 1_000) for n in range(0, 301, 5)]
    spent = [float(damper_share(running, drop, settings)) * 100 for drop in drops]
    right.plot([float(drop) * 100 for drop in drops], spent, color=PIVOT)
    right.set_xlabel("SOL/USD below its average in %, damper on")
    right.set_ylabel("USDC spent, % of the onset's")
    return figure


def percent_off(position: Position) -> float:
    """Return how far P lies from the Pivot, in percent."""
    return (position.price / position.pivot - 1) * 100


PICTURES: dict[str, Callable[[], Figure]] = {
    "channel.svg": channels,
    "ladder.svg": ladder,
    "treasury.svg": treasury,
}


def main(folder: Path) -> None:
    """Write every picture into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in PICTURES.items():
        draw().savefig(folder / name, metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
