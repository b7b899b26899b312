"""What each instruction of a message may be: one rule per known program, and no other program.

Rules of this file
- Whoever receives value (lamports, tokens, rent) is a known key of ours, or a tip account within the tip.
- What a lookup table puts in is not believed: a receiver that stands in one is refused.
- An instruction is a *way out* where it only takes back what is ours: cancel, crank, settle, close.
- ``Effect`` counts lamports that leave us: tips, fees, and rent of what is opened.
- Prices of orders are not judged: the signer has no market. Orders must be post-only.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from solders.pubkey import Pubkey

from bmv.errors import BadBytes
from bmv.keys.decoded import Instruction, Message
from bmv.keys.grounds import Grounds
from bmv.units import Lamports
from bmv.venue.jupiter import JUPITER, Route, decode_route, swap_receivers
from bmv.venue.lookup_table import LOOKUP_TABLE_PROGRAM
from bmv.venue.openbook_v1 import bodies
from bmv.venue.openbook_v1.bodies import OrderType, parse_body
from bmv.venue.openbook_v1.calls import by_role
from bmv.venue.openbook_v1.layouts import OPEN_ORDERS_SIZE
from bmv.venue.system import COMPUTE_BUDGET_PROGRAM, SYSTEM_PROGRAM
from bmv.venue.token import ASSOCIATED_TOKEN_PROGRAM, TOKEN_ACCOUNT_SIZE, TOKEN_PROGRAM

RENT_PER_BYTE, ACCOUNT_OVERHEAD = 6_960, 128
"""Lamports; the dearest the chain has had. What is counted too high only fills the cap sooner."""
TOKEN_ACCOUNT_RENT = RENT_PER_BYTE * (ACCOUNT_OVERHEAD + TOKEN_ACCOUNT_SIZE)
LAMPORTS_PER_SIGNATURE = 5_000
MAX_UNITS = 1_400_000

_TRANSFER, _CREATE_WITH_SEED = 2, 3
_TOKEN_TRANSFER, _TOKEN_CLOSE, _TOKEN_TRANSFER_CHECKED, _TOKEN_SYNC = 3, 9, 12, 17
_TABLE_CREATE, _TABLE_EXTEND, _TABLE_DEACTIVATE, _TABLE_CLOSE = 0, 2, 3, 4
_UNITS, _UNIT_PRICE = 2, 3
_PLACING = bodies.PlaceOrder | bodies.ReplaceOrder | bodies.ReplaceOrders
_CANCELLING = bodies.CancelOrder | bodies.CancelOrderByClientId | bodies.CancelOrdersByClientIds


class NotLawful(Exception):
    """Why an instruction is not signed; the policy makes the error of it."""


@dataclass(slots=True)
class Effect:
    """What a message does: lamports that leave, whether it is a way out only, swaps by mint spent."""

    lamports: int = 0
    tip: int = 0
    way_out: bool = True
    swaps: list[tuple[bytes, Route]] = field(default_factory=list)
    units: int = MAX_UNITS
    unit_price: int = 0


def read_effect(message: Message, grounds: Grounds, most_tip: Lamports) -> Effect:
    """Return what a message does; raise NotLawful, or BadBytes where an instruction is none."""
    if message.payer not in grounds.wallets:
        raise NotLawful("the fee payer is no wallet of ours")
    for key in message.keys[: message.signers]:
        if key not in grounds.wallets:
            raise NotLawful(f"{_shown(key)} is to sign, and is no wallet of ours")
    effect = Effect()
    for call in message.instructions:
        rule = _RULES.get(call.program)
        if rule is None and grounds.market is not None and call.program == grounds.market_bytes["program"]:
            rule = _openbook
        if rule is None:
            raise NotLawful(f"program {_shown(call.program)} is not known")
        rule(call, message, grounds, effect)
    effect.lamports += LAMPORTS_PER_SIGNATURE * message.signers
    priority = -(-effect.units * effect.unit_price // 1_000_000)
    if effect.tip + priority > int(most_tip):
        raise NotLawful(f"tip and priority fee of {effect.tip + priority} lamports; at most {most_tip}")
    effect.lamports += effect.tip + priority
    return effect


def _system(call: Instruction, _: Message, grounds: Grounds, effect: Effect) -> None:
    (tag,) = _unpack("<I", call.data[:4])
    if tag == _TRANSFER:
        (amount,) = _unpack("<Q", call.data[4:])
        receiver = _accounts(call, 2)[1]
        if receiver in grounds.tip_accounts:
            effect.tip += amount
            return
        if receiver not in grounds.wallets and receiver not in grounds.token_accounts:
            raise NotLawful(f"a transfer to {_shown(receiver)}, which is not ours")
    elif tag == _CREATE_WITH_SEED:
        _create_open_orders(call, grounds, effect)
    else:
        raise NotLawful(f"system instruction {tag}")
    effect.way_out = False


def _create_open_orders(call: Instruction, grounds: Grounds, effect: Effect) -> None:
    """Let an account be made for the market's program; the chain proves its address from base and seed."""
    base, length = _unpack("<32sQ", call.data[4:44])
    lamports, size, owner = _unpack("<QQ32s", call.data[44 + length :])
    if grounds.market is None or owner != grounds.market_bytes["program"] or size != OPEN_ORDERS_SIZE:
        raise NotLawful("an account that is no OpenOrders of our market's program")
    if base not in grounds.wallets:
        raise NotLawful("an account that is not derived from a wallet of ours")
    if lamports > 2 * RENT_PER_BYTE * (ACCOUNT_OVERHEAD + size):
        raise NotLawful(f"{lamports} lamports for an account of {size} bytes")
    effect.lamports += lamports


