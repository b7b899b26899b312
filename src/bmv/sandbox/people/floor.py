"""The trading floor: what the crowd sees of the market, and how one wallet acts on it.

Rules of this file
- Everybody acts by signed transactions through ``Chain.submit_transaction``, like anybody outside would.
- Accounts are read straight from the chain and decoded once per version (the chain never changes an account
  object, it replaces it).
- Funds are what is in the token account plus what is free in OpenOrders; what is locked does not count, so
  nobody spends the same lamport twice.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import Transaction

from bmv.model import MarketSpec, Side
from bmv.sandbox.account import Account
from bmv.sandbox.chain import Chain
from bmv.sandbox.people.reference import Reference
from bmv.venue.openbook_v1 import instructions
from bmv.venue.openbook_v1.addresses import OPENBOOK_V1, open_orders_address, vault_signer_address
from bmv.venue.openbook_v1.bodies import NEVER, NewOrder, OrderType
from bmv.venue.openbook_v1.codec import BookOrder, MarketAccount, decode_book_side, decode_market
from bmv.venue.openbook_v1.instructions import MarketKeys
from bmv.venue.openbook_v1.layouts import OPEN_ORDERS_BASE_FREE, OPEN_ORDERS_QUOTE_FREE
from bmv.venue.token import associated_token_address

TOKEN_AMOUNT = 64
_U64 = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class BookSide:
    """One side of the book, best first, and the same orders by OpenOrders address."""

    account: Account | None
    orders: Sequence[BookOrder]
    by_owner: dict[bytes, list[BookOrder]]


class Floor:
    """One market as everybody sees it, and the reference as the crowd sees it; prices are in ticks."""

    def __init__(self, chain: Chain, spec: MarketSpec, reference: Reference) -> None:
        self.chain, self.spec, self.reference = chain, spec, reference
        market = decode_market(bytes(_existing(chain, bytes(Pubkey.from_string(spec.address))).data))
        self.keys = _keys(market)
        self.queue_key = bytes(market.event_queue)
        self._sides = {side: BookSide(None, (), {}) for side in Side}
        self._accounts = {Side.BID: bytes(market.bids), Side.ASK: bytes(market.asks)}

    def fair(self, now: int) -> int:
        """Return the reference in ticks."""
        return int(self.spec.ticks(self.reference.price_at(now)))

    def look_again(self, now: int, wait_ms: int, reaction_ms: int) -> int:
        """Return when to look again: after ``wait_ms``, or ``reaction_ms`` after the reference next moves."""
        step = self.reference.next_step(now)
        return now + wait_ms if step is None else min(now + wait_ms, step + reaction_ms)

    def side(self, side: Side) -> BookSide:
        """Return one side of the book as it stands."""
        account = self.chain.account(self._accounts[side])
        if account is not self._sides[side].account and account is not None:
            orders = decode_book_side(bytes(account.data)).orders()
            by_owner: dict[bytes, list[BookOrder]] = {}
            for order in orders:
                by_owner.setdefault(order.owner, []).append(order)
            self._sides[side] = BookSide(account, orders, by_owner)
        return self._sides[side]

    def best(self, side: Side, without: bytes = b"") -> int | None:
        """Return the best price of a side, orders of the OpenOrders account ``without`` not counted."""
        return next((order.price_ticks for order in self.side(side).orders if order.owner != without), None)

    def lots_within(self, side: Side, limit: int) -> int:
        """Return the lots that stand on a side at ``limit`` or better."""
        return sum(
            order.size_lots
            for order in self.side(side).orders
            if (order.price_ticks >= limit if side is Side.BID else order.price_ticks <= limit)
        )

    def event_queue(self) -> bytearray:
        """Return the bytes of the event queue."""
        return _existing(self.chain, self.queue_key).data

    def lots_worth(self, lamports: int, price: int) -> int:
        """Return how many lots ``lamports`` pay for at ``price``."""
        return lamports // (price * self.spec.quote_lot_size)

    def cost(self, lots: int, price: int) -> int:
        """Return what ``lots`` cost at ``price`` in lamports, fees not counted."""
        return lots * price * self.spec.quote_lot_size


class Trader:
    """One wallet on the floor: its accounts, its funds, its signature."""

    def __init__(self, floor: Floor, keypair: Keypair) -> None:
        self.floor = floor
        self._keypair = keypair
        self.wallet = keypair.pubkey()
        self._open_orders = open_orders_address(self.wallet, floor.keys.market)
        self._base = associated_token_address(self.wallet, floor.keys.base_mint)
        self._quote = associated_token_address(self.wallet, floor.keys.quote_mint)
        self.open_orders = bytes(self._open_orders)

    def quote_funds(self) -> int:
        """Return the lamports at hand: wrapped, and free in OpenOrders."""
        return self._read(self._quote, TOKEN_AMOUNT) + self._read(self._open_orders, OPEN_ORDERS_QUOTE_FREE)

    def base_funds(self) -> int:
        """Return the whole lots at hand: in the token account, and free in OpenOrders."""
        atoms = self._read(self._base, TOKEN_AMOUNT) + self._read(self._open_orders, OPEN_ORDERS_BASE_FREE)
        return atoms // self.floor.spec.base_lot_size

    def resting(self, side: Side) -> list[BookOrder]:
        """Return the wallet's own orders on one side, best first."""
        return self.floor.side(side).by_owner.get(self.open_orders, [])

    def post(self, side: Side, client_id: int, price: int, lots: int) -> NewOrder:
        """Return a post-only order."""
        return NewOrder(side, price, lots, self.floor.cost(lots, price), client_id, max_ts=NEVER)

    def place(self, side: Side, orders: Iterable[NewOrder]) -> list[Instruction]:
        """Return what places up to 8 post-only orders of one side, or nothing."""
        wanted = list(orders)
        if not wanted:
            return []
        payer = self._quote if side is Side.BID else self._base
        keys, owner = self.floor.keys, self.wallet
        return [instructions.replace_orders_by_client_ids(keys, self._open_orders, owner, payer, wanted)]

    def withdraw(self, client_ids: Iterable[int]) -> Instruction:
        """Return what cancels up to 8 client ids (unknown ones are skipped)."""
        return instructions.cancel_orders_by_client_ids(
            self.floor.keys, self._open_orders, self.wallet, client_ids
        )

    def take(self, side: Side, limit_price: int, lots: int, max_quote: int) -> Instruction:
        """Return an immediate-or-cancel order; ``max_quote`` is the most a buyer spends, fees included."""
        payer = self._quote if side is Side.BID else self._base
        order = NewOrder(side, limit_price, lots, max_quote, 0, OrderType.IOC)
        return instructions.new_order(self.floor.keys, self._open_orders, self.wallet, payer, order)

    def settle(self) -> Instruction:
        """Return what moves all free funds from OpenOrders to the wallet's token accounts."""
        return instructions.settle_funds(
            self.floor.keys, self._open_orders, self.wallet, self._base, self._quote, self._quote
        )

    def crank(self, open_orders: Iterable[bytes], limit: int) -> Instruction:
        """Return what consumes up to ``limit`` events of these accounts."""
        return instructions.consume_events(self.floor.keys, map(Pubkey, open_orders), limit)

    def send(self, orders: Iterable[Instruction]) -> None:
        """Sign and submit one transaction."""
        chain = self.floor.chain
        blockhash, _ = chain.latest_blockhash()
        recent = Hash.from_string(blockhash)
        message = Message.new_with_blockhash(list(orders), self.wallet, recent)
        chain.submit_transaction(bytes(Transaction([self._keypair], message, recent)))

    def _read(self, address: Pubkey, offset: int) -> int:
        account = self.floor.chain.account(bytes(address))
        if account is None:
            return 0
        amount: int = _U64.unpack_from(account.data, offset)[0]
        return amount


def _existing(chain: Chain, key: bytes) -> Account:
    account = chain.account(key)
    if account is None:
        raise LookupError(f"{Pubkey(key)} is not on the chain")
    return account


def _keys(market: MarketAccount) -> MarketKeys:
    return MarketKeys(
        program=OPENBOOK_V1,
        market=market.own_address,
        request_queue=market.request_queue,
        event_queue=market.event_queue,
        bids=market.bids,
        asks=market.asks,
        base_vault=market.base_vault,
        quote_vault=market.quote_vault,
        vault_signer=vault_signer_address(market.own_address, market.vault_signer_nonce),
        base_mint=market.base_mint,
        quote_mint=market.quote_mint,
    )
