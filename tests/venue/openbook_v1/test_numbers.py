"""Order ids, lots, derived addresses and fees against the official client and the compiled program."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from bmv.errors import BadBytes
from bmv.model import Side
from bmv.venue.openbook_v1 import layouts
from bmv.venue.openbook_v1.codec import decode_book_side, decode_market
from bmv.venue.openbook_v1.fees import fees
from bmv.venue.openbook_v1.instructions import (
    OPENBOOK_V1,
    open_orders_address,
    open_orders_seed,
    vault_signer_address,
)
from bmv.venue.openbook_v1.numbers import Lots, order_id, order_price, order_seq

Golden = Callable[[str], Any]


def lots_of(maths: dict[str, Any]) -> Lots:
    return Lots(maths["base_decimals"], maths["quote_decimals"], maths["base_lot"], maths["quote_lot"])


@pytest.mark.parametrize("market", ["m9", "m6"])
def test_prices_and_sizes_convert_as_in_the_official_client(golden: Golden, market: str) -> None:
    maths = golden("maths.json")[market]
    lots = lots_of(maths)
    assert lots.ticks_to_price(1) == Decimal(str(maths["tickSize"]))
    assert lots.lots_to_size(1) == Decimal(str(maths["minOrderSize"]))
    for one in maths["price"]:
        ticks = lots.price_to_ticks(Decimal(str(one["ui"])))
        assert (str(ticks), lots.ticks_to_price(ticks)) == (one["lots"], Decimal(str(one["back"])))
    for one in maths["size"]:
        size = Decimal(str(one["ui"]))
        assert (str(lots.size_to_lots(size)), str(lots.size_to_atoms(size))) == (one["lots"], one["spl"])
        assert lots.lots_to_size(int(one["lots"])) == Decimal(str(one["back"]))


@pytest.mark.parametrize("market", ["m9", "m6"])
def test_open_orders_addresses_follow_the_clients_seed(golden: Golden, market: str) -> None:
    of = next(
        one["params"]["market"]
        for one in golden("instructions.json")
        if one["name"] == f"{market}/initializeMarket"
    )
    for one in golden("maths.json")[market]["derived_open_orders"]:
        assert open_orders_seed(Pubkey.from_string(of)) == one["seed"]
        address = open_orders_address(Pubkey.from_string(one["owner"]), Pubkey.from_string(of))
        assert str(address) == one["address"]


def test_vault_signers_follow_from_market_and_nonce(golden: Golden) -> None:
    keys = golden("accounts_m9.json")["keys"]
    market = Pubkey.from_string(keys["market"])
    assert str(vault_signer_address(market, keys["vault_signer_nonce"])) == keys["vault_signer"]
    assert str(OPENBOOK_V1) == keys["program"]
    pumped = Pubkey.from_string("uYU15HD1VCeti8CkyVL5JY18mip8tVWNuvS35k1UCNy")
    assert str(vault_signer_address(pumped, 5)) == "3TjyFxeihC87gh49xE3RgYjySCknCXRPTv1kcf47cEZj"


def test_a_nonce_without_a_vault_signer_is_refused(golden: Golden) -> None:
    market = Pubkey.from_string(golden("accounts_m9.json")["keys"]["market"])
    for nonce in (0, 1):  # its own nonce is 2, the smallest that works
        with pytest.raises(BadBytes, match="no vault signer"):
            vault_signer_address(market, nonce)


def test_fees_are_those_the_program_charged(golden: Golden) -> None:
    for one in golden("fees_measured.json"):
        charged = fees(one["notional"])
        assert (charged.taker_fee, charged.maker_rebate) == (one["taker_fee"], one["maker_rebate"])
        assert (charged.referrer_rebate, charged.protocol) == (one["referrer"], one["protocol"])


@given(st.integers(0, 2**63))
def test_the_program_never_pays_out_more_than_the_taker_paid(notional: int) -> None:
    charged = fees(notional)
    assert 0 <= charged.protocol <= 1
    assert -2500 < charged.taker_fee * 2500 - notional <= 2500
    assert charged.maker_rebate * 5000 <= notional


@given(st.sampled_from(Side), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_order_ids_give_back_price_and_sequence(side: Side, price: int, seq: int) -> None:
    identifier = order_id(side, price, seq)
    assert (order_price(identifier), order_seq(side, identifier)) == (price, seq)


@given(st.integers(1, 2**32), st.integers(1, 2**32), st.integers(0, 2**32), st.integers(0, 2**32))
def test_best_first_is_by_price_and_then_by_age(price: int, other: int, seq: int, later: int) -> None:
    age = seq, seq + 1 + later
    assert order_id(Side.ASK, price, age[0]) < order_id(Side.ASK, price, age[1])
    assert order_id(Side.BID, price, age[0]) > order_id(Side.BID, price, age[1])
    if price < other:
        assert order_id(Side.ASK, price, age[1]) < order_id(Side.ASK, other, age[0])
        assert order_id(Side.BID, price, age[0]) < order_id(Side.BID, other, age[1])


def test_ids_on_the_book_carry_the_markets_sequence(snapshots: dict[str, dict[str, bytes]]) -> None:
    seqs = []
    for name in ("bids", "asks"):
        side = decode_book_side(snapshots["traded_uncranked"][name])
        seqs += [order_seq(side.side, order.order_id) for order in side.orders()]
    assert len(set(seqs)) == len(seqs)
    assert max(seqs) < 95
    assert decode_market(snapshots["settled"]["market"]).base_lot_size == 10**9


def test_account_lengths_give_the_capacities_measured_on_the_program() -> None:
    assert [layouts.book_side_capacity(size) for size in (65_548, 14_524, 475_252)] == [455, 101, 3_300]
    assert [layouts.event_queue_capacity(size) for size in (262_156, 11_308, 792_044)] == [2_978, 128, 9_000]
    assert [layouts.request_queue_capacity(size) for size in (5_132, 124)] == [63, 1]


def test_layout_offsets_are_those_of_the_official_client(golden: Golden) -> None:
    found = golden("maths.json")["layouts"]
    names = {"accountFlags": layouts.FLAGS_OFFSET} | {
        "".join(word.title() if i else word for i, word in enumerate(name.split("_"))): offset
        for name, (offset, _) in layouts.MARKET_FIELDS.items()
    }
    assert names == found["market_offsets"]
    assert (found["market_span"], found["open_orders_span"]) == (388, layouts.OPEN_ORDERS_SIZE)
    assert found["open_orders_offsets"] == {
        "accountFlags": layouts.FLAGS_OFFSET,
        "market": layouts.OPEN_ORDERS_MARKET,
        "owner": layouts.OPEN_ORDERS_OWNER,
        "baseTokenFree": layouts.OPEN_ORDERS_BASE_FREE,
        "baseTokenTotal": layouts.OPEN_ORDERS_BASE_TOTAL,
        "quoteTokenFree": layouts.OPEN_ORDERS_QUOTE_FREE,
        "quoteTokenTotal": layouts.OPEN_ORDERS_QUOTE_TOTAL,
        "freeSlotBits": layouts.OPEN_ORDERS_FREE_SLOT_BITS,
        "isBidBits": layouts.OPEN_ORDERS_IS_BID_BITS,
        "orders": layouts.OPEN_ORDERS_ORDERS,
        "clientIds": layouts.OPEN_ORDERS_CLIENT_IDS,
        "referrerRebatesAccrued": layouts.OPEN_ORDERS_REFERRER_REBATES,
    }
    assert (found["event_header_span"], found["event_span"]) == (layouts.QUEUE_ITEMS, layouts.EVENT_SIZE)
    assert (found["request_header_span"], found["request_span"]) == (
        layouts.QUEUE_ITEMS,
        layouts.REQUEST_SIZE,
    )
