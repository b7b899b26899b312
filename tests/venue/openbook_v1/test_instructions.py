"""Instructions against those of the official client: values -> bytes, bytes -> values, JSON -> bytes."""

import struct
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from bmv.errors import BadBytes, BadInput
from bmv.model import Placement, Side
from bmv.units import BaseLots, Ticks
from bmv.venue.openbook_v1 import bodies, instructions
from bmv.venue.openbook_v1.bodies import NEVER, encode_body, parse_body
from bmv.venue.openbook_v1.calls import CRANKS, ROLES, Call, build, parse, parse_parts
from bmv.venue.openbook_v1.describe import describe_instruction
from bmv.venue.openbook_v1.instructions import (
    Authorities,
    MarketKeys,
    NewOrder,
    OrderType,
    SelfTrade,
    sort_for_crank,
)

Golden = Callable[[str], Any]
Json = dict[str, Any]
NAMES = 51


@pytest.fixture(scope="module")
def vectors(golden: Golden) -> list[Json]:
    found: list[Json] = golden("instructions.json")
    return found


def key(text: str) -> Pubkey:
    return Pubkey.from_string(text)


def shown(instruction: Instruction) -> Json:
    return {
        "program_id": str(instruction.program_id),
        "data_hex": instruction.data.hex(),
        "keys": [
            {"pubkey": str(meta.pubkey), "isSigner": meta.is_signer, "isWritable": meta.is_writable}
            for meta in instruction.accounts
        ],
    }


def wanted(vector: Json) -> Json:
    return {name: vector[name] for name in ("program_id", "data_hex", "keys")}


def parsed(vector: Json) -> Call:
    addresses = [key(one["pubkey"]) for one in vector["keys"]]
    return parse_parts(key(vector["program_id"]), bytes.fromhex(vector["data_hex"]), addresses)


def test_every_vector_is_the_build_of_its_own_parse(vectors: list[Json]) -> None:
    assert len(vectors) == NAMES
    for vector in vectors:
        call = parsed(vector)
        assert shown(build(call)) == wanted(vector), vector["name"]
        assert parse(build(call)) == call, vector["name"]


def request(vector: Json, vectors: list[Json], maths: Json) -> Json:
    """Return what a person would ask for; calls of the client's market object also need that market."""
    params = dict(vector["params"])
    market = vector["name"].split("/")[0]
    if vector["ts_call"].startswith("market."):
        of = next(one["params"] for one in vectors if one["name"] == f"{market}/initializeMarket")
        decimals = {
            "baseDecimals": maths[market]["base_decimals"],
            "quoteDecimals": maths[market]["quote_decimals"],
        }
        params["market"] = of | decimals
    return {"ts_call": vector["ts_call"], "params": params}


def test_every_vector_is_described_from_its_parameters(vectors: list[Json], golden: Golden) -> None:
    maths = golden("maths.json")
    requests = [request(vector, vectors, maths) for vector in vectors]
    assert describe_instruction(requests) == [wanted(vector) for vector in vectors]
    assert describe_instruction(requests[0]) == wanted(vectors[0])


def market_keys(params: Json, signer: str = "11111111111111111111111111111111") -> MarketKeys:
    return MarketKeys(
        program=key(params["programId"]),
        market=key(params["market"]),
        request_queue=key(params["requestQueue"]),
        event_queue=key(params["eventQueue"]),
        bids=key(params["bids"]),
        asks=key(params["asks"]),
        base_vault=key(params["baseVault"]),
        quote_vault=key(params["quoteVault"]),
        vault_signer=key(params.get("vaultSigner", signer)),
        base_mint=key(params.get("baseMint", signer)),
        quote_mint=key(params.get("quoteMint", signer)),
    )


def order_of(params: Json) -> NewOrder:
    return NewOrder(
        side={"buy": Side.BID, "sell": Side.ASK}[params["side"]],
        price=int(params["limitPrice"]),
        size=int(params["maxBaseQuantity"]),
        max_quote=int(params["maxQuoteQuantity"]),
        client_id=int(params["clientId"]),
        order_type=[OrderType.LIMIT, OrderType.IOC, OrderType.POST_ONLY][
            ["limit", "ioc", "postOnly"].index(params["orderType"])
        ],
        self_trade=[SelfTrade.DECREMENT_TAKE, SelfTrade.CANCEL_PROVIDE, SelfTrade.ABORT][
            ["decrementTake", "cancelProvide", "abortTransaction"].index(params["selfTradeBehavior"])
        ],
        max_ts=params.get("maxTs"),
    )


