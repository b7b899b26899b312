"""Kill an engine and its servers again and again beside a chain that goes on, and compare what is left.

Rules of this file
- The oracle is the chain, see ``watching``.
- What the engine recorded is what its journal holds over all runs, and once more what its database holds.
- Money is compared to the lamport: what the wallets began with, plus fills, less what landed bundles cost.
"""

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from bmv.core.decay import FINE
from bmv.model import Side
from bmv.observe.segments import records
from bmv.services.recollection import recollect
from bmv.state.folder import StateFolder
from bmv.venue.openbook_v1.codec import decode_open_orders
from tests.processes import PATIENCE_S, account_data, engine, prepared
from tests.scenario.recorded import Recorded, recorded
from tests.scenario.watching import Watcher

SERVERS = "postgres", "valkey"
MOMENTS = {"early": 1, "opening": 2, "quoting": 5, "halting": 2, "servers": 4}
"""When an engine is killed, and how often among others; ``servers``: a while after its servers were."""


@dataclass
class Journalled:
    """What the journal holds over all runs."""

    first_seq: int = -1
    last_seq: int = 0
    trades: list[dict[str, Any]] = field(default_factory=list)
    fills: list[dict[str, Any]] = field(default_factory=list)
    costs: dict[str, int] = field(default_factory=dict)
    runs: int = 0
    pivots: list[tuple[int, int]] = field(default_factory=list)
    """The Pivot at each rebuild, in fine ticks, and how many trades were journalled by then."""


def journalled(folder: Path) -> Journalled:
    """Read it as plain JSON."""
    found = Journalled()
    for record in records(folder):
        entry = json.loads(record.payload)
        if "run" in entry:
            found.runs += 1
        if "belief" in entry:
            found.last_seq = entry["belief"]["mark"]["next_seq"]
        if entry.get("action", {}).get("name") == "GRID_REBUILD":
            pivot = entry["action"]["fields"].get("pivot_raw_fine")
            # Before the first trade there is none.
            found.pivots += [(pivot, len(found.trades))] if pivot else []
        event = entry.get("event", {})
        if event.get("type") == "Remembered":
            continue
        if event.get("mark") and found.first_seq < 0:
            found.first_seq = event["mark"]["next_seq"]
        found.trades += event.get("trades", [])
        found.fills += event.get("fills", [])
        if event.get("outcome") == "landed":
            assert event["bundle_id"] not in found.costs
            found.costs[event["bundle_id"]] = event["cost"]["fees"] + event["cost"]["tip"]
    return found


@dataclass
class Killer:
    """Start the engine and kill it, at moments drawn from ``seed``."""

    settings: Path
    state: Path
    passphrase: Path
    speed: str
    draw: random.Random
    log: IO[str]
    kills: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[str]]:
        """Run an engine while the block runs; it is killed if it has not ended then."""
        options = "--speed", self.speed, "--verbose", "--signer", "inside"
        process = engine(self.settings, self.state, self.passphrase, *options, log=self.log)
        try:
            yield process
        finally:
            process.kill()
            process.communicate(timeout=PATIENCE_S)

    def kill_once(self, kind: str) -> None:
        """Start the engine, wait for a moment of that kind, and kill it there."""
        before = self._segments()
        with self.running() as process:
            if kind != "early":
                self._wait_for_growth(process, before, 5_000 if kind == "opening" else 12_000)
            time.sleep(self.draw.uniform(0, 2.0))
            if kind == "halting":
                process.send_signal(signal.SIGTERM)
                time.sleep(self.draw.uniform(0, 0.6))
            elif kind == "servers":
                for name in self.draw.sample(SERVERS, self.draw.randint(1, len(SERVERS))):
                    self._kill_server(process, name)
                time.sleep(self.draw.uniform(0, 2.0))
        assert process.returncode in {-signal.SIGKILL, 0}, self._last_words()
        self.kills[kind] += 1

    def _kill_server(self, process: subprocess.Popen[str], name: str) -> None:
        """Kill a server that the engine itself has started."""
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,comm="], stdout=subprocess.PIPE, check=True)
        for pid, parent, program in (line.split(None, 2) for line in listed.stdout.decode().splitlines()):
            if int(parent) == process.pid and name in program:
                os.kill(int(pid), signal.SIGKILL)
                self.kills[name] += 1
                return
        raise AssertionError(f"no {name} of the engine runs\n{self._last_words()}")

    def end(self, is_enough: Callable[[], bool]) -> None:
        """Let it run once more, until that is enough, and end in peace."""
        before = self._segments()
        with self.running() as process:
            self._wait_for_growth(process, before, 12_000)
            until = time.monotonic() + 3 * PATIENCE_S
            while not is_enough():
                assert time.monotonic() < until, self._last_words()
                time.sleep(1.0)
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=PATIENCE_S * 2)
        assert process.returncode == 0, self._last_words()

    def _segments(self) -> int:
        folder = self.state / "journal"
        return max((int(path.name[:8]) for path in folder.glob("*.journal*")), default=0)

    def _wait_for_growth(self, process: subprocess.Popen[str], before: int, by: int) -> None:
        """Wait until a run has journalled so many bytes; ``before`` is the last segment before it."""
        until = time.monotonic() + PATIENCE_S
        own = self.state / "journal" / f"{before + 1:08d}.journal"
        while not own.exists() or own.stat().st_size < by:
            assert process.poll() is None, self._last_words()
            assert time.monotonic() < until, self._last_words()
            time.sleep(0.02)

    def _last_words(self) -> str:
        self.log.flush()
        return Path(self.log.name).read_text()[-3_000:]


