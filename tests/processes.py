"""A sandbox and an engine beside it, as processes of their own."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from solders.keypair import Keypair
from solders.pubkey import Pubkey

from bmv.app.signing import running_signer
from bmv.keys.store import Keystore, Role
from bmv.sandbox.market_genesis import engine_keypairs
from bmv.secret import Secret
from bmv.state.folder import StateFolder
from bmv.venue.openbook_v1.addresses import open_orders_address
from bmv.venue.openbook_v1.codec import OpenOrdersAccount, decode_open_orders

BMV = str(Path(sys.executable).with_name("bmv"))
PATIENCE_S = 120
PASSPHRASE = "only simulated"
_STATES: list[StateFolder] = []
"""Folders whose signers outlive what started them; they end with the sandbox."""


def wait_for(path: Path) -> None:
    """Wait until a file is there."""
    until = time.monotonic() + PATIENCE_S
    while not path.exists():
        assert time.monotonic() < until, path
        time.sleep(0.02)


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.2)


def call(url: str, method: str, *params: Any) -> Any:
    """Make one JSON-RPC call."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return json.loads(answer.read())["result"]


def accounts(url: str, keys: Sequence[Pubkey | str]) -> list[tuple[int, bytes]]:
    """Return lamports and data of accounts, all of them at the newest slot; zero and nothing where none is.

    One call is one slot: two calls are two, and what moves between accounts is then seen twice or never.
    """
    options = {"encoding": "base64", "commitment": "processed"}
    found = call(url, "getMultipleAccounts", [str(key) for key in keys], options)["value"]
    return [(one["lamports"], base64.b64decode(one["data"][0])) if one else (0, b"") for one in found]


def account_data(url: str, key: Pubkey | str) -> bytes:
    """Return what an account holds, at the newest slot; nothing where there is none."""
    return accounts(url, [key])[0][1]


def open_orders(facts: dict[str, Any]) -> list[OpenOrdersAccount]:
    """Return the OpenOrders accounts of a sandbox's operator wallets."""
    market = Pubkey.from_string(facts["market"])
    found = []
    for wallet in facts["wallets"]:
        data = account_data(facts["rpc_url"], open_orders_address(Pubkey.from_string(wallet), market))
        found += [decode_open_orders(data)] if data else []
    return found


@contextmanager
def sandbox(folder: Path, *options: str) -> Iterator[dict[str, Any]]:
    """Run a sandbox while the block runs; give the facts it prints. ``folder`` gets its settings file."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [BMV, "sandbox", "--state", str(folder), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        facts: dict[str, Any] = json.loads(process.stdout.readline())
        yield facts
    finally:
        while _STATES:
            signer = running_signer(_STATES.pop())
            if signer is not None:
                signer.quit()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0


def keystore(path: Path, keypairs: Sequence[Keypair]) -> Path:
    """Write a keystore of operator wallets, and its passphrase beside it; return that file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    store = Keystore.create(path, Secret(PASSPHRASE))
    for keypair in keypairs:
        store.add(keypair, Role.OPERATOR)
    store.save()
    passphrase = path.with_suffix(".pass")
    passphrase.write_text(PASSPHRASE)
    return passphrase


def prepared(state: Path, seed: int) -> Path:
    """Make a state folder with the keys of a sandbox's operator wallets; return the passphrase's file."""
    return keystore(state / "keystore.json", engine_keypairs(seed, 4))


def engine(
    settings: Path, state: Path, passphrase: Path, *options: str, log: IO[str] | None = None
) -> subprocess.Popen[str]:
    """Start an engine; its complaints go to ``log``, or to a pipe."""
    with passphrase.open() as secret:
        descriptor = secret.fileno()
        _STATES.append(StateFolder(state))
        command = [BMV, "run", "--config", str(settings), "--state", str(state)]
        return subprocess.Popen(
            [*command, "--passphrase-fd", str(descriptor), *options],
            pass_fds=[descriptor],
            stdout=subprocess.PIPE,
            stderr=log or subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
