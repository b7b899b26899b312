"""``bmv baseline`` beside a demo that ran in the same folder."""

import json
import sys
from pathlib import Path

import pytest

from bmv.cli import main
from bmv.services.baseline import BASELINE_NAME, read_baseline
from tests.app.recorded_run import run


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["bmv", "baseline", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main.main()
    return ended.value.code if isinstance(ended.value.code, int) else 0


def test_a_run_keeps_the_count_and_the_command_starts_it_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = run(1_800, state=tmp_path, levels=24)
    believed = kept.engine.engine.state.flow
    found = read_baseline(tmp_path / BASELINE_NAME)
    assert found is not None
    assert (found.market, found.number) == (kept.engine.spec.address, 1)
    assert (found.number, found.net_base) == (believed.baseline, believed.net_base)
    assert command(monkeypatch, "--state", tmp_path, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["number"] == 2
    assert told["net_base_lots_before"] == int(believed.net_base)
    again = read_baseline(tmp_path / BASELINE_NAME)
    assert again is not None
    assert (again.number, int(again.net_base)) == (2, 0)


def test_a_folder_without_a_baseline_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, "--state", tmp_path) == 2
    assert "in which an engine has run" in capsys.readouterr().err
