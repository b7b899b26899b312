"""Builders of the program's instructions; they take every address they need and never fetch.

Amounts: prices in ticks, sizes in base lots, ``max_quote`` in quote atoms with fees. All raise BadInput for
values the data cannot carry.
"""

import struct
from collections.abc import Iterable

import msgspec
from solders.instruction import Instruction
from solders.pubkey import Pubkey
from solders.sysvar import RENT

from bmv.model import Side
from bmv.venue.openbook_v1 import bodies
from bmv.venue.openbook_v1.addresses import (
    OPENBOOK_V1,
    open_orders_address,
    open_orders_seed,
    vault_signer_address,
)
from bmv.venue.openbook_v1.bodies import (
    MAX_BATCH,
    NEVER,
    NO_LIMIT,
    ORDER_BYTES,
    REPLACE_BYTES,
    Body,
    NewOrder,
    OrderType,
    SelfTrade,
    encode_post_only,
    replace_orders_data,
)
from bmv.venue.openbook_v1.calls import Call, build
from bmv.venue.token import TOKEN_PROGRAM

__all__ = [
    "MAX_BATCH",
    "NEVER",
    "NO_LIMIT",
    "OPENBOOK_V1",
    "ORDER_BYTES",
    "REPLACE_BYTES",
    "Authorities",
    "MarketKeys",
    "NewOrder",
    "OrderType",
    "SelfTrade",
    "cancel_order",
    "cancel_order_by_client_id",
    "cancel_orders_by_client_ids",
    "close_open_orders",
    "consume_events",
    "consume_events_data",
    "consume_events_permissioned",
    "encode_post_only",
    "init_open_orders",
    "initialize_market",
    "new_order",
    "open_orders_address",
    "open_orders_seed",
    "prune",
    "replace_order_by_client_id",
    "replace_orders_by_client_ids",
    "replace_orders_data",
    "settle_funds",
    "sort_for_crank",
    "vault_signer_address",
]

_WORDS = struct.Struct("<4Q")


class MarketKeys(msgspec.Struct, frozen=True):
    """Every address of a market that an instruction may name."""

    program: Pubkey
    market: Pubkey
    request_queue: Pubkey
    event_queue: Pubkey
    bids: Pubkey
    asks: Pubkey
    base_vault: Pubkey
    quote_vault: Pubkey
    vault_signer: Pubkey
    base_mint: Pubkey
    quote_mint: Pubkey

    def __hash__(self) -> int:
        # The market's address says all the others.
        return hash(self.market)


class Authorities(msgspec.Struct, frozen=True):
    """Who may do what on a permissioned market."""

    open_orders: Pubkey
    prune: Pubkey | None = None
    consume_events: Pubkey | None = None


def initialize_market(
    keys: MarketKeys, terms: bodies.InitializeMarket, authorities: Authorities | None = None
) -> Instruction:
    """Turn seven zeroed accounts into a market, a permissioned one where authorities are given."""
    accounts = {
        **_pick(keys, "market", "request_queue", "event_queue", "bids", "asks", "base_vault", "quote_vault"),
        **_pick(keys, "base_mint", "quote_mint"),
        "rent": RENT,
    }
    if authorities is not None:
        # The official client puts the quote mint where the rent sysvar stands otherwise.
        accounts["rent"] = keys.quote_mint
        accounts["open_orders_authority"] = authorities.open_orders
        if authorities.prune is not None:
            accounts["prune_authority"] = authorities.prune
            if authorities.consume_events is not None:
                accounts["consume_events_authority"] = authorities.consume_events
    return build(Call(keys.program, terms, accounts))


def init_open_orders(keys: MarketKeys, open_orders: Pubkey, owner: Pubkey) -> Instruction:
    """Turn a zeroed account into the owner's OpenOrders account."""
    accounts = {"open_orders": open_orders, "owner": owner, "market": keys.market, "rent": RENT}
    return build(Call(keys.program, bodies.InitOpenOrders(), accounts))


def new_order(
    keys: MarketKeys, open_orders: Pubkey, owner: Pubkey, payer: Pubkey, order: NewOrder
) -> Instruction:
    """Place one order; ``payer`` is the owner's account of what it costs: quote for bids, base for asks."""
    return _place(keys, open_orders, owner, payer, bodies.PlaceOrder(order))


def replace_order_by_client_id(
    keys: MarketKeys, open_orders: Pubkey, owner: Pubkey, payer: Pubkey, order: NewOrder
) -> Instruction:
    """Cancel the orders with this client id, if any, and place the new one; it needs ``max_ts``."""
    return _place(keys, open_orders, owner, payer, bodies.ReplaceOrder(order))


def replace_orders_by_client_ids(
    keys: MarketKeys, open_orders: Pubkey, owner: Pubkey, payer: Pubkey, orders: Iterable[NewOrder]
) -> Instruction:
    """Cancel by client id and place up to 8 orders of one side, all with ``max_ts``; missing ids are fine."""
    return _place(keys, open_orders, owner, payer, bodies.ReplaceOrders(tuple(orders)))


def cancel_order(
    keys: MarketKeys, open_orders: Pubkey, owner: Pubkey, side: Side, order_id: int
) -> Instruction:
    """Cancel one order by its id; the program fails when it is not on the book."""
    return _cancel(keys, open_orders, owner, bodies.CancelOrder(side, order_id))


