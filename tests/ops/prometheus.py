"""A real Prometheus for tests: one that scrapes, or one that holds what runs were scraped for."""

import json
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.app.scraped_run import EVERY_S, Seen

APART_S = 4 * 3_600
"""Runs lie so far apart in one Prometheus, far beyond what any query looks back."""
Courses = dict[tuple[tuple[str, str], ...], list[float]]


class Prometheus:
    """A real server; ``spans`` are when the runs it holds began and ended, in its seconds."""

    def __init__(self, port: int, spans: Mapping[str, tuple[float, float]]) -> None:
        self._url, self._spans = f"http://127.0.0.1:{port}", spans

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._url}/-/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def ask(self, query: str) -> list[dict[str, Any]]:
        """Return the result of a query now."""
        return self._asked("query", query=query, time=time.time())

    def value(self, query: str, run: str, after_s: float) -> float:
        """Return the one value of a query so long after a run began, at the latest at its end."""
        began, ended = self._spans[run]
        [found] = self._asked("query", query=query, time=min(began + after_s, ended))
        return float(found["value"][1])

    def courses(self, query: str, run: str) -> Courses:
        """Return the values of a query over a run, from scrape to scrape, by labels."""
        began, ended = self._spans[run]
        found = self._asked("query_range", query=query, start=began, end=ended + EVERY_S, step=EVERY_S)
        return {
            tuple(sorted(one["metric"].items())): [float(value) for _, value in one["values"]]
            for one in found
        }

    def alerts(self) -> dict[str, str]:
        """Return the alerts that are firing or about to, with their state."""
        with urllib.request.urlopen(f"{self._url}/api/v1/alerts", timeout=10) as answer:
            return {one["labels"]["alertname"]: one["state"] for one in json.load(answer)["data"]["alerts"]}

    def _asked(self, what: str, **parameters: object) -> list[dict[str, Any]]:
        text = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self._url}/api/v1/{what}?{text}", timeout=10) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return found


@contextmanager
def holding(runs: Mapping[str, Seen], folder: Path) -> Iterator[Prometheus]:
    """Put the scrapes of runs into blocks, as if Prometheus had made them, and serve those."""
    lines: list[str] = []
    spans = {}
    for number, (name, seen) in enumerate(runs.items()):
        times = [at / 1000 + number * APART_S for at, _ in seen.texts]
        spans[name] = times[0], times[-1]
        for at, (_, text) in zip(times, seen.texts, strict=True):
            lines += [f"{line} {at}" for line in text.decode().splitlines() if not line.startswith("#")]
    (folder / "scrapes").write_text("\n".join([*lines, "# EOF", ""]))
    blocks = ["promtool", "tsdb", "create-blocks-from", "openmetrics"]
    blocks += [str(folder / "scrapes"), str(folder / "data")]
    subprocess.run(blocks, check=True, capture_output=True, timeout=60)
    (folder / "none.yml").write_text("global: {}\n")
    with running(folder / "none.yml", folder / "data", spans) as server:
        yield server


@contextmanager
def running(
    config: Path, data: Path, spans: Mapping[str, tuple[float, float]] | None = None
) -> Iterator[Prometheus]:
    """Run a Prometheus until the block ends."""
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
        server, patience = Prometheus(port, spans or {}), time.monotonic() + 30
        while not server.ready():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < patience, "Prometheus does not get ready"
            time.sleep(0.1)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=30)
