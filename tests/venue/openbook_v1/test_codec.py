"""Decoders against recorded accounts: what an independent reader and the official client saw in them."""

import struct
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from solders.pubkey import Pubkey

from bmv.errors import BadBytes
from bmv.model import Side
from bmv.venue.openbook_v1.codec import (
    QueueEvent,
    decode_book_side,
    decode_event_queue,
    decode_market,
    decode_open_orders,
    decode_request_queue,
)
from bmv.venue.openbook_v1.layouts import AccountFlag

Snapshots = dict[str, dict[str, bytes]]
Golden = Callable[[str], Any]
MOMENTS = ("empty", "ladders_uncranked", "traded_uncranked", "cranked", "settled", "ring_wrapped")


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


@pytest.mark.parametrize("moment", MOMENTS)
def test_markets_decode_as_the_official_client_reads_them(
    snapshots: Snapshots, golden: Golden, moment: str
) -> None:
    market = decode_market(snapshots[moment]["market"])
    expected = golden("decoded_m9.json")[moment]["market"]
    del expected["accountFlags"]
    fields = {camel(name): str(value) for name, value in msgspec.structs.asdict(market).items()}
    assert {name: fields[name] for name in expected} == expected
    assert market.flags == AccountFlag.INITIALIZED | AccountFlag.MARKET
    assert market.open_orders_authority is None


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("name", ["bids", "asks"])
def test_book_sides_decode_as_the_official_client_reads_them(
    snapshots: Snapshots, golden: Golden, moment: str, name: str
) -> None:
    side = decode_book_side(snapshots[moment][name])
    expected = golden("decoded_m9.json")[moment][name]
    assert expected["header"] == {
        "bumpIndex": side.bump_index,
        "freeListLen": side.free_list_len,
        "freeListHead": side.free_list_head,
        "root": side.root,
        "leafCount": side.leaf_count,
    }
    seen = [
        {
            "orderId": str(order.order_id),
            "clientId": str(order.client_id),
            "openOrdersAddress": str(Pubkey(order.owner)),
            "openOrdersSlot": order.owner_slot,
            "feeTier": order.fee_tier,
            "priceLots": str(order.price_ticks),
            "sizeLots": str(order.size_lots),
            "side": "buy" if side.side is Side.BID else "sell",
        }
        for order in side.orders()
    ]
    wanted = [{key: one[key] for key in seen[0]} for one in expected["orders_best_first"]]
    assert seen == wanted
    assert side.capacity == 150


def as_client(event: QueueEvent) -> dict[str, object]:
    return {
        "eventFlags": {
            "fill": event.is_fill,
            "out": not event.is_fill,
            "bid": event.side is Side.BID,
            "maker": event.is_maker,
        },
        "openOrdersSlot": event.owner_slot,
        "feeTier": event.fee_tier,
        "nativeQuantityReleased": str(event.native_released),
        "nativeQuantityPaid": str(event.native_paid),
        "nativeFeeOrRebate": str(event.native_fee_or_rebate),
        "orderId": str(event.order_id),
        "openOrders": str(Pubkey(event.owner)),
        "clientOrderId": str(event.client_id),
    }


@pytest.mark.parametrize("moment", MOMENTS)
def test_event_queues_decode_as_the_official_client_reads_them(
    snapshots: Snapshots, golden: Golden, moment: str
) -> None:
    queue = decode_event_queue(snapshots[moment]["event_queue"])
    expected = golden("decoded_m9.json")[moment]["event_queue"]
    header = expected["header"]
    assert (queue.head, queue.count, queue.next_seq) == (header["head"], header["count"], header["seqNum"])
    for event in expected["events"] + expected["history_10"]:
        event.pop("parsed", None)
    assert [as_client(event) for event in queue.unconsumed()] == expected["events"]
    # The client's history is newest first and does not know which entries were never written.
    newest_first = [as_client(event) for event in queue.since(queue.next_seq - 10)][::-1]
    assert newest_first == expected["history_10"][: len(newest_first)]
    owners = [bytes(Pubkey.from_string(event["openOrders"])) for event in expected["events"]]
    assert queue.pending_owners() == owners
    assert queue.pending_owners(3) == owners[:3]


def test_events_keep_their_numbers_while_the_ring_wraps(snapshots: Snapshots) -> None:
    queue = decode_event_queue(snapshots["ring_wrapped"]["event_queue"])
    assert (queue.oldest, queue.first_unconsumed, queue.next_seq) == (803 - 140, 803 - 118, 803)
    ring = queue.since(0)
    assert [event.seq for event in ring] == list(range(663, 803))
    assert sorted(event.index for event in ring) == list(range(140))
    assert queue.event(700) == ring[700 - 663]
    assert queue.since(803) == []
    for outside in (662, 803):
        with pytest.raises(IndexError):
            queue.event(outside)


