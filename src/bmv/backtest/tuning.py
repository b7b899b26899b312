"""A study: many machines try settings on pieces of one tape, and none of them is fooled by its own luck.

Rules of this file
- The tape is cut into consecutive pieces; every trial plays each of them anew. What is optimised is the mean
  over all pieces but the last; the last is held out and only told.
- Walking forward: for each piece, the trial that was best on those before it, and what it then came to.
- A trial is one row in the database; a worker that dies leaves it to the others, who try it once more.
- A study belongs to one tape, space and set of assumptions; another one under its name is refused.
"""

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
import optuna
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback, fail_stale_trials
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from bmv.backtest.assumptions import Assumptions
from bmv.backtest.measure import report
from bmv.backtest.scene import scene
from bmv.backtest.space import Space
from bmv.backtest.tape import Table
from bmv.config import Settings
from bmv.errors import BadInput, Unreachable
from bmv.secret import Secret

Objective = Literal["two_sided", "cost", "drawdown", "pnl"]
MAXIMISED: Mapping[Objective, bool] = {"two_sided": True, "cost": False, "drawdown": False, "pnl": True}
"""Share of time with both sides within 2 %; tips and fees in SOL a day; largest fall; gain over holding."""
SCHEMA = "tuning"
TURN = 7_471
"""The number of the lock under which tables are made."""
BEAT_S = 10
GRACE_S = 30
RETRIES = 2
PIECES = "pieces"
IDENTITY = "identity"
REFUSED = "refused"
MOST_REFUSED = 50
"""Where so many trials are refused and none is not, there is nothing to be found."""


class Task(msgspec.Struct, frozen=True):
    """What every trial does; ``settings`` returns those of chosen values or raises BadInput.

    ``sol_usd`` says what a SOL cost, for the treasury.
    """

    pieces: tuple[Table, ...]
    space: Space
    objectives: tuple[Objective, ...]
    assumed: Assumptions
    sol_usd: Table | None
    settings: Callable[[Mapping[str, str]], Settings]
    identity: str


