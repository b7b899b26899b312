"""A whole plan on its way: 3,200 orders of 100 wallets to signed, encoded bundles with their cranks and tips.

The baseline makes the same bundles with nothing of ours: it packs the data with ``struct``, compiles a
message with solders to see whether what is next fits, compiles every transaction anew, and signs one by one.
It knows beforehand that two wallets make a bundle. Ours has met the wallets before, as the engine has, but
not the orders; both begin with the plan and end with base64. Ours is signed in the portions the dispatcher
signs at once; ``alone_ms`` and ``alone_ratio`` are what it takes where no other core helps to sign.
"""

import base64
import itertools
import random
import struct
from collections.abc import Sequence

from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.compute_budget import set_compute_unit_limit
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.sysvar import RENT
from solders.transaction import VersionedTransaction

from bmv.chain.jito import TIP_ACCOUNTS
from bmv.chain.layout import MAX_TRANSACTION_BYTES
from bmv.chain.message import AddressTable
from bmv.chain.rpc import Blockhash
from bmv.chain.transaction import Tip, sign_all
from bmv.events import Execute
from bmv.keys.signer import InProcessSigner
from bmv.model import Cancel, MarketSpec, Placement, Side
from bmv.services.accounts import WalletAccounts
from bmv.services.building import Step, change_steps, events_of, own_crank_step
from bmv.services.packing import Group, pack_bundles
from bmv.services.signing import messages_of, portions
from bmv.services.tables import shared_addresses
from bmv.units import BaseLots, BlockHeight, Lamports, Slot, Ticks
from bmv.venue.openbook_v1.instructions import OPENBOOK_V1, MarketKeys
from bmv.venue.token import TOKEN_PROGRAM
from tests.bench._timing import best_times

WALLETS, BIDS, ASKS = 100, 26, 6
ROUNDS = 40
UNTIL = 2_000_000_000
BLOCKHASH = bytes(range(32))
LATEST = Blockhash(str(Hash.from_bytes(BLOCKHASH)), BlockHeight(1_000), Slot(1))
TIP: Tip = (TIP_ACCOUNTS[0], Lamports(10_000))
SPEC = MarketSpec("market", "mint", 9, 9, 1_000_000_000, 1_000, 4_000, 4_000, 9_000)


class Swarm:
    """A market, a hundred wallets with their keys, and two lookup tables for them."""

    def __init__(self, rng: random.Random) -> None:
        self.keypairs = [Keypair.from_seed(rng.randbytes(32)) for _ in range(WALLETS)]
        self.by_owner = {keypair.pubkey(): keypair for keypair in self.keypairs}
        self.market = MarketKeys(OPENBOOK_V1, *(Pubkey.from_bytes(rng.randbytes(32)) for _ in range(10)))
        self.wallets = [WalletAccounts.of(keypair.pubkey(), self.market) for keypair in self.keypairs]
        self.signer = InProcessSigner(self.keypairs)
        self.tables: dict[Pubkey, tuple[AddressTable, AddressLookupTableAccount]] = {}
        for some in (self.wallets[:80], self.wallets[80:]):
            own = [key for wallet in some for key in (wallet.open_orders, wallet.base, wallet.quote)]
            held, key = [*shared_addresses(self.market), *own], Pubkey.from_bytes(rng.randbytes(32))
            both = (
                AddressTable(bytes(key), [bytes(one) for one in held]),
                AddressLookupTableAccount(key, held),
            )
            self.tables |= {wallet.owner: both for wallet in some}

    def groups(self, plan: Sequence[Execute]) -> list[Group]:
        """Return the work of a plan, as the dispatcher makes it."""
        groups = []
        for action in plan:
            wallet = self.wallets[action.wallet]
            work = change_steps(action, wallet, self.market, SPEC, UNTIL)
            groups.append(Group(action.ticket, work, (wallet.open_orders,), events_of(action)))
        return groups

    def crank(self, groups: Sequence[Group], payer: Pubkey) -> list[Step]:
        """End a bundle with a crank of its own events."""
        touched = [account for group in groups for account in group.touched]
        return [own_crank_step(touched, sum(group.events for group in groups), payer, self.market)]


def change(ticket: int, wallet: int, price: int) -> Execute:
    """Replace every order of a wallet, from ``price`` on."""
    sides = [Side.BID] * BIDS + [Side.ASK] * ASKS
    cancels = tuple(Cancel(wallet, side, Ticks(9), 9 << 64 | n, n + 1) for n, side in enumerate(sides))
    places = tuple(
        Placement(wallet, side, n, Ticks(price + n), BaseLots(1_000 + n), n + 1)
        for n, side in enumerate(sides)
    )
    return Execute(ticket, wallet, cancels, places)


def replacing_all(price: int) -> list[Execute]:
    """Return the plan that replaces every order of every wallet."""
    return [change(number, number, price) for number in range(WALLETS)]


def ours(swarm: Swarm, plan: Sequence[Execute], signer: InProcessSigner | None = None) -> list[bytes]:
    """Return the plan on the wire, as the product makes it, signed by the swarm's signer or another one."""
    bundles = pack_bundles(swarm.groups(plan), TIP, lambda payer: swarm.tables[payer][:1], swarm.crank)
    built = [messages_of(bundle, TIP, LATEST) for bundle in bundles]
    signed = [
        sign_all(itertools.chain.from_iterable(portion), signer or swarm.signer)
        for portion in portions(built)
    ]
    return [base64.b64encode(raw) for raws in signed for raw in raws]


