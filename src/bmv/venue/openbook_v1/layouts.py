"""Byte layouts of the OpenBook v1 program's accounts: offsets, sizes, flags and tags.

All offsets count from the first byte of the raw account, padding included. Integers are little-endian,
structs packed. Source: program source (openbook-dex/program c85e56de, ``dex/src/state.rs``,
``critbit.rs``) and the official TypeScript client's layouts; see docs/layouts.md.
The program says coin / pc; here and everywhere else it is base / quote.
"""

from enum import IntFlag

import numpy as np

HEAD_PADDING = b"serum"
TAIL_PADDING = b"padding"
ACCOUNT_OVERHEAD = len(HEAD_PADDING) + len(TAIL_PADDING)


class AccountFlag(IntFlag):
    """Bits of the ``account_flags`` u64 at offset 5."""

    INITIALIZED = 1
    MARKET = 2
    OPEN_ORDERS = 4
    REQUEST_QUEUE = 8
    EVENT_QUEUE = 16
    BIDS = 32
    ASKS = 64
    DISABLED = 128
    CLOSED = 256
    PERMISSIONED = 512
    CRANK_AUTHORITY_REQUIRED = 1024


FLAGS_OFFSET = 5

MARKET_SIZE = 388
PERMISSIONED_MARKET_SIZE = 1476
MARKET_FIELDS: dict[str, tuple[int, str]] = {
    "own_address": (13, "pubkey"),
    "vault_signer_nonce": (45, "u64"),
    "base_mint": (53, "pubkey"),
    "quote_mint": (85, "pubkey"),
    "base_vault": (117, "pubkey"),
    "base_deposits_total": (149, "u64"),
    "base_fees_accrued": (157, "u64"),
    "quote_vault": (165, "pubkey"),
    "quote_deposits_total": (197, "u64"),
    "quote_fees_accrued": (205, "u64"),
    "quote_dust_threshold": (213, "u64"),
    "request_queue": (221, "pubkey"),
    "event_queue": (253, "pubkey"),
    "bids": (285, "pubkey"),
    "asks": (317, "pubkey"),
    "base_lot_size": (349, "u64"),
    "quote_lot_size": (357, "u64"),
    "fee_rate_bps": (365, "u64"),
    "referrer_rebates_accrued": (373, "u64"),
}
PERMISSIONED_MARKET_FIELDS: dict[str, tuple[int, str]] = {
    "open_orders_authority": (381, "pubkey"),
    "prune_authority": (413, "pubkey"),
    "consume_events_authority": (445, "pubkey"),
}

OPEN_ORDERS_SIZE = 3228
OPEN_ORDERS_SIZE_BEFORE_REBATES = 3220
ORDER_SLOTS = 128
OPEN_ORDERS_MARKET = 13
OPEN_ORDERS_OWNER = 45
OPEN_ORDERS_BASE_FREE = 77
OPEN_ORDERS_BASE_TOTAL = 85
OPEN_ORDERS_QUOTE_FREE = 93
OPEN_ORDERS_QUOTE_TOTAL = 101
OPEN_ORDERS_FREE_SLOT_BITS = 109
OPEN_ORDERS_IS_BID_BITS = 125
OPEN_ORDERS_ORDERS = 141
OPEN_ORDERS_CLIENT_IDS = 2189
OPEN_ORDERS_REFERRER_REBATES = 3213

SLAB_HEADER = 13
SLAB_BUMP_INDEX = 13
SLAB_FREE_LIST_LEN = 21
SLAB_FREE_LIST_HEAD = 29
SLAB_ROOT = 33
SLAB_LEAF_COUNT = 37
SLAB_NODES = 45
NODE_SIZE = 72
NODE_UNINITIALIZED, NODE_INNER, NODE_LEAF, NODE_FREE, NODE_LAST_FREE = range(5)
LEAF_NODE_DTYPE = np.dtype(
    [
        ("tag", "<u4"),
        ("owner_slot", "u1"),
        ("fee_tier", "u1"),
        ("_pad", "V2"),
        ("key_low", "<u8"),
        ("key_high", "<u8"),
        ("owner", "V32"),
        ("quantity", "<u8"),
        ("client_id", "<u8"),
    ]
)
INNER_NODE_DTYPE = np.dtype(
    [
        ("tag", "<u4"),
        ("prefix_len", "<u4"),
        ("key_low", "<u8"),
        ("key_high", "<u8"),
        ("child0", "<u4"),
        ("child1", "<u4"),
        ("_unused", "V40"),
    ]
)

QUEUE_HEAD = 13
QUEUE_COUNT = 21
QUEUE_NEXT_SEQ = 29
QUEUE_ITEMS = 37
REQUEST_SIZE = 80
EVENT_SIZE = 88


class EventFlag(IntFlag):
    """Bits of an event's first byte."""

    FILL = 1
    OUT = 2
    BID = 4
    MAKER = 8
    RELEASE_FUNDS = 16


EVENT_DTYPE = np.dtype(
    [
        ("flags", "u1"),
        ("owner_slot", "u1"),
        ("fee_tier", "u1"),
        ("_pad", "V5"),
        ("native_released", "<u8"),
        ("native_paid", "<u8"),
        ("native_fee_or_rebate", "<u8"),
        ("order_id_low", "<u8"),
        ("order_id_high", "<u8"),
        ("owner", "V32"),
        ("client_id", "<u8"),
    ]
)


def slab_node_capacity(account_len: int) -> int:
    """Return how many nodes a bids/asks account of ``account_len`` bytes holds."""
    return max(0, (account_len - ACCOUNT_OVERHEAD - 40) // NODE_SIZE)


def book_side_capacity(account_len: int) -> int:
    """Return how many orders a bids/asks account of ``account_len`` bytes holds (n leaves use 2n-1 nodes)."""
    return (slab_node_capacity(account_len) + 1) // 2


def event_queue_capacity(account_len: int) -> int:
    """Return how many events an event queue account of ``account_len`` bytes holds."""
    return max(0, (account_len - ACCOUNT_OVERHEAD - 32) // EVENT_SIZE)


def request_queue_capacity(account_len: int) -> int:
    """Return how many requests a request queue account of ``account_len`` bytes holds."""
    return max(0, (account_len - ACCOUNT_OVERHEAD - 32) // REQUEST_SIZE)
