"""Fees of the emulated program against measured ones and against each other."""

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bmv.sandbox.openbook.fees import (
    BASE_TIER,
    STABLE_TIER,
    maker_rebate,
    referrer_rebate,
    taker_fee,
    without_taker_fee,
)

MEASURED = Path(__file__).parents[2] / "golden" / "openbook_v1" / "fees_measured.json"


def test_fees_are_those_measured_on_the_compiled_program() -> None:
    rows = json.loads(MEASURED.read_text())
    assert rows
    for row in rows:
        fee, rebate = taker_fee(BASE_TIER, row["notional"]), maker_rebate(BASE_TIER, row["notional"])
        referrer = referrer_rebate(fee)
        assert (rebate, fee, referrer) == (row["maker_rebate"], row["taker_fee"], row["referrer"])
        assert fee - rebate - referrer == row["protocol"]


@given(st.sampled_from([BASE_TIER, STABLE_TIER]), st.integers(0, 2**64 - 1))
def test_the_taker_pays_for_maker_and_referrer(tier: int, quote: int) -> None:
    fee = taker_fee(tier, quote)
    assert fee >= maker_rebate(tier, quote) + referrer_rebate(fee)


@given(st.sampled_from([BASE_TIER, STABLE_TIER]), st.integers(0, 2**64 - 1))
def test_what_is_left_after_the_fee_can_pay_the_fee(tier: int, quote: int) -> None:
    spendable = without_taker_fee(tier, quote)
    assert 0 <= quote - spendable - taker_fee(tier, spendable) <= 1
