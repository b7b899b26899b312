"""Book sides: sound trees decode to the sorted list of their orders, unsound ones not at all."""

import random
import struct
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmv.errors import BadBytes
from bmv.model import Side
from bmv.venue.openbook_v1.codec import BookOrder, decode_book_side

Leaf = tuple[int, bytes, int, int, int, int]
BookImage = Callable[[bool, Sequence[Leaf], int, random.Random], bytes]

NODES = 45
U64 = st.integers(0, 2**64 - 1)
ids = st.builds(lambda price, low: price << 64 | low, st.integers(1, 2**64 - 1), U64)
close_ids = st.builds(lambda price, low: price << 64 | low, st.integers(1, 5), st.integers(0, 40))
leaves = st.lists(
    st.tuples(
        ids | close_ids,
        st.binary(min_size=32, max_size=32),
        st.integers(1, 2**64 - 1),
        U64,
        st.integers(0, 127),
        st.integers(0, 255),
    ),
    max_size=40,
    unique_by=lambda leaf: leaf[0],
)


@given(leaves, st.booleans(), st.integers(0, 20), st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_a_sound_tree_decodes_to_its_orders_best_first(
    book_image: BookImage, orders: list[Leaf], is_bids: bool, spare: int, seed: int
) -> None:
    side = decode_book_side(book_image(is_bids, orders, spare, random.Random(seed)))
    expected = [
        BookOrder(key, key >> 64, lots, owner, slot, tier, client_id)
        for key, owner, lots, client_id, slot, tier in sorted(orders, reverse=is_bids)
    ]
    assert side.orders() == expected
    assert side.side is (Side.BID if is_bids else Side.ASK)
    assert len(side) == side.leaf_count == len(orders)
    assert [side.order_id(index) for index in range(len(side))] == [order.order_id for order in expected]


def test_the_columns_are_the_orders_and_keep_zero_bytes_of_owners(book_image: BookImage) -> None:
    owner = bytes(31) + b"\1" + bytes(0)
    orders = [(5 << 64 | 9, owner, 7, 8, 3, 6), (4 << 64 | 1, bytes(32), 1, 0, 127, 0)]
    side = decode_book_side(book_image(False, orders, 3, random.Random(1)))
    assert side.price_ticks.tolist() == [4, 5]
    assert side.id_low.tolist() == [1, 9]
    assert side.size_lots.tolist() == [1, 7]
    assert side.client_ids.tolist() == [0, 8]
    assert side.owner_slots.tolist() == [127, 3]
    assert side.fee_tiers.tolist() == [0, 6]
    assert [one.tobytes() for one in side.owners] == [bytes(32), owner]
    with pytest.raises(ValueError, match="read-only"):
        side.size_lots[0] = 2


def sound(book_image: BookImage, count: int = 12) -> bytearray:
    orders: list[Leaf] = [(price << 64 | price, bytes(32), 1, 0, 0, 0) for price in range(1, count + 1)]
    return bytearray(book_image(False, orders, 5, random.Random(3)))


def nodes_of(image: bytearray, tag: int) -> list[int]:
    (bump,) = struct.unpack_from("<Q", image, 13)
    starts = range(NODES, NODES + 72 * bump, 72)
    return [start for start in starts if struct.unpack_from("<I", image, start)[0] == tag]


def refused(image: bytearray) -> str:
    with pytest.raises(BadBytes) as caught:
        decode_book_side(bytes(image))
    return caught.value.why


def test_a_cycle_among_inner_nodes_is_refused(book_image: BookImage) -> None:
    image = sound(book_image)
    first, second = nodes_of(image, 1)[:2]
    struct.pack_into("<I", image, first + 24, (second - NODES) // 72)
    struct.pack_into("<I", image, second + 24, (first - NODES) // 72)
    refused(image)


def test_a_node_that_is_its_own_child_is_refused(book_image: BookImage) -> None:
    image = sound(book_image)
    for node in nodes_of(image, 1):
        broken = bytearray(image)
        struct.pack_into("<I", broken, node + 28, (node - NODES) // 72)
        refused(broken)


def test_swapped_children_are_refused(book_image: BookImage) -> None:
    image = sound(book_image)
    for node in nodes_of(image, 1):
        broken = bytearray(image)
        children = struct.unpack_from("<II", image, node + 24)
        struct.pack_into("<II", broken, node + 24, *reversed(children))
        assert refused(broken) == "a key is in the wrong branch"


def test_another_prefix_length_is_refused(book_image: BookImage) -> None:
    image = sound(book_image)
    for node in nodes_of(image, 1):
        (prefix,) = struct.unpack_from("<I", image, node + 4)
        for other in (prefix - 1, prefix + 1, 0, 127, 128, 2**32 - 1):
            broken = bytearray(image)
            struct.pack_into("<I", broken, node + 4, other % 2**32)
            refused(broken)


def test_every_other_root_is_refused(book_image: BookImage) -> None:
    image = sound(book_image)
    (right,) = struct.unpack_from("<I", image, 33)
    (bump,) = struct.unpack_from("<Q", image, 13)
    for root in {*range(bump + 2), 2**32 - 1} - {right}:
        struct.pack_into("<I", image, 33, root)
        refused(image)


def test_counts_beyond_the_account_are_refused(book_image: BookImage) -> None:
    for offset in (13, 21, 37):
        for value in (0, 1, 2**32 - 1, 2**63, 2**64 - 1):
            image = sound(book_image)
            struct.pack_into("<Q", image, offset, value)
            refused(image)


def test_a_free_list_that_begins_elsewhere_is_refused(book_image: BookImage) -> None:
    image = sound(book_image)
    (bump,) = struct.unpack_from("<Q", image, 13)
    free = {(start - NODES) // 72 for start in nodes_of(image, 3)}
    for head in {*range(bump + 2), 2**32 - 1} - free:
        struct.pack_into("<I", image, 29, head)
        refused(image)


def test_a_tag_too_many_or_unknown_is_refused(book_image: BookImage) -> None:
    image = sound(book_image)
    for tag in (1, 2, 3, 4):
        for other in {0, 1, 2, 3, 4, 5, 2**32 - 1} - {tag}:
            broken = bytearray(image)
            struct.pack_into("<I", broken, nodes_of(image, tag)[0], other)
            refused(broken)


def test_an_order_of_nothing_or_from_an_impossible_slot_is_refused(book_image: BookImage) -> None:
    image = sound(book_image)
    leaf = nodes_of(image, 2)[0]
    empty, slot = bytearray(image), bytearray(image)
    struct.pack_into("<Q", empty, leaf + 56, 0)
    slot[leaf + 4] = 128
    assert refused(empty) == "an order without price or size"
    assert "slots" in refused(slot)


def test_every_truncation_is_refused(book_image: BookImage) -> None:
    image = sound(book_image, count=3)
    for length in range(len(image)):
        refused(image[:length])
    (bump,) = struct.unpack_from("<Q", image, 13)
    for length in range(NODES + 72 * bump):
        refused(image[:length] + b"padding")


def test_an_account_that_is_no_book_side_is_refused(snapshots: dict[str, dict[str, bytes]]) -> None:
    for name, data in snapshots["settled"].items():
        if name not in ("bids", "asks"):
            refused(bytearray(data))
