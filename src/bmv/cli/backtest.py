"""``bmv backtest``: the same ``decide`` over recorded prices or trades."""

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from bmv.backtest.measure import Columns, report
from bmv.backtest.scene import Scene, scene
from bmv.backtest.tape import Table
from bmv.cli import options
from bmv.cli.demo import with_levels
from bmv.cli.progress import Tell, progress
from bmv.cli.tape_options import Stage, on_stage
from bmv.config import Configuration, read
from bmv.config.presets import TEXTS
from bmv.errors import BadInput

Result = tuple[dict[str, Any], Columns]
Configs = Annotated[list[Path] | None, typer.Option("--config", help="Settings, TOML; again: one more run.")]
Presets = Annotated[list[str] | None, typer.Option("--preset", help="A preset; again: one more run.")]
Html = Annotated[Path | None, typer.Option(help="Write the report as one HTML file.")]
Out = Annotated[Path | None, typer.Option("--report", help="Write the JSON to this file instead.")]


@on_stage
def backtest(
    stage: Stage,
    config: Configs = None,
    preset: Presets = None,
    html: Html = None,
    out: Out = None,
    as_json: options.JsonFirst = True,
) -> None:
    """Play recorded prices or trades through the live strategy; Ctrl-C reports what was played until then."""
    options.writable("--html", html), options.writable("--report", out)
    scenes = [
        scene(name, stage.table, found.settings, stage.assumed, stage.sol_usd)
        for name, found in _configurations(config, preset, stage)
    ]
    results, whole_tape = _play(scenes, stage.table)
    sentences = stage.sentences()
    told = {"assumptions": sentences, "finished": whole_tape, "runs": [each for each, _ in results]}
    if html is not None:
        from bmv.backtest.page import page  # noqa: PLC0415  (the plotting library takes long to load)

        html.write_text(page(results, sentences, not whole_tape), encoding="utf-8")
    if out is not None:
        options.write_json(out, told)
    else:
        options.tell(told, as_json)
    if not whole_tape:
        raise typer.Exit(130)


def _play(scenes: Sequence[Scene], table: Table) -> tuple[list[Result], bool]:
    """Run every scene; Ctrl-C ends the one that plays, and those after it are left out."""
    results: list[Result] = []
    for each in scenes:
        began, finished = time.monotonic(), False
        with progress(each.name) as tell:

            def go_on(done: float, tell: Tell = tell) -> bool:
                tell(done)
                return True

            try:
                each.run.run(go_on)
                finished = True
            except KeyboardInterrupt:
                typer.echo("stopped; this is what was played", err=True)
        if each.run.finish is not None and len(each.run.course) < 2:
            raise BadInput("settings", each.name, each.run.finish.reason, table.source)
        if len(each.run.course) < 2:
            raise BadInput("PATH", table.source, "a longer piece of it, or more patience", options.SOURCE)
        told = report(each.name, table, each.tape, each.spec, each.run, time.monotonic() - began)
        results.append((told, Columns(each.run.course, each.spec)))
        if not finished:
            return results, False
    return results, True


def _configurations(
    files: list[Path] | None, presets: list[str] | None, stage: Stage
) -> Iterator[tuple[str, Configuration]]:
    """Yield the settings of each run and what it is called; the defaults where nothing is named."""
    environ = dict(os.environ)
    seats = stage.levels, stage.assumed.wallets
    for path in files or []:
        yield path.stem, with_levels(read(path, environ), *seats)
    for name in presets or ([] if files else ["growth"]):
        if name not in TEXTS:
            raise BadInput("--preset", name, f"one of {', '.join(TEXTS)}", options.SOURCE)
        yield name, with_levels(read(None, {**environ, "BMV_PRESET": name}), *seats)
