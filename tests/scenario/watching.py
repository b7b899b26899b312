"""Watch a sandbox's chain over RPC while everything else is killed.

Rules of this file
- It shares with the engine the decoding of accounts and nothing else. A ring of a thousand events does not
  overflow between two looks.
- Whatever is compared or added up is read by one call, so at one slot, and at the newest one: what is
  finalized shows a wallet as it was half a minute ago.
"""

import base64
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from solders.pubkey import Pubkey

from bmv.model import Side
from bmv.venue.lookup_table import LOOKUP_TABLE_PROGRAM
from bmv.venue.openbook_v1.addresses import open_orders_address
from bmv.venue.openbook_v1.codec import decode_market, decode_open_orders
from bmv.venue.openbook_v1.queues import QueueEvent, decode_event_queue
from bmv.venue.openbook_v1.slab import decode_book_side
from bmv.venue.token import WRAPPED_SOL, associated_token_address, decode_token_account
from tests.processes import account_data, accounts, call

LOOK_S = 0.25


@dataclass
class Watcher:
    """What the chain shows while everything else is killed: every fill, and the book now and then."""

    facts: dict[str, Any]
    events: dict[int, QueueEvent] = field(default_factory=dict)
    next_seq: int = 0
    wrong: list[str] = field(default_factory=list)
    _done: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.url = self.facts["rpc_url"]
        self.market = decode_market(account_data(self.url, self.facts["market"]))
        market = Pubkey.from_string(self.facts["market"])
        self.owners = [Pubkey.from_string(wallet) for wallet in self.facts["wallets"]]
        self.accounts = [open_orders_address(owner, market) for owner in self.owners]
        self.ours = {bytes(account) for account in self.accounts}
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Watcher":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(LOOK_S):
            self.look()

    def look(self) -> None:
        """Take in the queue, and judge the book."""
        keys = [self.market.event_queue, self.market.bids, self.market.asks]
        (_, events), *sides = accounts(self.url, keys)
        queue = decode_event_queue(events)
        if self.next_seq < queue.oldest:
            self.wrong.append(f"the watcher itself lost events {self.next_seq} to {queue.oldest}")
        self.events |= {event.seq: event for event in queue.since(self.next_seq) if event.is_fill}
        self.next_seq = queue.next_seq
        own = []
        for _, data in sides:
            side = decode_book_side(data)
            own += [(side.side, order.price_ticks) for order in side.orders() if order.owner in self.ours]
        self.wrong += [f"two orders of ours at {level}" for level, n in Counter(own).items() if n > 1]
        bids = [price for side, price in own if side is Side.BID]
        asks = [price for side, price in own if side is Side.ASK]
        if bids and asks and max(bids) >= min(asks):
            self.wrong.append(f"own bid {max(bids)} at or above own ask {min(asks)}")

    def trades(self, since: int, until: int) -> dict[int, tuple[int, int, bool]]:
        """Return price in ticks, size in lots, and whether it was ours, of matches by their maker's event."""
        found = {}
        for seq, event in self.events.items():
            if since <= seq < until and event.is_maker:
                base = event.native_released if event.side is Side.BID else event.native_paid
                found[seq] = event.price_ticks, base // self.market.base_lot_size, event.owner in self.ours
        return found

    def own_makes(self) -> int:
        """Return how often an order of ours was filled."""
        return sum(event.owner in self.ours and event.is_maker for event in list(self.events.values()))

    def own_takes(self) -> int:
        """Return how often an order of ours took: it never may, so it can never meet another of ours."""
        return sum(event.owner in self.ours and not event.is_maker for event in self.events.values())

    def holdings(self) -> tuple[int, int]:
        """Return what the wallets have, all of it at one slot: lamports of every kind, atoms of the token.

        Lamports are plain, wrapped, in order accounts, and rent, that of lookup tables too.
        """
        mints = self.market.base_mint, WRAPPED_SOL
        tokens = [associated_token_address(owner, mint) for mint in mints for owner in self.owners]
        found = accounts(self.url, [*self.accounts, *tokens, *self.owners, *self._tables()])
        count = len(self.owners)
        orders = [decode_open_orders(data) for _, data in found[:count] if data]
        held = [decode_token_account(data) for _, data in found[count : 2 * count] if data]
        lamports = sum(each for each, _ in found) + sum(each.quote_total for each in orders)
        return lamports, sum(each.amount for each in held) + sum(each.base_total for each in orders)

    def _tables(self) -> list[str]:
        """Return the lookup tables of the first wallet."""
        options = {"encoding": "base64", "commitment": "processed"}
        found = call(self.url, "getProgramAccounts", str(LOOKUP_TABLE_PROGRAM), options)
        first = bytes(self.owners[0])
        return [one["pubkey"] for one in found if base64.b64decode(one["account"]["data"][0])[22:54] == first]
