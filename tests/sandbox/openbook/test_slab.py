"""A book side against a plain sorted dict."""

from struct import Struct

from hypothesis import given, settings
from hypothesis import strategies as st

from bmv.sandbox.openbook.slab import Leaf, Slab
from bmv.venue.openbook_v1.layouts import SLAB_BUMP_INDEX, SLAB_FREE_LIST_LEN, SLAB_LEAF_COUNT, SLAB_NODES

OWNER = bytes(range(32))
ORDERS = 8

keys = st.builds(
    lambda price, low: price << 64 | low,
    st.integers(1, 5),
    st.integers(0, 3) | st.integers(2**64 - 4, 2**64 - 1),
)
moves = st.lists(st.tuples(st.booleans(), keys), max_size=60)


def empty_side(spare: int) -> bytearray:
    return bytearray(SLAB_NODES + 72 * (2 * ORDERS - 1) + spare + 7)


def leaf(key: int) -> Leaf:
    return Leaf(3, 0, key, OWNER, 1 + key % 9, key % 5)


@settings(max_examples=150, deadline=None)
@given(moves, st.booleans(), st.sampled_from([0, 8, 72]))
def test_a_side_holds_what_a_dict_would(moves: list[tuple[bool, int]], is_bids: bool, spare: int) -> None:
    data = empty_side(spare)
    side, model = Slab(data, is_bids), dict[int, Leaf]()
    for is_insert, key in moves:
        if not is_insert:
            assert side.remove(key) == model.pop(key, None)
        elif key not in model:
            fits = side.insert(leaf(key))
            assert fits == (len(model) < ORDERS)
            if fits:
                model[key] = leaf(key)
        best = side.best()
        assert (best is None) == (not model)
        if best is not None:
            assert side.leaf(best) == model[max(model) if is_bids else min(model)]
        ids, _ = side.orders_of(OWNER, 100)
        assert ids == sorted(model, reverse=True)


@settings(max_examples=100, deadline=None)
@given(moves)
def test_n_orders_use_two_n_minus_one_nodes(moves: list[tuple[bool, int]]) -> None:
    data = empty_side(0)
    side, present = Slab(data, is_bids=True), set[int]()
    for is_insert, key in moves:
        if not is_insert:
            side.remove(key)
            present.discard(key)
        elif key not in present and side.insert(leaf(key)):
            present.add(key)
    read = Struct("<Q").unpack_from
    used = read(data, SLAB_BUMP_INDEX)[0] - read(data, SLAB_FREE_LIST_LEN)[0]
    assert read(data, SLAB_LEAF_COUNT)[0] == len(present)
    assert used == max(0, 2 * len(present) - 1)


def test_the_worst_order_is_the_one_farthest_from_the_touch() -> None:
    for is_bids, worst in ((True, 1), (False, 3)):
        side = Slab(empty_side(0), is_bids)
        for price in (2, 1, 3):
            side.insert(leaf(price << 64))
        assert side.remove_worst().price == worst


def test_orders_are_looked_for_in_a_limited_number_of_nodes() -> None:
    side = Slab(empty_side(0), is_bids=True)
    for price in range(1, 6):
        side.insert(leaf(price << 64))
    assert side.orders_of(bytes(32), 100) == ([], 91)
    ids, left = side.orders_of(OWNER, 3)
    assert (len(ids), left) == (1, 0)
