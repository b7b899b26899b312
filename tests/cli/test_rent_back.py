"""In live shape: an OpenOrders account that a crashed run has left is found, closed, and its rent booked."""

import base64
import csv
import json
import signal
import time
from pathlib import Path

from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from typer.testing import CliRunner

from bmv.cli.main import app
from bmv.observe.segments import records
from bmv.sandbox.market_genesis import engine_keypairs
from bmv.services.accounts import market_keys
from bmv.state.folder import StateFolder
from bmv.units import Lamports
from bmv.venue.openbook_v1.addresses import OPENBOOK_V1
from bmv.venue.openbook_v1.codec import decode_market
from bmv.venue.openbook_v1.instructions import init_open_orders
from bmv.venue.openbook_v1.layouts import OPEN_ORDERS_SIZE
from bmv.venue.system import create_account_with_seed
from tests.processes import PATIENCE_S, account_data, accounts, call, engine, prepared, sandbox, until

SPEED = "8"
SEED = "of a run that crashed"


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


def test_rent_left_by_a_crash_comes_back_and_is_booked_to_the_lamport(tmp_path: Path) -> None:
    state, world = tmp_path / "state", tmp_path / "world"
    passphrase = prepared(state, 7)
    with sandbox(world, "--seed", "7", "--speed", SPEED) as facts:
        left, rent = leave_behind(facts["rpc_url"], facts["market"], engine_keypairs(7, 4)[1])
        run = engine(world / "sandbox.toml", state, passphrase, "--speed", SPEED)
        until(lambda: accounts(facts["rpc_url"], [left])[0][0] == 0, "the account is closed")
        time.sleep(1)
        run.send_signal(signal.SIGTERM)
        _, err = run.communicate(timeout=PATIENCE_S)
        assert run.returncode == 0, err
        told = [json.loads(record.payload) for record in records(StateFolder(state).journal)]
        reports = [each["action"] for each in told if each.get("action", {}).get("name") == "RENT_RECLAIM"]
        assert [each["fields"] for each in reports] == [{"wallet": 1, "lamports": rent, "account": str(left)}]
        words = ["db", "export", str(tmp_path / "out"), "--state", str(state)]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
    with (tmp_path / "out" / "book.csv").open(newline="") as file:
        booked = [row for row in csv.DictReader(file) if row["part"] == "rent"]
    assert [(int(row["lamports"]), row["cause"]) for row in booked] == [(rent, str(left))]