def built(vectors: list[Json]) -> Iterator[tuple[Json, Instruction]]:
    """Pair each vector that has a named builder with what the builder gives."""
    full = vectors[0]["params"]
    for vector in vectors:
        params, name = vector["params"], vector["name"].removeprefix("m9/")
        if vector["ts_call"].startswith("market.") or name.startswith(("m6/", "sendTake", "matchOrders")):
            continue
        keys = market_keys(full | params)
        owner = key(params.get("owner", full["market"]))
        account = key(params.get("openOrders", full["market"]))
        payer = key(params.get("payer", full["market"]))
        cranked = [key(one) for one in params.get("openOrdersAccounts", [])]
        limit = params.get("limit", 0)
        if name.startswith("initializeMarket"):
            terms = bodies.InitializeMarket(
                int(params["baseLotSize"]),
                int(params["quoteLotSize"]),
                params["feeRateBps"],
                int(params["vaultSignerNonce"]),
                int(params["quoteDustThreshold"]),
            )
            authorities = None
            if "authority" in params:
                names = ("authority", "pruneAuthority", "crankAuthority")
                authorities = Authorities(*(key(params[one]) for one in names))
            yield vector, instructions.initialize_market(keys, terms, authorities)
        elif name.startswith("newOrderV3") and "feeDiscount" not in name:
            yield vector, instructions.new_order(keys, account, owner, payer, order_of(params))
        elif name == "replaceOrderByClientId":
            order = order_of(params | {"maxTs": NEVER})
            yield vector, instructions.replace_order_by_client_id(keys, account, owner, payer, order)
        elif name.startswith("replaceOrders"):
            orders = [order_of({"maxTs": NEVER} | one) for one in params["orders"]]
            yield vector, instructions.replace_orders_by_client_ids(keys, account, owner, payer, orders)
        elif name.startswith("cancelOrderV2"):
            side = Side.BID if params["side"] == "buy" else Side.ASK
            yield vector, instructions.cancel_order(keys, account, owner, side, int(params["orderId"]))
        elif name.startswith("cancelOrderByClientId"):
            client_id = int(params["clientId"])
            yield vector, instructions.cancel_order_by_client_id(keys, account, owner, client_id)
        elif name.startswith("cancelOrders"):
            ids = [int(one) for one in params["clientIds"]]
            yield vector, instructions.cancel_orders_by_client_ids(keys, account, owner, ids)
        elif name == "consumeEventsPermissioned":
            authority = key(params["crankAuthority"])
            yield vector, instructions.consume_events_permissioned(keys, cranked, limit, authority)
        elif name.startswith("consumeEvents"):
            yield vector, instructions.consume_events(keys, cranked, limit)
        elif name.startswith("settleFunds"):
            wallets = key(params["baseWallet"]), key(params["quoteWallet"])
            referrer = key(params["referrerQuoteWallet"]) if "referrerQuoteWallet" in params else None
            yield vector, instructions.settle_funds(keys, account, owner, *wallets, referrer)
        elif name == "initOpenOrders":
            yield vector, instructions.init_open_orders(keys, account, owner)
        elif name == "closeOpenOrders":
            yield vector, instructions.close_open_orders(keys, account, owner, key(params["solWallet"]))
        elif name == "prune":
            of = key(params["openOrdersOwner"])
            yield vector, instructions.prune(keys, account, of, key(params["pruneAuthority"]), limit)


def test_every_named_builder_gives_the_clients_instruction(vectors: list[Json]) -> None:
    pairs = list(built(vectors))
    assert len(pairs) == 36
    for vector, instruction in pairs:
        expected = wanted(vector)
        cranked = len(vector["params"].get("openOrdersAccounts", []))
        if cranked:  # The client leaves the order to its caller; ours is the one the program can search.
            front = sort_for_crank(key(one["pubkey"]) for one in expected["keys"][:cranked])
            writable = [{"pubkey": str(one), "isSigner": False, "isWritable": True} for one in front]
            expected["keys"] = writable + expected["keys"][cranked:]
        assert shown(instruction) == expected, vector["name"]


