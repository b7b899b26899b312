"""Order transactions by the hundred: templates against building every one from objects.

Ours signs all of them together, on every core that is free; the dispatcher signs bundle by bundle, so that
its loop goes on meanwhile (``bundles`` and ``stall`` time that).
"""

import base64
import json
import random
from collections.abc import Callable

from solders.compute_budget import set_compute_unit_limit
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from bmv.chain.message import split
from bmv.chain.transaction import build_transaction, sign_all
from bmv.keys.signer import InProcessSigner
from tests.bench._timing import best_times

TRANSACTIONS = 400
WALLETS = 16
ROUNDS = 120
COMPUTE_LIMIT = 200_000
DATA_BYTES = 5 + 8 + 8 * 54
"""Version and tag, count, eight orders: a full ReplaceOrdersByClientIds."""

Order = tuple[int, bytes]
"""Which wallet, and the instruction data."""


class Swarm:
    """Sixteen wallets with their keys and the accounts their order instruction names."""

    def __init__(self, rng: random.Random) -> None:
        self.wallets = [Keypair.from_seed(rng.randbytes(32)) for _ in range(WALLETS)]
        self.owners = [wallet.pubkey() for wallet in self.wallets]
        self.program = Pubkey.from_bytes(rng.randbytes(32))
        market = [Pubkey.from_bytes(rng.randbytes(32)) for _ in range(8)]
        self.accounts = [
            [
                *((key, False, True) for key in market),
                (Pubkey.from_bytes(rng.randbytes(32)), False, True),
                (owner, True, True),
                (Pubkey.from_bytes(rng.randbytes(32)), False, True),
                (Pubkey.from_bytes(rng.randbytes(32)), False, False),
                (Pubkey.from_bytes(rng.randbytes(32)), False, False),
            ]
            for owner in self.owners
        ]
        named = [[AccountMeta(*one) for one in accounts] for accounts in self.accounts]
        self.names = [split(Instruction(self.program, b"", one))[0][0] for one in named]
        self.signer = InProcessSigner(self.wallets)


def compiled_from_objects(swarm: Swarm, order: Order, blockhash: bytes) -> MessageV0:
    """Build every object anew and let solders compile them: the plain way."""
    wallet, data = order
    metas = [AccountMeta(*one) for one in swarm.accounts[wallet]]
    asked = [set_compute_unit_limit(COMPUTE_LIMIT), Instruction(swarm.program, data, metas)]
    return MessageV0.try_compile(swarm.owners[wallet], asked, [], Hash.from_bytes(blockhash))


def message_from_objects(swarm: Swarm, order: Order, blockhash: bytes) -> bytes:
    """Return the message, made the plain way."""
    return to_bytes_versioned(compiled_from_objects(swarm, order, blockhash))


def message_from_templates(swarm: Swarm, order: Order, blockhash: bytes) -> bytes:
    """Return the message, made as the product does."""
    wallet, data = order
    piece = (swarm.names[wallet], len(data)), data
    return build_transaction(swarm.owners[wallet], [piece], COMPUTE_LIMIT, None, blockhash)


def sent_from_objects(swarm: Swarm, orders: list[Order], blockhash: bytes) -> list[bytes]:
    """Return what goes on the wire in base64, compiled and signed by solders' own objects."""
    wires = []
    for order in orders:
        message = compiled_from_objects(swarm, order, blockhash)
        wires.append(base64.b64encode(bytes(VersionedTransaction(message, [swarm.wallets[order[0]]]))))
    return wires


def sent_from_templates(swarm: Swarm, orders: list[Order], blockhash: bytes) -> list[bytes]:
    """Return what goes on the wire in base64, made from templates, signed together."""
    messages = (message_from_templates(swarm, order, blockhash) for order in orders)
    return [base64.b64encode(raw) for raw in sign_all(messages, swarm.signer)]


def run() -> dict[str, object]:
    """Time both ways over the same orders, in microseconds each; AssertionError where their bytes differ."""
    rng = random.Random(20)
    swarm = Swarm(rng)
    orders = [(n % WALLETS, rng.randbytes(DATA_BYTES)) for n in range(TRANSACTIONS)]
    blockhash = rng.randbytes(32)
    ways: list[Callable[[], list[bytes]]] = [
        lambda: [message_from_objects(swarm, order, blockhash) for order in orders],
        lambda: [message_from_templates(swarm, order, blockhash) for order in orders],
        lambda: sent_from_objects(swarm, orders, blockhash),
        lambda: sent_from_templates(swarm, orders, blockhash),
    ]
    made = [way() for way in ways]
    if made[0] != made[1] or made[2] != made[3]:
        raise AssertionError("the two ways made different bytes")
    plain_message, our_message, plain, ours = (
        seconds / TRANSACTIONS * 1e6 for seconds in best_times(ways, ROUNDS)
    )
    return {
        "bench": "order_transactions",
        "n": TRANSACTIONS,
        "baseline_us": round(plain, 1),
        "ours_us": round(ours, 1),
        "ratio": round(plain / ours, 2),
        "unsigned_baseline_us": round(plain_message, 1),
        "unsigned_ours_us": round(our_message, 1),
        "unsigned_ratio": round(plain_message / our_message, 2),
    }


if __name__ == "__main__":
    print(json.dumps(run()))
