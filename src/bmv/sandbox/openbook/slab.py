"""One side of the book: a crit-bit tree of orders inside a bids or asks account.

Rules of this file
- n orders use 2n-1 nodes. A split keeps its place: the node that stood there moves to a new handle.
- A node is taken from the free list first, then from the never used rest. A freed node keeps only
  its tag and the old list head; the list head goes stale when the list runs empty and stays so.
- An order id is price << 64 | sequence, so keys are u128; ``prefix_len`` counts bits from the top.
Source: the program's critbit.rs.
"""

from struct import Struct
from typing import NamedTuple

from bmv.sandbox.openbook.failure import U64
from bmv.venue.openbook_v1.layouts import (
    NODE_FREE,
    NODE_INNER,
    NODE_LAST_FREE,
    NODE_LEAF,
    NODE_SIZE,
    SLAB_HEADER,
    SLAB_NODES,
    slab_node_capacity,
)

_HEADER = Struct("<QQIIQ")
_INNER = Struct("<IIQQII40x")
_INNER_HEAD = Struct("<IIQQII")
_LEAF = Struct("<IBB2xQQ32sQQ")
_FREE = Struct("<II64x")
_U64_FIELD = Struct("<Q")
_PRICE = 16
_QUANTITY = 56
_NONE = -1


class Leaf(NamedTuple):
    """One resting order: ``owner`` is its OpenOrders address, ``quantity`` counts base lots."""

    owner_slot: int
    fee_tier: int
    order_id: int
    owner: bytes
    quantity: int
    client_id: int

    @property
    def price(self) -> int:
        """Return the price in ticks."""
        return self.order_id >> 64


