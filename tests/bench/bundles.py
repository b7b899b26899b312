"""A whole plan on its way: 3,200 orders of 100 wallets to signed, encoded bundles with their cranks and tips.

The baseline makes the same bundles the plain way: it compiles a message with solders to see whether one more
instruction fits, compiles every transaction anew, and signs and encodes with solders' own objects.
"""

import base64
import random
from collections.abc import Iterator, Sequence
from unittest.mock import patch

from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from bmv.chain.jito import TIP_ACCOUNTS
from bmv.chain.message import AddressTable, TemplateCache
from bmv.chain.transaction import MAX_TRANSACTION_BYTES, Tip, build_transaction, framed, sign_all
from bmv.events import Execute
from bmv.keys.signer import InProcessSigner
from bmv.model import Cancel, MarketSpec, Placement, Side
from bmv.services.accounts import WalletAccounts
from bmv.services.building import Step, change_steps, events_of, own_crank_step
from bmv.services.packing import BundleDraft, Draft, Group, pack_bundles
from bmv.services.tables import shared_addresses
from bmv.units import BaseLots, Lamports, Ticks
from bmv.venue.openbook_v1.instructions import OPENBOOK_V1, MarketKeys
from tests.bench._timing import best_times

WALLETS, BIDS, ASKS = 100, 26, 6
ROUNDS = 7
UNTIL = 2_000_000_000
BLOCKHASH = bytes(range(32))
TIP: Tip = (TIP_ACCOUNTS[0], Lamports(10_000))
SPEC = MarketSpec("market", "mint", 9, 9, 1_000_000_000, 1_000, 4_000, 4_000, 9_000)


class Swarm:
    """A market, a hundred wallets with their keys, and two lookup tables for them."""

    def __init__(self, rng: random.Random) -> None:
        self.keypairs = [Keypair.from_seed(rng.randbytes(32)) for _ in range(WALLETS)]
        self.by_owner = {keypair.pubkey(): keypair for keypair in self.keypairs}
        self.market = MarketKeys(OPENBOOK_V1, *(Pubkey.from_bytes(rng.randbytes(32)) for _ in range(10)))
        self.wallets = [WalletAccounts.of(keypair.pubkey(), self.market) for keypair in self.keypairs]
        self.signer, self.templates = InProcessSigner(self.keypairs), TemplateCache()
        self.tables: dict[Pubkey, tuple[AddressTable, AddressLookupTableAccount]] = {}
        for some in (self.wallets[:80], self.wallets[80:]):
            own = [key for wallet in some for key in (wallet.open_orders, wallet.base, wallet.quote)]
            held, key = [*shared_addresses(self.market), *own], Pubkey.from_bytes(rng.randbytes(32))
            both = (
                AddressTable(bytes(key), [bytes(one) for one in held]),
                AddressLookupTableAccount(key, held),
            )
            self.tables |= {wallet.owner: both for wallet in some}

    def groups(self, price: int) -> list[Group]:
        """Replace every order of every wallet, from ``price`` on."""
        groups = []
        for number, wallet in enumerate(self.wallets):
            sides = [Side.BID] * BIDS + [Side.ASK] * ASKS
            cancels = [Cancel(number, side, Ticks(9), 9 << 64 | n, n + 1) for n, side in enumerate(sides)]
            places = [
                Placement(number, side, n, Ticks(price + n), BaseLots(1_000 + n), n + 1)
                for n, side in enumerate(sides)
            ]
            action = Execute(number, number, tuple(cancels), tuple(places))
            work = change_steps(action, wallet, self.market, SPEC, UNTIL)
            groups.append(Group(number, work, (wallet.open_orders,), events_of(action)))
        return groups

    def crank(self, groups: Sequence[Group], payer: Pubkey) -> list[Step]:
        """End a bundle with a crank of its own events."""
        touched = [account for group in groups for account in group.touched]
        return [own_crank_step(touched, sum(group.events for group in groups), payer, self.market)]


def ours(swarm: Swarm, price: int) -> list[bytes]:
    """Return the plan on the wire, as the product makes it."""
    bundles = pack_bundles(swarm.groups(price), TIP, lambda payer: swarm.tables[payer][:1], swarm.crank)
    messages = (
        build_transaction(
            draft.payer,
            draft.instructions,
            draft.units,
            tip,
            BLOCKHASH,
            tables=draft.tables,
            templates=swarm.templates,
        )
        for draft, tip in drafts(bundles)
    )
    return [base64.b64encode(raw) for raw in sign_all(messages, swarm.signer)]


def drafts(bundles: Sequence[BundleDraft]) -> Iterator[tuple[Draft, Tip | None]]:
    """Yield every transaction, with the tip where it carries one."""
    for bundle in bundles:
        for draft in bundle.drafts:
            yield draft, TIP if draft is bundle.drafts[-1] else None


class CompilingRoom:
    """Measure by compiling everything so far, and what is to come, with solders."""

    named: dict[Pubkey, tuple[AddressTable, AddressLookupTableAccount]]

    def __init__(self, payer: Pubkey, _: Sequence[AddressTable]) -> None:
        self.payer, self.held = payer, list[Instruction]()

    def add(self, instruction: Instruction) -> None:
        """Take up the room of one more instruction."""
        self.held.append(instruction)

    def over(self, instructions: Sequence[Instruction], tip: Tip | None = None) -> int:
        """Return by how many bytes it would be too large."""
        whole = framed(self.payer, [*self.held, *instructions], 1, tip)
        message = compiled(self.payer, whole, self.named[self.payer][1])
        signers = message.header.num_required_signatures
        return 1 + 64 * signers + len(to_bytes_versioned(message)) - MAX_TRANSACTION_BYTES


def compiled(payer: Pubkey, whole: list[Instruction], table: AddressLookupTableAccount) -> MessageV0:
    """Compile with solders; instructions are made of objects again, as a bot that keeps none would."""
    anew = [Instruction(one.program_id, one.data, list(one.accounts)) for one in whole]
    return MessageV0.try_compile(payer, anew, [table], Hash.from_bytes(BLOCKHASH))


def plainly(swarm: Swarm, price: int) -> list[bytes]:
    """Return the plan on the wire, made the plain way."""
    CompilingRoom.named = swarm.tables
    with patch("bmv.services.packing.Room", CompilingRoom):
        bundles = pack_bundles(swarm.groups(price), TIP, lambda payer: swarm.tables[payer][:1], swarm.crank)
    wires = []
    for draft, tip in drafts(bundles):
        whole = framed(draft.payer, draft.instructions, draft.units, tip)
        message = compiled(draft.payer, whole, swarm.tables[draft.payer][1])
        signed = VersionedTransaction(message, [swarm.by_owner[draft.payer]])
        wires.append(base64.b64encode(bytes(signed)))
    return wires


def run() -> dict[str, object]:
    """Time both ways on the same plan, in milliseconds; AssertionError where their bytes differ."""
    swarm = Swarm(random.Random(21))
    mine = ours(swarm, 100_000)
    if mine != plainly(swarm, 100_000) or len(mine) != 250:
        raise AssertionError("the two ways made different bytes, or not 250 transactions")
    prices = iter(range(100_001, 200_000))
    plain, our = best_times(
        [lambda: plainly(swarm, next(prices)), lambda: ours(swarm, next(prices))], rounds=ROUNDS
    )
    return {
        "bench": "plan_to_bundles",
        "orders": WALLETS * (BIDS + ASKS),
        "transactions": len(mine),
        "baseline_ms": round(plain * 1e3, 1),
        "ours_ms": round(our * 1e3, 1),
        "ratio": round(plain / our, 2),
    }
