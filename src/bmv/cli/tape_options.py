"""What ``bmv backtest`` and ``bmv tune`` are told alike: the tape, and what is assumed about the outside.

``on_stage`` gives a command the options of ``staged``, which are declared once, there.
"""

import inspect
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_args

import msgspec
import typer

from bmv.backtest.assumptions import Assumptions
from bmv.backtest.paper import Model
from bmv.backtest.scene import refuse_unplayable
from bmv.backtest.tape import Table, cut, read_table
from bmv.cli import options
from bmv.cli.options import WHOLE, whole
from bmv.errors import BadInput
from bmv.units import LAMPORTS_PER_SOL, MICROS_PER_USD, Bps, Lamports, MicroUsd

USDC, TREASURY, SWAP = "0", "1", "10"
Tape = Annotated[Path, typer.Argument(help="Bars or trades, FILE.parquet or FILE.csv.", metavar="PATH")]
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
Treasury = Annotated[str, typer.Option("--treasury-sol", help="SOL the treasury starts with.")]
Swap = Annotated[str, typer.Option("--swap-cost", help="What a swap costs, bps.")]
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
Arbitrageurs = Annotated[
    int,
    typer.Option(
        help="Who take what the path passes, with delays and finite wallets; 0: it fills at once.",
        parser=whole("--arbitrageurs", 0, 100),
        metavar=WHOLE,
    ),
]


class Stage(msgspec.Struct, frozen=True):
    """What settings are played on: the tape, the assumptions, and what a SOL cost where that is known."""

    table: Table
    assumed: Assumptions
    sol_usd: Table | None
    levels: int | None

    def sentences(self) -> list[str]:
        """Return every assumption as a sentence for people."""
        return self.assumed.sentences(None if self.sol_usd is None else Path(self.sol_usd.source).name)


def on_stage(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of ``staged`` in the place of its parameter ``stage``."""
    shared = inspect.signature(staged, eval_str=True).parameters
    own = inspect.signature(command, eval_str=True)

    @wraps(command)
    def called(**given: Any) -> None:
        stage = staged(**{name: given.pop(name) for name in shared})
        command(**given, stage=stage)

    parameters = [
        each.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in own.parameters.items()
        for each in (shared.values() if name == "stage" else [parameter])
    ]
    called.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    return called


def staged(
    path: Tape,
    begin: Begin = None,
    length: Length = None,
    column: Mapped = None,
    fills: Fills = "through",
    sole_maker: Sole = False,
    latency: Latency = "1.2s",
    edge: Edge = "0",
    loss: Loss = "0.05",
    tip: Tip = "0.00001",
    spread: Spread = "60",
    step: Step = "5min",
    wallets: Wallets = 4,
    levels: Levels = None,
    sol: Sol = "120",
    tokens_worth: Worth = "120",
    seed: Seed = 1,
    takers: Takers = 0,
    arbitrageurs: Arbitrageurs = 0,
    sol_usd: SolUsd = None,
    usdc: Usdc = USDC,
    treasury_sol: Treasury = TREASURY,
    swap_cost: Swap = SWAP,
) -> Stage:
    """Return what the options say; raise BadInput for one that cannot be."""
    width = options.positive("--others-spread", spread, "1 to 300 bps", most=Decimal(300))
    of_treasury = {
        "--usdc": (usdc, USDC),
        "--treasury-sol": (treasury_sol, TREASURY),
        "--swap-cost": (swap_cost, SWAP),
    }
    for option, (given, default) in of_treasury.items():
        if sol_usd is None and given != default:
            raise BadInput(option, given, "with --sol-usd only", options.SOURCE)
    assumed = Assumptions(
        fills=_model(fills),
        sole_maker=sole_maker,
        latency_ms=_millis("--latency", latency),
        edge=Bps(int(_within("--edge", edge, 1_000))),
        loss=float(_within("--loss", loss, 1)),
        tip=_lamports("--tip", tip),
        others_spread=Bps(int(width)),
        step_ms=max(1_000, _millis("--step", step)),
        wallets=wallets,
        sol=_lamports("--sol", sol),
        tokens_worth=_lamports("--tokens-worth", tokens_worth),
        usdc=MicroUsd(int(options.amount("--usdc", usdc) * MICROS_PER_USD)),
        treasury_sol=_lamports("--treasury-sol", treasury_sol),
        swap_cost=Bps(int(_within("--swap-cost", swap_cost, 1_000))),
        takers_per_day=takers,
        arbitrageurs=arbitrageurs,
        seed=seed,
    )
    table = _table(path, column, length, begin)
    dollars = None if sol_usd is None else read_table(sol_usd)
    refuse_unplayable(table, assumed, dollars)
    return Stage(table, assumed, dollars, levels)


def _table(path: Path, columns: Sequence[str] | None, length: str | None, begin: str | None) -> Table:
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
    if len({name for name, _, _ in pairs}) < len(pairs):
        raise BadInput("--column", " ".join(texts), "each NAME once", options.SOURCE)
    return {name: value for name, _, value in pairs}


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