def _compute_budget(call: Instruction, _: Message, __: Grounds, effect: Effect) -> None:
    tag = call.data[:1]
    if tag == bytes([_UNITS]):
        (effect.units,) = _unpack("<I", call.data[1:])
    elif tag == bytes([_UNIT_PRICE]):
        (effect.unit_price,) = _unpack("<Q", call.data[1:])
    else:
        raise NotLawful(f"compute budget instruction {tag.hex()}")


def _associated(call: Instruction, _: Message, grounds: Grounds, effect: Effect) -> None:
    """Let a token account of a wallet of ours be made; the program derives its address itself."""
    if call.data not in (b"", b"\0", b"\1"):
        raise NotLawful(f"associated token instruction {call.data[:8].hex()}")
    owner = _accounts(call, 6)[2]
    if owner not in grounds.wallets:
        raise NotLawful(f"a token account for {_shown(owner)}, which is no wallet of ours")
    effect.lamports += TOKEN_ACCOUNT_RENT
    effect.way_out = False


def _token(call: Instruction, _: Message, grounds: Grounds, effect: Effect) -> None:
    tag = call.data[0] if call.data else None
    if tag == _TOKEN_TRANSFER:
        receiver = _accounts(call, 3)[1]
    elif tag == _TOKEN_TRANSFER_CHECKED:
        receiver = _accounts(call, 4)[2]
    elif tag == _TOKEN_CLOSE:
        receiver = _accounts(call, 3)[1]
        if receiver not in grounds.wallets:
            raise NotLawful(f"the rent of a token account to {_shown(receiver)}, which is no wallet of ours")
        return
    elif tag == _TOKEN_SYNC:
        receiver = _accounts(call, 1)[0]
    else:
        raise NotLawful(f"token instruction {tag}")
    effect.way_out = False
    if tag != _TOKEN_SYNC and receiver not in grounds.token_accounts:
        raise NotLawful(f"tokens to {_shown(receiver)}, which is not ours")


def _table(call: Instruction, _: Message, grounds: Grounds, effect: Effect) -> None:
    (tag,) = _unpack("<I", call.data[:4])
    if tag == _TABLE_CREATE:
        effect.lamports += RENT_PER_BYTE * (ACCOUNT_OVERHEAD + 56)
    elif tag == _TABLE_EXTEND:
        effect.lamports += RENT_PER_BYTE * len(call.data)
    elif tag == _TABLE_CLOSE:
        receiver = _accounts(call, 3)[2]
        if receiver not in grounds.wallets:
            raise NotLawful(f"the rent of a lookup table to {_shown(receiver)}, which is no wallet of ours")
    elif tag != _TABLE_DEACTIVATE:
        raise NotLawful(f"lookup table instruction {tag}")
    effect.way_out &= tag in (_TABLE_DEACTIVATE, _TABLE_CLOSE)


