"""The work behind ``bmv tune``: the study in the database, worked on until it is complete."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import msgspec
import optuna
import typer

from bmv.backtest.front import front_page, summary
from bmv.backtest.identity import identity
from bmv.backtest.space import read_space
from bmv.backtest.tuning import Objective, Task, complete, cut_in_pieces, open_study, work
from bmv.cli import options
from bmv.cli.progress import progress
from bmv.cli.tape_options import Stage
from bmv.config import Settings
from bmv.errors import BadInput
from bmv.sandbox.clock import LoopClock, SimulatedLoop
from bmv.secret import Secret
from bmv.state.folder import StateFolder
from bmv.state.servers import local_database


class Asked(msgspec.Struct, frozen=True):
    """What was asked for on the command line; ``given`` are the settings every trial begins with."""

    study: str
    space: Path
    trials: int
    pieces: int
    objectives: tuple[str, ...]
    stage: Stage
    given: Settings
    state: Path
    seed: int
    html: Path | None


def studied(asked: Asked, settings: Callable[[Mapping[str, str]], Settings]) -> tuple[dict[str, Any], bool]:
    """Work on the study; return what it has found and whether Ctrl-C ended it.

    ``settings`` returns those of chosen values. Raises BadInput for what cannot be studied.
    """
    task = _task(asked, settings)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with _database(asked.given, asked.state) as url:
        study = open_study(asked.study, url, task, asked.seed)
        stopped = _worked(study, task, asked.trials)
        if asked.html is not None:
            asked.html.write_text(front_page(study, task), encoding="utf-8")
        return summary(study, task), stopped


def _task(asked: Asked, settings: Callable[[Mapping[str, str]], Settings]) -> Task:
    wanted, parts, stage = _objectives(asked.objectives), read_space(asked.space), asked.stage
    pieces = cut_in_pieces(stage.table, asked.pieces)
    told = parts, wanted, stage.assumed, asked.pieces, asked.given.written(), stage.levels
    # Machines may keep the same file in different places.
    known = (table and msgspec.structs.replace(table, source="") for table in (stage.table, stage.sol_usd))
    return Task(pieces, parts, wanted, stage.assumed, stage.sol_usd, settings, identity(told, *known))


def _worked(study: optuna.Study, task: Task, trials: int) -> bool:
    """Work on a study; return whether Ctrl-C ended it."""
    with progress("trials") as tell:
        try:
            work(study, task, trials, lambda done: tell(done / trials, f"{done} of {trials}"))
        except KeyboardInterrupt:
            typer.echo(f"stopped; {len(complete(study))} trials are kept", err=True)
            return True
    return False


@contextlib.contextmanager
def _database(settings: Settings, state: Path) -> Iterator[Secret]:
    """Give the database of the settings, or the local one while the block runs."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    loop = SimulatedLoop(1.0)
    clock = LoopClock(loop, 0)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        held = local_database(StateFolder(state), clock)
        url = runner.run(held.__aenter__())
        try:
            yield url
        finally:
            runner.run(held.__aexit__(None, None, None))


def _objectives(texts: tuple[str, ...]) -> tuple[Objective, ...]:
    known: tuple[Objective, ...] = get_args(Objective)
    found = tuple(one for text in texts for one in known if one == text)
    if len(set(found)) != len(texts):
        allowed = f"each one of {', '.join(known)}, once"
        raise BadInput("--objective", " ".join(texts), allowed, options.SOURCE)
    return found
