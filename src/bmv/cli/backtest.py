"""``bmv backtest``: the same ``decide`` over recorded prices or trades."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from bmv.backtest.assumptions import Assumptions
from bmv.backtest.measure import Columns, report
from bmv.backtest.page import page
from bmv.backtest.paper import Model
from bmv.backtest.scene import Scene, scene
from bmv.backtest.tape import Table, cut, read_table
from bmv.cli import options
from bmv.cli.demo import with_levels
from bmv.cli.options import WHOLE, whole
from bmv.config import Configuration, read
from bmv.config.presets import TEXTS
from bmv.errors import BadInput
from bmv.units import LAMPORTS_PER_SOL, Bps, Lamports

Result = tuple[dict[str, Any], Columns]
Tape = Annotated[Path, typer.Argument(help="Bars or trades, FILE.parquet or FILE.csv.", metavar="PATH")]
Configs = Annotated[list[Path] | None, typer.Option("--config", help="Settings, TOML; again: one more run.")]
Presets = Annotated[list[str] | None, typer.Option("--preset", help="A preset; again: one more run.")]
Length = Annotated[str | None, typer.Option("--for", help="The first so much of the tape: 24h, 30d.")]
Mapped = Annotated[
    list[str] | None, typer.Option("--column", help="NAME=COLUMN, where it is named otherwise.")
]
Fills = Annotated[str, typer.Option(help="touch, through or queue.")]
Sole = Annotated[bool, typer.Option("--sole-maker", help="Nobody else makes.")]
Latency = Annotated[str, typer.Option(help="From a decision to its landing.")]
Edge = Annotated[str, typer.Option(help="How far beyond an order the path must be, bps.")]
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
Html = Annotated[Path | None, typer.Option(help="Write the report as one HTML file.")]
Out = Annotated[Path | None, typer.Option("--report", help="Write the JSON to this file instead.")]


def backtest(
    path: Tape,
    config: Configs = None,
    preset: Presets = None,
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
    html: Html = None,
    out: Out = None,
) -> None:
    """Play recorded prices or trades through the live strategy; Ctrl-C reports what was played until then."""
    options.writable("--html", html), options.writable("--report", out)
    run_s = options.seconds("--for", length)
    table = cut(
        read_table(path, _columns(column or [])), None if run_s is None else Decimal(str(run_s)) / 86_400
    )
    assumed = Assumptions(
        fills=_model(fills),
        sole_maker=sole_maker,
        latency_ms=_millis("--latency", latency),
        edge=Bps(int(_within("--edge", edge, 1_000))),
        loss=float(_within("--loss", loss, 1)),
        tip=_lamports("--tip", tip),
        others_spread=Bps(
            int(options.positive("--others-spread", spread, "1 to 300 bps", most=Decimal(300)))
        ),
        step_ms=max(1_000, _millis("--step", step)),
        wallets=wallets,
        sol=_lamports("--sol", sol),
        tokens_worth=_lamports("--tokens-worth", tokens_worth),
        takers_per_day=takers,
        seed=seed,
    )
    scenes = [
        scene(name, table, found.settings, assumed)
        for name, found in _configurations(config, preset, levels, wallets)
    ]
    results, whole_tape = _play(scenes, table)
    sentences = assumed.sentences()
    told = {"assumptions": sentences, "finished": whole_tape, "runs": [each for each, _ in results]}
    if html is not None:
        html.write_text(page(results, sentences, not whole_tape), encoding="utf-8")
    if out is not None:
        options.write_json(out, told)
    else:
        typer.echo(json.dumps(told, indent=2))
    if not whole_tape:
        raise typer.Exit(130)


def _play(scenes: Sequence[Scene], table: Table) -> tuple[list[Result], bool]:
    """Run every scene; Ctrl-C ends the one that plays, and those after it are left out."""
    results: list[Result] = []
    for each in scenes:
        began, finished = time.monotonic(), False
        with _progress(each.name) as advance:
            try:
                each.run.run(advance)
                finished = True
            except KeyboardInterrupt:
                typer.echo("stopped; this is what was played", err=True)
        if len(each.run.course) < 2:
            raise BadInput("PATH", table.source, "a longer piece of it, or more patience", options.SOURCE)
        told = report(each.name, table, each.tape, each.spec, each.run, time.monotonic() - began)
        results.append((told, Columns(each.run.course, each.spec)))
        if not finished:
            return results, False
    return results, True


@contextlib.contextmanager
def _progress(name: str) -> Iterator[Callable[[float], bool]]:
    """Show how far a run is, on a terminal; yield what to call with the part done."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(name, total=1.0)

        def advance(done: float) -> bool:
            progress.update(task, completed=done)
            return True

        yield advance


def _configurations(
    files: list[Path] | None, presets: list[str] | None, levels: int | None, wallets: int
) -> Iterator[tuple[str, Configuration]]:
    """Yield the settings of each run and what it is called; the defaults where nothing is named."""
    environ = dict(os.environ)
    for path in files or []:
        yield path.stem, with_levels(read(path, environ), levels, wallets)
    for name in presets or ([] if files else ["growth"]):
        if name not in TEXTS:
            raise BadInput("--preset", name, f"one of {', '.join(TEXTS)}", options.SOURCE)
        yield name, with_levels(read(None, {**environ, "BMV_PRESET": name}), levels, wallets)


def _columns(texts: Sequence[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    for text, (name, _, value) in zip(texts, pairs, strict=True):
        if not name or not value:
            raise BadInput("--column", text, "NAME=COLUMN", options.SOURCE)
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