def cancel_order_by_client_id(
    keys: MarketKeys, open_orders: Pubkey, owner: Pubkey, client_id: int
) -> Instruction:
    """Cancel the order in the lowest slot with this id; fails on 0 and on a slot that waits for a crank."""
    return _cancel(keys, open_orders, owner, bodies.CancelOrderByClientId(client_id))


def cancel_orders_by_client_ids(
    keys: MarketKeys, open_orders: Pubkey, owner: Pubkey, client_ids: Iterable[int]
) -> Instruction:
    """Cancel all live orders with up to 8 ids; unknown and dead ones are skipped, 0 means nothing."""
    return _cancel(keys, open_orders, owner, bodies.CancelOrdersByClientIds(tuple(client_ids)))


def consume_events(keys: MarketKeys, open_orders: Iterable[Pubkey], limit: int) -> Instruction:
    """Crank up to ``limit`` events of these OpenOrders accounts; stops at the first event of another one.

    The accounts are sorted here as the program's binary search needs them, and doubles are dropped.
    """
    # The last two accounts are not used by the program; any address will do.
    accounts = {
        **_pick(keys, "market", "event_queue"),
        "base_fees": keys.event_queue,
        "quote_fees": keys.event_queue,
    }
    call = Call(keys.program, bodies.ConsumeEvents(limit), accounts, sort_for_crank(open_orders))
    return build(call)


def consume_events_data(limit: int) -> bytes:
    """Return the data of ``consume_events`` alone; raise BadInput for a limit that does not fit."""
    return bodies.encode_body(bodies.ConsumeEvents(limit))


def consume_events_permissioned(
    keys: MarketKeys, open_orders: Iterable[Pubkey], limit: int, crank_authority: Pubkey
) -> Instruction:
    """Crank a market that requires a crank authority; it signs."""
    accounts = {**_pick(keys, "market", "event_queue"), "crank_authority": crank_authority}
    body = bodies.ConsumeEventsPermissioned(limit)
    return build(Call(keys.program, body, accounts, sort_for_crank(open_orders)))


def sort_for_crank(open_orders: Iterable[Pubkey]) -> tuple[Pubkey, ...]:
    """Return the addresses once each, ordered by their four little-endian u64 words (not by bytes)."""
    return tuple(sorted(dict.fromkeys(open_orders), key=_words))


def settle_funds(
    keys: MarketKeys,
    open_orders: Pubkey,
    owner: Pubkey,
    base_wallet: Pubkey,
    quote_wallet: Pubkey,
    referrer: Pubkey | None = None,
) -> Instruction:
    """Pay free funds out to two token accounts; rebates go to ``referrer`` or else to the program."""
    accounts = {
        **_pick(keys, "market", "base_vault", "quote_vault", "vault_signer"),
        "open_orders": open_orders,
        "owner": owner,
        "base_wallet": base_wallet,
        "quote_wallet": quote_wallet,
        "token_program": TOKEN_PROGRAM,
    }
    if referrer is not None:
        accounts["referrer"] = referrer
    return build(Call(keys.program, bodies.SettleFunds(), accounts))


def close_open_orders(
    keys: MarketKeys, open_orders: Pubkey, owner: Pubkey, destination: Pubkey
) -> Instruction:
    """Close an OpenOrders account without slots or funds in use; its rent goes to ``destination``."""
    accounts = {
        "open_orders": open_orders,
        "owner": owner,
        "destination": destination,
        "market": keys.market,
    }
    return build(Call(keys.program, bodies.CloseOpenOrders(), accounts))


def prune(
    keys: MarketKeys, open_orders: Pubkey, owner: Pubkey, prune_authority: Pubkey, limit: int
) -> Instruction:
    """Cancel up to ``limit`` orders of an account on a permissioned market; the authority signs."""
    accounts = {
        **_pick(keys, "market", "bids", "asks", "event_queue"),
        "prune_authority": prune_authority,
        "open_orders": open_orders,
        "open_orders_owner": owner,
    }
    return build(Call(keys.program, bodies.Prune(limit), accounts))


def _place(keys: MarketKeys, open_orders: Pubkey, owner: Pubkey, payer: Pubkey, body: Body) -> Instruction:
    accounts = {
        **_pick(keys, "market", "request_queue", "event_queue", "bids", "asks", "base_vault", "quote_vault"),
        "open_orders": open_orders,
        "owner": owner,
        "payer": payer,
        "token_program": TOKEN_PROGRAM,
        "rent": RENT,
    }
    return build(Call(keys.program, body, accounts))


def _cancel(keys: MarketKeys, open_orders: Pubkey, owner: Pubkey, body: Body) -> Instruction:
    accounts = {
        **_pick(keys, "market", "bids", "asks", "event_queue"),
        "open_orders": open_orders,
        "owner": owner,
    }
    return build(Call(keys.program, body, accounts))


def _pick(keys: MarketKeys, *roles: str) -> dict[str, Pubkey]:
    return {role: getattr(keys, role) for role in roles}


def _words(address: Pubkey) -> tuple[int, ...]:
    return _WORDS.unpack(bytes(address))
