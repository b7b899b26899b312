"""One side of the book: bytes -> all orders, best first, or ``BadBytes``; never a part of them.

The account is a crit-bit tree in an array of nodes. It is checked without walking it:

1. Tags: n leaves, n - 1 inner nodes, every other used node free.
2. The n - 1 pairs of children and the root name 2n - 1 nodes. If every one of the 2n - 1 live nodes is
   named, each is named once: each but the root has one parent, and nothing else is named.
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
from typing import Any, NamedTuple

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
    SLAB_BUMP_INDEX,
    SLAB_NODES,
    AccountFlag,
    slab_node_capacity,
)

U64 = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.intp]
Nodes = npt.NDArray[np.void]

_WHAT = "book side"
_SIDES = {
    int(AccountFlag.INITIALIZED | AccountFlag.BIDS): Side.BID,
    int(AccountFlag.INITIALIZED | AccountFlag.ASKS): Side.ASK,
}
_HEADER = struct.Struct("<QQIIQ")
_LEAF = struct.Struct("<4xBB2xQQ32sQQ")
_KEY_BITS = 128

# A node with the fields of inner nodes and leaves laid over each other. ``first`` is the tag and, above it,
# an inner node's prefix length or a leaf's slot; masked with the words below it equals the tag alone exactly
# if the prefix is below 128, or the slot is.
_NODE = np.dtype(
    {
        "names": ["first", "prefix_len", "key", "children", "quantity"],
        "formats": ["<u8", "u1", "V16", ("<u4", 2), "<u8"],
        "offsets": [0, 4, 8, 24, 56],
        "itemsize": NODE_SIZE,
    }
)
_INNER_WORD = np.uint64(0xFFFF_FF80_FFFF_FFFF)
_LEAF_WORD = np.uint64(0x0000_0080_FFFF_FFFF)
_TAG_BITS = np.uint64(0xFFFF_FFFF)

# Depths order the nodes of a path: the root's parent, inner nodes (prefix + 1), leaves; then what is no tree.
_ABOVE_ROOT, _LEAF_DEPTH, _UNNAMED, _NOT_LIVE = 0, _KEY_BITS + 1, 254, 255


def _key_masks() -> U64:
    """Return, for k = 0..128, the low and high words of the mask of a key's first k bits."""
    masks = [((1 << k) - 1) << (_KEY_BITS - k) for k in range(_KEY_BITS + 1)]
    return np.frombuffer(b"".join(mask.to_bytes(16, "little") for mask in masks), "<u8").reshape(-1, 2)


# By depth: the bits that all keys below an inner node share, and the one that says below which child.
_SHARED = np.concatenate([_key_masks()[:1], _key_masks()[:-1]])
_SIDE_BIT = _key_masks() ^ _SHARED


class BookOrder(msgspec.Struct, frozen=True):
    """One order on the book; ``owner`` is the address of its OpenOrders account, 32 raw bytes."""

    order_id: int
    price_ticks: int
    size_lots: int
    owner: bytes
    owner_slot: int
    fee_tier: int
    client_id: int


class _Header(NamedTuple):
    bump_index: int
    free_list_len: int
    free_list_head: int
    root: int
    leaf_count: int


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
    side = _SIDES[check_flags(_WHAT, data, _SIDES)]
    capacity = slab_node_capacity(len(data))
    if not capacity:
        raise BadBytes(_WHAT, f"{len(data)} bytes hold no node")
    header = _Header(*_HEADER.unpack_from(data, SLAB_BUMP_INDEX))
    bump, live = header.bump_index, max(2 * header.leaf_count - 1, 0)
    if bump > capacity or live + header.free_list_len != bump:
        raise BadBytes(_WHAT, f"{header} with room for {capacity} nodes")
    # The slice also moves the nodes to an aligned address, which numpy reads much faster.
    nodes = np.frombuffer(data[SLAB_NODES : SLAB_NODES + bump * NODE_SIZE], _NODE)
    leaves = _leaves(nodes, header, side).view(LEAF_NODE_DTYPE)
    leaves.setflags(write=False)
    return BookSideAccount(side, *header, capacity, leaves)


