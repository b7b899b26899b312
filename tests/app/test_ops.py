"""Prometheus rules and Grafana dashboards against the metrics of a real run, and in a real Prometheus."""

import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.app.scraped_run import Seen, scraped

ROOT = Path(__file__).parents[2]
RULES = ROOT / "ops" / "prometheus" / "bmv.rules.yml"
DASHBOARDS = sorted((ROOT / "ops" / "grafana").glob("*.json"))
NAME = re.compile(r"\bbmv_\w+")
NEEDS = {"prometheus", "promtool"}
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
    """A real server over what a run was scraped for."""

    def __init__(self, port: int, last_ms: int) -> None:
        self._url, self._last = f"http://127.0.0.1:{port}", last_ms / 1000

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._url}/-/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def ask(self, query: str, before_s: float = 0) -> list[dict[str, Any]]:
        """Return the result of a query, ``before_s`` before the last scrape."""
        text = urllib.parse.urlencode({"query": query, "time": self._last - before_s})
        with urllib.request.urlopen(f"{self._url}/api/v1/query?{text}", timeout=10) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return found


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
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        *("prometheus", f"--config.file={folder / 'none.yml'}", f"--storage.tsdb.path={folder / 'data'}"),
        *(f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=100y"),
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        server, patience = Prometheus(port, seen.texts[-1][0]), time.monotonic() + 30
        while not server.ready():
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < patience, "Prometheus does not get ready"
            time.sleep(0.1)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=30)


@needs_prometheus
def test_every_panel_shows_data_of_a_run_and_no_alert_is_wrong(seen: Seen, tmp_path: Path) -> None:
    with served(seen, tmp_path) as server:
        empty = [place for place, query in panel_queries() if not server.ask(query, before_s=30)]
        assert empty == []
        alerts = alert_expressions()
        during = [name for name, expr in alerts.items() if server.ask(expr, before_s=60)]
        assert during == []
        # After the end it is halted, and says so.
        assert server.ask(alerts["BmvHalted"])


def alert_expressions() -> dict[str, str]:
    """Return the alerts with the recorded series they use written out."""
    text = RULES.read_text(encoding="utf-8")
    records = dict(re.findall(r"record: (\S+)\n\s+expr: >-\n((?:\s{10}.+\n)+)", text))
    found: dict[str, str] = {}
    for name, one_line, block in re.findall(r"alert: (\w+)\n\s+expr: (?:>-\n((?:\s{10}.+\n)+)|(.+)\n)", text):
        expression = one_line or block
        for record, meaning in records.items():
            expression = expression.replace(record, f"({meaning})")
        found[name] = " ".join(expression.split())
    return found


@pytest.mark.soak
@needs_prometheus
def test_the_alert_of_lost_bundles_fires_where_most_are_lost(tmp_path: Path) -> None:
    faults = tmp_path / "faults.toml"
    faults.write_text("bundle_dropped = 0.9\n")
    with served(scraped(str(faults), seconds=1_200), tmp_path) as server:
        firing = {
            name
            for name, expression in alert_expressions().items()
            if any(server.ask(expression, before_s=before) for before in range(0, 1_000, 30))
        }
    assert {"BmvBundlesLost", "BmvNothingLands"} <= firing
    assert firing <= {"BmvBundlesLost", "BmvNothingLands", "BmvSideNotQuoted", "BmvHalted"}
