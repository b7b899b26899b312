"""Kill an engine again and again beside a sandbox whose chain goes on, and compare what is left.

Rules of this file
- The oracle is the chain: a watcher reads its event queue and book over RPC; it shares with the engine the
  decoding of accounts and nothing else. A ring of a thousand events does not overflow between two looks.
- What the engine recorded is what its journal holds over all runs.
- Money is compared to the lamport: what the wallets began with, plus fills, less what landed bundles cost.
"""

import base64
import json
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from solders.pubkey import Pubkey

from bmv.core.decay import FINE
from bmv.model import Side
from bmv.observe.segments import records
from bmv.services.recollection import recollect
from bmv.venue.openbook_v1.addresses import open_orders_address
from bmv.venue.openbook_v1.codec import decode_market, decode_open_orders
from bmv.venue.openbook_v1.queues import QueueEvent, decode_event_queue
from bmv.venue.openbook_v1.slab import decode_book_side
from bmv.venue.token import associated_token_address, decode_token_account
from tests.processes import PATIENCE_S, account_data, call, engine, prepared

LOOK_S = 0.25
WRAPPED = Pubkey.from_string("So11111111111111111111111111111111111111112")


@dataclass
class Watcher:
    """What the chain shows while everything else is killed: every fill, and the book now and then."""

    facts: dict[str, Any]
    events: dict[int, QueueEvent] = field(default_factory=dict)
    next_seq: int = 0
    most_orders: int = 0
    wrong: list[str] = field(default_factory=list)
    _done: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.url = self.facts["rpc_url"]
        self.market = decode_market(account_data(self.url, self.facts["market"]))
        market = Pubkey.from_string(self.facts["market"])
        self.owners = [Pubkey.from_string(wallet) for wallet in self.facts["wallets"]]
        self.accounts = [open_orders_address(owner, market) for owner in self.owners]
        self.ours = {bytes(account) for account in self.accounts}
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Watcher":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(LOOK_S):
            self.look()

    def look(self) -> None:
        """Take in the queue, and judge the book."""
        queue = decode_event_queue(account_data(self.url, self.market.event_queue))
        if self.next_seq < queue.oldest:
            self.wrong.append(f"the watcher itself lost events {self.next_seq} to {queue.oldest}")
        self.events |= {event.seq: event for event in queue.since(self.next_seq) if event.is_fill}
        self.next_seq = queue.next_seq
        own = []
        for key in (self.market.bids, self.market.asks):
            side = decode_book_side(account_data(self.url, key))
            own += [(side.side, order.price_ticks) for order in side.orders() if order.owner in self.ours]
        self.most_orders = max(self.most_orders, len(own))
        self.wrong += [f"two orders of ours at {level}" for level, n in Counter(own).items() if n > 1]
        bids = [price for side, price in own if side is Side.BID]
        asks = [price for side, price in own if side is Side.ASK]
        # The two sides are read one after the other; the engine never moves both across within a slot.
        if bids and asks and max(bids) >= min(asks):
            self.wrong.append(f"own bid {max(bids)} at or above own ask {min(asks)}")

    def trades(self, since: int, until: int) -> dict[int, tuple[int, int, bool]]:
        """Return price in ticks, size in lots, and whether it was ours, of matches by their maker's event."""
        found = {}
        for seq, event in self.events.items():
            if since <= seq < until and event.is_maker:
                base = event.native_released if event.side is Side.BID else event.native_paid
                found[seq] = event.price_ticks, base // self.market.base_lot_size, event.owner in self.ours
        return found

    def own_takes(self) -> int:
        """Return how often an order of ours took: it never may, so it can never meet another of ours."""
        return sum(event.owner in self.ours and not event.is_maker for event in self.events.values())

    def lamports(self) -> int:
        """Return everything of the wallets that is SOL: plain, wrapped, in order accounts, and as rent."""
        total = 0
        for owner, account in zip(self.owners, self.accounts, strict=True):
            tokens = [associated_token_address(owner, mint) for mint in (self.market.base_mint, WRAPPED)]
            keys = [owner, account, *tokens]
            total += sum(call(self.url, "getBalance", str(key))["value"] for key in keys)
            data = account_data(self.url, account)
            total += decode_open_orders(data).quote_total if data else 0
        return total + self._tables()

    def _tables(self) -> int:
        """Return what lookup tables of the first wallet hold."""
        program = "AddressLookupTab1e1111111111111111111111111"
        found = call(self.url, "getProgramAccounts", program, {"encoding": "base64"})
        first = bytes(self.owners[0])

        return sum(
            one["account"]["lamports"]
            for one in found
            if base64.b64decode(one["account"]["data"][0])[22:54] == first
        )

    def tokens(self) -> int:
        """Return the atoms of the token in wallets and order accounts."""
        total = 0
        for owner, account in zip(self.owners, self.accounts, strict=True):
            data = account_data(self.url, associated_token_address(owner, self.market.base_mint))
            total += decode_token_account(data).amount if data else 0
            held = account_data(self.url, account)
            total += decode_open_orders(held).base_total if held else 0
        return total


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
    """The Pivot while quoting, in fine ticks, and up to which event it counts."""


