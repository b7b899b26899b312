"""Hostile accounts: 100,000 mutated images give whole values or BadBytes, and never anything else.

A book side that is still accepted after a mutation must be what walking its tree gives: the walk here follows
the children and does not know the decoder's reasoning.
"""

import random
import struct
from collections.abc import Callable, Sequence

import pytest

from bmv.errors import BadBytes
from bmv.venue.openbook_v1.codec import (
    BookSideAccount,
    EventQueueAccount,
    MarketAccount,
    OpenOrdersAccount,
    RequestQueueAccount,
    decode_book_side,
    decode_event_queue,
    decode_market,
    decode_open_orders,
    decode_request_queue,
)
from bmv.venue.openbook_v1.describe import describe_account

Leaf = tuple[int, bytes, int, int, int, int]
BookImage = Callable[[bool, Sequence[Leaf], int, random.Random], bytes]
AnyAccount = BookSideAccount | EventQueueAccount | MarketAccount | OpenOrdersAccount | RequestQueueAccount

NODES = 45
EDGES = (0, 1, 2, 3, 4, 5, 127, 128, 129, 255, 2**16, 2**31, 2**32 - 1)


def walk(data: bytes) -> list[tuple[int, int]]:
    """Return (order id, lots) in tree order, child 0 first, visiting no more nodes than there are."""
    bump, _, _, root, leaf_count = struct.unpack_from("<QQIIQ", data, 13)
    found, stack = [], [root] if leaf_count else []
    for _ in range(bump):
        if not stack:
            break
        start = NODES + 72 * stack.pop()
        tag, _, low, high = struct.unpack_from("<IIQQ", data, start)
        if tag == 2:
            found.append((high << 64 | low, struct.unpack_from("<Q", data, start + 56)[0]))
        else:
            left, right = struct.unpack_from("<II", data, start + 24)
            stack += [right, left]
    assert not stack
    return found


def mutate_field(image: bytearray, rng: random.Random) -> None:
    """Break what a tree is made of: a header field, or a tag, prefix, key word or child of some node."""
    (bump,) = struct.unpack_from("<Q", image, 13)
    node = NODES + 72 * rng.randrange(max(1, min(bump, (len(image) - 52) // 72)))
    offset = rng.choice((13, 21, 29, 33, 37, *[node + at for at in (0, 4, 8, 12, 16, 20, 24, 28, 56)] * 3))
    if offset + 4 > len(image):
        return
    (old,) = struct.unpack_from("<I", image, offset)
    new = rng.choice(
        (rng.choice(EDGES), rng.randrange(max(1, bump % 2**32)), old ^ 1 << rng.randrange(32), old + 1)
    )
    struct.pack_into("<I", image, offset, new % 2**32)


def mutate_bytes(image: bytearray, rng: random.Random) -> None:
    """Break anything: bits, the flags, or the length."""
    how = rng.randrange(8)
    if how == 0:
        del image[rng.randrange(len(image)) :]
    elif how == 1:
        image[5 + rng.randrange(8)] = rng.randrange(256)
    elif how == 2:
        del image[-15:-7]
    else:
        for _ in range(rng.randrange(1, 6)):
            image[rng.randrange(len(image))] ^= 1 << rng.randrange(8)


def book_images(book_image: BookImage, rng: random.Random) -> list[bytes]:
    """Return sound sides of many shapes, most of them small so that a mutation hits what matters."""
    images = []
    for count in (0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 30, 60):
        for is_bids in (False, True):
            close = {rng.randrange(1, 40) << 64 | rng.randrange(1000) for _ in range(count)}
            orders: list[Leaf] = [(key, rng.randbytes(32), 1 + key % 99, 5, key % 128, 0) for key in close]
            images.append(book_image(is_bids, orders, rng.randrange(8), rng))
    return images


def test_mutated_book_sides_decode_wholly_or_not_at_all(book_image: BookImage) -> None:
    rng = random.Random(20_260_801)
    images = book_images(book_image, rng)
    accepted = 0
    for number in range(80_000):
        image = bytearray(images[number % len(images)])
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            mutate_field(image, rng)
        if rng.random() < 0.2:
            mutate_bytes(image, rng)
        data = bytes(image)
        try:
            side = decode_book_side(data)
        except BadBytes:
            continue
        accepted += 1
        in_order = walk(data)
        best_first = in_order[::-1] if side.side == 0 else in_order
        assert [(order.order_id, order.size_lots) for order in side.orders()] == best_first
        assert best_first == sorted(best_first, reverse=side.side == 0)
        assert len(side) == struct.unpack_from("<Q", data, 37)[0]
    # Harmless mutations (sizes, unused key bits, nodes that are not used) must stay possible.
    assert 4_000 < accepted < 40_000


@pytest.mark.parametrize(
    ("name", "decode"),
    [
        ("market", decode_market),
        ("event_queue", decode_event_queue),
        ("request_queue", decode_request_queue),
        ("open_orders_0", decode_open_orders),
        ("bids", decode_book_side),
    ],
)
def test_other_mutated_accounts_decode_or_are_refused(
    snapshots: dict[str, dict[str, bytes]], name: str, decode: Callable[[bytes], AnyAccount]
) -> None:
    rng = random.Random(name)
    originals = [accounts[name] for accounts in snapshots.values()]
    for number in range(4_000):
        image = bytearray(originals[number % len(originals)])
        if number % 2:
            start = rng.randrange(13, min(len(image) - 8, 150))
            struct.pack_into("<Q", image, start, rng.choice((0, 1, 2**63, 2**64 - 1, rng.getrandbits(64))))
        else:
            mutate_bytes(image, rng)
        try:
            value = decode(bytes(image))
        except BadBytes:
            continue
        if isinstance(value, EventQueueAccount):
            assert len(value.unconsumed()) == value.count <= value.capacity
            assert len(value.since(0)) == min(value.next_seq, value.capacity)
        if isinstance(value, OpenOrdersAccount):
            assert len(value.orders()) + value.free_slots == 128
        if number % 20 == 0:
            assert describe_account(bytes(image))["length"] == len(image)
