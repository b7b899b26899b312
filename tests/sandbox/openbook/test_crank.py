"""ConsumeEvents on a hand-made event queue: its logs, its memory, its order of accounts."""

import json
from pathlib import Path
from struct import Struct

import pytest
from solders.pubkey import Pubkey

from bmv.sandbox.account import Account, AccountRef, Invocation, ProgramError
from bmv.sandbox.openbook.program import process
from bmv.sandbox.openbook.queues import BID, FILL, MAKER, OUT, Event, EventQueue
from bmv.venue.openbook_v1 import layouts

LOGS = json.loads((Path(__file__).parents[2] / "golden" / "openbook_v1" / "consume_logs.json").read_text())
PROGRAM = bytes(Pubkey.from_string("srmqPvymJeFKQ4zGQed1GFppgkRHL9kaELCbyksJtPX"))
MARKET = bytes(Pubkey.from_string(LOGS["market"]))
QUEUE, NOBODY = bytes([1]) * 32, bytes([2]) * 32
KINDS = {"fill": FILL, "out": OUT, "bid": BID, "maker": MAKER}


def framed(size: int, flags: int) -> bytearray:
    data = bytearray(size)
    data[:5], data[-7:] = layouts.HEAD_PADDING, layouts.TAIL_PADDING
    data[5:7] = flags.to_bytes(2, "little")
    return data


def market() -> Account:
    data = framed(layouts.MARKET_SIZE, 3)
    data[13:45] = MARKET
    at = layouts.MARKET_FIELDS["event_queue"][0]
    data[at : at + 32] = QUEUE
    return Account(1, data, PROGRAM)


def open_orders(owner: bytes, order_id: int, client_id: int, quote: int, base: int, is_bid: bool) -> Account:
    """An account whose slot 0 holds one order and whose totals are all locked."""
    data = framed(layouts.OPEN_ORDERS_SIZE, 5)
    data[layouts.OPEN_ORDERS_MARKET : layouts.OPEN_ORDERS_MARKET + 64] = MARKET + owner
    balances = (0, base, 0, quote) if is_bid else (0, base, quote, quote)
    Struct("<QQQQ").pack_into(data, layouts.OPEN_ORDERS_BASE_FREE, *balances)
    free_slots = (2**128 - 2).to_bytes(16, "little")
    data[layouts.OPEN_ORDERS_FREE_SLOT_BITS : layouts.OPEN_ORDERS_FREE_SLOT_BITS + 16] = free_slots
    data[layouts.OPEN_ORDERS_IS_BID_BITS] = is_bid
    data[layouts.OPEN_ORDERS_ORDERS : layouts.OPEN_ORDERS_ORDERS + 16] = order_id.to_bytes(16, "little")
    Struct("<Q").pack_into(data, layouts.OPEN_ORDERS_CLIENT_IDS, client_id)
    return Account(1, data, PROGRAM)


class Crank:
    """A market with an event queue and the OpenOrders accounts named in the recorded run."""

    def __init__(self) -> None:
        self.queue = Account(1, framed(12 + 32 + 128 * layouts.EVENT_SIZE, 17), PROGRAM)
        self.events = EventQueue(self.queue.data)
        self.wallets: dict[bytes, Account] = {}

    def consume(self, limit: int, order: list[bytes] | None = None) -> list[str]:
        keys = order or sorted(self.wallets, key=Struct("<4Q").unpack)
        refs = [AccountRef(key, self.wallets[key], False, True) for key in keys]
        refs += [AccountRef(MARKET, market(), False, True), AccountRef(QUEUE, self.queue, False, True)]
        refs += [AccountRef(NOBODY, Account(), False, False)] * 2
        invocation = Invocation(PROGRAM, refs, b"\0\x03\0\0\0" + limit.to_bytes(2, "little"), 0)
        process(invocation)
        return invocation.logs

    def waiting(self) -> int:
        return int(self.queue.data[layouts.QUEUE_COUNT])


@pytest.fixture
def recorded() -> Crank:
    crank = Crank()
    for row in LOGS["events_consumed"]:
        flags = sum(KINDS[kind] for kind in row["kind"].split("|"))
        owner = bytes(Pubkey.from_string(row["open_orders"]))
        amounts = row["released"], row["paid"], row["fee_or_rebate"]
        crank.events.push(
            Event(flags, row["slot"], 0, *amounts, int(row["order_id"]), owner, row["client_id"])
        )
    bid, ask = LOGS["events_consumed"][1], LOGS["events_consumed"][2]
    for side, row, quote, base in (("a", bid, 500_000, 0), ("b", ask, 299_880, 0)):
        key, owner = (bytes(Pubkey.from_string(LOGS[side][name])) for name in ("oo", "owner"))
        crank.wallets[key] = open_orders(
            owner, int(row["order_id"]), row["client_id"], quote, base, is_bid=side == "a"
        )
    return crank


def test_fills_log_what_the_compiled_program_logged(recorded: Crank) -> None:
    expected = [line for line in LOGS["logs"] if line.startswith("Program data: ")]
    assert recorded.consume(limit=100) == expected
    assert recorded.waiting() == 0


def test_a_list_in_the_wrong_order_ends_the_run_without_an_error(recorded: Crank) -> None:
    a, b = (bytes(Pubkey.from_string(LOGS[side]["oo"])) for side in "ab")
    wrong = max([[a, b], [b, a]], key=lambda keys: [Struct("<4Q").unpack(key) for key in keys])
    recorded.consume(100, order=[key for key in wrong if key == b])
    assert recorded.waiting() == 4
    recorded.consume(100, order=wrong)
    assert recorded.waiting() > 0


@pytest.mark.parametrize(("fills", "works"), [(13, True), (14, False)])
def test_memory_ends_at_the_fourteenth_fill(fills: int, works: bool) -> None:
    crank, owner = Crank(), bytes([9]) * 32
    crank.wallets[owner] = open_orders(NOBODY, 5 << 64, 7, 10**9, 10**9, is_bid=True)
    for _ in range(fills):
        crank.events.push(Event(FILL | BID, 0, 0, 10, 10, 4, 5 << 64, owner, 7))
    if works:
        assert len(crank.consume(limit=100)) == 2 * fills
    else:
        with pytest.raises(ProgramError, match="out of memory") as failure:
            crank.consume(limit=100)
        assert failure.value.kind == "aborted"
