"""One consistent reading of the chain -> what changed, as an event.

Everything comes from one getMultipleAccounts, so books, queue and wallets belong to one slot (beyond 24
wallets from several calls, tied together by a minimum slot only; the mint and the locked accounts come last,
they may be a little newer). Own orders are recognised by their
OpenOrders account and taken out of the book before anything is priced from it.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from solders.pubkey import Pubkey

from bmv.chain.rpc import AccountImage, AccountsAt
from bmv.config import Settings
from bmv.errors import BadBytes
from bmv.events import MarketSeen, SupplySeen
from bmv.model import Fill, ForeignBook, LiveOrder, MarketSpec, Rival, Side, Trade, WalletIndex, WalletView
from bmv.services.accounts import WalletAccounts
from bmv.units import BaseAtoms, BaseLots, Lamports, Millis, Ticks
from bmv.venue.openbook_v1.codec import decode_open_orders
from bmv.venue.openbook_v1.instructions import MarketKeys
from bmv.venue.openbook_v1.layouts import ORDER_SLOTS
from bmv.venue.openbook_v1.queues import EventQueueAccount, QueueEvent, decode_event_queue
from bmv.venue.openbook_v1.slab import BookOrder, decode_book_side
from bmv.venue.system import CLOCK, decode_clock
from bmv.venue.token import TokenAccountState, decode_mint, decode_token_account

_MARKET_ACCOUNTS = 4
_WALLET_ACCOUNTS = 4
MAX_RIVALS = 16


class Pending(NamedTuple):
    """Atoms a wallet's totals gain (or lose) when waiting fills are cranked; rebates included."""

    base: int
    quote: int


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
    ) -> None:
        self._spec = spec
        self._wallets = wallets
        self._owners = {bytes(wallet.open_orders): index for index, wallet in enumerate(wallets)}
        self._settings = settings
        self._next_seq: int | None = None
        self._views: dict[WalletIndex, WalletView] = {}
        self._orders: dict[Side, list[BookOrder]] = {Side.BID: [], Side.ASK: []}
        self._book_bytes: dict[Side, bytes] = {}
        self.queue: EventQueueAccount | None = None
        self._chain_time: tuple[int, Millis] | None = None
        self.keys: list[Pubkey] = [market.bids, market.asks, market.event_queue, CLOCK]
        for wallet in wallets:
            self.keys += [wallet.owner, wallet.open_orders, wallet.base, wallet.quote]
        self._supply_at = len(self.keys)
        self.keys += [market.base_mint, *locked]

    def read(self, at: Millis, reading: AccountsAt) -> MarketSeen:
        """Return what changed since the last reading; raise BadBytes if any account does not decode."""
        market = (_present(image, "market") for image in reading.accounts[:_MARKET_ACCOUNTS])
        bids, asks, queue_image, clock = market
        self._read_side(Side.BID, bids.data)
        self._read_side(Side.ASK, asks.data)
        queue = decode_event_queue(queue_image.data)
        unix_seconds = decode_clock(clock.data)
        views = self._wallet_views(reading.accounts, queue)
        next_seq = queue.next_seq if self._next_seq is None else self._next_seq
        trades, fills = self._new_events(queue.since(next_seq), at)
        # Everything decoded; only now is anything counted as told, else a bad account would swallow fills.
        self.queue, self._next_seq = queue, queue.next_seq
        self._chain_time = unix_seconds, at
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
            own_pending=sum(owner in self._owners for owner in queue.pending_owners()),
            events_missed=max(0, queue.oldest - next_seq),
        )

    def read_supply(self, at: Millis, reading: AccountsAt) -> SupplySeen:
        """Return the token's supply and what is locked of it; a locked account that is gone holds nothing.

        Raises BadBytes where the mint or a locked account does not decode.
        """
        mint, *locked = reading.accounts[self._supply_at :]
        held = [decode_token_account(image.data).amount for image in locked if image is not None]
        supply = decode_mint(_present(mint, "mint").data).supply
        return SupplySeen(at=at, supply=BaseAtoms(supply), locked=BaseAtoms(sum(held)))

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
        bids = [order for order in self._orders[Side.BID] if order.owner not in self._owners]
        asks = [order for order in self._orders[Side.ASK] if order.owner not in self._owners]
        return ForeignBook(
            best_bid=Ticks(bids[0].price_ticks) if bids else None,
            best_ask=Ticks(asks[0].price_ticks) if asks else None,
            firm_bid=self._firm(bids),
            firm_ask=self._firm(asks),
            bid_orders=len(bids),
            ask_orders=len(asks),
            bid_rivals=_rivals(bids),
            ask_rivals=_rivals(asks),
        )

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
        for index in range(len(self._wallets)):
            start = _MARKET_ACCOUNTS + _WALLET_ACCOUNTS * index
            wallet_images = images[start : start + _WALLET_ACCOUNTS]
            views.append(wallet_view(index, wallet_images, tuple(own[index]), pending[index]))
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

    def _new_events(self, events: Sequence[QueueEvent], at: Millis) -> tuple[list[Trade], list[Fill]]:
        trades: list[Trade] = []
        fills: list[Fill] = []
        makers: list[QueueEvent] = []
        for event in events:
            if event.is_fill and event.is_maker:
                makers.append(event)
                trades.append(self._trade(event, at))
            elif event.is_fill:
                # The program pushes a taker's fill right after the fill of the maker it met.
                fills += self._match(makers, event, at)
                makers.clear()
        return trades, fills

    def _match(self, makers: Sequence[QueueEvent], taker: QueueEvent, at: Millis) -> list[Fill]:
        """Return our fills of one match: as makers, and as takers (which must never be)."""
        fills = [self._fill(maker, taker.owner, at) for maker in makers if maker.owner in self._owners]
        if taker.owner in self._owners:
            fills.append(self._fill(taker, makers[-1].owner if makers else bytes(32), at))
        return fills

    def _trade(self, event: QueueEvent, at: Millis) -> Trade:
        own = event.owner in self._owners
        return Trade(event.seq, at, Ticks(event.price_ticks), self._size(event), event.side.opposite, own)

    def _fill(self, event: QueueEvent, other: bytes, at: Millis) -> Fill:
        fee_or_rebate = Lamports(event.native_fee_or_rebate)
        return Fill(
            seq=event.seq,
            at=at,
            wallet=self._owners[event.owner],
            side=event.side,
            price=Ticks(event.price_ticks),
            size=self._size(event),
            maker=event.is_maker,
            rebate=fee_or_rebate if event.is_maker else Lamports(0),
            fee=Lamports(0) if event.is_maker else fee_or_rebate,
            order_id=event.order_id,
            client_id=event.client_id,
            counterparty=str(Pubkey.from_bytes(other)),
            self_trade=other in self._owners,
        )

    def _size(self, event: QueueEvent) -> BaseLots:
        base_atoms = event.native_released if event.side is Side.BID else event.native_paid
        return BaseLots(base_atoms // self._spec.base_lot_size)


def wallet_view(
    index: WalletIndex,
    images: Sequence[AccountImage | None],
    orders: tuple[LiveOrder, ...],
    pending: Pending,
) -> WalletView:
    """Combine a wallet's four accounts (owner, OpenOrders, base, quote) with its orders on the book.

    ``pending`` counts as locked: it is ours, and cannot be spent before the crank.
    """
    owner, open_orders, base, quote = images
    account = decode_open_orders(open_orders.data) if open_orders and open_orders.data else None
    held = [decode_token_account(image.data) if image and image.data else None for image in (base, quote)]
    reserve = [_rent_of(image) for image in (open_orders, base, quote)]
    quote_amount = held[1].amount if held[1] else 0
    return WalletView(
        wallet=index,
        gas=owner.lamports if owner else Lamports(0),
        quote_held=Lamports(quote_amount),
        quote_free=Lamports(account.quote_free if account else 0),
        quote_locked=Lamports((account.quote_locked if account else 0) + pending.quote),
        base_held=BaseAtoms(held[0].amount if held[0] else 0),
        base_free=BaseAtoms(account.base_free if account else 0),
        base_locked=BaseAtoms((account.base_locked if account else 0) + pending.base),
        rent=Lamports(sum(reserve) - quote_amount),
        rebates=Lamports(account.referrer_rebates if account else 0),
        order_slots=account.free_slots if account else ORDER_SLOTS,
        ready=account is not None and all(held),
        orders=orders,
        frozen=any(account is not None and account.state is TokenAccountState.FROZEN for account in held),
    )


def _rivals(orders: Sequence[BookOrder]) -> tuple[Rival, ...]:
    """Return the orders, best first, that are larger than all in front of them, the first few."""
    found: list[Rival] = []
    largest = 0
    for order in orders:
        if order.size_lots > largest:
            largest = order.size_lots
            found.append(Rival(Ticks(order.price_ticks), BaseLots(largest)))
    return tuple(found[:MAX_RIVALS])


def _rent_of(image: AccountImage | None) -> int:
    return int(image.lamports) if image else 0


def _present(image: AccountImage | None, what: str) -> AccountImage:
    if image is None:
        raise BadBytes(what, "the account does not exist")
    return image
