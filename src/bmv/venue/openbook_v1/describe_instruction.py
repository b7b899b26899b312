"""An instruction asked for in plain JSON -> its bytes and accounts, for ``bmv inspect instruction``.

A request is ``{"ts_call": ..., "params": {...}}`` with the call and parameter names of the official
TypeScript client: ``DexInstructions.*`` takes lots and atoms, ``market.make*`` prices and sizes as people
write them. The latter also need what that client's market object holds: ``params.market`` is then an object
with the market's addresses under their usual names, ``baseLotSize``, ``quoteLotSize``, ``baseDecimals`` and
``quoteDecimals``. As in that client, a crank's OpenOrders accounts keep the order given.

Where there is nothing to build from, ``{"program_id", "data_hex", "keys"}`` is decoded instead and built
again from what it says: the answer has the flags the program wants, whatever ``keys`` claims.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from solders.instruction import Instruction
from solders.pubkey import Pubkey
from solders.sysvar import RENT

from bmv.errors import BadBytes
from bmv.model import Side
from bmv.venue.openbook_v1 import bodies
from bmv.venue.openbook_v1.bodies import NEVER, Body, NewOrder, OrderType, SelfTrade
from bmv.venue.openbook_v1.calls import CRANKS, ROLES, Call, build, parse_parts
from bmv.venue.openbook_v1.numbers import Lots
from bmv.venue.openbook_v1.params import Params
from bmv.venue.token import TOKEN_PROGRAM

_SIDES = {"buy": Side.BID, "sell": Side.ASK}
_ORDER_TYPES = {"limit": OrderType.LIMIT, "ioc": OrderType.IOC, "postOnly": OrderType.POST_ONLY}
_SELF_TRADES = {
    "decrementTake": SelfTrade.DECREMENT_TAKE,
    "cancelProvide": SelfTrade.CANCEL_PROVIDE,
    "abortTransaction": SelfTrade.ABORT,
}
_CONSTANTS = {"rent": RENT, "token_program": TOKEN_PROGRAM}
_MARKET_ROLES = ("market", "request_queue", "event_queue", "bids", "asks", "base_vault", "quote_vault")
# Parameter names that are not the role in camel case.
_PARAMETERS = {
    "base_fees": "coinFee",
    "quote_fees": "pcFee",
    "fee_discount": "feeDiscountPubkey",
    "referrer": "referrerQuoteWallet",
    "destination": "solWallet",
    "open_orders_authority": "authority",
    "consume_events_authority": "crankAuthority",
}


def describe_instruction(spec: object, source: str = "instruction file") -> Any:
    """Return {program_id, data_hex, keys} of one request, or a list of them for a list of requests.

    Raises BadInput (field, value, what is allowed, ``source``) for a request that cannot be built.
    """
    if isinstance(spec, list):
        return [describe_instruction(one, source) for one in spec]
    request = Params.read(spec, "", source)
    instruction = _decoded(request) if _is_raw(request) else _asked(request)
    return {
        "program_id": str(instruction.program_id),
        "data_hex": instruction.data.hex(),
        "keys": [
            {"pubkey": str(meta.pubkey), "isSigner": meta.is_signer, "isWritable": meta.is_writable}
            for meta in instruction.accounts
        ],
    }


def _asked(request: Params) -> Instruction:
    make = request.choice("ts_call", _CALLS)
    return make(request.inner("params"))


def _is_raw(request: Params) -> bool:
    """Say whether only the finished instruction can tell: no call, or one that leaves its market unsaid."""
    if "ts_call" not in request or "params" not in request:
        return "data_hex" in request
    request.choice("ts_call", _CALLS)
    marketless = "market" not in request.inner("params")
    return request.text("ts_call").startswith("market.") and marketless and "data_hex" in request


def _decoded(request: Params) -> Instruction:
    addresses = [key.address("pubkey") for key in request.objects("keys")]
    try:
        return build(parse_parts(request.address("program_id"), request.hex("data_hex"), addresses))
    except BadBytes as error:
        raise request.fail("data_hex", f"an instruction of the program ({error.why})") from error


def _raw(read: Callable[[Params], Body]) -> Callable[[Params], Instruction]:
    """Return the maker of a call whose parameters are all in one object, in lots and atoms."""

    def make(params: Params) -> Instruction:
        return _build(params, params, read(params))

    return make


def _human(read: Callable[[Params, Lots], Body]) -> Callable[[Params], Instruction]:
    """Return the maker of a call of the client's market object, in prices and sizes as people write them."""

    def make(params: Params) -> Instruction:
        market = params.inner("market")
        lots = Lots(
            market.integer("baseDecimals", 5),
            market.integer("quoteDecimals", 5),
            market.integer("baseLotSize", 64, low=1),
            market.integer("quoteLotSize", 64, low=1),
        )
        return _build(params, market, read(params, lots), {"open_orders": "openOrdersAddressKey"})

    return make