def judged(watcher: Watcher, state: StateFolder, lamports: int, tokens: int) -> Journalled:
    """Compare chain, journal and database after the end; lamports and tokens are those of the start."""
    watcher.look()
    told = journalled(state.journal)
    assert watcher.wrong == []
    assert watcher.own_takes() == 0
    there = watcher.trades(told.first_seq, told.last_seq)
    assert all(n == 1 for n in Counter(trade["seq"] for trade in told.trades).values())
    assert {t["seq"]: (t["price"], t["size"], t["own"]) for t in told.trades} == there
    own = {seq: trade for seq, trade in there.items() if trade[2]}
    assert Counter(fill["seq"] for fill in told.fills) == Counter(own.keys())
    assert not any(fill["self_trade"] for fill in told.fills)
    _judge_pivot(told, there, state.journal)
    _judge_money(watcher, told, lamports, tokens)
    _judge_database(recorded(state), told, there)
    for account in watcher.accounts:
        left = decode_open_orders(account_data(watcher.url, account))
        assert left.orders() == []
        assert left.base_total + left.quote_total == 0
    return told


def _judge_pivot(told: Journalled, there: dict[int, tuple[int, int, bool]], journal: Path) -> None:
    assert told.pivots
    for pivot, known in told.pivots:
        counted = [there[trade["seq"]] for trade in told.trades[:known]]
        volume = sum(size for _, size, _ in counted)
        assert pivot == sum(price * size for price, size, _ in counted) * FINE // volume
    remembered = recollect(journal)
    assert remembered is not None
    assert remembered.bundles == {}
    sums = [(hour.notional, hour.volume, hour.own) for hour in remembered.hours.values()]
    # What the next run would begin with is the Pivot's exact sum.
    assert _sum_of(sums) == _sum_of_trades(there)


def _judge_money(watcher: Watcher, told: Journalled, lamports: int, tokens: int) -> None:
    market, moved, base = watcher.market, 0, 0
    for fill in told.fills:
        sign = 1 if fill["side"] == Side.BID else -1
        base += sign * fill["size"] * market.base_lot_size
        moved += fill["rebate"] - fill["fee"] - sign * fill["price"] * fill["size"] * market.quote_lot_size
    has_lamports, has_tokens = watcher.holdings()
    assert has_tokens - tokens == base
    unexplained = has_lamports - lamports - moved + sum(told.costs.values())
    assert unexplained == 0, unexplained


def _judge_database(kept: Recorded, told: Journalled, there: dict[int, tuple[int, int, bool]]) -> None:
    assert kept.markets == 1
    assert kept.trades == there
    names = "seq", "side", "price", "size", "rebate", "fee"
    assert kept.fills == {fill["seq"]: tuple(int(fill[name]) for name in names[1:]) for fill in told.fills}
    assert [_sum_of(kept.hours)] == [_sum_of_trades(there)]
    assert kept.landed == told.costs
    assert (kept.in_flight, kept.standing, kept.overtold, kept.orderless) == (0, 0, 0, 0)


def _sum_of_trades(there: dict[int, tuple[int, int, bool]]) -> list[int]:
    return _sum_of([(price * size, size, size * is_own) for price, size, is_own in there.values()])


def _sum_of(rows: Sequence[tuple[int, int, int]]) -> list[int]:
    return [sum(column) for column in zip(*rows, strict=True)]


def unread(journal: Path) -> bool:
    """Return whether events that the queue's ring has lost are still to be read back from logs.

    A slow machine is down for longer than the ring lasts; the gaps wait for a run that lives long enough.
    """
    remembered = recollect(journal)
    return remembered is not None and remembered.gaps != []


def killed(
    tmp_path: Path, facts: dict[str, Any], seed: int, speed: str, kinds: Sequence[str]
) -> tuple[Killer, Journalled]:
    """Kill at moments of these kinds beside a running sandbox, end in peace, and judge."""
    state, settings = StateFolder(tmp_path / "state"), tmp_path / "world" / "sandbox.toml"
    with settings.open("a") as more:
        more.write('PIVOT_MODE = "pure"\nGRID_LEVELS = 40\n')
    passphrase = prepared(state.root, seed)
    watcher = Watcher(facts)
    lamports, tokens = watcher.holdings()
    with (tmp_path / "engine.log").open("w") as log, watcher:
        killer = Killer(settings, state.root, passphrase, speed, random.Random(seed), log)
        for kind in kinds:
            killer.kill_once(kind)
        killer.end(lambda: watcher.own_makes() > 0 and not unread(state.journal))
    return killer, judged(watcher, state, lamports, tokens)
