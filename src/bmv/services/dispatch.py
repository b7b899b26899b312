"""Carry out what was approved: build, pack, sign, send; the outcome comes back as an event.

Only ``Approved`` is taken. Every ticket is answered by exactly one BundleResolved: landed, expired, unsent
(no blockhash, no region of the block engine may be asked, too late), or failed (which includes what was not
sent for a reason of its own: not signed, nothing to do, a defect on the way).
No bundle is sent twice for two purposes: the same change under the same blockhash would be the same
transaction, whose landing would then be counted twice.
"""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from solders.pubkey import Pubkey

from bmv.chain.http import NotSent
from bmv.chain.jito import TIP_ACCOUNTS, BlockEngine
from bmv.chain.message import AddressTable
from bmv.chain.rpc import Rpc
from bmv.chain.transaction import MessageSigner, Tip
from bmv.config import Settings
from bmv.core.limits import Approved
from bmv.errors import OutsideError, RateLimited, Refused, Stale, UnsafeState
from bmv.events import (
    AnyAction,
    BundleResolved,
    CloseAccounts,
    Collect,
    Convert,
    Crank,
    Execute,
    Fund,
    OnChain,
    Prepare,
    Reclaim,
    RentAction,
    Retire,
    Settle,
    TableAction,
    TreasuryAction,
    Withdraw,
)
from bmv.model import BundleCost, MarketSpec, Outcome
from bmv.observe.log import get_logger
from bmv.ports import Clock
from bmv.services.accounts import WalletAccounts
from bmv.services.building import (
    CRANK_EVENTS,
    CRANK_PARTS,
    Step,
    change_steps,
    crank_parts,
    crank_steps,
    events_of,
    own_crank_step,
    prepare_steps,
    settle_steps,
)
from bmv.services.moving import read_holdings, retire_steps
from bmv.services.outcomes import Outcomes, Sent
from bmv.services.packing import BundleDraft, Group, Packing, pack_transactions
from bmv.services.paying import collect_steps, fund_steps
from bmv.services.reading import Reader
from bmv.services.signing import PlanSigner
from bmv.services.stamps import BLOCKHASH_STALE_MS, Stamps
from bmv.services.treasury import Treasury
from bmv.units import BlockHeight, Lamports
from bmv.venue.jupiter import USDC
from bmv.venue.openbook_v1.instructions import MarketKeys
from bmv.venue.openbook_v1.layouts import OPEN_ORDERS_SIZE
from bmv.venue.openbook_v1.queues import QueueEvent
from bmv.venue.token import WRAPPED_SOL

RECENT_BUNDLES = 256
TURNS = 1_000
MOST_PARTS = 8
"""So many parts of the event queue are cranked by what is sent together, beside what that pushes itself."""
SPELLED_OUT = Prepare | Settle | Reclaim | CloseAccounts | Retire | Fund | Collect
"""Those that name where money goes; no lookup table is used for them."""


