"""The count of bought base over starts, fills and resets: what the file says is what the engine believes."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmv.config import Settings
from bmv.core.absorb import absorb
from bmv.core.state import State, new_state
from bmv.errors import BadInput
from bmv.events import BaselineSet, Report
from bmv.model import Side
from bmv.services.baseline import (
    BASELINE_NAME,
    LOOK_EVERY_MS,
    Baseline,
    BaselineKeeper,
    next_baseline,
    read_baseline,
    write_baseline,
)
from bmv.units import BaseLots, Lamports, Millis
from tests.core.belongings import START, market


class Run:
    """An engine's belief with a keeper beside it; events are absorbed one step after they are told."""

    def __init__(self, path: Path, address: str = "market") -> None:
        self.told: list[BaselineSet] = []
        self.state: State = new_state(market(), 1, START)
        self.keeper = BaselineKeeper(path, address, START, self.told.append)
        self.reports: list[Report] = []
        self.step()

    def step(self, ms: int = 0) -> None:
        self.state.now += Millis(ms)
        events, self.told[:] = list(self.told), []
        for event in events:
            self.reports += [
                each for each in absorb(self.state, event, Settings()) if isinstance(each, Report)
            ]
        self.keeper.follow(self.state)

    def fill(self, lots: int) -> None:
        side = Side.BID if lots > 0 else Side.ASK
        self.state.flow.record(side, BaseLots(abs(lots)), Lamports(abs(lots)), self.state.now)
        self.step()

    @property
    def believed(self) -> tuple[int, int]:
        return self.state.flow.baseline, int(self.state.flow.net_base)


def kept(path: Path) -> tuple[int, int]:
    found = read_baseline(path)
    assert found is not None
    return found.number, int(found.net_base)


def reset(path: Path) -> None:
    known = read_baseline(path)
    assert known is not None
    write_baseline(path, next_baseline(known, known.market, Millis(5)))


def test_the_first_start_sets_a_baseline_and_later_ones_go_on_from_it(tmp_path: Path) -> None:
    path = tmp_path / BASELINE_NAME
    run = Run(path)
    assert run.believed == kept(path) == (1, 0)
    run.fill(50)
    run.fill(-20)
    assert run.believed == kept(path) == (1, 30)
    again = Run(path)
    assert again.believed == (1, 30)
    again.fill(5)
    assert kept(path) == (1, 35)
    assert again.reports == []


def test_a_baseline_set_while_the_engine_runs_is_taken_up_within_seconds_and_told(tmp_path: Path) -> None:
    path = tmp_path / BASELINE_NAME
    run = Run(path)
    run.fill(50)
    reset(path)
    run.step(int(LOOK_EVERY_MS))
    run.step()
    assert run.believed == kept(path) == (2, 0)
    assert [(each.name, each.fields) for each in run.reports] == [
        ("BASELINE_SET", {"number": 2, "net_base_before": 50})
    ]
    assert run.state.signal == "a baseline was set"
    run.fill(7)
    assert kept(path) == (2, 7)


def test_a_fill_that_comes_before_the_engine_looked_does_not_undo_the_new_baseline(tmp_path: Path) -> None:
    path = tmp_path / BASELINE_NAME
    run = Run(path)
    run.fill(50)
    reset(path)
    run.fill(9)
    assert kept(path) == (2, 0)
    run.step()
    assert run.believed == (2, 0)


@given(st.lists(st.sampled_from(["fill", "sell", "reset", "wait", "restart"]), max_size=25))
def test_however_fills_resets_and_restarts_mix_engine_and_file_agree_in_the_end(steps: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / BASELINE_NAME
        run, number = Run(path), 1
        for step in steps:
            if step in {"fill", "sell"}:
                run.fill(10 if step == "fill" else -3)
            elif step == "reset":
                reset(path)
                number += 1
            elif step == "wait":
                run.step(int(LOOK_EVERY_MS))
            else:
                run = Run(path)
        run.step(int(LOOK_EVERY_MS))
        run.step()
        assert run.believed == kept(path)
        assert run.believed[0] == number


def test_another_market_begins_anew_and_a_spoilt_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / BASELINE_NAME
    Run(path).fill(50)
    assert Run(path, "another market").believed == (2, 0)
    path.write_text("{")
    with pytest.raises(BadInput, match="delete it to begin anew"):
        Run(path)


def test_the_file_is_whole_at_every_moment(tmp_path: Path) -> None:
    path = tmp_path / BASELINE_NAME
    write_baseline(path, Baseline("m", 1, Millis(1), BaseLots(2)))
    assert list(tmp_path.iterdir()) == [path]
    assert kept(path) == (1, 2)
