"""What an address given as a market really is, and whether this version can trade on it.

Detection looks at the owner program first, then at the account's shape; nothing is guessed from a length.
Program ids and shapes: docs/layouts.md.
"""

from dataclasses import dataclass
from enum import StrEnum

from solders.pubkey import Pubkey

from bmv.errors import BadBytes
from bmv.venue.openbook_v1.addresses import OPENBOOK_V1
from bmv.venue.openbook_v1.codec import decode_market
from bmv.venue.openbook_v1.envelope import read_flags
from bmv.venue.openbook_v1.layouts import OPEN_ORDERS_MARKET, AccountFlag
from bmv.venue.token import TOKEN_PROGRAM

OPENBOOK_V2 = Pubkey.from_string("opnb2LAfJYbRMAHHvqjCwQxanZn7ReEHp1k81EohpZb")
SERUM_V3 = Pubkey.from_string("9xQeWvG816bUx9EPjHmaT23yvVM2ZWbrrpZb9PusVFin")
OPENBOOK_V1_DEVNET = Pubkey.from_string("EoTcMgcDRTJVZDMZWBoU6rhYHZfkNTVEAfz3uUJRcYGj")
SYSTEM_PROGRAM = Pubkey.from_string("11111111111111111111111111111111")
V2_KINDS = {
    bytes.fromhex("dbbed53700e3c69a"): "market",
    bytes.fromhex("ffc24e7b1069d0a5"): "OpenOrders account",
    bytes.fromhex("482ce18db2826139"): "book side",
    bytes.fromhex("773b3d13a55439af"): "event heap",
}
V2_MARKET_SIZE = 848
_V1_PARTS = {
    AccountFlag.REQUEST_QUEUE: "a request queue",
    AccountFlag.EVENT_QUEUE: "an event queue",
    AccountFlag.BIDS: "a book of bids",
    AccountFlag.ASKS: "a book of asks",
}
_TOKEN_PARTS = {82: "a token's mint", 165: "a token account"}
_PASS_THE_MARKET = "give the address of the market itself"


class MarketKind(StrEnum):
    """What an address is."""

    OPENBOOK_V1 = "OpenBook v1 market"
    PERMISSIONED = "permissioned OpenBook v1 market"
    DISABLED = "disabled OpenBook v1 market"
    CLOSED = "closed OpenBook v1 market"
    OPENBOOK_V2 = "OpenBook v2 market"
    SERUM_V3 = "Serum v3 market"
    FOREIGN = "market of another deployment"
    NO_MARKET = "not a market"


@dataclass(frozen=True, slots=True)
class Detected:
    """What an address is, in a word and in a sentence a person understands."""

    kind: MarketKind
    message: str

    @property
    def is_supported(self) -> bool:
        """Say whether this version trades on it."""
        return self.kind is MarketKind.OPENBOOK_V1


def detect(address: Pubkey, owner: Pubkey | None, data: bytes) -> Detected:
    """Tell what is at ``address``; ``owner`` is None where no account is there. Never raises."""
    if owner is None:
        return _no_market(f"nothing exists at {address}: check it, and that RPC_URL is of its cluster")
    if owner == OPENBOOK_V2:
        return _detect_v2(address, data)
    try:
        flags = read_flags("market", data)
    except BadBytes:
        return _no_market(f"{address} is {_other(owner, data)}, not a market; {_PASS_THE_MARKET}")
    if not flags & AccountFlag.MARKET:
        return _no_market(f"{address} is {_part(flags, data)}, not a market; {_PASS_THE_MARKET}")
    return _detect_v1(address, data, flags) if owner == OPENBOOK_V1 else _detect_kin(address, owner)


def closed_reason(data: bytes) -> str:
    """Return why a v1 market takes no orders any more, '' while it does; raise BadBytes for broken bytes."""
    flags = read_flags("market", data)
    if flags & AccountFlag.CLOSED or not flags & AccountFlag.MARKET:
        return "the market has been closed"
    return "the market has been disabled by its authority" if flags & AccountFlag.DISABLED else ""


def _detect_v1(address: Pubkey, data: bytes, flags: int) -> Detected:
    if closed := closed_reason(data):
        kind = MarketKind.CLOSED if flags & AccountFlag.CLOSED else MarketKind.DISABLED
        return Detected(kind, f"{address}: {closed}; it takes no orders")
    try:
        market = decode_market(data)
    except BadBytes as broken:
        return _no_market(f"{address} calls itself a market, but its bytes are broken: {broken.why}")
    if market.own_address != address:
        return _no_market(f"{address} is a copy of market {market.own_address}, not a market")
    if flags & AccountFlag.PERMISSIONED:
        return Detected(
            MarketKind.PERMISSIONED,
            f"{address} is a permissioned market: its authority {market.open_orders_authority} must sign for"
            " every account that trades there, which this version does not support",
        )
    return Detected(MarketKind.OPENBOOK_V1, f"{address} is an OpenBook v1 market")


def _detect_kin(address: Pubkey, owner: Pubkey) -> Detected:
    """Tell of a market that is laid out as v1's are and belongs to another program."""
    if owner == SERUM_V3:
        return Detected(
            MarketKind.SERUM_V3,
            f"{address} is a Serum v3 market: nobody maintains that program any more, and its upgrade key is"
            " in doubt; use the token's OpenBook v1 market",
        )
    where = "OpenBook v1 on devnet" if owner == OPENBOOK_V1_DEVNET else f"the unknown program {owner}"
    return Detected(MarketKind.FOREIGN, f"{address} is laid out as a v1 market but belongs to {where}")


def _detect_v2(address: Pubkey, data: bytes) -> Detected:
    what = V2_KINDS.get(data[:8], "account")
    if what == "market" and len(data) == V2_MARKET_SIZE:
        return Detected(
            MarketKind.OPENBOOK_V2,
            f"{address} is an OpenBook v2 market; this version trades on OpenBook v1 only",
        )
    return _no_market(f"{address} is an OpenBook v2 {what}, not a market")


def _no_market(message: str) -> Detected:
    return Detected(MarketKind.NO_MARKET, message)


def _part(flags: int, data: bytes) -> str:
    if flags & AccountFlag.OPEN_ORDERS:
        market = Pubkey(data[OPEN_ORDERS_MARKET : OPEN_ORDERS_MARKET + 32])
        return f"an OpenOrders account of market {market}"
    names = (name for flag, name in _V1_PARTS.items() if flags & flag)
    return next(names, f"an account with flags {flags:#x}")


def _other(owner: Pubkey, data: bytes) -> str:
    """Return what people mistake for a market's address."""
    if owner == SYSTEM_PROGRAM:
        return "a wallet"
    if owner == TOKEN_PROGRAM:
        return _TOKEN_PARTS.get(len(data), "an account of the token program")
    return f"an account of {len(data)} bytes that belongs to the program {owner}"
