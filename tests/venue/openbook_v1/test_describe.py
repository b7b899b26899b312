"""JSON descriptions of recorded accounts, key by key."""

from typing import Any

import pytest

from bmv.errors import BadBytes
from bmv.venue.openbook_v1.describe import describe_account

Recorded = dict[str, tuple[bytes, Any]]


def test_every_recorded_account_is_described_as_expected(recorded_accounts: Recorded) -> None:
    assert len(recorded_accounts) >= 33
    for name, (data, expected) in recorded_accounts.items():
        assert describe_account(data) == expected, name


def test_every_account_of_a_market_is_described(snapshots: dict[str, dict[str, bytes]]) -> None:
    kinds = {name: describe_account(data)["flags"] for name, data in snapshots["settled"].items()}
    assert kinds == {
        "market": ["initialized", "market"],
        "bids": ["initialized", "bids"],
        "asks": ["initialized", "asks"],
        "event_queue": ["initialized", "event_queue"],
        "request_queue": ["initialized", "request_queue"],
        **{f"open_orders_{number}": ["initialized", "open_orders"] for number in range(3)},
    }


def test_other_accounts_are_refused(snapshots: dict[str, dict[str, bytes]]) -> None:
    market = snapshots["settled"]["market"]
    for data in (
        b"",
        bytes(388),
        market[:-8],
        market[:5] + bytes(8) + market[13:],
        market[:6] + b"\xff" + market[7:],
    ):
        with pytest.raises(BadBytes):
            describe_account(data)
