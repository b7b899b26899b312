"""Carry out conversions: ask for a swap, judge it, try it, hand it to the dispatcher, see what it brought.

Rules of this file
- Asking takes its time and happens beside the dispatcher: no order waits for a swap service.
- An answer is judged by the oracle's price (``core/conversion.py``) and as code for our key
  (``venue/jupiter.py``); then the node tries the whole transaction. What does not pass is logged with the
  reason and asked for again, three times in all; nothing of it was signed.
- A conversion is sent once. What became of it is the chain's word, and what it brought is read from its own
  transactions: what the treasury's accounts hold after them, less what they held before, fees and tip aside.
"""

import asyncio
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from solders.pubkey import Pubkey

from bmv.chain.jito import MIN_TIP, TIP_ACCOUNTS
from bmv.chain.jupiter import Jupiter
from bmv.chain.layout import empty_layout
from bmv.chain.message import AddressTable
from bmv.chain.rpc import AccountImage, Rpc
from bmv.chain.transaction import build_transaction, tipping
from bmv.config import Settings
from bmv.core.conversion import Offer, refusal
from bmv.core.decay import BPS
from bmv.core.state import State
from bmv.errors import BadBytes, OutsideError
from bmv.events import BundleResolved, Convert, Converted
from bmv.model import Conversion, Direction, Outcome
from bmv.observe.log import get_logger
from bmv.ports import Clock
from bmv.services.accounts import TreasuryAccounts
from bmv.services.booking import brought_by
from bmv.services.outcomes import Sent
from bmv.services.packing import Group
from bmv.services.paying import swap_steps
from bmv.units import LAMPORTS_PER_SOL, Slot
from bmv.venue.jupiter import MAX_ACCOUNTS, USDC, Build, Surroundings, SwapOrder, unlawful
from bmv.venue.lookup_table import LOOKUP_TABLE_PROGRAM, decode_lookup_table
from bmv.venue.token import WRAPPED_SOL, decode_token_account

QUOTES = 3
AGAIN_S = 2.0
BOOKINGS, BOOKING_S = 40, 3.0
FEWER_ACCOUNTS, LEAST_ACCOUNTS = 8, 24
TRIAL_UNITS = 1_000_000
"""What a swap may use while it is tried; what it used then, and a fifth, is its limit."""
RENT_MARGIN = LAMPORTS_PER_SOL // 100
"""Token accounts that are opened may cost so much more than the amount."""


@dataclass(frozen=True, slots=True)
class _Swap:
    """A swap that may be signed, and the tables its transaction names."""

    order: SwapOrder
    build: Build
    tables: tuple[AddressTable, ...]


class Unfit(Exception):
    """An answer that must not be signed, and why."""


