"""Prometheus rules and Grafana dashboards against the metrics of a real run, and in a real Prometheus."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.app.scraped_run import EVERY_S, Seen, scraped, scraping
from tests.ops import troubles
from tests.ops.troubles import ALERTS, RULES, firing
from tests.processes import BMV

ROOT = Path(__file__).parents[2]
DASHBOARDS = sorted((ROOT / "ops" / "grafana").glob("*.json"))
NAME = re.compile(r"\bbmv_\w+")
NEEDS = {"prometheus", "promtool"}
LIVE_PATIENCE_S = 300
needs_prometheus = pytest.mark.skipif(
    not all(map(shutil.which, NEEDS)), reason="prometheus and promtool are not installed"
)


@pytest.fixture(scope="module")
def seen() -> Seen:
    return scraped()


def panel_queries() -> Iterator[tuple[str, str]]:
    for file in DASHBOARDS:
        for panel in json.loads(file.read_text(encoding="utf-8"))["panels"]:
            for target in panel["targets"]:
                yield f"{file.stem}: {panel['title']}", target["expr"]


def test_panels_fill_the_width_and_none_lies_on_another() -> None:
    for file in DASHBOARDS:
        taken: set[tuple[int, int]] = set()
        for panel in json.loads(file.read_text(encoding="utf-8"))["panels"]:
            place = panel["gridPos"]
            cells = set(
                product(
                    range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
                )
            )
            assert not cells & taken
            assert place["x"] + place["w"] <= 24
            taken |= cells


def rule_lines() -> str:
    return "\n".join(line for line in RULES.read_text(encoding="utf-8").splitlines() if "record:" not in line)


def test_the_dashboards_are_those_the_code_draws(tmp_path: Path) -> None:
    drawn = ROOT / "ops" / "grafana" / "draw.py"
    copy = Path(shutil.copy(drawn, tmp_path))
    subprocess.run([sys.executable, copy], check=True, timeout=30)
    assert {file.name: file.read_text() for file in DASHBOARDS} == {
        file.name: file.read_text() for file in sorted(tmp_path.glob("*.json"))
    }
    assert len(DASHBOARDS) == 7


def test_every_metric_in_panels_and_rules_is_one_of_a_real_run(seen: Seen) -> None:
    known = {name for scrape in seen.scrapes for name, _ in scrape}
    asked = {name for _, query in panel_queries() for name in NAME.findall(query)}
    asked |= set(NAME.findall(rule_lines()))
    assert asked <= known
    assert len(asked) > 40


def test_every_metric_is_shown_somewhere(seen: Seen) -> None:
    asked = {name for _, query in panel_queries() for name in NAME.findall(query)}
    known = {name for scrape in seen.scrapes for name, _ in scrape}
    parts = ("_sum", "_count")
    assert {name for name in known - asked if not name.endswith(parts)} == set()


@needs_prometheus
def test_rules_and_configuration_pass_promtool() -> None:
    folder = RULES.parent
    for command in (["check", "config", "prometheus.yml"], ["test", "rules", "bmv.rules.test.yml"]):
        done = subprocess.run(
            ["promtool", *command], cwd=folder, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tried_by_promtool_to_fire_and_to_be_silent() -> None:
    alerts = set(re.findall(r"alert: (\w+)", RULES.read_text(encoding="utf-8")))
    tried = (RULES.parent / "bmv.rules.test.yml").read_text(encoding="utf-8")
    silent = set(re.findall(r"\{eval_time: 29m, alertname: (\w+)\}", tried))
    firing = set(re.findall(r"alertname: (\w+)\n\s+exp_alerts", tried))
    assert alerts == silent == firing


class Prometheus:
    """A real server over what a run was scraped for, or scraping one; ``last_ms`` is its now."""

    def __init__(self, port: int, last_ms: int | None) -> None:
        self._url, self._last_ms = f"http://127.0.0.1:{port}", last_ms

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._url}/-/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def ask(self, query: str, before_s: float = 0) -> list[dict[str, Any]]:
        """Return the result of a query, ``before_s`` before the last scrape."""
        now = time.time() if self._last_ms is None else self._last_ms / 1000
        text = urllib.parse.urlencode({"query": query, "time": now - before_s})
        with urllib.request.urlopen(f"{self._url}/api/v1/query?{text}", timeout=10) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return found

    def alerts(self) -> dict[str, str]:
        """Return the alerts that are firing or about to, with their state."""
        with urllib.request.urlopen(f"{self._url}/api/v1/alerts", timeout=10) as answer:
            return {one["labels"]["alertname"]: one["state"] for one in json.load(answer)["data"]["alerts"]}


@contextmanager
def served(seen: Seen, folder: Path) -> Iterator[Prometheus]:
    """Put the scrapes into blocks, as if Prometheus had made them, and serve those."""
    lines: list[str] = []
    for at, text in seen.texts:
        samples = [line for line in text.decode().splitlines() if not line.startswith("#")]
        lines += [f"{line} {at / 1000}" for line in samples]
    (folder / "scrapes").write_text("\n".join([*lines, "# EOF", ""]))
    blocks = ["promtool", "tsdb", "create-blocks-from", "openmetrics"]
    blocks += [str(folder / "scrapes"), str(folder / "data")]
    subprocess.run(blocks, check=True, capture_output=True, timeout=60)
    (folder / "none.yml").write_text("global: {}\n")
    with running(folder / "none.yml", folder / "data", seen.texts[-1][0]) as server:
        yield server


@contextmanager
def running(config: Path, data: Path, last_ms: int | None = None) -> Iterator[Prometheus]:
    """Run a Prometheus; ``last_ms`` is what it takes for now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        *("prometheus", f"--config.file={config}", f"--storage.tsdb.path={data}"),
        *(f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=100y"),
    ]
    log = config.with_suffix(".log")
    with log.open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
    try:
        server, patience = Prometheus(port, last_ms), time.monotonic() + 30
        while not server.ready():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < patience, "Prometheus does not get ready"
            time.sleep(0.1)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=30)


