"""Decoding a full book side: ours against walking the tree node by node.

The baseline is the plain reader most clients have: it follows the children with ``struct.unpack_from`` and
builds one tuple per order; it checks nothing. Ours also proves the tree sound. ``with_rows_us`` is ours plus
one value per order, for readers that need them all as Python objects.
"""

import random
import struct
from collections.abc import Callable

from bmv.sandbox.openbook.slab import Leaf, Slab
from bmv.venue.openbook_v1.codec import BookSideAccount, decode_book_side
from tests.bench._timing import best_times

ORDERS = 455
ACCOUNT_SIZE = 65_548
ROUNDS = 100
CALLS = 20

Row = tuple[int, int, bytes, int, int, int]

_LEAF = struct.Struct("<4xBB2xQQ32sQQ")


def run() -> dict[str, object]:
    """Time both readers in turns on the same account; return the best of each in microseconds."""
    data = full_side()
    if walk(data) != rows(decode_book_side(data)):
        raise AssertionError("the two readers disagree")
    readers: list[Callable[[], object]] = [
        lambda: walk(data),
        lambda: decode_book_side(data),
        lambda: decode_book_side(data).orders(),
    ]
    baseline, ours, with_rows = (seconds * 1e6 for seconds in best_times(readers, ROUNDS, CALLS))
    return {
        "bench": "decode_book_side",
        "n": ORDERS,
        "baseline_us": round(baseline, 1),
        "ours_us": round(ours, 1),
        "with_rows_us": round(with_rows, 1),
        "ratio": round(baseline / ours, 2),
    }


def full_side() -> bytes:
    """Return a bids account that is full after a life of inserts and removals."""
    rng = random.Random(455)
    data = bytearray(ACCOUNT_SIZE)
    data[:5], data[-7:] = b"serum", b"padding"
    struct.pack_into("<Q", data, 5, 33)
    side = Slab(data, is_bids=True)
    live: list[int] = []
    for seq in range(3 * ORDERS):
        if len(live) == ORDERS:
            side.remove(live.pop(rng.randrange(ORDERS)))
        key = rng.randrange(90_000, 100_000) << 64 | (2**64 - 1 - seq)
        side.insert(Leaf(seq % 128, 0, key, rng.randbytes(32), rng.randrange(1, 10**6), seq))
        live.append(key)
    return bytes(data)


def walk(data: bytes) -> list[Row]:
    """Return (order id, lots, owner, slot, tier, client id) of every order, best bid first."""
    found: list[Row] = []
    (root,) = struct.unpack_from("<I", data, 33)
    stack = [root]
    while stack:
        start = 45 + 72 * stack.pop()
        (tag,) = struct.unpack_from("<I", data, start)
        if tag == 2:
            slot, tier, low, high, owner, lots, client_id = _LEAF.unpack_from(data, start)
            found.append((high << 64 | low, lots, owner, slot, tier, client_id))
        else:
            left, right = struct.unpack_from("<II", data, start + 24)
            stack += [left, right]
    return found


def rows(side: BookSideAccount) -> list[Row]:
    """Return our decode in the baseline's shape, for comparison."""
    return [
        (one.order_id, one.size_lots, one.owner, one.owner_slot, one.fee_tier, one.client_id)
        for one in side.orders()
    ]
