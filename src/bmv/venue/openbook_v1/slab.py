"""One side of the book: bytes -> all orders, best first, or ``BadBytes``; never a part of them.

The account is a crit-bit tree in an array of nodes. It is checked without walking it:

1. Tags: n leaves, n - 1 inner nodes, every other used node free.
2. The n - 1 pairs of children and the root name 2n - 1 nodes. If those are exactly the 2n - 1 live ones,
   every live node is named once: each but the root has one parent.
3. Along every edge ``prefix_len`` grows (a leaf counts as 128). So going up from any node must end, and it
   can only end at the one node without a parent: the nodes are one tree, rooted at ``root``, no cycles.
4. Along every edge the child's key repeats the first ``prefix_len`` bits of its parent's, and its next bit
   is the side it hangs on. With 3 this holds for all descendants: at every inner node everything under
   child 0 is less than everything under child 1. So the tree's in-order walk is the ascending sort of the
   leaves' keys, and keys are distinct.

Hence sorting replaces walking, and hostile bytes cannot cost more than a sort of what the account can hold.
Source of the layout: docs/layouts.md.
"""

import struct
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from bmv.errors import BadBytes
from bmv.model import Side
from bmv.venue.openbook_v1.envelope import check_flags
from bmv.venue.openbook_v1.layouts import (
    LEAF_NODE_DTYPE,
    NODE_FREE,
    NODE_INNER,
    NODE_LAST_FREE,
    NODE_LEAF,
    NODE_SIZE,
    ORDER_SLOTS,
    SLAB_BUMP_INDEX,
    SLAB_NODES,
    AccountFlag,
    slab_node_capacity,
)

U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.intp]

_WHAT = "book side"
_SIDES = {
    int(AccountFlag.INITIALIZED | AccountFlag.BIDS): Side.BID,
    int(AccountFlag.INITIALIZED | AccountFlag.ASKS): Side.ASK,
}
_HEADER = struct.Struct("<QQIIQ")
_LEAF = struct.Struct("<4xBB2xQQ32sQQ")
_KEY_BITS = 128

# Columns of a node seen as nine u64 words (or eighteen u32 words).
_LOW, _HIGH, _QUANTITY = 1, 2, 7
_PREFIX_LEN, _CHILDREN = 1, slice(6, 8)


def _key_masks() -> tuple[U64, U64]:
    """Return the high and low words of the mask of the first k bits of a key, k = 0..128."""
    masks = [((1 << k) - 1) << (_KEY_BITS - k) for k in range(_KEY_BITS + 1)]
    low_word = (1 << 64) - 1
    return (
        np.array([mask >> 64 for mask in masks], np.uint64),
        np.array([mask & low_word for mask in masks], np.uint64),
    )


_MASK_HIGH, _MASK_LOW = _key_masks()


class BookOrder(msgspec.Struct, frozen=True):
    """One order on the book; ``owner`` is the address of its OpenOrders account, 32 raw bytes."""

    order_id: int
    price_ticks: int
    size_lots: int
    owner: bytes
    owner_slot: int
    fee_tier: int
    client_id: int


class BookSideAccount(msgspec.Struct, frozen=True, eq=False):
    """One side of the book as read from its account.

    ``leaves`` has one LEAF_NODE_DTYPE row per order, best first: bids by falling, asks by rising order id.
    """

    side: Side
    bump_index: int
    free_list_len: int
    free_list_head: int
    root: int
    leaf_count: int
    capacity_nodes: int
    leaves: npt.NDArray[np.void]

    def __len__(self) -> int:
        return self.leaf_count

    @property
    def capacity(self) -> int:
        """Return how many orders fit on this side."""
        return (self.capacity_nodes + 1) // 2

    @property
    def price_ticks(self) -> U64:
        """Return the prices in ticks: the high words of the order ids."""
        return self._column("key_high")

    @property
    def id_low(self) -> U64:
        """Return the low words of the order ids."""
        return self._column("key_low")

    @property
    def size_lots(self) -> U64:
        """Return what remains of each order, in base lots."""
        return self._column("quantity")

    @property
    def client_ids(self) -> U64:
        """Return the ids the owners gave their orders."""
        return self._column("client_id")

    @property
    def owners(self) -> npt.NDArray[np.void]:
        """Return the OpenOrders addresses as 32-byte voids (never zero-stripped)."""
        return self._column("owner")

    @property
    def owner_slots(self) -> npt.NDArray[np.uint8]:
        """Return which slot of its OpenOrders account each order uses."""
        return self._column("owner_slot")

    @property
    def fee_tiers(self) -> npt.NDArray[np.uint8]:
        """Return the fee tier of each order."""
        return self._column("fee_tier")

    def order_id(self, index: int) -> int:
        """Return the 128-bit id of the order at ``index``, 0 being the best."""
        leaf = self.leaves[index]
        return int(leaf["key_high"]) << 64 | int(leaf["key_low"])

    def orders(self) -> list[BookOrder]:
        """Return every order as a value, best first."""
        return [
            BookOrder(high << 64 | low, high, quantity, owner, slot, tier, client_id)
            for slot, tier, low, high, owner, quantity, client_id in _LEAF.iter_unpack(self.leaves.tobytes())
        ]

    def _column(self, field: str) -> npt.NDArray[Any]:
        return self.leaves[field]