class Treasury:
    """Convert what is asked for; ``run`` serves, ``follow`` hears of every decision.

    ``hand_over`` takes a conversion and what carries it out. ``ours`` are accounts a swap must not name.
    """

    def __init__(
        self,
        accounts: TreasuryAccounts,
        jupiter: Jupiter,
        rpc: Rpc,
        ours: AbstractSet[Pubkey],
        settings: Callable[[], Settings],
        state: Callable[[], State],
        clock: Clock,
        emit: Callable[[BundleResolved | Converted], None],
    ) -> None:
        self.accounts = accounts
        self.tables: tuple[AddressTable, ...] = ()
        self.hand_over: Callable[[Convert, Group], None] = _nobody_sends
        self._jupiter, self._rpc, self._ours = jupiter, rpc, ours
        self._settings, self._state, self._clock, self._emit = settings, state, clock, emit
        self._asked: asyncio.Queue[Convert] = asyncio.Queue()
        self._sent: dict[int, Sent] = {}
        self._most = MAX_ACCOUNTS
        self._landed: asyncio.Queue[tuple[Convert, Sent, Slot]] = asyncio.Queue()
        self._log = get_logger("treasury")

    def convert(self, action: Convert) -> None:
        """Begin a conversion; its ticket is answered by one BundleResolved, as any other."""
        self._asked.put_nowait(action)

    def sending(self, sent: Sent) -> None:
        """Remember the transactions of what is sent, so that those of a conversion can be read back."""
        for ticket in sent.tickets:
            self._sent[ticket] = sent
        while len(self._sent) > BOOKINGS:
            del self._sent[next(iter(self._sent))]

    def follow(self, state: State) -> None:
        """Book conversions that have landed."""
        for flight in state.in_flight.values():
            if isinstance(flight.action, Convert) and flight.landed is not None:
                sent = self._sent.pop(flight.ticket, None)
                if sent is not None:
                    self._landed.put_nowait((flight.action, sent, flight.landed))

    async def run(self) -> None:
        """Quote what is asked for and book what landed, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._quote_all())
            tasks.create_task(self._book_all())

    async def _quote_all(self) -> None:
        while True:
            action = await self._asked.get()
            reason = await self._handed_over(action)
            if reason:
                self._log.warning("conversion_given_up", ticket=action.ticket, reason=reason)
                at, name = self._clock.now(), f"unsent-{action.ticket}"
                self._emit(
                    BundleResolved(
                        at=at, bundle_id=name, tickets=(action.ticket,), outcome=Outcome.FAILED, reason=reason
                    )
                )

    async def _handed_over(self, action: Convert) -> str:
        """Give the dispatcher a swap for ``action``; return why there is none, '' where it has it."""
        reason, self._most = "", MAX_ACCOUNTS
        for attempt in range(QUOTES):
            if attempt:
                await asyncio.sleep(AGAIN_S)
            try:
                swap = await self._lawful(action.conversion)
                units = await self._tried(swap)
            except Unfit as error:
                reason = str(error)
                self._log.warning("swap_refused", ticket=action.ticket, reason=reason)
            except OutsideError as error:
                reason = str(error)
            else:
                self.tables = swap.tables
                self.hand_over(action, Group(action.ticket, swap_steps(swap.order, swap.build.swap, units)))
                return ""
        return reason

    async def _lawful(self, conversion: Conversion) -> _Swap:
        """Ask for a swap and judge the answer; raise Unfit where nothing of it may be signed."""
        order = self._order(conversion)
        build = await self._jupiter.build(order, self._most)
        tables = await self._tables(build)
        height, now = (await self._rpc.block_height("confirmed")).height, self._clock.now()
        known = Surroundings(tables, height, int(now) // 1000, frozenset(self._ours))
        offer = Offer(build.spends, build.brings, build.at_least)
        # First what it is, then whether it is dear.
        reason = unlawful(build, order, known) or refusal(
            conversion, offer, self._state().oracle, now, self._settings()
        )
        if reason:
            raise Unfit(reason)
        used = tuple(AddressTable(bytes(key), [bytes(one) for one in held]) for key, held in tables.items())
        return _Swap(order, build, used)

    def _order(self, conversion: Conversion) -> SwapOrder:
        """Return what to ask for; at least: the oracle's price, as much worse as settings allow."""
        settings, owner = self._settings(), self.accounts.owner
        worst = (BPS - int(settings.max_oracle_deviation)) * (BPS - int(settings.max_slippage))
        if conversion.direction is Direction.BUY_SOL:
            mints, amount, fair = (USDC, WRAPPED_SOL), int(conversion.usdc), int(conversion.sol)
        else:
            mints, amount, fair = (WRAPPED_SOL, USDC), int(conversion.sol), int(conversion.usdc)
        return SwapOrder(owner, *mints, amount, fair * worst // BPS**2, settings.max_slippage)

    async def _tables(self, build: Build) -> dict[Pubkey, tuple[Pubkey, ...]]:
        """Return what the lookup tables an answer names hold on the chain; one that is none is left out."""
        keys = list(build.tables)[:MAX_ACCOUNTS]
        found = await self._rpc.accounts(keys) if keys else None
        tables: dict[Pubkey, tuple[Pubkey, ...]] = {}
        for key, image in zip(keys, found.accounts if found else (), strict=True):
            if found is not None and image is not None and image.owner == LOOKUP_TABLE_PROGRAM:
                try:
                    tables[key] = decode_lookup_table(image.data).usable(found.slot)
                except BadBytes as error:
                    raise Unfit(f"the lookup table {key} is none: {error.why}") from error
        return tables

    async def _tried(self, swap: _Swap) -> int:
        """Let the node try the whole transaction; return the units it needs, or raise Unfit."""
        owner = self.accounts.owner
        whole = [step.piece for step in swap_steps(swap.order, swap.build.swap, TRIAL_UNITS)]
        tipped = [*whole, tipping(owner, (TIP_ACCOUNTS[0], MIN_TIP))]
        if empty_layout(owner, swap.tables).after(shape for shape, _ in tipped).over > 0:
            self._most = max(LEAST_ACCOUNTS, min(self._most, len(swap.build.swap.accounts)) - FEWER_ACCOUNTS)
            raise Unfit("its swap is larger than a transaction")
        watched = [owner, self.accounts.usdc]
        before = (await self._rpc.accounts(watched)).accounts
        message = build_transaction(owner, whole, TRIAL_UNITS, None, bytes(32), tables=swap.tables)
        trial = await self._rpc.simulate(b"\1" + bytes(64) + message, watched)
        if trial.err is not None:
            raise Unfit(f"it fails when tried: {trial.err}")
        if trial.units_consumed > TRIAL_UNITS:
            raise Unfit("when tried it is said to use more than it may")
        if not _does_what_is_asked(swap.order, before, trial.accounts):
            raise Unfit("when tried it takes more than asked, or brings less")
        return trial.units_consumed * 6 // 5

    async def _book_all(self) -> None:
        while True:
            action, sent, slot = await self._landed.get()
            self._emit(await self._booked(action, sent, slot))

    async def _booked(self, action: Convert, sent: Sent, slot: Slot) -> Converted:
        """Read back what a conversion brought; after two minutes take what was expected instead."""
        for _ in range(BOOKINGS):
            try:
                found = [await self._rpc.transaction(signature) for signature in sent.signatures]
                known = [transaction for transaction in found if transaction is not None]
                if len(known) == len(found):
                    brought = brought_by(known, self.accounts)
                    sol = brought.sol + sent.cost.tip
                    at, ticket = self._clock.now(), action.ticket
                    return Converted(at=at, ticket=ticket, sol=sol, usdc=brought.usdc, slot=slot)
            except OutsideError as error:
                self._log.info("conversion_not_read_back", ticket=action.ticket, reason=str(error))
            await asyncio.sleep(BOOKING_S)
        sign = 1 if action.conversion.direction is Direction.BUY_SOL else -1
        sol, usdc = action.conversion.sol * sign, action.conversion.usdc * -sign
        at, ticket = self._clock.now(), action.ticket
        return Converted(at=at, ticket=ticket, sol=sol, usdc=usdc, proven=False, slot=slot)


def _does_what_is_asked(
    order: SwapOrder, before: list[AccountImage | None], after: list[AccountImage | None]
) -> bool:
    """Say whether a trial leaves the treasury with what the swap should; in lamports and in USDC."""
    if len(after) != len(before):
        return False
    lamports = [int(image.lamports) if image else 0 for image in (before[0], after[0])]
    try:
        usdc = [decode_token_account(image.data).amount if image else 0 for image in (before[1], after[1])]
    except BadBytes:
        return False
    sol, dollars = lamports[1] - lamports[0], usdc[1] - usdc[0]
    if order.input_mint == WRAPPED_SOL:
        return sol >= -order.amount - RENT_MARGIN and dollars >= order.at_least
    return dollars == -order.amount and sol >= order.at_least - RENT_MARGIN


def _nobody_sends(_action: Convert, _group: Group) -> None:
    """Stand in until a dispatcher takes over."""
