"""One consistent reading of the chain -> what changed, as an event.

Market, books, queue and the OpenOrders of 95 wallets fit one getMultipleAccounts, and up to 23 wallets with
everything they hold, so they belong to one slot. What does not fit comes from further calls, tied to the
first by a minimum slot: no wallet is ever read older than the books; the mint, the locked accounts and the
treasury come last. Own orders are recognised by their OpenOrders account and taken out of the book before
anything is priced from it.
"""

from collections.abc import Callable, Sequence

import msgspec
from solders.pubkey import Pubkey

from bmv.belief import QueueMark
from bmv.chain.rpc import AccountImage, AccountsAt
from bmv.config import Settings
from bmv.errors import BadBytes
from bmv.events import MarketSeen, SupplySeen, TreasurySeen
from bmv.model import (
    DEPTH_BANDS,
    ForeignBook,
    LiveOrder,
    MarketSpec,
    Rival,
    Side,
    WalletIndex,
    WalletView,
)
from bmv.services.accounts import TreasuryAccounts, WalletAccounts
from bmv.services.backfill import Gap
from bmv.services.closing import NOTHING, Brought, WorkingAccounts
from bmv.services.fills import Matches, half_of_event
from bmv.services.leftovers import LeftoverBook
from bmv.services.tables import TableBook
from bmv.services.views import Pending, lamports_in, wallet_view
from bmv.units import BaseAtoms, BaseLots, Lamports, MicroUsd, Millis, Slot, Ticks
from bmv.venue.market import closed_reason
from bmv.venue.openbook_v1.instructions import MarketKeys
from bmv.venue.openbook_v1.queues import EventQueueAccount, decode_event_queue
from bmv.venue.openbook_v1.slab import BookOrder, decode_book_side
from bmv.venue.system import CLOCK, decode_clock
from bmv.venue.token import decode_mint, decode_token_account

MAX_RIVALS = 16
_MARKET_ACCOUNTS = 5
_BALANCES = 3
"""Accounts of a wallet beside its OpenOrders: owner, base, quote."""