addresses = st.builds(Pubkey, st.binary(min_size=32, max_size=32))
u64 = st.integers(0, 2**64 - 1)
positive = st.integers(1, 2**64 - 1)
orders = st.builds(
    NewOrder,
    side=st.sampled_from(Side),
    price=positive,
    size=positive,
    max_quote=positive,
    client_id=u64,
    order_type=st.sampled_from(OrderType),
    self_trade=st.sampled_from(SelfTrade),
    limit=st.integers(1, 65535),
    max_ts=st.none() | st.integers(-(2**63), 2**63 - 1),
)
lasting = orders.filter(lambda order: order.max_ts is not None)
limits = st.integers(0, 65535)
any_body = st.one_of(
    st.builds(bodies.InitializeMarket, u64, u64, limits, u64, u64),
    st.builds(bodies.MatchOrders, limits),
    st.builds(bodies.ConsumeEvents, limits),
    st.builds(bodies.ConsumeEventsPermissioned, limits),
    st.builds(bodies.SettleFunds),
    st.builds(bodies.PlaceOrder, orders),
    st.builds(bodies.ReplaceOrder, lasting),
    st.builds(bodies.ReplaceOrders, st.lists(lasting, max_size=8).map(tuple)),
    st.builds(bodies.CancelOrder, st.sampled_from(Side), st.integers(0, 2**128 - 1)),
    st.builds(bodies.CancelOrderByClientId, u64),
    st.builds(bodies.CancelOrdersByClientIds, st.lists(u64, max_size=8).map(tuple)),
    st.builds(bodies.SendTake, st.sampled_from(Side), positive, positive, positive, u64, u64, limits),
    st.builds(bodies.CloseOpenOrders),
    st.builds(bodies.InitOpenOrders),
    st.builds(bodies.Prune, limits),
)


@given(any_body, addresses, st.lists(addresses, min_size=14, max_size=14), st.data())
def test_what_is_built_parses_back(
    body: bodies.Body, program: Pubkey, pool: list[Pubkey], data: st.DataObject
) -> None:
    roles = ROLES[type(body)]
    needed = sum(not role.is_optional for role in roles)
    crank = isinstance(body, CRANKS)
    given_count = data.draw(st.integers(needed, len(roles)))
    accounts = {role.name: pool[index] for index, role in enumerate(roles[:given_count])}
    call = Call(program, body, accounts, tuple(pool[:5]) if crank else ())
    assert parse(build(call)) == call


@given(st.binary(max_size=450))
def test_any_bytes_parse_to_their_value_or_are_refused(data: bytes) -> None:
    for candidate in (data, b"\0" + struct.pack("<I", len(data) % 21) + data):
        try:
            body = parse_body(candidate)
        except BadBytes:
            continue
        try:
            assert encode_body(body) == candidate
        except BadInput:  # stricter than the program: a match limit of 0
            assert isinstance(body, bodies.PlaceOrder | bodies.ReplaceOrder | bodies.ReplaceOrders)


GOOD = NewOrder(Side.BID, 5, 6, 7, 8, max_ts=9)


def changed(**fields: Any) -> NewOrder:
    return NewOrder(**{name: getattr(GOOD, name) for name in GOOD.__struct_fields__} | fields)


@pytest.mark.parametrize(
    "order",
    [
        changed(limit=0),
        changed(price=0),
        changed(size=0),
        changed(max_quote=0),
        changed(price=2**64),
        changed(size=-1),
        changed(client_id=2**64),
        changed(limit=65536),
        changed(max_ts=2**63),
    ],
)
def test_orders_that_cannot_be_sent_are_refused(order: NewOrder) -> None:
    for body in (bodies.PlaceOrder(order), bodies.ReplaceOrder(order), bodies.ReplaceOrders((order,))):
        with pytest.raises(BadInput):
            encode_body(body)


placements = st.sampled_from(list(Side)).flatmap(
    lambda side: st.lists(
        st.builds(
            Placement,
            st.just(0),
            st.just(side),
            st.just(1),
            st.integers(1, 2**40).map(Ticks),
            st.integers(1, 2**20).map(BaseLots),
            st.integers(0, 2**64 - 1),
        ),
        max_size=8,
    )
)


@given(placements, st.integers(1, 8), st.integers(-(2**63), 2**63 - 1))
def test_post_only_orders_are_those_the_body_encodes_of_values(
    places: list[Placement], lot: int, max_ts: int
) -> None:
    values = [
        NewOrder(one.side, int(one.price), int(one.size), int(one.price) * int(one.size) * lot, one.client_id)
        for one in places
    ]
    lasting = tuple(msgspec.structs.replace(value, max_ts=max_ts) for value in values)
    orders = bodies.encode_post_only(places, lot, max_ts)
    assert bodies.replace_orders_data(orders) == encode_body(bodies.ReplaceOrders(lasting))
    assert len(bodies.replace_orders_data(orders)) == bodies.REPLACE_BYTES + bodies.ORDER_BYTES * len(places)


