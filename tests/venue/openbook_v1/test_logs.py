"""Log records against a recorded crank: each fill it consumed is there, with the same numbers."""

import base64
from collections.abc import Callable
from typing import Any

import pytest

from bmv.errors import BadBytes
from bmv.model import Side
from bmv.venue.openbook_v1.logs import BalanceLog, FillLog, decode_log

Golden = Callable[[str], Any]


def test_a_crank_logs_each_fill_and_then_the_balance(golden: Golden) -> None:
    recorded = golden("consume_logs.json")
    records = [record for record in map(decode_log, recorded["logs"]) if record is not None]
    fills = [event for event in recorded["events_consumed"] if event["kind"].startswith("fill")]
    assert [type(record) for record in records] == [FillLog, BalanceLog] * len(fills)
    owners = {recorded[name]["oo"]: recorded[name]["owner"] for name in ("a", "b")}
    for record, event in zip(records[::2], fills, strict=True):
        assert isinstance(record, FillLog)
        assert record.side is (Side.BID if "bid" in event["kind"] else Side.ASK)
        assert record.maker is ("maker" in event["kind"])
        assert str(record.market) == recorded["market"]
        assert str(record.open_orders) == event["open_orders"]
        assert str(record.owner) == owners[event["open_orders"]]
        assert (record.native_paid, record.native_received) == (event["paid"], event["released"])
        assert record.native_fee_or_rebate == event["fee_or_rebate"]
        assert (str(record.order_id), record.owner_slot) == (event["order_id"], event["slot"])
        assert record.client_id == (event["client_id"] or None)
        assert record.referrer_rebate == (None if record.maker else event["fee_or_rebate"] // 2)
    for fill, balance in zip(records[::2], records[1::2], strict=True):
        assert isinstance(balance, BalanceLog)
        assert (balance.open_orders, balance.owner) == (fill.open_orders, fill.owner)
        assert balance.base_free <= balance.base_total
        assert balance.quote_free <= balance.quote_total
    taker = records[3]
    assert isinstance(taker, BalanceLog)
    assert taker.referrer_rebates == 60


def test_other_lines_are_not_records() -> None:
    for line in (
        "",
        "Program log: x",
        "Program data: ???",
        "Program data: " + base64.b64encode(b"x" * 40).decode(),
    ):
        assert decode_log(line) is None


def test_cut_records_are_refused(golden: Golden) -> None:
    for line in golden("consume_logs.json")["logs"][1:5]:
        data = base64.b64decode(line.removeprefix("Program data: "))
        for length in range(8, len(data)):
            with pytest.raises(BadBytes):
                decode_log("Program data: " + base64.b64encode(data[:length]).decode())
        with pytest.raises(BadBytes):
            decode_log("Program data: " + base64.b64encode(data + b"\0").decode())
