"""Wallets made, funded, set aside and retired by commands beside an engine and a signer that run."""

import json
import signal
from pathlib import Path
from typing import Any

from solders.keypair import Keypair
from solders.pubkey import Pubkey

from bmv.keys.store import Keystore, Role, peek
from bmv.observe.segments import records
from bmv.sandbox.market_genesis import engine_keypairs
from bmv.secret import Secret
from bmv.state.folder import StateFolder
from bmv.state.snapshot import Snapshot, unpacked
from bmv.venue.openbook_v1.addresses import open_orders_address
from tests.cli.test_wallets import bmv, told
from tests.processes import PASSPHRASE, PATIENCE_S, accounts, engine, keystore, sandbox, until

SPEED = "8"


def seen(state: Path) -> Snapshot:
    """Return what the engine has last told of itself."""
    path = StateFolder(state).run / "status"
    return unpacked(path.read_bytes(), str(path))


def orders_of(state: Path, address: str) -> int:
    """Return how many orders of a wallet the engine sees standing; -1 where it does not know the wallet."""
    try:
        purses = {purse.address: purse for purse in seen(state).purses}
    except OSError:
        return -1
    return len(purses[address].orders) if address in purses else -1


def test_a_wallet_s_whole_life_beside_a_running_engine(tmp_path: Path) -> None:
    state, world = tmp_path / "state", tmp_path / "world"
    operators, treasury = engine_keypairs(9, 2), Keypair()
    passphrase = keystore(state / "keystore.json", operators)
    store = Keystore.open(state / "keystore.json", Secret(PASSPHRASE))
    store.add(treasury, Role.TREASURY)
    store.save()
    kept, leaves = (str(key.pubkey()) for key in operators)
    with sandbox(world, "--seed", "9", "--speed", SPEED, "--fund", str(treasury.pubkey())) as facts:
        settings = world / "sandbox.toml"
        place = ["--config", str(settings), "--state", str(state)]
        run = engine(settings, state, passphrase, "--speed", SPEED)
        until(lambda: min(orders_of(state, one) for one in (kept, leaves)) > 0, "both wallets quote")

        added = told("create", *place, "--wallets", "1")["added"][0]["address"]
        told("fund", *place, "--sol", "30", "--tokens", "100", "--wallet", added, passphrase=None)
        until(lambda: orders_of(state, added) > 0, "the new wallet quotes")

        told("set-aside", *place, "--wallet", added)
        until(lambda: orders_of(state, added) == 0, "the wallet set aside rests")
        told("take-back", *place, "--wallet", added)
        until(lambda: orders_of(state, added) > 0, "the wallet quotes again")

        market = Pubkey.from_string(facts["market"])
        watched: list[Pubkey | str] = [
            leaves,
            open_orders_address(Pubkey.from_string(leaves), market),
            treasury.pubkey(),
        ]
        before = [lamports for lamports, _ in accounts(facts["rpc_url"], watched)]
        done = told("retire", *place, "--wallet", leaves)
        assert done["moved"][0]["note"] == "the engine has emptied it"
        after = [lamports for lamports, _ in accounts(facts["rpc_url"], watched)]
        assert after[:2] == [0, 0]
        assert after[2] > before[2] + before[0] + before[1]
        assert {str(one.pubkey): one.role for one in peek(state / "keystore.json")}[leaves] is Role.RETIRED
        assert orders_of(state, kept) > 0

        last = bmv("retire", *place, "--wallet", kept, "--json", "--timeout", "1s")
        assert (last.returncode, "the engine goes on" in last.stderr) == (3, True), last.stderr
        told("take-back", *place, "--wallet", kept)
        until(lambda: orders_of(state, kept) > 0, "it was called back in time")

        run.send_signal(signal.SIGINT)
        _, err = run.communicate(timeout=PATIENCE_S)
        assert run.returncode == 0, err
    names = [name for name in reports(state) if name.startswith("WALLET_")]
    for name in ("WALLET_ADDED", "WALLET_SET_ASIDE", "WALLET_RETURNED", "WALLET_LEAVING", "WALLET_RETIRED"):
        assert name in names


def reports(state: Path) -> list[str]:
    """Return the names of all that the engine has told, from its journal."""
    found: list[Any] = [json.loads(record.payload) for record in records(StateFolder(state).journal)]
    actions = [record["action"] for record in found if "action" in record]
    return [action["name"] for action in actions if action["type"] == "Report"]
