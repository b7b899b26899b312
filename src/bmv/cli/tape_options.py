"""What ``bmv backtest`` and ``bmv tune`` are told alike: the tape, and what is assumed about the outside."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, get_args

import typer

from bmv.backtest.assumptions import Assumptions
from bmv.backtest.paper import Model
from bmv.backtest.tape import Table, cut, read_table
from bmv.cli import options
from bmv.cli.options import WHOLE, whole
from bmv.errors import BadInput
from bmv.units import LAMPORTS_PER_SOL, MICROS_PER_USD, Bps, Lamports, MicroUsd

LATENCY, TIP, SPREAD, STEP, SWAP = "1.2s", "0.00001", "60", "5min", "10"
Tape = Annotated[Path, typer.Argument(help="Bars or trades, FILE.parquet or FILE.csv.", metavar="PATH")]
Configs = Annotated[list[Path] | None, typer.Option("--config", help="Settings, TOML; again: one more run.")]
Presets = Annotated[list[str] | None, typer.Option("--preset", help="A preset; again: one more run.")]
Length = Annotated[str | None, typer.Option("--for", help="The first so much of the tape: 24h, 30d.")]
Begin = Annotated[str | None, typer.Option("--from", help="Leave out what is before a date: 2022-10-15.")]
Mapped = Annotated[
    list[str] | None, typer.Option("--column", help="NAME=COLUMN, where it is named otherwise.")
]
Fills = Annotated[str, typer.Option(help="touch, through or queue.")]
Sole = Annotated[bool, typer.Option("--sole-maker", help="Nobody else makes.")]
Latency = Annotated[str, typer.Option(help="From a decision to its landing.")]
Edge = Annotated[str, typer.Option(help="How far beyond an order the path must be, bps.")]
SolUsd = Annotated[
    Path | None, typer.Option("--sol-usd", help="What a SOL cost in dollars, bars: the treasury acts.")
]
Usdc = Annotated[str, typer.Option(help="USDC the treasury starts with.")]
Swap = Annotated[str, typer.Option("--swap-cost", help="What a swap costs, bps.")]
Sweep = Annotated[str, typer.Option(help="SOL a bar takes at a time, then again; 0: all it reaches.")]
Loss = Annotated[str, typer.Option(help="Share of changes that are lost, 0 to 1.")]
Tip = Annotated[str, typer.Option(help="SOL a bundle tips.")]
Spread = Annotated[str, typer.Option("--others-spread", help="Width of the others' book, bps.")]
Step = Annotated[str, typer.Option(help="How often the engine looks at the least.")]
Wallets = Annotated[
    int, typer.Option(help="Operator wallets.", parser=whole("--wallets", 1, 100), metavar=WHOLE)
]
Levels = Annotated[
    int | None,
    typer.Option(help="Levels of the ladder, about 100.", parser=whole("--levels", 4), metavar=WHOLE),
]
Sol = Annotated[str, typer.Option(help="SOL for bids, of all wallets.")]
Worth = Annotated[str, typer.Option("--tokens-worth", help="What the tokens at the start are worth, SOL.")]
Seed = Annotated[int, typer.Option(help="Chance follows from it.", parser=whole("--seed", 0), metavar=WHOLE)]
Takers = Annotated[
    int,
    typer.Option(
        help="Small takers a day beyond the tape.", parser=whole("--takers", 0, 10_000), metavar=WHOLE
    ),
]


def table_of(
    path: Path, columns: Sequence[str] | None, length: str | None, begin: str | None = None
) -> Table:
    """Return the rows that are to be played."""
    run_s = options.seconds("--for", length)
    days = None if run_s is None else Decimal(str(run_s)) / 86_400
    table = read_table(path, columns_of(columns or []))
    if begin is not None:
        first = int(table.times.searchsorted(int(options.date("--from", begin))))
        if len(table.times) - first < 2:
            raise BadInput("--from", begin, "a date with rows after it", table.source)
        table = table.rows(slice(first, None))
    return cut(table, days)


def columns_of(texts: Sequence[str]) -> dict[str, str]:
    """Return what NAME=COLUMN texts map."""
    pairs = [text.partition("=") for text in texts]
    for text, (name, _, value) in zip(texts, pairs, strict=True):
        if not name or not value:
            raise BadInput("--column", text, "NAME=COLUMN", options.SOURCE)
    return {name: value for name, _, value in pairs}


def assumptions(
    *,
    fills: str,
    sole_maker: bool,
    edge: str,
    sweep: str = "0",
    loss: str,
    wallets: int,
    sol: str,
    tokens_worth: str,
    takers: int,
    latency: str = LATENCY,
    tip: str = TIP,
    spread: str = SPREAD,
    step: str = STEP,
    seed: int = 1,
    usdc: str = "0",
    swap_cost: str = SWAP,
) -> Assumptions:
    """Return what the options assume; raise BadInput for one out of its range."""
    width = options.positive("--others-spread", spread, "1 to 300 bps", most=Decimal(300))
    return Assumptions(
        fills=_model(fills),
        sole_maker=sole_maker,
        latency_ms=_millis("--latency", latency),
        edge=Bps(int(_within("--edge", edge, 1_000))),
        sweep=_lamports("--sweep", sweep),
        loss=float(_within("--loss", loss, 1)),
        tip=_lamports("--tip", tip),
        others_spread=Bps(int(width)),
        step_ms=max(1_000, _millis("--step", step)),
        wallets=wallets,
        sol=_lamports("--sol", sol),
        tokens_worth=_lamports("--tokens-worth", tokens_worth),
        usdc=MicroUsd(int(options.amount("--usdc", usdc) * MICROS_PER_USD)),
        swap_cost=Bps(int(_within("--swap-cost", swap_cost, 1_000))),
        takers_per_day=takers,
        seed=seed,
    )


def _model(text: str) -> Model:
    found = next((model for model in get_args(Model) if model == text), None)
    if found is None:
        raise BadInput("--fills", text, f"one of {', '.join(get_args(Model))}", options.SOURCE)
    return found  # type: ignore[no-any-return]


def _millis(option: str, text: str) -> int:
    return int((options.seconds(option, text) or 0) * 1_000)


def _lamports(option: str, text: str) -> Lamports:
    return Lamports(int(options.amount(option, text) * LAMPORTS_PER_SOL))


def _within(option: str, text: str, most: int) -> Decimal:
    number = options.amount(option, text)
    if number > most:
        raise BadInput(option, text, f"a number from 0 to {most}", options.SOURCE)
    return number