@needs_prometheus
def test_every_panel_shows_data_of_a_run(seen: Seen, tmp_path: Path) -> None:
    with served(seen, tmp_path) as server:
        empty = [place for place, query in panel_queries() if not server.ask(query, before_s=30)]
    assert empty == []


@needs_prometheus
def test_no_alert_fires_while_all_is_well_even_with_an_unreliable_outside(seen: Seen, tmp_path: Path) -> None:
    # After the end it is halted, and says so.
    last = len(seen.scrapes) * EVERY_S // 60
    assert list(firing(seen, tmp_path)) == ["BmvHalted"]
    assert min(firing(seen, tmp_path)["BmvHalted"]) >= last - 1


@pytest.mark.soak
@needs_prometheus
def test_no_alert_fires_on_a_healthy_day(tmp_path: Path) -> None:
    day = scraping(24 * 3_600, levels=40)
    found = firing(day, tmp_path)
    assert list(found) == ["BmvHalted"]
    assert min(found["BmvHalted"]) >= 24 * 60 - 1


FIRST_MINUTES = {
    "troubled": {
        "BmvFeedStale": troubles.FEED,
        "BmvWalletEmpty": troubles.THEFT,
        "BmvBooksDisagree": troubles.THEFT,
        "BmvMarketNoise": troubles.WASH,
        "BmvLoopLate": troubles.LATE,
        "BmvSelfTrade": troubles.OWN_TRADE,
        "BmvHalted": troubles.OWN_TRADE,
    },
    "losing": {
        "BmvNothingLands": troubles.LOST,
        "BmvBundlesLost": troubles.LOST,
        "BmvHalted": troubles.FOUND,
    },
    "poor": {"BmvBudgetNearlySpent": 60, "BmvBudgetSpent": 60, "BmvHalted": 19 * 60},
    "outside": {"BmvOutOfChannel": 0, "BmvSideNotQuoted": 14 * 60, "BmvHalted": 19 * 60},
}
"""What fires in a run, and since when (in seconds) it may."""
PATIENCE_MIN = 20


@needs_prometheus
@pytest.mark.parametrize("name", FIRST_MINUTES)
def test_alerts_fire_for_their_causes_and_no_others_do(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = {"losing": troubles.losing, "poor": troubles.poor, "outside": troubles.outside}
    seen = troubles.troubled(monkeypatch) if name == "troubled" else runs[name]()
    found = firing(seen, tmp_path)
    assert set(found) == set(FIRST_MINUTES[name])
    for alert, since in FIRST_MINUTES[name].items():
        assert since / 60 <= min(found[alert]) <= since / 60 + PATIENCE_MIN, alert


def test_every_alert_about_the_engine_itself_has_a_run_in_which_it_fires() -> None:
    # A dead engine comes below; what databases do to their metrics, in the tests of history and hot state.
    elsewhere = {"BmvGone", "BmvHistoryAway", "BmvHistoryLost", "BmvHotStateAway"}
    assert {alert for run in FIRST_MINUTES.values() for alert in run} == set(ALERTS) - elsewhere


@needs_prometheus
def test_a_prometheus_beside_a_demo_has_data_for_every_panel_and_rule(tmp_path: Path) -> None:
    """The committed configuration, with another port and shorter intervals; then the engine goes away."""
    command = [BMV, "demo", "--speed", "60", "--port", "0", "--json", "--faults", "standard"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as demo:
        assert demo.stdout is not None
        address = json.loads(demo.stdout.readline())["for Prometheus"]
        written = (RULES.parent / "prometheus.yml").read_text(encoding="utf-8").replace(": 15s", ": 1s")
        written = written.replace("- bmv.rules.yml", f"- {RULES}").replace(
            "127.0.0.1:8080", urllib.parse.urlsplit(address).netloc
        )
        (tmp_path / "prometheus.yml").write_text(written)
        records = re.findall(r"record: (\S+)", RULES.read_text(encoding="utf-8"))
        asked = [*panel_queries(), *(("rule", name) for name in records)]
        with running(tmp_path / "prometheus.yml", tmp_path / "data") as server:
            try:
                until = time.monotonic() + LIVE_PATIENCE_S
                while empty := [f"{place}: {query}" for place, query in asked if not server.ask(query)]:
                    assert time.monotonic() < until, empty
                    time.sleep(2)
                assert "firing" not in server.alerts().values()
            finally:
                demo.send_signal(signal.SIGINT)
                demo.wait(LIVE_PATIENCE_S)
            until = time.monotonic() + LIVE_PATIENCE_S
            while server.alerts().get("BmvGone") != "pending":
                assert time.monotonic() < until, server.alerts()
                time.sleep(0.5)
