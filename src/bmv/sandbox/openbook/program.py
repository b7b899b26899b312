"""The OpenBook program's entry: find the instruction by its tag and run it."""

from collections.abc import Callable
from typing import NamedTuple

from bmv.sandbox.account import Invocation
from bmv.sandbox.openbook import cancels, crank, lifecycle, orders, settle
from bmv.sandbox.openbook.failure import invalid, panicked
from bmv.sandbox.openbook.instructions import (
    MAX_CLIENT_IDS,
    MAX_ORDERS,
    ORDER_SIZE,
    SHORT_ORDER_SIZE,
    check_old_order,
    check_send_take,
    unpack_cancel,
)

_TAG = slice(1, 5)
_BODY = slice(5, None)


class _Entry(NamedTuple):
    """What runs an instruction, and which body lengths it takes."""

    run: Callable[[Invocation, bytes], None]
    sizes: frozenset[int]


def process(invocation: Invocation) -> None:
    """Run one instruction on its accounts; raises ``ProgramError``, accounts then being left half changed."""
    data = invocation.data
    entry = _ENTRIES.get(data[_TAG]) if data[:1] == b"\0" else None
    if entry is None or len(data) - 5 not in entry.sizes:
        raise invalid("no such instruction")
    entry.run(invocation, data[_BODY])


def _nothing(_invocation: Invocation, _body: bytes) -> None:
    """Run MatchOrders, which has nothing left to do."""


def _retired(check: Callable[[bytes], object] | None = None) -> Callable[[Invocation, bytes], None]:
    """Return what runs an instruction that is still unpacked but not implemented any more."""

    def run(_invocation: Invocation, body: bytes) -> None:
        if check is not None:
            check(body)
        raise panicked("not implemented")

    return run


def _entry(tag: int, run: Callable[[Invocation, bytes], None], *sizes: int) -> tuple[bytes, _Entry]:
    return tag.to_bytes(4, "little"), _Entry(run, frozenset(sizes))


_ENTRIES = dict(
    (
        _entry(0, lifecycle.initialize_market, 34),
        _entry(1, _retired(check_old_order), 32),
        _entry(2, _nothing, 2),
        _entry(3, crank.consume_events, 2),
        _entry(4, _retired(unpack_cancel), 53),
        _entry(5, settle.settle_funds, 0),
        _entry(6, _retired(), 8),
        _entry(7, lifecycle.disable_market, 0),
        _entry(8, settle.sweep_fees, 0),
        _entry(9, _retired(check_old_order), 36),
        _entry(10, orders.new_order, SHORT_ORDER_SIZE, ORDER_SIZE),
        _entry(11, cancels.cancel_order, 20),
        _entry(12, cancels.cancel_by_client_id, 8),
        _entry(13, _retired(check_send_take), 46),
        _entry(14, lifecycle.close_open_orders, 0),
        _entry(15, lifecycle.init_open_orders, 0),
        _entry(16, cancels.prune, 2),
        _entry(17, crank.consume_events_permissioned, 2),
        _entry(18, cancels.cancel_by_client_ids, *range(0, 8 * MAX_CLIENT_IDS + 1, 8)),
        _entry(19, orders.replace_one, ORDER_SIZE),
        _entry(20, orders.replace_many, *(8 + ORDER_SIZE * n for n in range(MAX_ORDERS + 1))),
    )
)