def journalled(folder: Path) -> Journalled:
    """Read it as plain JSON."""
    found, halting = Journalled(), False
    for record in records(folder):
        entry = json.loads(record.payload)
        if "run" in entry:
            found.runs, halting = found.runs + 1, False
        if "belief" in entry:
            raw, found.last_seq = entry["belief"]["pivot_raw"], entry["belief"]["mark"]["next_seq"]
            found.pivots += [(raw, found.last_seq)] if raw and not halting else []
        event = entry.get("event", {})
        if event.get("type") == "Remembered":
            continue
        halting = halting or event.get("type") == "HaltRequested"
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

    def start(self) -> subprocess.Popen[str]:
        """Start it."""
        return engine(
            self.settings,
            self.state,
            self.passphrase,
            "--speed",
            self.speed,
            "--verbose",
            "--signer",
            "inside",
            log=self.log,
        )

    def kill_once(self) -> None:
        """Start the engine, wait for a moment, and kill it there; now and then during its shutdown."""
        before, process = self._segments(), self.start()
        kind = self.draw.choices(("early", "opening", "quoting", "halting"), (1, 2, 5, 2))[0]
        if kind != "early":
            self._wait_for_growth(process, before, 5_000 if kind == "opening" else 12_000)
        time.sleep(self.draw.uniform(0, 2.0))
        if kind == "halting":
            process.send_signal(signal.SIGTERM)
            time.sleep(self.draw.uniform(0, 0.6))
        process.kill()
        process.communicate(timeout=PATIENCE_S)
        assert process.returncode in {-signal.SIGKILL, 0}, self._last_words()
        self.kills[kind] += 1

    def end(self) -> None:
        """Let it run once more, for a while, and end in peace."""
        before, process = self._segments(), self.start()
        self._wait_for_growth(process, before, 16_000)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_S * 2)
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


def judged(watcher: Watcher, folder: Path, lamports: int, tokens: int) -> Journalled:
    """Compare chain and journal after the end; ``lamports`` and ``tokens`` are those of the start."""
    watcher.look()
    told = journalled(folder)
    assert watcher.wrong == []
    assert watcher.own_takes() == 0
    there = watcher.trades(told.first_seq, told.last_seq)
    seen = Counter(trade["seq"] for trade in told.trades)
    assert {seq: n for seq, n in seen.items() if n > 1} == {}
    recorded = {t["seq"]: (t["price"], t["size"], t["own"]) for t in told.trades}
    assert set(recorded.items()) ^ set(there.items()) == set()
    own = {seq: trade for seq, trade in there.items() if trade[2]}
    filled = Counter(fill["seq"] for fill in told.fills)
    assert {seq: n for seq, n in filled.items() if n > 1} == {}
    assert (own.keys() - filled.keys(), filled.keys() - own.keys()) == (set(), set())
    assert not any(fill["self_trade"] for fill in told.fills)
    for pivot, until in told.pivots:
        counted = [(price, size) for seq, (price, size, _) in there.items() if seq < until]
        if volume := sum(size for _, size in counted):
            assert pivot == sum(price * size for price, size in counted) * FINE // volume
    remembered = recollect(folder)
    assert remembered is not None
    sums = [(hour.notional, hour.volume, hour.own) for hour in remembered.hours.values()]
    oracle = [(price * size, size, size * is_own) for price, size, is_own in there.values()]
    # What the next run would begin with is the Pivot's exact sum.
    assert list(map(sum, zip(*sums, strict=True))) == list(map(sum, zip(*oracle, strict=True)))
    market, moved, base = watcher.market, 0, 0
    for fill in told.fills:
        sign = 1 if fill["side"] == Side.BID else -1
        base += sign * fill["size"] * market.base_lot_size
        moved += fill["rebate"] - fill["fee"] - sign * fill["price"] * fill["size"] * market.quote_lot_size
    assert watcher.tokens() - tokens == base
    unexplained = watcher.lamports() - lamports - moved + sum(told.costs.values())
    assert unexplained == 0, unexplained
    for account in watcher.accounts:
        left = decode_open_orders(account_data(watcher.url, account))
        assert left.orders() == []
        assert left.base_total + left.quote_total == 0
    return told


def killed(
    tmp_path: Path, facts: dict[str, Any], seed: int, speed: str, kills: int
) -> tuple[Killer, Journalled]:
    """Kill ``kills`` times beside a running sandbox, end in peace, and judge."""
    state, settings = tmp_path / "state", tmp_path / "world" / "sandbox.toml"
    with settings.open("a") as more:
        more.write('PIVOT_MODE = "pure"\nGRID_LEVELS = 40\n')
    passphrase = prepared(state, seed)
    watcher = Watcher(facts)
    lamports, tokens = watcher.lamports(), watcher.tokens()
    with (tmp_path / "engine.log").open("w") as log, watcher:
        killer = Killer(settings, state, passphrase, speed, random.Random(seed), log)
        while killer.kills.total() < kills:
            killer.kill_once()
        killer.end()
    return killer, judged(watcher, state / "journal", lamports, tokens)