@pytest.mark.parametrize("moment", MOMENTS)
def test_request_queues_number_the_orders(snapshots: Snapshots, golden: Golden, moment: str) -> None:
    queue = decode_request_queue(snapshots[moment]["request_queue"])
    header = golden("decoded_m9.json")[moment]["request_queue"]["header"]
    assert (queue.head, queue.count, queue.next_seq) == (
        header["head"],
        header["count"],
        header["nextSeqNum"],
    )


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("number", [0, 1, 2])
def test_open_orders_decode_as_the_official_client_reads_them(
    snapshots: Snapshots, golden: Golden, moment: str, number: int
) -> None:
    account = decode_open_orders(snapshots[moment][f"open_orders_{number}"])
    expected = golden("decoded_m9.json")[moment][f"open_orders_{number}"]
    assert {
        "market": str(account.market),
        "owner": str(account.owner),
        "baseTokenFree": str(account.base_free),
        "baseTokenTotal": str(account.base_total),
        "quoteTokenFree": str(account.quote_free),
        "quoteTokenTotal": str(account.quote_total),
        "freeSlotBits": str(account.free_slot_bits),
        "isBidBits": str(account.is_bid_bits),
        "referrerRebatesAccrued": str(account.referrer_rebates),
    }.items() <= expected.items()
    used = [slot for slot in range(128) if not int(expected["freeSlotBits"]) >> slot & 1]
    orders = account.orders()
    assert [order.slot for order in orders] == used
    assert [str(order.order_id) for order in orders] == [expected["orders"][slot] for slot in used]
    assert [str(order.client_id) for order in orders] == [expected["clientIds"][slot] for slot in used]
    assert account.free_slots == 128 - len(used)
    assert account.base_locked == account.base_total - account.base_free
    assert account.quote_locked == account.quote_total - account.quote_free
    assert account.is_closable is (not used and not account.base_total and not account.quote_total)


def test_more_free_than_total_funds_are_refused(snapshots: Snapshots) -> None:
    for offset in (77, 93):
        data = bytearray(snapshots["empty"]["open_orders_0"])
        struct.pack_into("<Q", data, offset, 1)
        with pytest.raises(BadBytes, match="more funds are free"):
            decode_open_orders(bytes(data))


def test_the_old_open_orders_layout_is_refused_by_name(snapshots: Snapshots) -> None:
    data = snapshots["empty"]["open_orders_0"]
    with pytest.raises(BadBytes, match="3220-byte layout"):
        decode_open_orders(data[:3213] + b"padding")


def test_a_permissioned_market_names_its_authorities(snapshots: Snapshots) -> None:
    plain = snapshots["settled"]["market"]
    authorities = [bytes([number]) * 32 for number in (1, 2, 3)]
    body = bytearray(plain[:381] + b"".join(authorities) + bytes(992) + b"padding")
    struct.pack_into("<Q", body, 5, 0x603)
    market = decode_market(bytes(body))
    named = (market.open_orders_authority, market.prune_authority, market.consume_events_authority)
    assert [bytes(one) for one in named if one is not None] == authorities
    assert market.bids == decode_market(plain).bids
    for wrong in (3, 0x403, 0x003, 0x605):
        struct.pack_into("<Q", body, 5, wrong)
        with pytest.raises(BadBytes):
            decode_market(bytes(body))


def test_a_disabled_market_decodes_and_says_so(snapshots: Snapshots) -> None:
    data = bytearray(snapshots["settled"]["market"])
    data[5] |= AccountFlag.DISABLED
    assert decode_market(bytes(data)).flags & AccountFlag.DISABLED


def test_a_market_without_lot_sizes_is_refused(snapshots: Snapshots) -> None:
    for offset in (349, 357):
        data = bytearray(snapshots["settled"]["market"])
        struct.pack_into("<Q", data, offset, 0)
        with pytest.raises(BadBytes, match="lot size"):
            decode_market(bytes(data))


def test_a_queue_whose_header_leaves_the_ring_is_refused(snapshots: Snapshots) -> None:
    for offset, value in ((13, 140), (13, 2**64 - 1), (21, 141), (21, 96), (21, 2**64 - 1)):
        data = bytearray(snapshots["settled"]["event_queue"])
        struct.pack_into("<Q", data, offset, value)
        with pytest.raises(BadBytes, match="head"):
            decode_event_queue(bytes(data))


def test_an_impossible_event_in_the_ring_is_refused(snapshots: Snapshots) -> None:
    for offset, value in ((0, 0), (0, 3), (0, 32), (0, 10), (0, 17), (1, 128)):
        data = bytearray(snapshots["settled"]["event_queue"])
        data[37 + 94 * 88 + offset] = value
        with pytest.raises(BadBytes, match="impossible"):
            decode_event_queue(bytes(data))


def test_bytes_where_no_event_was_written_do_not_matter(snapshots: Snapshots) -> None:
    data = bytearray(snapshots["settled"]["event_queue"])
    data[37 + 95 * 88] = 255
    assert decode_event_queue(bytes(data)).next_seq == 95


def test_broken_frames_are_refused(snapshots: Snapshots) -> None:
    decoders = {
        "market": decode_market,
        "bids": decode_book_side,
        "event_queue": decode_event_queue,
        "request_queue": decode_request_queue,
        "open_orders_0": decode_open_orders,
    }
    for name, decode in decoders.items():
        data = snapshots["traded_uncranked"][name]
        broken = [b"", data[:20], data[1:], data[:-1], data + bytes(8), b"x" + data[1:], data[:-1] + b"x"]
        broken += [data[:5] + flags.to_bytes(8, "little") + data[13:] for flags in (0, 1, 2048 + data[5])]
        for image in broken:
            with pytest.raises(BadBytes):
                decode(image)
