"""The kill switch of a live run by page and by signal, and what a run leaves that was killed by surprise.

One world for all of it: every run goes on where the one before it ended.
"""

import base64
import csv
import json
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from typer.testing import CliRunner

from bmv.app.presenting import PageAt, shown_at
from bmv.cli.main import app
from bmv.observe.segments import records
from bmv.sandbox.market_genesis import engine_keypairs
from bmv.services.accounts import market_keys
from bmv.state.folder import StateFolder
from bmv.state.latch import LatchFile
from bmv.units import Lamports
from bmv.venue.openbook_v1.addresses import OPENBOOK_V1, open_orders_address
from bmv.venue.openbook_v1.codec import decode_market
from bmv.venue.openbook_v1.instructions import init_open_orders
from bmv.venue.openbook_v1.layouts import OPEN_ORDERS_SIZE
from bmv.venue.system import create_account_with_seed
from bmv.venue.token import TOKEN_ACCOUNT_SIZE
from tests.cli.spoken import SAYS
from tests.hook import hook
from tests.processes import (
    PATIENCE_S,
    account_data,
    accounts,
    call,
    engine,
    open_orders,
    prepared,
    sandbox,
    until,
)

SPEED, HOUR = "8", 3_600_000
GOLDEN = Path(__file__).parents[1] / "golden" / "openbook_v1"
SEED = "of a run that crashed"


class Beside:
    """Runs beside one sandbox, in one state folder."""

    def __init__(self, facts: dict[str, Any], settings: Path, folder: Path) -> None:
        self.facts, self.settings, self.folder = facts, settings, StateFolder(folder)
        self._passphrase = prepared(folder, 7)

    def start(self) -> subprocess.Popen[str]:
        return engine(self.settings, self.folder.root, self._passphrase, "--speed", SPEED, "--json")

    def quoting(self) -> subprocess.Popen[str]:
        run = self.start()
        until(lambda: run.poll() is not None or min(self.standing(), default=0) > 0, "all wallets quote")
        assert run.poll() is None, run.communicate()
        return run

    def standing(self) -> list[int]:
        return [len(one.orders()) for one in open_orders(self.facts)]

    def rents(self) -> list[int]:
        market = Pubkey.from_string(self.facts["market"])
        wallets = map(Pubkey.from_string, self.facts["wallets"])
        places: list[Pubkey | str] = [open_orders_address(wallet, market) for wallet in wallets]
        return [lamports for lamports, _ in accounts(self.facts["rpc_url"], places)]

    def killed(self, run: subprocess.Popen[str], reason: str) -> None:
        """Wait for a run to end: verified on the chain, as a kill, and latched."""
        out, err = run.communicate(timeout=PATIENCE_S)
        assert run.returncode == 3, err
        ended = json.loads(out)
        assert (ended["clean"], ended["asked"]) == (True, False), err
        assert sum(self.standing()) == 0
        latch = LatchFile(self.folder).read()
        assert latch is not None
        assert (latch.by, latch.reason) == ("the engine", reason)

    def does(self, *words: str) -> str:
        done = CliRunner().invoke(app, [*words, "--state", str(self.folder.root)])
        assert done.exit_code == 0, done.output
        return done.stdout

    def status(self) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(self.does("status", "--json"))
        return shown

    def reclaimed(self) -> list[dict[str, Any]]:
        """Return what was told of accounts whose rent came back."""
        return [one["fields"] for one in self.told("action") if one.get("name") == "RENT_RECLAIM"]

    def told(self, kind: str) -> list[Any]:
        found = (json.loads(record.payload) for record in records(self.folder.journal))
        return [entry[kind] for entry in found if kind in entry]


def leave_behind(url: str, market: str, owner: Keypair) -> tuple[Pubkey, int]:
    """Open one more OpenOrders account of a wallet, as a run of other habits may; return it and its rent."""
    wallet, place = owner.pubkey(), Pubkey.from_string(market)
    keys = market_keys(place, OPENBOOK_V1, decode_market(account_data(url, market)))
    rent = int(call(url, "getMinimumBalanceForRentExemption", OPEN_ORDERS_SIZE))
    left = Pubkey.create_with_seed(wallet, SEED, OPENBOOK_V1)
    made = create_account_with_seed(wallet, left, wallet, SEED, Lamports(rent), OPEN_ORDERS_SIZE, OPENBOOK_V1)
    blockhash = call(url, "getLatestBlockhash")["value"]["blockhash"]
    work = [made, init_open_orders(keys, left, wallet)]
    message = MessageV0.try_compile(wallet, work, [], Hash.from_string(blockhash))
    raw = base64.b64encode(bytes(VersionedTransaction(message, [owner]))).decode()
    call(url, "sendTransaction", raw, {"encoding": "base64", "skipPreflight": True})
    until(lambda: accounts(url, [left])[0][0] == rent, "the account is there")
    return left, rent