class Plain:
    """The same bundles with solders alone: compile to see whether it fits, compile anew, sign one by one."""

    def __init__(self, swarm: Swarm, payer: WalletAccounts) -> None:
        self.swarm, self.payer, self.table = swarm, payer, swarm.tables[payer.owner][1]
        self.keypair = swarm.by_owner[payer.owner]
        self.held: list[Instruction] = []
        self.units = 450

    def orders(self, places: Sequence[Placement]) -> Instruction:
        """Return one ReplaceOrdersByClientIds."""
        keys, wallet = self.swarm.market, self.payer
        source = wallet.quote if places[0].side is Side.BID else wallet.base
        written = [keys.market, wallet.open_orders, keys.request_queue, keys.event_queue, keys.bids]
        metas = [AccountMeta(key, False, True) for key in [*written, keys.asks, source]]
        metas.append(AccountMeta(wallet.owner, True, False))
        metas += [AccountMeta(key, False, True) for key in (keys.base_vault, keys.quote_vault)]
        metas += [AccountMeta(key, False, False) for key in (TOKEN_PROGRAM, RENT)]
        data = struct.pack("<BIQ", 0, 20, len(places))
        for one in places:
            price, size = int(one.price), int(one.size)
            cost = price * size * SPEC.quote_lot_size
            data += struct.pack("<IQQQIIQHq", one.side, price, size, cost, 2, 2, one.client_id, 65_535, UNTIL)
        return Instruction(keys.program, data, metas)

    def crank(self, touched: Sequence[WalletAccounts], events: int) -> Instruction:
        """Return one ConsumeEvents."""
        keys = self.swarm.market
        owners = sorted(
            (one.open_orders for one in touched), key=lambda key: struct.unpack("<4Q", bytes(key))
        )
        metas = [AccountMeta(key, False, True) for key in [*owners, keys.market, keys.event_queue]]
        metas += [AccountMeta(keys.event_queue, False, False), AccountMeta(keys.event_queue, False, True)]
        return Instruction(keys.program, struct.pack("<BIH", 0, 3, events), metas)

    def message(self, more: Sequence[Instruction] = (), tip: Tip | None = None) -> MessageV0:
        """Compile what is held and ``more``."""
        owner = self.payer.owner
        whole = [set_compute_unit_limit(self.units), *self.held, *more]
        if tip is not None:
            whole.append(transfer(TransferParams(from_pubkey=owner, to_pubkey=tip[0], lamports=int(tip[1]))))
        return MessageV0.try_compile(owner, whole, [self.table], Hash.from_bytes(BLOCKHASH))

    def over(self, more: Sequence[Instruction], tip: Tip | None = None) -> int:
        """Return by how many bytes the transaction would be too large."""
        return 65 + len(to_bytes_versioned(self.message(more, tip))) - MAX_TRANSACTION_BYTES

    def take(self, places: Sequence[Placement]) -> Sequence[Placement]:
        """Add as many of one side's orders as fit; return the others."""
        while places:
            count = min(8, len(places))
            over = self.over([self.orders(places[:count])])
            count -= max(0, -(-over // 54))
            if count < 1:
                break
            self.held.append(self.orders(places[:count]))
            self.units += (18_500 + 13_600 * count) * 6 // 5
            places = places[count:]
        return places

    def wire(self, tip: Tip | None) -> bytes:
        """Return the signed transaction in base64."""
        return base64.b64encode(bytes(VersionedTransaction(self.message(tip=tip), [self.keypair])))


def plainly(swarm: Swarm, plan: Sequence[Execute]) -> list[bytes]:
    """Return the plan on the wire, made the plain way: two wallets, the crank and the tip a bundle."""
    wires: list[bytes] = []
    for two in zip(plan[::2], plan[1::2], strict=True):
        drafts: list[Plain] = []
        for action in two:
            drafts.append(Plain(swarm, swarm.wallets[action.wallet]))
            for side in Side:
                rest = drafts[-1].take([place for place in action.places if place.side is side])
                while rest:
                    drafts.append(Plain(swarm, swarm.wallets[action.wallet]))
                    rest = drafts[-1].take(rest)
        events = sum(len(action.cancels) + len(action.places) for action in two)
        last = Plain(swarm, drafts[-1].payer)
        last.held.append(last.crank([swarm.wallets[action.wallet] for action in two], events))
        last.units += (4_000 + 2_600 + 800 * events) * 6 // 5
        wires += [draft.wire(None) for draft in drafts]
        wires.append(last.wire(TIP))
    return wires


def run() -> dict[str, object]:
    """Time both ways on the same plan, in milliseconds; AssertionError where their bytes differ."""
    swarm = Swarm(random.Random(21))
    plans = [replacing_all(100_000 + 50 * number) for number in range(ROUNDS + 1)]
    mine = ours(swarm, plans[0])
    if mine != plainly(swarm, plans[0]) or len(mine) != 250:
        raise AssertionError("the two ways made different bytes, or not 250 transactions")
    unaided = InProcessSigner(swarm.keypairs, helpers=0)
    turns = [itertools.cycle(plans) for _ in range(3)]
    plain, our, alone = best_times(
        [
            lambda: plainly(swarm, next(turns[0])),
            lambda: ours(swarm, next(turns[1])),
            lambda: ours(swarm, next(turns[2]), unaided),
        ],
        ROUNDS,
    )
    return {
        "bench": "plan_to_bundles",
        "orders": WALLETS * (BIDS + ASKS),
        "transactions": len(mine),
        "baseline_ms": round(plain * 1e3, 1),
        "ours_ms": round(our * 1e3, 1),
        "ratio": round(plain / our, 2),
        "alone_ms": round(alone * 1e3, 1),
        "alone_ratio": round(plain / alone, 2),
    }