def _leaves(nodes: Nodes, header: _Header, side: Side) -> Nodes:
    """Return the leaves, best first, after checking tags, free list, tree and contents."""
    first: U64 = nodes["first"].copy()
    leaf_at: Indices = ((first & _LEAF_WORD) == NODE_LEAF).nonzero()[0]
    inner_at: Indices = ((first & _INNER_WORD) == NODE_INNER).nonzero()[0]
    if (len(leaf_at), len(inner_at)) != (header.leaf_count, max(header.leaf_count - 1, 0)):
        raise BadBytes(_WHAT, "node tags, slots or prefixes do not fit the counts in the header")
    if header.free_list_len:
        _check_free(first & _TAG_BITS, header)
    if not header.leaf_count:
        return nodes[:0]
    keys: U64 = nodes["key"].copy().view("<u8").reshape(-1, 2)
    try:
        _check_tree(nodes.take(inner_at), keys, leaf_at, inner_at, header.root)
    except IndexError as error:
        raise BadBytes(_WHAT, "a node is named that does not exist") from error
    leaf_keys = keys.take(leaf_at, axis=0)
    order = leaf_at.take(np.lexsort((leaf_keys[:, 0], leaf_keys[:, 1])))
    leaves: Nodes = nodes.take(order[::-1] if side is Side.BID else order)
    if np.count_nonzero(leaves["quantity"]) < len(leaves) or not keys[order[0], 1]:
        raise BadBytes(_WHAT, "an order without price or size")
    return leaves


def _check_free(tags: U64, header: _Header) -> None:
    """Raise BadBytes unless all other nodes are free, one of them the last, and the list begins with one."""
    ends, length = np.count_nonzero(tags == NODE_LAST_FREE), header.free_list_len
    if ends != 1 or np.count_nonzero(tags == NODE_FREE) != length - 1:
        raise BadBytes(_WHAT, "node tags do not add up to the free list in the header")
    head = header.free_list_head
    if head >= len(tags) or tags[head] != (NODE_FREE if length > 1 else NODE_LAST_FREE):
        raise BadBytes(_WHAT, "the free list does not begin with a free node")


def _check_tree(inner: Nodes, keys: U64, leaf_at: Indices, inner_at: Indices, root: int) -> None:
    """Raise BadBytes unless the live nodes are one crit-bit tree (steps 2 to 4 of the module's proof).

    ``inner`` are the nodes at ``inner_at``. Raises IndexError when a child or the root is no node at all.
    """
    depth = inner["prefix_len"] + np.uint8(1)
    left = inner["children"][:, 0].astype(np.intp)
    right = inner["children"][:, 1].astype(np.intp)
    own = np.empty(len(keys), np.uint8)
    own.fill(_NOT_LIVE)
    own[leaf_at] = _LEAF_DEPTH
    own[inner_at] = depth
    parent = np.empty(len(keys), np.uint8)
    parent.fill(_UNNAMED)
    parent[left] = depth
    parent[right] = depth
    parent[root] = _ABOVE_ROOT
    if np.count_nonzero(own <= parent):
        raise BadBytes(_WHAT, "the live nodes are not one tree of growing prefixes")
    shared, side_bit = _SHARED.take(depth, axis=0), _SIDE_BIT.take(depth, axis=0)
    key = keys.take(inner_at, axis=0)
    left_key, right_key = keys.take(left, axis=0), keys.take(right, axis=0)
    strayed = ((left_key ^ key) | (right_key ^ key)) & shared
    wrong_side = (left_key | ~right_key) & side_bit
    if np.count_nonzero(strayed | wrong_side):
        raise BadBytes(_WHAT, "a key is in the wrong branch")
