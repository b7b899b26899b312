"""Real processes: signals at random moments, the sandbox as a service, the same run twice."""

import json
import os
import random
import signal
import subprocess
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.hook import Hook, hook
from tests.processes import BMV, PATIENCE_S, call, wait_for


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start a command with pipes and warnings on."""
    return subprocess.Popen(
        [BMV, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "default", "PYTHONASYNCIODEBUG": "0", **environment},
    )


def quiet(err: str) -> bool:
    """Say whether nothing was complained about: leaks, unclosed sessions, tasks never awaited."""
    return not [word for word in ("Warning", "Traceback", "Unclosed", "never retrieved") if word in err]


@pytest.mark.parametrize(
    ("seed", "signals"),
    [(1, [signal.SIGINT]), (2, [signal.SIGINT, signal.SIGINT, signal.SIGINT]), (3, [signal.SIGTERM])],
)
def test_a_signal_at_any_moment_leaves_nothing_on_the_chain(
    tmp_path: Path, seed: int, signals: Sequence[signal.Signals]
) -> None:
    arguments = ["demo", "--headless", "--for", "1h", "--speed", "20", "--seed", str(seed)]
    process = start(*arguments, "--state", str(tmp_path), "--faults", "standard" if seed == 2 else "none")
    wait_for(tmp_path / "journal" / "00000001.journal")
    draw = random.Random(seed)
    time.sleep(draw.uniform(0.5, 4))
    for number in signals:
        process.send_signal(number)
        time.sleep(0.1)
    out, err = process.communicate(timeout=PATIENCE_S)
    report = json.loads(out)
    assert process.returncode == 0, err
    assert report["after_drain"] == {"orders_live": 0, "locked": 0}
    # A signal before the first price finds nothing to keep books of.
    began = report["equity_start_sol"] is not None or report["orders"]["placed"] > 0
    assert report["identity_residual_lamports"] == (0 if began else None)
    assert report["self_trades"] == 0
    assert report["chain_residual"] == {"lamports": 0, "tokens": 0}
    assert "0 orders of ours left on the chain" in err
    assert quiet(err), err


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["for people", "as json"])
def test_the_page_is_shown_until_ctrl_c_and_then_the_book_is_emptied(form: tuple[str, ...]) -> None:
    with hook() as pager:
        _page_and_ctrl_c(form, pager)
        assert [posted["event"] for _, posted in pager.taken][-1:] == ["KILL_SWITCH"]


def _page_and_ctrl_c(form: tuple[str, ...], pager: Hook) -> None:
    process = start("demo", "--speed", "20", "--port", "0", *form, BMV_ALERT_WEBHOOK_URL=f"{pager.url}/pager")
    assert process.stdout is not None
    line = process.stdout.readline()
    where = json.loads(line)["live page"] if form else line.removeprefix("live page: ").strip()
    assert where.startswith("http://127.0.0.1:")
    page, _, token = where.partition("#token=")
    with urllib.request.urlopen(page, timeout=10) as answer:
        assert b"<html" in answer.read().lower()
    assert token
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, quiet(err)) == (0, True), err
    assert "0 orders of ours left on the chain" in err
    assert not form or json.loads(out)["clean"]


def test_two_processes_with_other_hash_seeds_do_the_same() -> None:
    arguments = ["--for", "30m", "--speed", "max", "--seed", "7", "--faults", "standard"]
    running = [start("demo", "--headless", *arguments, PYTHONHASHSEED=seed) for seed in ("1", "4242")]
    reports: list[dict[str, Any]] = []
    for process in running:
        out, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, err
        reports.append(json.loads(out) | {"wall_s": 0})
    assert reports[0] == reports[1]
    assert len(reports[0]["digest"]) == 64


def test_the_sandbox_prints_one_line_of_urls_that_answer(tmp_path: Path) -> None:
    process = start("sandbox", "--state", str(tmp_path), "--seed", "5")
    assert process.stdout is not None
    facts = json.loads(process.stdout.readline())
    assert json.loads((tmp_path / "sandbox.json").read_text()) == facts
    market = call(facts["rpc_url"], "getAccountInfo", facts["market"], {"encoding": "base64"})["value"]
    assert market["owner"] == "srmqPvymJeFKQ4zGQed1GFppgkRHL9kaELCbyksJtPX"
    for wallet in facts["wallets"]:
        assert call(facts["rpc_url"], "getBalance", wallet)["value"] > 10**9
    (jito,) = facts["jito_urls"]
    assert len(call(f"{jito}/api/v1/getTipAccounts", "getTipAccounts")) == 8
    with urllib.request.urlopen(facts["tip_floor_url"], timeout=10) as answer:
        assert "landed_tips_50th_percentile" in json.loads(answer.read())[0]
    command = [BMV, "inspect", "account", facts["market"], "--rpc", facts["rpc_url"], "--json"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    assert json.loads(shown.stdout)["flags"] == ["initialized", "market"]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out, err) == (0, "", "")


@pytest.mark.parametrize("after_s", [0.15, 0.4, 0.7, 1.0])
def test_ctrl_c_before_anything_has_begun_ends_without_a_word(after_s: float) -> None:
    process = start("demo", "--headless", "--for", "1h", "--speed", "20")
    time.sleep(after_s)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)
    # Python itself answers for the first moments, our own door after them, the engine once it runs.
    assert process.returncode in {130, 0, -signal.SIGINT}
    assert "Traceback" not in err or process.returncode == -signal.SIGINT