@pytest.mark.parametrize(("price", "size"), [(0, 1), (1, 0), (2**64, 1), (2**40, 2**40)])
def test_post_only_orders_that_cannot_be_sent_are_refused(price: int, size: int) -> None:
    with pytest.raises(BadInput, match="ReplaceOrders"):
        bodies.encode_post_only([Placement(0, Side.BID, 1, Ticks(price), BaseLots(size), 1)], 1, 1)


def test_a_replacing_order_needs_an_expiry() -> None:
    with pytest.raises(BadInput, match="max_ts"):
        encode_body(bodies.ReplaceOrder(changed(max_ts=None)))


def test_a_ninth_order_or_id_is_refused() -> None:
    with pytest.raises(BadInput):
        encode_body(bodies.ReplaceOrders((GOOD,) * 9))
    with pytest.raises(BadInput):
        encode_body(bodies.CancelOrdersByClientIds(tuple(range(9))))


def test_a_crank_sorts_by_little_endian_words_and_drops_doubles() -> None:
    low_byte_first = Pubkey(b"\x02" + bytes(7) + bytes(24))
    high_byte_last = Pubkey(b"\x01" + bytes(6) + b"\x01" + bytes(24))
    second_word = Pubkey(b"\x02" + bytes(7) + b"\x01" + bytes(23))
    mixed = [high_byte_last, second_word, low_byte_first, second_word]
    assert sort_for_crank(mixed) == (low_byte_first, second_word, high_byte_last)
    assert sorted(map(bytes, mixed[:3])) != [bytes(one) for one in sort_for_crank(mixed)]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"ts_call": "DexInstructions.steal"}, "ts_call"),
        ({"ts_call": None}, "ts_call"),
        ({"params": []}, "params"),
        ({"params": {"side": "long"}}, "params.side"),
        ({"params": {"limitPrice": "0"}}, "params.limitPrice"),
        ({"params": {"limitPrice": "18446744073709551616"}}, "params.limitPrice"),
        ({"params": {"limitPrice": -1}}, "params.limitPrice"),
        ({"params": {"limitPrice": 1.5}}, "params.limitPrice"),
        ({"params": {"limitPrice": True}}, "params.limitPrice"),
        ({"params": {"maxBaseQuantity": "x"}}, "params.maxBaseQuantity"),
        ({"params": {"orderType": "market"}}, "params.orderType"),
        ({"params": {"owner": "nobody"}}, "params.owner"),
        ({"params": {"payer": None}}, "params.payer"),
        ({"params": {"programId": 7}}, "params.programId"),
        ({"params": {"replaceIfExists": "yes"}}, "params.replaceIfExists"),
    ],
)
def test_bad_parameters_are_named(vectors: list[Json], change: Json, field: str) -> None:
    vector = next(one for one in vectors if one["name"] == "m9/newOrderV3_buy_limit_decrementTake")
    spec: Json = {"ts_call": vector["ts_call"], "params": vector["params"]} | change
    if "params" in change and isinstance(change["params"], dict):
        spec["params"] = vector["params"] | change["params"]
    with pytest.raises(BadInput) as caught:
        describe_instruction(spec, source="order.json")
    assert caught.value.field == field
    assert caught.value.source == "order.json"


def test_a_request_that_is_no_object_is_refused() -> None:
    specs: list[object] = ["x", 3, None, [1], {}]
    for spec in specs:
        with pytest.raises(BadInput):
            describe_instruction(spec)


def test_a_market_call_without_its_market_says_what_is_missing(vectors: list[Json]) -> None:
    vector = next(one for one in vectors if one["ts_call"].startswith("market."))
    with pytest.raises(BadInput, match=r"params\.market"):
        describe_instruction({"ts_call": vector["ts_call"], "params": vector["params"]})


def test_a_finished_instruction_is_decoded_and_built_again_from_what_it_says(vectors: list[Json]) -> None:
    for vector in vectors:
        raw = {name: vector[name] for name in ("program_id", "data_hex", "keys")}
        assert describe_instruction(raw) == wanted(vector) == describe_instruction(vector)


def test_a_finished_instruction_with_broken_data_is_refused_by_name(vectors: list[Json]) -> None:
    raw = {name: vectors[0][name] for name in ("program_id", "keys")}
    for data in ("zz", "00", "00ff000000"):
        with pytest.raises(BadInput, match="data_hex"):
            describe_instruction({**raw, "data_hex": data})