@contextmanager
def pressed(page: PageAt, token: str, origin: str) -> Iterator[int]:
    """Press the page's button as its script does; give what it is answered."""
    headers = {"x-bmv-token": token, "Origin": origin}
    request = urllib.request.Request(f"{page.url}api/halt", headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            yield answer.status
    except urllib.error.HTTPError as refused:
        yield refused.code


def speaks_json(beside: Beside, folder: Path) -> None:
    """Give every command its words, beside a run that has ended, and read what it says."""
    bars, instruction = folder / "bars.csv", folder / "instruction.json"
    rows = [f"{1_760_000_000_000 // HOUR * HOUR + HOUR * number},0.001,5000" for number in range(60)]
    bars.write_text("\n".join(["ts,close,volume", *rows, ""]))
    vector = json.loads((GOLDEN / "instructions.json").read_text())[0]
    instruction.write_text(json.dumps({name: vector[name] for name in ("ts_call", "params")}))
    names = {
        "state": beside.folder.root,
        "config": beside.settings,
        "folder": folder,
        "bars": bars,
        "instruction": instruction,
        "market": beside.facts["market"],
        "rpc": beside.facts["rpc_url"],
        "today": datetime.now(UTC).date(),
    }
    wrong: list[str] = []
    with hook() as pager:
        for name, words in SAYS.items():
            given = [*name.split()[1:], *(word.format(**names) for word in words), "--json"]
            done = CliRunner().invoke(app, given, env={"BMV_ALERT_WEBHOOK_URL": f"{pager.url}/pager"})
            # The clock of this world is ahead, which the doctor finds.
            allowed = {0, 1} if name == "bmv doctor" else {0}
            if done.exit_code not in allowed or not json.loads(done.stdout):
                wrong.append(f"{name}: {done.output} {done.exception}")
    assert wrong == []


def door_is_shut(run: subprocess.Popen[str]) -> bool:
    """Say whether a process lets the kill signal wait: from its first moment on, long before it listens."""
    status = Path(f"/proc/{run.pid}/status").read_text()
    blocked = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigBlk"))
    return bool(blocked >> (signal.SIGUSR1 - 1) & 1)


def test_every_kill_ends_verified_and_latched_and_a_crash_leaves_no_rent_behind(tmp_path: Path) -> None:
    world = tmp_path / "world"
    with sandbox(world, "--seed", "7", "--speed", SPEED) as facts:
        settings = world / "sandbox.toml"
        first = Beside(facts, settings, tmp_path / "first")

        left, left_rent = leave_behind(facts["rpc_url"], facts["market"], engine_keypairs(7, 4)[1])
        run = first.quoting()
        until(lambda: accounts(facts["rpc_url"], [left])[0][0] == 0, "the left-over account is closed")
        until(lambda: first.reclaimed() != [], "it is told")
        page = shown_at(first.folder)
        assert page is not None
        origin = page.url.rstrip("/")
        with pressed(page, "a guess", origin) as answer:
            assert answer == 401
        with pressed(page, page.token, "http://evil.example") as answer:
            assert answer == 403
        with pressed(page, page.token, origin) as answer:
            assert answer == 202
        first.killed(run, "halt button on the page")
        fields = {"wallet": 1, "lamports": left_rent, "account": str(left)}
        assert first.reclaimed() == [fields]
        first.does("db", "export", str(tmp_path / "out"))
        with (tmp_path / "out" / "book.csv").open(newline="") as file:
            booked = [row for row in csv.DictReader(file) if row["part"] == "rent"]
        assert [(int(row["lamports"]), row["cause"]) for row in booked] == [(left_rent, str(left))]
        first.does("resume")

        # Killed by surprise: orders stand, accounts are open, and journal and database are gone with it.
        run = first.quoting()
        run.kill()
        run.communicate()
        assert min(first.standing()) > 0
        rents = first.rents()
        assert len(rents) == 4
        assert min(rents) > 20_000_000

        with settings.open("a", encoding="utf-8") as file:
            file.write('\nCLOSE_ACCOUNTS_AT_HALT = "on"\n')
        second = Beside(facts, settings, tmp_path / "second")
        run = second.start()
        until(lambda: door_is_shut(run), "the signal waits")
        run.send_signal(signal.SIGUSR1)
        second.killed(run, "SIGUSR1 received")
        assert second.rents() == [0] * 4
        placed = [action for action in second.told("action") if action.get("places")]
        assert placed == []
        # The account of wrapped SOL is closed with each of them, and what was wrapped is no rent.
        wrapped = call(facts["rpc_url"], "getMinimumBalanceForRentExemption", TOKEN_ACCOUNT_SIZE)
        assert sorted(one["lamports"] for one in second.reclaimed()) == sorted([*rents, *[wrapped] * 4])
        second.does("resume")

        # A kill after the wish for an orderly end is a kill; all lamports of the run have their line.
        run = second.quoting()
        until(lambda: second.status()["at"] - second.status()["started"] > 130_000, "two samples")
        shown = second.status()
        assert float(shown["price_usd"]) == pytest.approx(1.08 * float(shown["price_eur"]), rel=1e-3)
        run.send_signal(signal.SIGTERM)
        run.send_signal(signal.SIGUSR1)
        second.killed(run, "SIGUSR1 received")
        assert json.loads(second.does("report", "--json"))["pnl"]["residual_lamports"] == 0
        speaks_json(second, tmp_path)
