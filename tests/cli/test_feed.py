"""``bmv feed`` beside a sandbox that is a process of its own."""

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from bmv.cli import main
from tests.processes import BMV, PATIENCE_S, sandbox


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["bmv", "feed", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main.main()
    return ended.value.code if isinstance(ended.value.code, int) else 0


def test_the_feed_answers_for_a_market_and_ends_on_a_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with sandbox(tmp_path, "--seed", "3", "--speed", "20") as facts:
        where = ["--config", str(tmp_path / "sandbox.toml"), "--state", str(tmp_path / "none")]
        serving = subprocess.Popen(
            [BMV, "feed", *where, "--port", "0", "--json"], stdout=subprocess.PIPE, text=True
        )
        assert command(monkeypatch, *where, "--once") == 0
        told = json.loads(capsys.readouterr().out)
        assert told["pairs"][0]["pool_id"] == facts["market"]
        assert told["orderbook"]["bids"]
        assert serving.stdout is not None
        url = json.loads(serving.stdout.readline())["feed"]
        with urllib.request.urlopen(url, timeout=10) as answer:
            (figures,) = json.load(answer)
        assert float(figures["bid"]) < float(figures["ask"])
        serving.send_signal(signal.SIGINT)
        serving.communicate(timeout=PATIENCE_S)
        assert serving.returncode == 0


def test_a_pair_needs_two_names_and_a_feed_a_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, "--pair", "BMV", "--state", tmp_path) == 2
    assert "--pair" in capsys.readouterr().err
    assert command(monkeypatch, "--state", tmp_path, "--once") == 2
    assert "RPC_URL" in capsys.readouterr().err