def _openbook(call: Instruction, _: Message, grounds: Grounds, effect: Effect) -> None:
    body = parse_body(call.data)
    roles, _ahead = by_role(body, call.accounts)
    for role, account in roles.items():
        expected = grounds.market_bytes.get(role)
        if account is not None and expected is not None and account != expected:
            raise NotLawful(f"{role} is not our market's")
    if isinstance(body, _PLACING):
        _placing(body, roles, grounds)
        effect.way_out = False
    elif isinstance(body, bodies.SettleFunds):
        if roles["market"] is None:
            raise NotLawful("funds settled on a market out of a lookup table")
        for role in ("base_wallet", "quote_wallet", "referrer"):
            if role in roles and roles[role] not in grounds.token_accounts:
                raise NotLawful(f"funds settled to {_shown(roles[role])} ({role}), which is not ours")
    elif isinstance(body, bodies.CloseOpenOrders):
        if roles["destination"] not in grounds.wallets:
            raise NotLawful(f"the rent of OpenOrders to {_shown(roles['destination'])}, no wallet of ours")
    elif isinstance(body, bodies.InitOpenOrders):
        effect.way_out = False
    elif not isinstance(body, _CANCELLING | bodies.ConsumeEvents):
        raise NotLawful(f"{type(body).__name__} on the market")


def _placing(body: bodies.Body, roles: dict[str, bytes | None], grounds: Grounds) -> None:
    orders = body.orders if isinstance(body, bodies.ReplaceOrders) else (body.order,)  # type: ignore[attr-defined]
    if any(order.order_type is not OrderType.POST_ONLY for order in orders):
        raise NotLawful("an order that is not post-only")
    if roles["payer"] is not None and roles["payer"] not in grounds.token_accounts:
        raise NotLawful(f"orders paid from {_shown(roles['payer'])}, which is not ours")
    if "fee_discount" in roles:
        raise NotLawful("orders with a fee discount account")


def _swap(call: Instruction, message: Message, grounds: Grounds, effect: Effect) -> None:
    if grounds.treasury is None or message.payer != grounds.treasury or message.signers != 1:
        raise NotLawful("a swap that the treasury wallet does not pay and sign alone")
    places = swap_receivers(call.data)
    if len(call.accounts) <= max(place for place in places if place is not None):
        raise BadBytes("jupiter swap", f"only {len(call.accounts)} accounts")
    source, *receivers = (call.accounts[place] for place in places if place is not None)
    if len(receivers) == 2 and receivers[1] == call.program:
        receivers.pop()
    for account in (source, *receivers):
        owner, _mint = grounds.token_accounts.get(account or b"", (None, None))
        if owner != grounds.treasury:
            raise NotLawful(f"a swap from or to {_shown(account)}, no token account of the treasury's")
    for account in call.accounts:
        apart = account in grounds.token_accounts and account not in (source, *receivers)
        if apart or (account in grounds.wallets and account != grounds.treasury):
            raise NotLawful(f"a swap that names {_shown(account)}, which is ours and not part of it")
    effect.swaps.append((grounds.token_accounts[source or b""][1], decode_route(call.data)))
    effect.way_out = False


Rule = Callable[[Instruction, Message, Grounds, Effect], None]
_RULES: dict[bytes, Rule] = {
    bytes(SYSTEM_PROGRAM): _system,
    bytes(COMPUTE_BUDGET_PROGRAM): _compute_budget,
    bytes(ASSOCIATED_TOKEN_PROGRAM): _associated,
    bytes(TOKEN_PROGRAM): _token,
    bytes(LOOKUP_TABLE_PROGRAM): _table,
    bytes(JUPITER): _swap,
}


def _accounts(call: Instruction, count: int) -> tuple[bytes | None, ...]:
    if len(call.accounts) != count:
        raise NotLawful(f"{len(call.accounts)} accounts where {count} are known")
    return call.accounts


def _unpack(layout: str, data: bytes) -> tuple[Any, ...]:
    try:
        return struct.unpack(layout, data)
    except struct.error as error:
        raise BadBytes("instruction", str(error)) from error


def _shown(key: bytes | None) -> str:
    return "an account out of a lookup table" if key is None else str(Pubkey(key))
