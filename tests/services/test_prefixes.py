"""What the engine packs may land in part and in any order: no prefix of it makes two of our orders meet.

The random worlds of ``decide`` with the real instructions in the real bundles; what those do is written down
once more here, as plainly as it goes.
"""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bmv.app.world import World as Outside
from bmv.app.world import WorldOptions
from bmv.chain.jito import TIP_ACCOUNTS
from bmv.events import Execute
from bmv.model import Side
from bmv.services.accounts import market_keys
from bmv.services.building import Step, change_steps, events_of, own_crank_step
from bmv.services.packing import BundleDraft, Group, pack_bundles
from bmv.units import Lamports
from bmv.venue.openbook_v1.addresses import OPENBOOK_V1
from bmv.venue.openbook_v1.bodies import CancelOrder, CancelOrdersByClientIds, ConsumeEvents, ReplaceOrders
from bmv.venue.openbook_v1.calls import Call, parse
from bmv.venue.openbook_v1.codec import decode_market
from tests.core.exchange import Standing
from tests.core.world import Sent, World, new_world
from tests.services.living_world import START_MS, StillClock, accounts_of, image

OUTSIDE = Outside(WorldOptions(wallets=5), StillClock(), idle_slots_told=False)
MARKET_IMAGE = image(OUTSIDE, OUTSIDE.market)
assert MARKET_IMAGE is not None
MARKET = market_keys(OUTSIDE.market, OPENBOOK_V1, decode_market(MARKET_IMAGE.data))
WALLETS = accounts_of(OUTSIDE)
OWNER = {account.open_orders: wallet for wallet, account in enumerate(WALLETS)}
TIP = (TIP_ACCOUNTS[0], Lamports(10_000))
UNTIL = START_MS // 1000 + 20
SEEDS, STEPS = 12, 200
Transaction = list[Call]


class Orders:
    """Our orders of all wallets: (side, price, client id, number) of each."""

    def __init__(self, standing: Sequence[Standing]) -> None:
        self._of = {wallet: list[tuple[Side, int, int, int]]() for wallet in range(len(WALLETS))}
        for order in standing:
            self._of[order.owner].append((order.side, order.price, order.client_id, order.number))

    def carry_out(self, call: Call) -> None:
        """Do what an instruction does; nothing may meet after any order it places."""
        if isinstance(call.body, ConsumeEvents):
            return
        wallet, body = OWNER[call.accounts["open_orders"]], call.body
        if isinstance(body, CancelOrder):
            self._of[wallet] = [one for one in self._of[wallet] if one[3] != body.order_id]
        elif isinstance(body, CancelOrdersByClientIds):
            self._withdraw(wallet, body.client_ids)
        else:
            assert isinstance(body, ReplaceOrders)
            self._withdraw(wallet, [order.client_id for order in body.orders])
            for order in body.orders:
                self._of[wallet].append((order.side, order.price, order.client_id, 0))
                self.never_meet()

    def never_meet(self) -> None:
        """Assert that no bid of ours stands at or above an ask of ours."""
        orders = [order for each in self._of.values() for order in each]
        bids = [price for side, price, _, _ in orders if side is Side.BID]
        asks = [price for side, price, _, _ in orders if side is Side.ASK]
        assert not bids or not asks or max(bids) < min(asks), "a bid of ours meets an ask of ours"

    def _withdraw(self, wallet: int, client_ids: Sequence[int]) -> None:
        self._of[wallet] = [one for one in self._of[wallet] if one[2] not in client_ids]


def own_crank(groups: Sequence[Group], payer: object) -> list[Step]:
    """End a bundle with a crank of its own events, as the dispatcher does."""
    accounts = [account for group in groups for account in group.touched]
    return [own_crank_step(accounts, sum(group.events for group in groups), WALLETS[0].owner, MARKET)]


@dataclass
class PackedWorld(World):
    """A random world whose changes fly in the bundles that the engine packs."""

    packed: dict[int, list[Transaction]] = field(default_factory=dict)
    luck: random.Random = field(default_factory=lambda: random.Random(1))

    def bundles(self, work: Sequence[Sent]) -> Iterator[tuple[Sent, ...]]:
        """Pack changes as the dispatcher does; what changes no order goes alone."""
        changes = {action.ticket: action for action in work if isinstance(action, Execute)}
        for bundle in pack_bundles([self._group(one) for one in changes.values()], TIP, crank_of=own_crank):
            self.packed[bundle.tickets[0]] = self._parsed(bundle)
            yield tuple(changes[ticket] for ticket in bundle.tickets)
        yield from ((action,) for action in work if not isinstance(action, Execute))

    def _group(self, action: Execute) -> Group:
        wallet = WALLETS[action.wallet]
        work = change_steps(action, wallet, MARKET, self.exchange.spec, UNTIL)
        return Group(action.ticket, work, (wallet.open_orders,), events_of(action))

    def _parsed(self, bundle: BundleDraft) -> list[Transaction]:
        self.tally["wallets together"] += len(bundle.groups) > 1
        self.tally["transactions together"] += len(bundle.drafts) > 1
        return [[parse(step.instruction) for step in draft.steps] for draft in bundle.drafts]

    def whatever_lands(self) -> None:
        """Let each bundle land first, then the others in some order, each up to some transaction of it."""
        super().whatever_lands()
        flying = [
            self.packed[ticket] for one in self.flying if (ticket := one.actions[0].ticket) in self.packed
        ]
        for first in flying:
            others = [bundle for bundle in flying if bundle is not first]
            self.luck.shuffle(others)
            self.tally["bundles together"] += bool(others)
            orders = Orders(self.exchange.own())
            cut = [bundle[: self.luck.randint(0, len(bundle))] for bundle in others]
            for transaction in [transaction for bundle in [first, *cut] for transaction in bundle]:
                for call in transaction:
                    orders.carry_out(call)


def test_no_prefix_of_bundles_that_land_in_any_order_or_never_makes_two_of_our_orders_meet() -> None:
    tally: Counter[str] = Counter()
    for seed in range(SEEDS):
        plain = new_world(seed)
        world = PackedWorld(plain.rng, plain.chosen, plain.exchange, plain.state)
        for _ in range(STEPS):
            world.step()
        world.halt()
        tally += world.tally
    for name in ("executed", "bundles together", "wallets together", "transactions together"):
        assert tally[name] >= 20, (name, tally)