class Dispatcher:
    """Send approved actions as bundles; ``on_sending`` hears of each before, ``emit`` gets their outcomes.

    ``settings`` returns those that hold now. While ``may_place`` says no, nothing leaves that could come to
    stand, whenever it was decided. ``treasury`` quotes conversions, where there is one.
    """

    def __init__(
        self,
        *,
        rpc: Rpc,
        block_engine: BlockEngine,
        signer: MessageSigner,
        spec: MarketSpec,
        market: MarketKeys,
        wallets: Sequence[WalletAccounts],
        reader: Reader,
        settings: Callable[[], Settings],
        clock: Clock,
        rng: random.Random,
        emit: Callable[[BundleResolved], None],
        on_sending: Callable[[Sent], None],
        may_place: Callable[[], bool] = lambda: True,
        treasury: Treasury | None = None,
    ) -> None:
        self._rpc, self._block_engine = rpc, block_engine
        self._spec, self._market, self._wallets = spec, market, wallets
        self._reader, self._settings, self._clock, self._rng = reader, settings, clock, rng
        self._on_sending, self._may_place = on_sending, may_place
        self._treasury = treasury
        self._swaps: dict[int, Group] = {}
        if treasury is not None:
            treasury.hand_over = self._take_swap
        self._outcomes = Outcomes(rpc, clock, emit, self._send_again, reader.chain_seconds)
        self._waiting: asyncio.Queue[tuple[AnyAction, ...]] = asyncio.Queue()
        self._owed: list[int] = []
        self._turn = 0
        self._recent: deque[str] = deque(maxlen=RECENT_BUNDLES)
        self._plans = PlanSigner(signer, clock)
        self._stamps = Stamps(rpc, block_engine, settings, clock)
        self._rent: Lamports | None = None
        self._log = get_logger("dispatch")

    def dispatch(self, approved: Approved) -> None:
        """Queue approved actions; those that change nothing on the chain are not for this."""
        work = tuple(action for action in approved.actions if isinstance(action, OnChain))
        orders = tuple(action for action in work if not isinstance(action, TreasuryAction))
        if orders:
            self._waiting.put_nowait(orders)
        for action in work:
            # Each in a bundle of its own: no order shall fail with a swap.
            if isinstance(action, Convert) and self._treasury is not None:
                self._treasury.convert(action)
            elif isinstance(action, TreasuryAction):
                self._waiting.put_nowait((action,))

    def _take_swap(self, action: Convert, group: Group) -> None:
        """Send a conversion that has been quoted and judged."""
        self._swaps[action.ticket] = group
        self._waiting.put_nowait((action,))

    def watch(self, sent: Sent) -> None:
        """Watch a bundle that was sent, by this run or an earlier one."""
        self._outcomes.watch(sent)
        if self._treasury is not None:
            self._treasury.sending(sent)

    async def run(self) -> None:
        """Send what is queued and watch what was sent, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._outcomes.run())
            while True:
                actions = await self._next()
                try:
                    await self._send_all(actions)
                finally:
                    for ticket in list(self._owed):
                        self._never_sent(ticket, "sending it failed inside")

    async def _next(self) -> list[AnyAction]:
        """Return what is to be sent next; of the rounds of a halt that wait, only the newest."""
        actions = list(await self._waiting.get())
        self._turn = (self._turn + 1) % TURNS
        self._owed = [_ticket(action) for action in actions]
        while not self._waiting.empty() and any(map(_round, actions)):
            for action in filter(_round, actions):
                self._never_sent(_ticket(action), "a newer round took its place", Outcome.UNSENT)
            newer = self._waiting.get_nowait()
            actions = [*(action for action in actions if not _round(action)), *newer]
            self._owed += [_ticket(action) for action in newer]
        return actions

    async def _send_all(self, asked: Sequence[AnyAction]) -> None:
        plain = [action for action in asked if isinstance(action, Execute) and action.plain]
        await self._send_plain(plain)
        actions = [action for action in asked if action not in plain]
        if not actions:
            return
        tip: Tip = (self._rng.choice(TIP_ACCOUNTS), await self._stamps.tip())
        try:
            groups = [await _in_turn(self._group(action)) for action in actions]
        except OutsideError as error:
            self._none_sent([_ticket(action) for action in actions], str(error))
            return
        for group in groups:
            if not group.work:
                self._never_sent(group.ticket, "nothing to do")
        ahead = CRANK_PARTS if any(isinstance(action, Crank) for action in actions) else 0
        bundles = await self._packed([group for group in groups if group.work], tip, ahead)
        await self._sign_and_send(bundles, tip)

    async def _sign_and_send(self, bundles: Sequence[BundleDraft], tip: Tip | None) -> None:
        """Send what the signer signs: not what it refuses, and nothing where it cannot be asked."""
        try:
            signed = await self._signed(bundles, tip)
        except OutsideError as error:
            for bundle in bundles:
                self._none_sent(bundle.tickets, str(error))
            return
        for bundle, sent in zip(bundles, signed, strict=True):
            if isinstance(sent, Refused):
                self._log.error("bundle_not_signed", tickets=bundle.tickets, reason=str(sent))
                self._none_sent(bundle.tickets, str(sent), Outcome.FAILED)
            else:
                await self._send(sent)

    async def _packed(self, groups: Sequence[Group], tip: Tip, ahead: int) -> list[BundleDraft]:
        """Pack groups; each bundle cranks its own events, and before them the next part of what waits.

        The first ``ahead`` parts are cranked by a group of their own.
        """
        following = iter(self._waiting_parts()[ahead:])

        def crank(own: Sequence[Group], payer: Pubkey) -> list[Step]:
            touched = [account for group in own for account in group.touched]
            if not touched:
                return []
            events = sum(group.events for group in own)
            before = crank_steps(next(following, ()), payer, self._market)
            return [*before, own_crank_step(touched, events, payer, self._market)]

        packing = Packing(tip, self._tables_of, crank)
        for group in groups:
            packing.add(group)
            await asyncio.sleep(0)
        return packing.ended()

    def _tables_of(self, payer: Pubkey) -> Sequence[AddressTable]:
        if self._treasury is not None and payer == self._treasury.accounts.owner:
            return self._treasury.tables
        return self._reader.tables.of_payer(payer)

    def _waiting_parts(self) -> list[Sequence[QueueEvent]]:
        queue = self._reader.queue
        return list(crank_parts(queue.unconsumed(MOST_PARTS * CRANK_EVENTS))) if queue else []

    async def _group(self, action: AnyAction) -> Group:
        if isinstance(action, Execute):
            wallet = self._wallets[action.wallet]
            age = int(self._settings().max_order_age) // 1000
            until = self._reader.chain_seconds(self._clock.now()) + age
            steps = change_steps(action, wallet, self._market, self._spec, until)
            return Group(
                action.ticket,
                steps,
                (wallet.open_orders,),
                events_of(action),
                until=until if action.places else None,
                withdraws=not action.places,
            )
        if isinstance(action, Convert):
            return self._swaps.pop(action.ticket, Group(action.ticket, ()))
        work = await self._steps(action)
        if isinstance(action, Withdraw):
            account = (Pubkey.from_string(action.account),)
            return Group(action.ticket, work, account, len(action.orders), withdraws=True)
        return Group(_ticket(action), work, spelled_out=isinstance(action, SPELLED_OUT))

    async def _steps(self, action: AnyAction) -> list[Step]:
        if isinstance(action, Settle):
            return settle_steps(self._wallets[action.wallet], self._market)
        if isinstance(action, Prepare):
            return await self._prepare(action)
        if isinstance(action, TableAction):
            return self._reader.tables.steps(action)
        if isinstance(action, RentAction):
            return self._reader.leftovers.steps(action)
        if isinstance(action, Fund | Collect | Retire):
            return await self._paying(action)
        payer = self._wallets[self._reader.richest_in_gas()].owner
        parts = self._waiting_parts()[:CRANK_PARTS]
        return [step for part in parts for step in crank_steps(part, payer, self._market)]

    async def _paying(self, action: Fund | Collect | Retire) -> list[Step]:
        if self._treasury is None:
            return []
        accounts = self._treasury.accounts
        if isinstance(action, Retire):
            return await self._retiring(action, accounts.owner)
        if isinstance(action, Fund):
            return fund_steps(action, accounts, self._wallets)
        return collect_steps(action, accounts, self._wallets[action.wallet], self._market)

    async def _retiring(self, action: Retire, treasury: Pubkey) -> list[Step]:
        """Return what empties the wallet of all it holds by now; nothing while orders of it stand."""
        mints = dict.fromkeys((self._market.base_mint, self._market.quote_mint, WRAPPED_SOL, USDC))
        owner, heir = (self._wallets[each].owner for each in (action.wallet, action.heir))
        (found,) = await read_holdings(self._rpc, [owner], self._market, list(mints))
        try:
            return retire_steps(found, treasury, heir, self._market)
        except UnsafeState:
            return []

    async def _prepare(self, action: Prepare) -> list[Step]:
        wallet = self._wallets[action.wallet]
        found = await self._rpc.accounts([wallet.open_orders])
        if self._rent is None:
            self._rent = await self._rpc.rent_exempt(OPEN_ORDERS_SIZE)
        rent = None if found.accounts[0] is not None else self._rent
        return prepare_steps(wallet, self._market, action.wrap, rent)

    async def _send_plain(self, actions: Sequence[Execute]) -> None:
        """Send cancels straight to the node, each change as one transaction."""
        bundles = []
        for action in actions:
            group = await self._group(action)
            bundles.append(BundleDraft([group], pack_transactions(group.work, self._reader.tables.of_payer)))
        await self._sign_and_send(bundles, None)

    async def _send(self, sent: Sent) -> None:
        if sent.places and not self._may_place():
            self._none_sent(sent.tickets, "nothing may be placed any more")
            return
        if self._clock.now() - sent.sent_at > BLOCKHASH_STALE_MS:
            self._none_sent(sent.tickets, "the bundles before it took too long")
            return
        sent.sent_at = self._clock.now()
        self._on_sending(sent)
        self._owed = [ticket for ticket in self._owed if ticket not in sent.tickets]
        with contextlib.ExitStack() as unless_unseen:
            # However sending ends: where anybody may have seen it, only the chain knows what became of it.
            unless_unseen.callback(self.watch, sent)
            try:
                await self._hand_over(sent)
            except (RateLimited, NotSent) as error:
                unless_unseen.pop_all()
                self._outcomes.resolve(sent, Outcome.UNSENT, str(error))
            except OutsideError as error:
                self._log.warning("bundle_refused", bundle=sent.bundle_id, reason=str(error))

    async def _hand_over(self, sent: Sent) -> None:
        if not sent.plain:
            await self._block_engine.send_bundle(sent.raws)
            return
        for raw in sent.raws:
            await self._rpc.send_transaction(raw, skip_preflight=True)

    async def _signed(self, bundles: Sequence[BundleDraft], tip: Tip | None) -> list[Sent | Refused]:
        """Return bundles never sent before; raise Stale where there is no other blockhash for them."""
        if not bundles:
            return []
        signed = await self._plans.signed(bundles, tip, await self._stamps.blockhash(), self._turn)
        if self._repeats(signed):
            self._stamps.forget_blockhash()
            signed = await self._plans.signed(bundles, tip, await self._stamps.blockhash(), self._turn)
        if self._repeats(signed):
            raise Stale("rpc", "no new blockhash to send the same change again")
        self._recent.extend(sent.bundle_id for sent in signed if isinstance(sent, Sent))
        return signed

    def _repeats(self, signed: Sequence[Sent | Refused]) -> bool:
        return any(isinstance(sent, Sent) and sent.bundle_id in self._recent for sent in signed)

    async def _send_again(self, sent: Sent) -> None:
        """Send the same signed bytes once more; whatever comes of it, the chain has the last word."""
        if sent.places and not self._may_place():
            return
        try:
            await self._hand_over(sent)
        except OutsideError as error:
            self._log.info("resend_failed", bundle=sent.bundle_id, reason=str(error))

    def _none_sent(self, tickets: Sequence[int], reason: str, outcome: Outcome = Outcome.UNSENT) -> None:
        for ticket in tickets:
            self._never_sent(ticket, reason, outcome)

    def _never_sent(self, ticket: int, reason: str, outcome: Outcome = Outcome.FAILED) -> None:
        self._owed.remove(ticket)
        sent = Sent(f"unsent-{ticket}", (ticket,), [], [], BlockHeight(0), BundleCost(), self._clock.now())
        self._outcomes.resolve(sent, outcome, reason)


async def _in_turn(group: Awaitable[Group]) -> Group:
    """Let everything else have its turn after each group."""
    made = await group
    await asyncio.sleep(0)
    return made


def _round(action: AnyAction) -> int:
    return action.round if isinstance(action, Execute) else 0


def _ticket(action: AnyAction) -> int:
    assert isinstance(action, OnChain)
    return action.ticket
