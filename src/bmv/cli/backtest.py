"""``bmv backtest``: the same ``decide`` over recorded prices or trades."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from bmv.backtest.course import Course
from bmv.backtest.identity import identity
from bmv.backtest.kept import Kept
from bmv.backtest.measure import Columns, report
from bmv.backtest.scene import Scene, scene
from bmv.cli import options
from bmv.cli.demo import with_levels
from bmv.cli.progress import interrupts, progress
from bmv.cli.tape_options import Stage, on_stage
from bmv.config import Configuration, read
from bmv.config.presets import TEXTS
from bmv.errors import BadInput

Result = tuple[dict[str, Any], Columns]
Configs = Annotated[list[Path] | None, typer.Option("--config", help="Settings, TOML; again: one more run.")]
Presets = Annotated[list[str] | None, typer.Option("--preset", help="A preset; again: one more run.")]
Html = Annotated[Path | None, typer.Option(help="Write the report as one HTML file.")]
Out = Annotated[Path | None, typer.Option("--report", help="Write the JSON to this file instead.")]

Keep = Annotated[
    Path | None,
    typer.Option("--keep", help="Folder of finished runs; what is there is not played again."),
]


@on_stage
def backtest(
    stage: Stage,
    config: Configs = None,
    preset: Presets = None,
    html: Html = None,
    out: Out = None,
    keep: Keep = None,
    as_json: options.JsonFirst = True,
) -> None:
    """Play recorded prices or trades through the live strategy; Ctrl-C reports what was played until then.

    With --keep the same command plays what is missing, and comes to the same to the byte.
    """
    options.writable("--html", html), options.writable("--report", out)
    folder = options.folder("--keep", keep)
    scenes = [
        scene(name, stage.table, found.settings, stage.assumed, stage.sol_usd)
        for name, found in _configurations(config, preset, stage)
    ]
    results, whole_tape = _played(scenes, stage, Kept(folder) if folder else None)
    if not results:
        raise typer.Exit(130)
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


def _played(scenes: Sequence[Scene], stage: Stage, kept: Kept | None) -> tuple[list[Result], bool]:
    """Return what every scene comes to; Ctrl-C ends the one that plays, and those after it are left out."""
    results: list[Result] = []
    for each in scenes:
        key = identity((each.name, each.settings.written(), stage.assumed), stage.table, stage.sol_usd)
        lot = each.spec.quote_lot_size
        if kept is not None and (found := kept.find(each.name, key)) is not None:
            typer.echo(f"{each.name}: kept from before", err=True)
            results.append((found[0], Columns(found[1], lot)))
            continue
        finished, course = _run(each), each.run.course
        if len(course) < 2 and not finished:
            return results, False
        if len(course) < 2:
            why = each.run.finish.reason if each.run.finish else "it is over at once"
            raise BadInput("PATH", stage.table.source, f"a longer tape: {why}", options.SOURCE)
        told = report(each.name, stage.table, each.tape, each.spec, each.run)
        results.append((told, Columns(course, lot)))
        if not finished:
            return results, False
        if kept is not None:
            _keep(kept, each.name, key, told, course)
    return results, True


def _run(played: Scene) -> bool:
    """Play a scene; return whether it came to its end, or Ctrl-C to it."""
    with progress(played.name) as tell, interrupts() as asked:

        def go_on(done: float) -> bool:
            tell(done)
            return not asked()

        played.run.run(go_on)
    if asked():
        typer.echo("stopped; the same command plays this run from its start", err=True)
    return not asked()


def _keep(kept: Kept, name: str, key: str, told: dict[str, Any], course: Course) -> None:
    try:
        kept.put(name, key, told, course)
    except OSError as error:
        typer.echo(f"{name} is not kept: {error}", err=True)


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