class Reader:
    """Decode readings one after another; ``keys`` is what to fetch, in the order ``read`` expects it.

    ``settings`` returns those that hold now.
    """

    def __init__(
        self,
        spec: MarketSpec,
        market: MarketKeys,
        wallets: Sequence[WalletAccounts],
        settings: Callable[[], Settings],
        locked: Sequence[Pubkey] = (),
        tables: TableBook | None = None,
        leftovers: LeftoverBook | None = None,
        treasury: TreasuryAccounts | None = None,
    ) -> None:
        self._spec = spec
        self._market_keys, self._locked, self._treasury = market, locked, treasury
        self._wallets: list[WalletAccounts] = []
        self._joining = list(wallets)
        self._owners: dict[bytes, WalletIndex] = {}
        self._settings = settings
        self._told: QueueMark | None = None
        self._views: dict[WalletIndex, WalletView] = {}
        self._orders: dict[Side, list[BookOrder]] = {Side.BID: [], Side.ASK: []}
        self._book_bytes: dict[Side, bytes] = {}
        self.queue: EventQueueAccount | None = None
        self.gap: Gap | None = None
        self._chain_time: tuple[int, Millis] | None = None
        self.market = market
        self.tables = tables or TableBook(market, wallets, None)
        self.leftovers = leftovers or LeftoverBook(market, wallets)
        self._working = WorkingAccounts()
        self.matches = Matches(spec, self._owners, self.leftovers.owns)
        self._varying: tuple[list[Pubkey], list[Pubkey]] = [], []
        self._keys: list[Pubkey] = []
        self._supply_at = self._treasury_at = 0
        self._admit()

    def join(self, wallet: WalletAccounts) -> None:
        """Read one more wallet, from the next reading on; it gets the next number."""
        self._joining.append(wallet)

    @property
    def keys(self) -> list[Pubkey]:
        """Return what to fetch now, for the next ``read``; lookup tables and left-over accounts come last."""
        self._admit()
        self._varying = list(self.tables.keys), self.leftovers.keys
        return [*self._keys, *self._varying[0], *self._varying[1]]

    def closed(self, reading: AccountsAt) -> list[Pubkey]:
        """Return the accounts of ours that were there before, and are gone in a reading of ``keys``."""
        return [*self._working.closed(self._own(reading)), *self.leftovers.closed(self._others(reading))]

    def _others(self, reading: AccountsAt) -> dict[Pubkey, AccountImage | None]:
        tables, others = self._varying
        return dict(zip(others, reading.accounts[len(self._keys) + len(tables) :], strict=True))

    def _own(self, reading: AccountsAt) -> dict[Pubkey, tuple[WalletIndex, AccountImage | None]]:
        """Return what a reading shows of the accounts we work with; tables are the first wallet's."""
        shown = dict(zip(self._keys, reading.accounts, strict=False))
        own = {
            key: (index, shown[key])
            for index, wallet in enumerate(self._wallets)
            for key in (wallet.open_orders, wallet.base, wallet.quote)
        }
        tables = self._varying[0]
        images = reading.accounts[len(self._keys) :][: len(tables)]
        return own | {key: (0, image) for key, image in zip(tables, images, strict=True)}

    def _admit(self) -> None:
        """Number the wallets that joined, and lay out what to fetch; never between ``keys`` and ``read``."""
        if not self._joining:
            return
        self._wallets += self._joining
        self._joining = []
        self._owners.update((bytes(one.open_orders), index) for index, one in enumerate(self._wallets))
        market = self._market_keys
        self._keys = [market.bids, market.asks, market.event_queue, market.market, CLOCK]
        self._keys += [wallet.open_orders for wallet in self._wallets]
        for wallet in self._wallets:
            self._keys += [wallet.owner, wallet.base, wallet.quote]
        self._supply_at = len(self._keys)
        self._keys += [market.base_mint, *self._locked]
        self._treasury_at = len(self._keys)
        if self._treasury is not None:
            self._keys += [self._treasury.owner, self._treasury.usdc, self._treasury.wrapped]

    def read(self, at: Millis, reading: AccountsAt, brought: Brought = NOTHING) -> MarketSeen:
        """Return what changed since the last reading; raise BadBytes if any account does not decode.

        ``brought`` are the lamports that accounts it shows closed gave back. Where events were lost
        unread, ``gap`` says what is missing; it is None otherwise.
        """
        first = (_present(image, "market") for image in reading.accounts[:_MARKET_ACCOUNTS])
        bids, asks, events, market, clock = first
        self._read_side(Side.BID, bids.data)
        self._read_side(Side.ASK, asks.data)
        queue = decode_event_queue(events.data)
        closed, unix_seconds = closed_reason(market.data), decode_clock(clock.data)
        rent = self.tables.see(reading.accounts[len(self._keys) :][: len(self._varying[0])], reading.slot)
        leftovers, reclaimed = self.leftovers.see(self._others(reading), self._orders, brought)
        reclaimed += self._working.see(self._own(reading), brought)
        views = self._wallet_views(reading.accounts, queue)
        # The first wallet has paid for the tables, and gets it back.
        views[0] = msgspec.structs.replace(views[0], rent=views[0].rent + rent)
        told = self._told or QueueMark(reading.slot, queue.next_seq)
        halves = [half_of_event(event) for event in queue.since(told.next_seq) if event.is_fill]
        trades, fills = self.matches.told(halves, at)
        # Everything decoded; only now is anything counted as told, else a bad account would swallow fills.
        self.queue, self.gap = queue, _gap(told, queue, reading.slot)
        self._chain_time = unix_seconds, at
        self._told = mark = QueueMark(reading.slot, queue.next_seq, _fill_ids(queue, queue.first_unconsumed))
        changed = tuple(view for view in views if self._views.get(view.wallet) != view)
        self._views.update((view.wallet, view) for view in changed)
        return MarketSeen(
            at=at,
            slot=reading.slot,
            book=self._foreign_book(),
            wallets=changed,
            trades=tuple(trades),
            fills=tuple(fills),
            queue_count=queue.count,
            own_pending=sum(self._is_ours(owner) for owner in queue.pending_owners()),
            events_missed=self.gap.missed if self.gap else 0,
            torn=reading.newest > reading.slot,
            closed=closed,
            tables=self.tables.news(),
            clock=unix_seconds,
            leftovers=leftovers,
            reclaimed=reclaimed,
            mark=mark,
            consumed=self.gap.consumed if self.gap else (),
        )

    def _is_ours(self, open_orders: bytes) -> bool:
        return open_orders in self._owners or self.leftovers.owns(open_orders)

    def go_on_from(self, mark: QueueMark) -> None:
        """Tell, at the first reading, what has happened since an earlier run."""
        self._told = mark

    def read_supply(self, at: Millis, reading: AccountsAt) -> SupplySeen:
        """Return the token's supply and what is locked of it; a locked account that is gone holds nothing.

        Raises BadBytes where the mint or a locked account does not decode.
        """
        mint, *locked = reading.accounts[self._supply_at : self._treasury_at]
        held = [decode_token_account(image.data).amount for image in locked if image is not None]
        supply = decode_mint(_present(mint, "mint").data).supply
        return SupplySeen(at=at, supply=BaseAtoms(supply), locked=BaseAtoms(sum(held)))

    def read_treasury(self, at: Millis, reading: AccountsAt) -> TreasurySeen | None:
        """Return what the treasury holds; None where there is none.

        Raises BadBytes where one of its token accounts does not decode.
        """
        images = reading.accounts[self._treasury_at : len(self._keys)]
        if not images:
            return None
        owner, usdc, wrapped = images
        tokens = [decode_token_account(image.data).amount if image else 0 for image in (usdc, wrapped)]
        lamports = sum(lamports_in(image) for image in images)
        plain = lamports_in(owner) + tokens[1]
        spendable = max(0, plain - int(self._settings().gas_floor))
        return TreasurySeen(
            at=at,
            sol=Lamports(spendable),
            usdc=MicroUsd(tokens[0]),
            kept=Lamports(lamports - spendable),
            acts=True,
        )

    def chain_seconds(self, now: Millis) -> int:
        """Return what the chain's clock shows by now, or a little less: that of the last reading went on."""
        seconds, at = self._chain_time or (int(now) // 1000, now)
        return seconds + max(0, int(now - at)) // 1000

    def richest_in_gas(self) -> WalletIndex:
        """Return the wallet that can best pay for what serves all of them."""
        return max(range(len(self._wallets)), key=lambda index: (self._gas(index), -index))

    def _gas(self, index: WalletIndex) -> int:
        view = self._views.get(index)
        return int(view.gas) if view else 0

    def forget(self) -> None:
        """Make the next reading report every wallet, changed or not."""
        self._views.clear()

    def _read_side(self, side: Side, data: bytes) -> None:
        if self._book_bytes.get(side) != data:
            self._orders[side] = decode_book_side(data).orders()
            self._book_bytes[side] = data

    def _foreign_book(self) -> ForeignBook:
        """Return the book without any order of ours; those in left-over accounts still take up room."""
        bids, asks = (
            [order for order in self._orders[side] if not self._is_ours(order.owner)] for side in Side
        )
        taken = {
            side: sum(order.owner not in self._owners for order in orders)
            for side, orders in self._orders.items()
        }
        return ForeignBook(
            best_bid=Ticks(bids[0].price_ticks) if bids else None,
            best_ask=Ticks(asks[0].price_ticks) if asks else None,
            firm_bid=self._firm(bids),
            firm_ask=self._firm(asks),
            bid_orders=taken[Side.BID],
            ask_orders=taken[Side.ASK],
            bid_rivals=_rivals(bids),
            ask_rivals=_rivals(asks),
            bid_depth=self._depth(bids),
            ask_depth=self._depth(asks),
        )

    def _depth(self, orders: Sequence[BookOrder]) -> tuple[Lamports, ...]:
        """Return what orders, best first, come to in each band around the middle of the whole book."""
        bids, asks = self._orders[Side.BID], self._orders[Side.ASK]
        if not bids or not asks:
            return ()
        twice_mid = bids[0].price_ticks + asks[0].price_ticks
        found = [0] * len(DEPTH_BANDS)
        for order in orders:
            off = abs(2 * order.price_ticks - twice_mid) * 10_000
            if off > DEPTH_BANDS[-1] * twice_mid:
                break
            value = order.price_ticks * order.size_lots * self._spec.quote_lot_size
            for number, band in enumerate(DEPTH_BANDS):
                found[number] += value if off <= band * twice_mid else 0
        return tuple(Lamports(lamports) for lamports in found)

    def _firm(self, orders: Sequence[BookOrder]) -> Ticks | None:
        """Return the price at which orders, best first, add up to the firm amount."""
        total = 0
        firm_from = int(self._settings().foreign_min)
        for order in orders:
            total += order.price_ticks * order.size_lots * self._spec.quote_lot_size
            if total >= firm_from:
                return Ticks(order.price_ticks)
        return None

    def _wallet_views(
        self, images: Sequence[AccountImage | None], queue: EventQueueAccount
    ) -> list[WalletView]:
        own: dict[WalletIndex, list[LiveOrder]] = {index: [] for index in range(len(self._wallets))}
        for side, orders in self._orders.items():
            for order in orders:
                wallet = self._owners.get(order.owner)
                if wallet is not None:
                    own[wallet].append(
                        LiveOrder(
                            wallet,
                            side,
                            Ticks(order.price_ticks),
                            BaseLots(order.size_lots),
                            order.order_id,
                            order.client_id,
                        )
                    )
        views = []
        pending = self._pending(queue)
        balances = _MARKET_ACCOUNTS + len(self._wallets)
        for index in range(len(self._wallets)):
            start = balances + _BALANCES * index
            held = images[_MARKET_ACCOUNTS + index], *images[start : start + _BALANCES]
            views.append(wallet_view(index, held, tuple(own[index]), pending[index]))
        return views

    def _pending(self, queue: EventQueueAccount) -> dict[WalletIndex, Pending]:
        """Return what each wallet's totals gain when the queue is cranked (fills of resting orders)."""
        pending = {index: Pending(0, 0) for index in range(len(self._wallets))}
        owners = queue.pending_owners()
        for number, owner in enumerate(owners):
            wallet = self._owners.get(owner)
            if wallet is None:
                continue
            event = queue.event(queue.first_unconsumed + number)
            if event.is_fill and event.is_maker:
                gain, loss = event.native_released, -event.native_paid
                base, quote = (gain, loss) if event.side is Side.BID else (loss, gain)
                before = pending[wallet]
                pending[wallet] = Pending(before.base + base, before.quote + quote)
        return pending


def _rivals(orders: Sequence[BookOrder]) -> tuple[Rival, ...]:
    """Return the orders, best first, that are larger than all in front of them, the first few."""
    found: list[Rival] = []
    largest = 0
    for order in orders:
        if order.size_lots > largest:
            largest = order.size_lots
            found.append(Rival(Ticks(order.price_ticks), BaseLots(largest)))
    return tuple(found[:MAX_RIVALS])


def _gap(told: QueueMark, queue: EventQueueAccount, slot: Slot) -> Gap | None:
    """Return what the ring overwrote before it could be read; None where it kept everything."""
    missed = queue.oldest - told.next_seq
    if missed <= 0:
        return None
    consumed = _fill_ids(queue, queue.oldest, queue.first_unconsumed)
    return Gap(told.slot, slot, told.next_seq, missed, told.waiting, consumed)


def _fill_ids(queue: EventQueueAccount, start: int, end: int | None = None) -> tuple[int, ...]:
    """Return the order ids of the fills among the events from ``start`` up to ``end``."""
    events = queue.since(start)
    wanted = events if end is None else events[: end - start]
    return tuple(event.order_id for event in wanted if event.is_fill)


def _present(image: AccountImage | None, what: str) -> AccountImage:
    if image is None:
        raise BadBytes(what, "the account does not exist")
    return image