def cut_in_pieces(table: Table, count: int) -> tuple[Table, ...]:
    """Cut a table into ``count`` consecutive pieces of the same length in time."""
    start, span = int(table.times[0]), int(table.times[-1] - table.times[0]) + max(1, table.bar_ms)
    edges = np.searchsorted(table.times, [start + span * number // count for number in range(count + 1)])
    pieces = []
    for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if last - first < 2:
            raise BadInput("--pieces", count, "pieces of at least two rows", table.source)
        pieces.append(table.rows(slice(first, last)))
    return tuple(pieces)


def open_study(name: str, database: Secret, task: Task, seed: int) -> optuna.Study:
    """Open or begin a study; raise BadInput where another task has its name, Unreachable without database."""
    several = len(task.objectives) > 1
    sampler: optuna.samplers.BaseSampler = (
        optuna.samplers.NSGAIISampler(seed=seed) if several else _single_sampler(seed)
    )
    study = optuna.create_study(
        study_name=name,
        storage=storage_of(database),
        sampler=sampler,
        directions=[_direction(each) for each in task.objectives],
        load_if_exists=True,
    )
    known = study.user_attrs.get(IDENTITY)
    if known is None:
        study.set_user_attr(IDENTITY, task.identity)
    elif known != task.identity:
        raise BadInput(
            "--study", name, "a new name: this one has another tape, space or assumptions", "the study"
        )
    return study


def work(study: optuna.Study, task: Task, trials: int, told: Callable[[int], None]) -> None:
    """Try settings until ``trials`` are complete; ``told`` hears how many are."""
    while (done := _count(study, TrialState.COMPLETE)) < trials:
        told(done)
        if not done and len(refused := _refused(study)) >= MOST_REFUSED:
            raise BadInput("--space", refused[-1], "values that go with the settings", "the study")
        waiting = _count(study, TrialState.WAITING)
        if done + _count(study, TrialState.RUNNING) >= trials and not waiting:
            # Others are at the last ones; should they die, these come back to us.
            time.sleep(1.0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                fail_stale_trials(study)
            continue
        study.optimize(lambda trial: _tried(study, task, trial, trials), n_trials=1)
    told(done)


def scores(task: Task, chosen: Mapping[str, str]) -> list[list[float]]:
    """Play every piece with chosen values; return, for each, the value of each objective."""
    settings = task.settings(chosen)
    found = []
    for piece in task.pieces:
        made = scene("trial", piece, settings, task.assumed, task.sol_usd)
        made.run.run()
        told = report("trial", piece, made.tape, made.spec, made.run)
        found.append([_value(told, each) for each in task.objectives])
    return found


def in_sample(pieces: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Return the mean of every objective over all pieces but the last."""
    return tuple(float(np.mean(column)) for column in zip(*pieces[:-1], strict=True))


def walk_forward(study: optuna.Study, task: Task) -> list[dict[str, Any]]:
    """Return, for each piece after the first, who was best on those before it and what came of it there.

    By the first objective, where there are several.
    """
    first = task.objectives[0]
    sign = 1 if MAXIMISED[first] else -1
    played = {trial.number: trial.user_attrs[PIECES] for trial in complete(study)}
    rows = []
    for number in range(1, len(task.pieces)):
        if not played:
            break
        before = {
            trial: float(np.mean([row[0] for row in found[:number]])) for trial, found in played.items()
        }
        best = max(before, key=lambda trial: (sign * before[trial], -trial))
        rows.append(
            {
                "piece": number + 1,
                "trial": best,
                "before": round(before[best], 6),
                "then": round(played[best][number][0], 6),
            }
        )
    return rows


def complete(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that were played to the end."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def best_of(study: optuna.Study) -> list[FrozenTrial]:
    """Return the best trial, or the front where there are several objectives."""
    found = complete(study)
    best: list[FrozenTrial] = study.best_trials if found else []
    return best


def _tried(study: optuna.Study, task: Task, trial: optuna.Trial, trials: int) -> tuple[float, ...]:
    mine = trial.number
    others = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.RUNNING))
    if sum(other.number < mine for other in others) >= trials:
        raise optuna.TrialPruned("enough are under way")
    chosen = {part.key: part.suggest(trial) for part in task.space}
    try:
        found = scores(task, chosen)
    except BadInput as error:
        trial.set_user_attr(REFUSED, str(error))
        raise optuna.TrialPruned(str(error)) from error
    trial.set_user_attr(PIECES, found)
    trial.set_user_attr("settings", chosen)
    return in_sample(found)


def _value(told: Mapping[str, Any], objective: Objective) -> float:
    equity, days = told["equity_sol"], told["tape"]["days"]
    if objective == "two_sided":
        return float(told["two_sided"]["within_2pct"])
    if objective == "cost":
        writes = told["writes"]
        return (float(writes["tips_sol"]) + float(writes["fees_sol"])) / float(days)
    if objective == "drawdown":
        return float(equity["drawdown_ours"])
    return float(equity["end_ours"]) / float(equity["end_hold"]) - 1


def storage_of(database: Secret) -> RDBStorage:
    """Return the project's PostgreSQL, a schema of its own in it; raise Unreachable where it is not there.

    Workers that begin together take turns: making the same tables at once is an error to the database.
    """
    url = make_url(database.reveal()).set(drivername="postgresql+psycopg")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(f"SELECT pg_advisory_lock({TURN})"))
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
            return _tables(url)
    except SQLAlchemyError as error:
        raise Unreachable("postgres", "it cannot keep the study") from error
    finally:
        # The lock goes with the connection.
        engine.dispose()


def _tables(url: URL) -> RDBStorage:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return RDBStorage(
            url.render_as_string(hide_password=False),
            engine_kwargs={"connect_args": {"options": f"-c search_path={SCHEMA}"}, "pool_pre_ping": True},
            heartbeat_interval=BEAT_S,
            grace_period=GRACE_S,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=RETRIES),
        )


def _single_sampler(seed: int) -> optuna.samplers.TPESampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=seed, constant_liar=True)


def _direction(objective: Objective) -> StudyDirection:
    return StudyDirection.MAXIMIZE if MAXIMISED[objective] else StudyDirection.MINIMIZE


def _refused(study: optuna.Study) -> list[str]:
    """Return why settings were refused, trial by trial."""
    pruned = study.get_trials(deepcopy=False, states=(TrialState.PRUNED,))
    return [trial.user_attrs[REFUSED] for trial in pruned if REFUSED in trial.user_attrs]


def _count(study: optuna.Study, state: TrialState) -> int:
    return len(study.get_trials(deepcopy=False, states=(state,)))
