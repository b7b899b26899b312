"""A study plays pieces, holds one out, and is one study however many work on it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import optuna
import pytest
from optuna.distributions import IntDistribution

from bmv.backtest.assumptions import Assumptions
from bmv.backtest.front import front_page, summary
from bmv.backtest.space import read_space
from bmv.backtest.tape import read_table
from bmv.backtest.tuning import (
    Objective,
    Task,
    cut_in_pieces,
    open_study,
    scores,
    storage_of,
    walk_forward,
    work,
)
from bmv.config import Settings, read
from bmv.errors import BadInput
from bmv.secret import Secret
from tests.backtest.scenes import START, bars, walk

PIECES = 3


def task(folder: Path, *objectives: Objective, identity: str = "one") -> Task:
    space = folder / "space.toml"
    space.write_text("BUY_CHANNEL_WIDTH_PCT = {low = 5, high = 25}\n")

    def settings(chosen: Mapping[str, str]) -> Settings:
        return read(None, {"BMV_GRID_LEVELS": "20"} | {f"BMV_{k}": v for k, v in chosen.items()}).settings

    table = bars(folder, walk(1, 96))
    pieces = cut_in_pieces(table, PIECES)
    return Task(pieces, read_space(space), objectives or ("pnl",), Assumptions(), None, settings, identity)


def study_of(*played: list[list[float]]) -> optuna.Study:
    """Return a study in memory whose trials came to these values on their pieces."""
    study = optuna.create_study(directions=["maximize"])
    for number, pieces in enumerate(played):
        study.add_trial(
            optuna.create_trial(
                params={"BUY_CHANNEL_WIDTH_PCT": number},
                distributions={"BUY_CHANNEL_WIDTH_PCT": IntDistribution(0, 99)},
                values=[sum(piece[0] for piece in pieces[:-1]) / (len(pieces) - 1)],
                user_attrs={"pieces": pieces, "settings": {"BUY_CHANNEL_WIDTH_PCT": str(number)}},
            )
        )
    return study


def test_pieces_are_the_whole_tape_in_order_and_none_overlaps(tmp_path: Path) -> None:
    table = bars(tmp_path, walk(2, 50))
    pieces = cut_in_pieces(table, 7)
    assert [at for piece in pieces for at in piece.times.tolist()] == table.times.tolist()
    spans = [int(piece.times[-1] - piece.times[0]) for piece in pieces]
    assert max(spans) - min(spans) <= table.bar_ms
    with pytest.raises(BadInput, match="at least two rows"):
        cut_in_pieces(table, 40)


def test_walking_forward_takes_who_was_best_before_and_tells_what_came_then(tmp_path: Path) -> None:
    study = study_of([[0.1], [0.9], [0.2]], [[0.3], [0.1], [0.7]])
    rows = walk_forward(study, task(tmp_path))
    assert [(row["piece"], row["trial"], row["then"]) for row in rows] == [(2, 1, 0.1), (3, 0, 0.2)]


def test_a_best_that_falls_apart_outside_its_sample_is_warned_of(tmp_path: Path) -> None:
    asked = task(tmp_path)
    told = summary(study_of([[0.10], [0.12], [-0.3]]), asked)
    assert told["best"][0]["in_sample"] == {"pnl": 0.11}
    assert told["best"][0]["held_out"] == {"pnl": -0.3}
    assert len(told["warnings"]) == 1
    assert told["warnings"][0] in front_page(study_of([[0.10], [0.12], [-0.3]]), asked)
    assert summary(study_of([[0.10], [0.12], [0.11]]), asked)["warnings"] == []


def test_scores_are_those_of_backtests_of_the_pieces(tmp_path: Path) -> None:
    asked = task(tmp_path, "two_sided", "cost", "drawdown", "pnl")
    narrow, wide = (scores(asked, {"BUY_CHANNEL_WIDTH_PCT": width}) for width in ("5", "25"))
    assert len(narrow) == PIECES
    assert narrow != wide
    for two_sided, cost, drawdown, pnl in narrow:
        assert 0 <= two_sided <= 1
        assert cost > 0
        assert 0 <= drawdown < 1
        assert -1 < pnl < 1


def test_a_treasury_plays_where_it_is_known_what_a_sol_cost(tmp_path: Path) -> None:
    asked = task(tmp_path, "pnl")
    file = tmp_path / "sol.csv"
    hours = [f"{START - 3_600 + 3_600 * n},{60 + 5 * (-1) ** n}" for n in range(30)]
    file.write_text("ts,close\n" + "\n".join(hours) + "\n")
    with_dollars = msgspec.structs.replace(asked, sol_usd=read_table(file))
    chosen = {"BUY_CHANNEL_WIDTH_PCT": "10"}
    assert scores(with_dollars, chosen) != scores(asked, chosen)
    told = summary(study_of([[0.1], [0.1], [0.1]]), with_dollars)
    assert any(file.name in sentence for sentence in told["assumptions"])


def test_a_space_of_which_settings_take_nothing_is_given_up(tmp_path: Path) -> None:
    def refuse(_: Mapping[str, str]) -> Settings:
        raise BadInput("BUY_CHANNEL_WIDTH_PCT", "7", "another one", "a test")

    asked = msgspec.structs.replace(task(tmp_path), settings=refuse)
    with pytest.raises(BadInput, match="another one"):
        work(optuna.create_study(directions=["maximize"]), asked, 2, lambda _: None)


def test_a_study_of_another_task_is_refused(tmp_path: Path, database_url: Secret) -> None:
    open_study("same name", database_url, task(tmp_path), 1)
    open_study("same name", database_url, task(tmp_path), 2)
    with pytest.raises(BadInput, match="a new name"):
        open_study("same name", database_url, task(tmp_path, identity="two"), 1)


@pytest.mark.soak
def test_three_workers_give_each_trial_once_and_survive_the_kill_of_one(
    tmp_path: Path, database_url: Secret
) -> None:
    made = task(tmp_path)
    source = made.pieces[0].source
    command = [sys.executable, "-c", "from bmv.cli.entry import main; main()", "tune", source]
    options = [
        "--study",
        "three",
        "--space",
        str(tmp_path / "space.toml"),
        "--trials",
        "12",
        "--levels",
        "20",
    ]
    environ = os.environ | {"BMV_DATABASE_URL": database_url.reveal()}
    workers = [
        subprocess.Popen([*command, *options], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    time.sleep(8)
    workers[0].send_signal(signal.SIGKILL)
    ended = [worker.communicate(timeout=300) for worker in workers[1:]]
    assert [worker.returncode for worker in workers[1:]] == [0, 0], ended
    told: list[dict[str, Any]] = [json.loads(out) for out, _ in ended]
    assert [worker.returncode for worker in workers[1:]] == [0, 0]
    assert {each["trials"] for each in told} == {12}
    study = optuna.load_study(study_name="three", storage=storage_of(database_url))
    numbers = [trial.number for trial in study.get_trials()]
    assert len(set(numbers)) == len(numbers)