def decode_book_side(data: bytes) -> BookSideAccount:
    """Decode a bids or asks account of any size; raise BadBytes unless the whole tree is sound."""
    flags = check_flags(_WHAT, data, _SIDES)
    capacity = slab_node_capacity(len(data))
    if SLAB_NODES + capacity * NODE_SIZE > len(data) or not capacity:
        raise BadBytes(_WHAT, f"{len(data)} bytes hold no node")
    bump, free_len, free_head, root, leaf_count = _HEADER.unpack_from(data, SLAB_BUMP_INDEX)
    live = 2 * leaf_count - 1 if leaf_count else 0
    if bump > capacity or live + free_len != bump:
        raise BadBytes(_WHAT, f"{leaf_count} leaves and {free_len} free of {bump} nodes, room for {capacity}")
    if (leaf_count and root >= bump) or (free_len and free_head >= bump):
        raise BadBytes(_WHAT, f"root {root} or free list {free_head} is outside of {bump} nodes")
    # The slice also moves the nodes to an aligned address, which numpy reads much faster.
    nodes = np.frombuffer(data[SLAB_NODES : SLAB_NODES + bump * NODE_SIZE], "<u8").reshape(bump, 9)
    side = _SIDES[flags]
    leaves = _leaves(nodes, leaf_count, (free_len, free_head), root)[:: -1 if side is Side.BID else 1]
    table = np.ascontiguousarray(leaves).view(LEAF_NODE_DTYPE)[:, 0]
    table.setflags(write=False)
    return BookSideAccount(side, bump, free_len, free_head, root, leaf_count, capacity, table)


def _leaves(nodes: U64, leaf_count: int, free_list: tuple[int, int], root: int) -> U64:
    """Return the leaf rows by ascending key after checking tags, tree and contents."""
    free_len, free_head = free_list
    tags = nodes.view("<u4")[:, 0] if len(nodes) else np.empty(0, np.uint32)
    if len(tags) and int(tags.max()) > NODE_LAST_FREE:
        raise BadBytes(_WHAT, "unknown node tag")
    inner_count = max(leaf_count - 1, 0)
    # uninitialised, inner, leaf, free, last free: the list ends once, if there is one
    expected = [0, inner_count, leaf_count, max(free_len - 1, 0), min(free_len, 1)]
    if np.bincount(tags, minlength=5).tolist() != expected:
        raise BadBytes(_WHAT, "node tags do not add up to the counts in the header")
    if free_len and tags[free_head] != (NODE_FREE if free_len > 1 else NODE_LAST_FREE):
        raise BadBytes(_WHAT, "the free list does not begin with a free node")
    is_leaf, is_inner = tags == NODE_LEAF, tags == NODE_INNER
    if leaf_count:
        _check_tree(nodes, is_leaf | is_inner, np.flatnonzero(is_inner), root)
    leaves = nodes.take(np.flatnonzero(is_leaf), axis=0)
    leaves = leaves.take(np.lexsort((leaves[:, _LOW], leaves[:, _HIGH])), axis=0)
    _check_orders(leaves)
    return leaves


def _check_tree(nodes: U64, is_live: npt.NDArray[np.bool_], inner_at: Indices, root: int) -> None:
    """Raise BadBytes unless the live nodes are one crit-bit tree (steps 2 to 4 of the module's proof)."""
    inner = nodes.take(inner_at, axis=0)
    words = inner.view("<u4")
    prefix: Indices = words[:, _PREFIX_LEN].astype(np.intp)
    children: Indices = np.ascontiguousarray(words[:, _CHILDREN].T, dtype=np.intp)
    if len(inner) and (int(children.max()) >= len(nodes) or int(prefix.max()) >= _KEY_BITS):
        raise BadBytes(_WHAT, "a child or a prefix is out of range")
    named = np.zeros(len(nodes), np.bool_)
    named[children] = True
    named[root] = True
    if not np.array_equal(named, is_live):
        raise BadBytes(_WHAT, "the live nodes are not one tree")
    prefix_of = np.full(len(nodes), _KEY_BITS, np.intp)
    prefix_of[inner_at] = prefix
    if not (prefix_of.take(children) > prefix).all():
        raise BadBytes(_WHAT, "a child's prefix is not longer than its parent's")
    if (
        _misplaced(nodes[:, _HIGH], inner[:, _HIGH], children, _MASK_HIGH, prefix)
        | _misplaced(nodes[:, _LOW], inner[:, _LOW], children, _MASK_LOW, prefix)
    ).any():
        raise BadBytes(_WHAT, "a key is in the wrong branch")


def _misplaced(keys: U64, parents: U64, children: Indices, masks: U64, prefix: Indices) -> U64:
    """Return, per inner node, the bits of one key word in which its children break the tree's rule."""
    shared, with_side = masks.take(prefix), masks.take(prefix + 1)
    differs = (keys.take(children) & with_side) ^ (parents & shared)
    wrong: U64 = differs[0] | (differs[1] ^ shared ^ with_side)
    return wrong


def _check_orders(leaves: U64) -> None:
    """Raise BadBytes for an order that cannot stand on a book."""
    if not len(leaves):
        return
    if not leaves[0, _HIGH] or not leaves[:, _QUANTITY].all():
        raise BadBytes(_WHAT, "an order without price or size")
    if leaves.view(np.uint8)[:, 4].max() >= ORDER_SLOTS:
        raise BadBytes(_WHAT, "an order slot is out of range")
