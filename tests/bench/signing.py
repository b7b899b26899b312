"""Four hundred messages signed by the signer process, against the same keys in this process without a policy.

The messages are placements of eight orders, each paid by one of a hundred wallets: what a rebuild of a large
ladder has signed. ``policy_ms`` is the policy alone, ``bundle_ms`` one call with the messages of one bundle.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from solders.keypair import Keypair

from bmv.app.signing import ensured_signer, keys_of, policy_of
from bmv.chain.message import split
from bmv.chain.transaction import build_transaction
from bmv.config import Settings
from bmv.keys.signer import InProcessSigner
from bmv.keys.store import Keystore, Role
from bmv.secret import Secret
from bmv.services.accounts import WalletAccounts
from bmv.state.folder import StateFolder
from bmv.venue.openbook_v1 import instructions as openbook
from tests.keys.test_policy import MARKET, ORDER

PASSPHRASE = "only for the bench"
WALLETS, MESSAGES, ROUNDS = 100, 400, 7


def run() -> dict[str, object]:
    """Time it; the process must give the very signatures."""
    keypairs = [Keypair.from_seed(number.to_bytes(32, "little")) for number in range(1, WALLETS + 1)]
    jobs = [(keypairs[n % WALLETS].pubkey(), _message(keypairs[n % WALLETS], n)) for n in range(MESSAGES)]
    with tempfile.TemporaryDirectory(prefix="bmv-") as root:
        folder = StateFolder(Path(root))
        store = Keystore.create(folder.keystore, Secret(PASSPHRASE))
        for keypair in keypairs:
            store.add(keypair, Role.OPERATOR)
        store.save()
        client = ensured_signer(folder, folder.keystore, None, _descriptor())
        try:
            client.serve(MARKET)
            plain = InProcessSigner(keypairs)
            assert client.sign_all(jobs[:5]) == plain.sign_all(jobs[:5])
            policy = policy_of(keys_of(store).wallets, Settings())
            policy.limits = msgspec.structs.replace(policy.limits, transactions_per_minute=10**9)
            policy.grounds.set_market(MARKET)
            return {
                "bench": "signing",
                "messages": MESSAGES,
                "process_ms": _median_ms(lambda: client.sign_all(jobs)),
                "bundle_ms": _median_ms(lambda: client.sign_all(jobs[:5])),
                "policy_ms": _median_ms(lambda: policy.approve([message for _, message in jobs])),
                "baseline_ms": _median_ms(lambda: plain.sign_all(jobs)),
            }
        finally:
            client.quit()


def _message(keypair: Keypair, number: int) -> bytes:
    wallet = WalletAccounts.of(keypair.pubkey(), MARKET)
    orders = [msgspec.structs.replace(ORDER, price=1_000 + number, client_id=n + 1) for n in range(8)]
    placed = openbook.replace_orders_by_client_ids(
        MARKET, wallet.open_orders, wallet.owner, wallet.quote, orders
    )
    return build_transaction(wallet.owner, [split(placed)], 200_000, None, number.to_bytes(32, "little"))


def _descriptor() -> int:
    reading, writing = os.pipe()
    os.write(writing, PASSPHRASE.encode())
    os.close(writing)
    return reading


def _median_ms(act: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        act()
        times.append((time.perf_counter() - started) * 1_000)
    return round(statistics.median(times), 2)