class Slab:
    """A view of a bids or asks account; every method leaves the bytes consistent."""

    __slots__ = ("_bump", "_capacity", "_data", "_free_head", "_free_len", "_is_bids", "_leaves", "_root")

    def __init__(self, data: bytearray, is_bids: bool) -> None:
        self._data, self._is_bids = data, is_bids
        self._capacity = slab_node_capacity(len(data))
        header: tuple[int, int, int, int, int] = _HEADER.unpack_from(data, SLAB_HEADER)
        self._bump, self._free_len, self._free_head, self._root, self._leaves = header

    def _store_header(self) -> None:
        _HEADER.pack_into(
            self._data, SLAB_HEADER, self._bump, self._free_len, self._free_head, self._root, self._leaves
        )

    def _allocate(self) -> int:
        if not self._free_len:
            if self._bump == self._capacity:
                return _NONE
            self._bump += 1
            return self._bump - 1
        handle = self._free_head
        _, self._free_head = _FREE.unpack_from(self._data, SLAB_NODES + handle * NODE_SIZE)
        self._free_len -= 1
        return handle

    def _free(self, handle: int) -> None:
        tag = NODE_FREE if self._free_len else NODE_LAST_FREE
        _FREE.pack_into(self._data, SLAB_NODES + handle * NODE_SIZE, tag, self._free_head)
        self._free_len += 1
        self._free_head = handle

    def _write_leaf(self, handle: int, leaf: Leaf) -> None:
        slot, tier, key, owner, quantity, client_id = leaf
        at = SLAB_NODES + handle * NODE_SIZE
        _LEAF.pack_into(
            self._data, at, NODE_LEAF, slot, tier, key & U64, key >> 64, owner, quantity, client_id
        )

    def leaf(self, handle: int) -> Leaf:
        """Return the order at ``handle``."""
        at = SLAB_NODES + handle * NODE_SIZE
        _, slot, tier, low, high, owner, quantity, client_id = _LEAF.unpack_from(self._data, at)
        return Leaf(slot, tier, high << 64 | low, owner, quantity, client_id)

    def price(self, handle: int) -> int:
        """Return the price in ticks of the order at ``handle``."""
        price: int = _U64_FIELD.unpack_from(self._data, SLAB_NODES + handle * NODE_SIZE + _PRICE)[0]
        return price

    def set_quantity(self, handle: int, quantity: int) -> None:
        """Set the base lots left of the order at ``handle``."""
        _U64_FIELD.pack_into(self._data, SLAB_NODES + handle * NODE_SIZE + _QUANTITY, quantity)

    def _edge(self, highest: bool) -> int | None:
        if not self._leaves:
            return None
        handle = self._root
        while True:
            tag, _, _, _, lower, upper = _INNER_HEAD.unpack_from(self._data, SLAB_NODES + handle * NODE_SIZE)
            if tag != NODE_INNER:
                return handle
            handle = upper if highest else lower

    def best(self) -> int | None:
        """Return the handle of the order to match first, None when the side is empty."""
        return self._edge(highest=self._is_bids)

    def remove_worst(self) -> Leaf:
        """Take out and return the order farthest from the touch; the side is not empty."""
        handle = self._edge(highest=not self._is_bids)
        assert handle is not None
        worst = self.leaf(handle)
        self.remove(worst.order_id)
        return worst

    def insert(self, leaf: Leaf) -> bool:
        """Add an order; return False when no node is left (which may still shuffle the free list)."""
        key = leaf.order_id
        if not self._leaves:
            return self._insert_first(leaf)
        handle = self._root
        while True:
            at = SLAB_NODES + handle * NODE_SIZE
            tag, prefix_len, low, high, lower, upper = _INNER_HEAD.unpack_from(self._data, at)
            shared_len = 128 - ((high << 64 | low) ^ key).bit_length()
            if tag != NODE_INNER or shared_len < prefix_len:
                return self._split(handle, leaf, shared_len)
            handle = upper if key >> (127 - prefix_len) & 1 else lower

    def _insert_first(self, leaf: Leaf) -> bool:
        handle = self._allocate()
        if handle == _NONE:
            return False
        self._write_leaf(handle, leaf)
        self._root, self._leaves = handle, 1
        self._store_header()
        return True

    def _split(self, handle: int, leaf: Leaf, shared_len: int) -> bool:
        """Put an inner node at ``handle`` whose children are the old node there and ``leaf``."""
        added = self._allocate()
        moved = self._allocate() if added != _NONE else _NONE
        if moved == _NONE:
            if added != _NONE:
                self._free(added)
                self._store_header()
            return False
        data, at, to = self._data, SLAB_NODES + handle * NODE_SIZE, SLAB_NODES + moved * NODE_SIZE
        self._write_leaf(added, leaf)
        data[to : to + NODE_SIZE] = data[at : at + NODE_SIZE]
        key = leaf.order_id
        children = (moved, added) if key >> (127 - shared_len) & 1 else (added, moved)
        _INNER.pack_into(data, at, NODE_INNER, shared_len, key & U64, key >> 64, *children)
        self._leaves += 1
        self._store_header()
        return True

    def remove(self, key: int) -> Leaf | None:
        """Take out and return the order with this id, None when it is not on this side."""
        if not self._leaves:
            return None
        data = self._data
        parent = sibling = _NONE
        handle = self._root
        while True:
            at = SLAB_NODES + handle * NODE_SIZE
            tag, prefix_len, low, high, lower, upper = _INNER_HEAD.unpack_from(data, at)
            if tag != NODE_INNER:
                break
            parent = handle
            handle, sibling = (upper, lower) if key >> (127 - prefix_len) & 1 else (lower, upper)
        if high << 64 | low != key:
            return None
        leaf = self.leaf(handle)
        if parent == _NONE:
            self._root = 0
        else:
            at, to = SLAB_NODES + sibling * NODE_SIZE, SLAB_NODES + parent * NODE_SIZE
            data[to : to + NODE_SIZE] = data[at : at + NODE_SIZE]
            self._free(sibling)
        self._leaves -= 1
        self._free(handle)
        self._store_header()
        return leaf

    def orders_of(self, owner: bytes, limit: int) -> tuple[list[int], int]:
        """Return the ids of ``owner``'s orders, upper half first, and the node visits left of ``limit``."""
        found: list[int] = []
        to_visit = [self._root] if self._leaves else []
        while to_visit and limit:
            limit -= 1
            handle = to_visit.pop()
            tag, _, _, _, lower, upper = _INNER_HEAD.unpack_from(self._data, SLAB_NODES + handle * NODE_SIZE)
            if tag == NODE_INNER:
                to_visit += (lower, upper)
            else:
                leaf = self.leaf(handle)
                if leaf.owner == owner:
                    found.append(leaf.order_id)
        return found, limit
