"""What a study has found: the best settings or the front, in sample and held out, and walking forward."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import optuna
import plotly.graph_objects as go  # type: ignore[import-untyped]
from optuna.trial import FrozenTrial

from bmv.backtest.tuning import MAXIMISED, PIECES, Objective, Task, best_of, complete, in_sample, walk_forward
from bmv.observe.sheet import document, plots

BEST = "<tr><th>trial</th><th>settings</th><th>in sample</th><th>held out</th></tr>"
FORWARD = "<tr><th>piece</th><th>best before</th><th>its score there</th><th>its score here</th></tr>"
PARTED = 0.25
"""In-sample and held-out scores that differ by more than this part of the larger are warned of."""


def summary(study: optuna.Study, task: Task) -> dict[str, Any]:
    """Return the study's state as plain values."""
    front = [_told(trial, task) for trial in best_of(study)]
    return {
        "study": study.study_name,
        "trials": len(complete(study)),
        "pieces": len(task.pieces),
        "objectives": list(task.objectives),
        "best": front,
        "walk_forward": walk_forward(study, task),
        "warnings": [warning for row in front for warning in row["warnings"]],
        "assumptions": task.assumed.sentences(Path(task.sol_usd.source).name if task.sol_usd else None),
    }


def _told(trial: FrozenTrial, task: Task) -> dict[str, Any]:
    pieces: Sequence[Sequence[float]] = trial.user_attrs[PIECES]
    inside = dict(zip(task.objectives, in_sample(pieces), strict=True))
    outside = dict(zip(task.objectives, pieces[-1], strict=True))
    return {
        "trial": trial.number,
        "settings": trial.user_attrs["settings"],
        "in_sample": {name: round(value, 6) for name, value in inside.items()},
        "held_out": {name: round(value, 6) for name, value in outside.items()},
        "warnings": [
            text for name in task.objectives if (text := _parting(trial.number, name, inside, outside))
        ],
    }


def _parting(
    number: int, name: Objective, inside: Mapping[Objective, float], outside: Mapping[Objective, float]
) -> str:
    """Return a warning where the held-out score is much worse than the one that was chosen by."""
    worse = (inside[name] - outside[name]) * (1 if MAXIMISED[name] else -1)
    if worse <= PARTED * max(abs(inside[name]), abs(outside[name])):
        return ""
    return f"trial {number}: {name} was {inside[name]:.4g} in sample and is {outside[name]:.4g} held out"


def front_page(study: optuna.Study, task: Task) -> str:
    """Return the study as one HTML file: warnings, the best, walking forward, and every trial drawn."""
    told = summary(study, task)
    warned = "".join(f'<p class="warn">{escape(text)}</p>' for text in told["warnings"])
    assumed = "".join(f"<li>{escape(text)}</li>" for text in told["assumptions"])
    best = "".join(
        f"<tr><td>{row['trial']}</td><td>{escape(_list(row['settings']))}</td>"
        f"<td>{escape(_list(row['in_sample']))}</td><td>{escape(_list(row['held_out']))}</td></tr>"
        for row in told["best"]
    )
    forward = "".join(
        f"<tr><td>{row['piece']}</td><td>{row['trial']}</td><td>{row['before']}</td><td>{row['then']}</td></tr>"
        for row in told["walk_forward"]
    )
    (plot,) = plots([_plot(study, task)])
    body = (
        f"<h1>{escape(told['study'])}: {told['trials']} trials</h1>"
        f"{warned}<h2>Best</h2><table>{BEST}{best}</table>"
        f"<h2>Walking forward</h2><table>{FORWARD}{forward}</table>{plot}"
        f"<h2>What is assumed</h2><ul>{assumed}</ul>"
    )
    return document("Study", body)


def _plot(study: optuna.Study, task: Task) -> go.Figure:
    """Draw every trial: in sample against held out, or the first two objectives with the front."""
    trials = complete(study)
    names = task.objectives
    if len(names) == 1:
        axes = (f"{names[0]} in sample", f"{names[0]} held out")
        points = [(in_sample(t.user_attrs[PIECES])[0], t.user_attrs[PIECES][-1][0]) for t in trials]
    else:
        axes = (names[0], names[1])
        points = [(values[0], values[1]) for t in trials for values in [in_sample(t.user_attrs[PIECES])]]
    best = {trial.number for trial in best_of(study)}
    figure = go.Figure(layout={"xaxis": {"title": axes[0]}, "yaxis": {"title": axes[1]}})
    for title, chosen in (("trials", False), ("best", True)):
        found = [(t, p) for t, p in zip(trials, points, strict=True) if (t.number in best) is chosen]
        figure.add_scatter(
            x=[point[0] for _, point in found],
            y=[point[1] for _, point in found],
            text=[_list(trial.user_attrs["settings"]) for trial, _ in found],
            mode="markers",
            name=title,
        )
    return figure


def _list(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