def _build(params: Params, market: Params, body: Body, renamed: dict[str, str] | None = None) -> Instruction:
    names = _PARAMETERS | (renamed or {})
    accounts: dict[str, Pubkey] = {}
    missing = ""
    for role in ROLES[type(body)]:
        name = names.get(role.name, _camel(role.name))
        of = market if role.name in _MARKET_ROLES else params
        if role.name in _CONSTANTS:
            accounts[role.name] = _CONSTANTS[role.name]
        elif role.is_optional and name not in of:
            missing = name
        elif missing:
            raise of.fail(name, f"only possible together with {missing}")
        else:
            accounts[role.name] = of.address(name)
    if "open_orders_authority" in accounts:
        accounts["rent"] = accounts["quote_mint"]
    open_orders = params.addresses("openOrdersAccounts") if isinstance(body, CRANKS) else ()
    return build(Call(market.address("programId"), body, accounts, open_orders))


def _camel(role: str) -> str:
    first, *rest = role.split("_")
    return first + "".join(word.title() for word in rest)


def _initialize_market(params: Params) -> Body:
    return bodies.InitializeMarket(
        params.integer("baseLotSize", 64),
        params.integer("quoteLotSize", 64),
        params.integer("feeRateBps", 16),
        params.integer("vaultSignerNonce", 64),
        params.integer("quoteDustThreshold", 64),
    )


def _order(params: Params, lots: Lots | None = None) -> NewOrder:
    """Read an order in lots and atoms, or with ``lots`` as people write it."""
    if lots is None:
        price = params.integer("limitPrice", 64, low=1)
        size = params.integer("maxBaseQuantity", 64, low=1)
        max_quote = params.integer("maxQuoteQuantity", 64, low=1)
    else:
        price = lots.price_to_ticks(params.number("price"))
        size = lots.size_to_lots(params.number("size"))
        max_quote = price * size * lots.quote_lot_size
        for name, amount in (("price", price), ("size", size)):
            if not amount or max_quote >> 64:
                raise params.fail(name, "at least one tick and one lot, and a value below 2^64 atoms")
    return NewOrder(
        side=params.choice("side", _SIDES),
        price=price,
        size=size,
        max_quote=max_quote,
        client_id=params.integer("clientId", 64, default=0),
        order_type=params.choice("orderType", _ORDER_TYPES),
        self_trade=params.choice("selfTradeBehavior", _SELF_TRADES),
        max_ts=params.integer("maxTs", 63) if "maxTs" in params else None,
    )


def _place(params: Params, lots: Lots | None = None) -> Body:
    order = _order(params, lots)
    if params.flag("replaceIfExists"):
        return bodies.ReplaceOrder(_lasting(order))
    return bodies.PlaceOrder(order)


def _replace(params: Params, lots: Lots | None = None) -> Body:
    orders = [_lasting(_order(one, lots)) for one in params.objects("orders")]
    if len(orders) > bodies.MAX_BATCH:
        raise params.fail("orders", f"at most {bodies.MAX_BATCH} orders")
    return bodies.ReplaceOrders(tuple(orders))


def _lasting(order: NewOrder) -> NewOrder:
    return order if order.max_ts is not None else msgspec.structs.replace(order, max_ts=NEVER)


def _cancel(params: Params) -> Body:
    return bodies.CancelOrder(params.choice("side", _SIDES), params.integer("orderId", 128))


def _cancel_many(params: Params) -> Body:
    client_ids = params.integers("clientIds", 64)
    if len(client_ids) > bodies.MAX_BATCH:
        raise params.fail("clientIds", f"at most {bodies.MAX_BATCH} ids")
    return bodies.CancelOrdersByClientIds(client_ids)


def _send_take(params: Params) -> Body:
    return bodies.SendTake(
        params.choice("side", _SIDES),
        params.integer("limitPrice", 64, low=1),
        params.integer("maxBaseQuantity", 64, low=1),
        params.integer("maxQuoteQuantity", 64, low=1),
        params.integer("minBaseQuantity", 64),
        params.integer("minQuoteQuantity", 64),
        params.integer("limit", 16),
    )


_CALLS: dict[str, Callable[[Params], Instruction]] = {
    "DexInstructions.initializeMarket": _raw(_initialize_market),
    "DexInstructions.newOrderV3": _raw(_place),
    "DexInstructions.replaceOrdersByClientIds": _raw(_replace),
    "DexInstructions.cancelOrderV2": _raw(_cancel),
    "DexInstructions.cancelOrderByClientIdV2": _raw(
        lambda params: bodies.CancelOrderByClientId(params.integer("clientId", 64))
    ),
    "DexInstructions.cancelOrdersByClientIds": _raw(_cancel_many),
    "DexInstructions.consumeEvents": _raw(lambda params: bodies.ConsumeEvents(params.integer("limit", 16))),
    "DexInstructions.consumeEventsPermissioned": _raw(
        lambda params: bodies.ConsumeEventsPermissioned(params.integer("limit", 16))
    ),
    "DexInstructions.settleFunds": _raw(lambda _: bodies.SettleFunds()),
    "DexInstructions.initOpenOrders": _raw(lambda _: bodies.InitOpenOrders()),
    "DexInstructions.closeOpenOrders": _raw(lambda _: bodies.CloseOpenOrders()),
    "DexInstructions.prune": _raw(lambda params: bodies.Prune(params.integer("limit", 16))),
    "DexInstructions.sendTake": _raw(_send_take),
    "DexInstructions.matchOrders": _raw(lambda params: bodies.MatchOrders(params.integer("limit", 16))),
    "market.makeNewOrderV3Instruction": _human(_place),
    "market.makeReplaceOrdersByClientIdsInstruction": _human(_replace),
}
