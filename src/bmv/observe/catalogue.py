"""The events of the engine: every name once, with what it means, its level in the log, and its fields.

An event is a ``Report`` action: journalled, stored, streamed to the page, written to the log. Stored fields
are whole numbers in the chain's units, or words; logs and people get them as people write them (``spoken``).
A field with ``given`` is there only when there is something to say. docs/events.md is printed from here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Money = Literal["ticks", "fine", "lots", "atoms", "lamports", "microdollars"]
Unit = Money | Literal["text", "count", "wallet", "bps", "ms", "slot"]
Level = Literal["info", "warning"]


@dataclass(frozen=True, slots=True)
class Told:
    """One field: its unit, what it is, and when it is there."""

    unit: Unit
    says: str
    given: bool = False

    @property
    def kind(self) -> type:
        """Return what it is stored as."""
        return str if self.unit == "text" else int


@dataclass(frozen=True, slots=True)
class Known:
    """One event."""

    says: str
    fields: Mapping[str, Told]
    level: Level = "info"


def _text(says: str, *, given: bool = False) -> Told:
    return Told("text", says, given)


def _count(says: str) -> Told:
    return Told("count", says)


_WALLET = Told("wallet", "number of the wallet, from 0")
_REASON = _text("why")
_SIDE = _text("BID or ASK")
_PRICE_FINE = Told("fine", "P")
_PIVOT_FINE = Told("fine", "the Pivot used for quoting, 0 where none is known")
_ORDER: Mapping[str, Told] = {
    "price": Told("ticks", "price of the order"),
    "size": Told("lots", "how much of it"),
    "side": _SIDE,
    "wallet": _WALLET,
}
_BUNDLE: Mapping[str, Told] = {"bundle": _text("its id"), "reason": _REASON}
_CONVERTED: Mapping[str, Told] = {
    "usdc": Told("microdollars", "USDC that changed hands"),
    "sol": Told("lamports", "SOL that changed hands"),
    "rule": _text("rule of the treasury that asked for it"),
    "proven": _count("1: the chain said so; 0: the amounts are those expected"),
}
_STOPPED: Mapping[str, Told] = {"side": _SIDE, "reason": _REASON, "price_fine": _PRICE_FINE}
_SILENT: Mapping[str, Told] = {"silent_ms": Told("ms", "for how long")}
_MEMBER: Mapping[str, Told] = {"wallet": _WALLET, "address": _text("its address")}
_DAMPER: Mapping[str, Told] = {
    "drop_bps": Told("bps", "SOL below its average"),
    "usdc": Told("microdollars", "USDC held"),
}
_OUTSIDE: Mapping[str, Told] = {
    "account": _text("number of the wallet, or treasury"),
    "lamports": Told("lamports", "SOL that came (negative: went)", given=True),
    "base_atoms": Told("atoms", "tokens that came", given=True),
    "size": Told("lots", "whole lots among these, which is what the books count", given=True),
    "usdc": Told("microdollars", "USDC that came", given=True),
}

EVENTS: Mapping[str, Known] = {
    # The ladder
    "STARTED": Known(
        "every wallet is ready; quoting begins",
        {"wallets": _count("wallets"), "orders_found": _count("orders of ours that stood already")},
    ),
    "GRID_REBUILD": Known(
        "the ladder was computed anew, and this is what sending it comes to",
        {
            "trigger": _text("signal, threshold, local or forced"),
            "cause": _text("what exactly"),
            "price_fine": _PRICE_FINE,
            "pivot_fine": _PIVOT_FINE,
            "pivot_raw_fine": Told("fine", "the Pivot that trades alone give, 0 where none is known"),
            "own_share_bps": Told("bps", "our own fills in it"),
            "levels": _count("levels wanted"),
            "waiting": _count("levels that wait for funds or room"),
            "kept": _count("orders that stay"),
            "cancelled": _count("orders withdrawn"),
            "placed": _count("orders placed"),
            "wallets": _count("wallets that change"),
            "transactions": _count("transactions"),
            "bundles": _count("bundles"),
            "cost": Told("lamports", "tips and fees expected"),
            "waiting_for": _text("side and reason of what waits", given=True),
        },
    ),
    "IDLE_TIGHTEN": Known(
        "nobody traded; the inside spread narrowed by a step",
        {"spread_bps": Told("bps", "the inside spread now"), "before_bps": Told("bps", "and before")},
    ),
    "FUNDING_PROPOSED": Known(
        "a transfer between wallets would let more of the ladder stand",
        {
            "from": _WALLET,
            "to": _WALLET,
            "asset": _text("SOL or TOKEN"),
            "amount": _count("lamports, or lots of the token"),
            "reason": _REASON,
        },
    ),
    "OUT_OF_CHANNEL": Known(
        "sides that find no price in their zone (pivot mode) are now these",
        {"side": _text("BID, ASK, both or none"), "price_fine": _PRICE_FINE, "pivot_fine": _PIVOT_FINE},
        "warning",
    ),
    # Orders
    "ORDER_FILL": Known("an order of ours traded", _ORDER),
    "ORDER_DROPPED": Known("a placement landed and did not come to stand", _ORDER),
    "ORDER_SHORT": Known(
        "less of a placement stands than was asked for",
        {**_ORDER, "stands": Told("lots", "what stands")},
    ),
    "WALLET_ORDER_EVICTED": Known("a full book pushed out an order of ours", _ORDER, "warning"),
    "WALLET_ORDER_UNKNOWN": Known("an order stands that this engine did not place", _ORDER, "warning"),
    "BOOK_FLOODED": Known(
        "others' orders push many of ours out of the book",
        {
            "side": _SIDE,
            "evicted": _count("levels that wait"),
            "orders_of_others": _count("orders of others"),
        },
        "warning",
    ),
    "INTEGRITY_OWN_TRADE": Known(
        "an order of ours took, or met another of ours; a halt follows", _ORDER, "warning"
    ),
    # Bundles
    "BUNDLE_FAILED": Known("a bundle did not execute", _BUNDLE),
    "BUNDLE_UNSENT": Known("a bundle could not be handed to anybody", _BUNDLE),
    "BUNDLE_EXPIRED": Known("a bundle never landed and cannot any more", _BUNDLE),
    "BUNDLE_NEVER_LANDS": Known(
        "bundles are accepted and never land", {"bundles": _count("in a row"), "reason": _REASON}, "warning"
    ),
    "CYCLES_FAILED": Known(
        "attempts fail again and again; placing pauses",
        {"cycles": _count("in a row"), "pause_ms": Told("ms", "the pause")},
        "warning",
    ),
    "CYCLES_LAND_AGAIN": Known("after such a pause something landed", {"after": _count("failed attempts")}),
    "COST_BUDGET_SPENT": Known(
        "a budget is spent; placements wait until midnight UTC, or the next full hour",
        {"budget": _text("day or hour"), "lamports": Told("lamports", "its tips and fees so far")},
        "warning",
    ),
    # Wallets and sides
    "WALLET_ADDED": Known("a wallet joined while the engine runs", _MEMBER),
    "WALLET_LEAVING": Known("a wallet is to leave; its orders are withdrawn and it is emptied", _MEMBER),
    "WALLET_RETIRED": Known("it has left", {"wallet": _WALLET}),
    "WALLET_SET_ASIDE": Known(
        "a wallet quotes no more for now", {"wallet": _WALLET, "reason": _REASON}, "warning"
    ),
    "WALLET_RETURNED": Known("it quotes again", {"wallet": _WALLET, "reason": _text("why it did not")}),
    "WALLET_LOW_GAS": Known(
        "too little plain SOL is left for fees",
        {"wallet": _WALLET, "lamports": Told("lamports", "what is left")},
        "warning",
    ),
    "WALLET_SLOTS_LOW": Known(
        "an OpenOrders account runs out of order slots", {"wallet": _WALLET, "free": _count("free slots")}
    ),
    "SIDE_STOPPED": Known("a guard withdrew a side", _STOPPED, "warning"),
    "SIDE_RESUMED": Known("it stands again", _STOPPED),
    "DRAWDOWN": Known(
        "trading lost enough for another stage of the drawdown stop",
        {
            "stage": _text("NONE, WIDEN, ONE_SIDE or HALT"),
            "lost_bps": Told("bps", "lost since the best result"),
        },
        "warning",
    ),
    # The chain
    "FEED_LOST": Known("the chain cannot be read; nothing is placed", {"reason": _REASON}, "warning"),
    "FEED_UP": Known("the chain is read", {"slot": Told("slot", "of the reading")}),
    "STALE_WITHDRAWAL": Known("the chain was not seen for long; all orders leave", _SILENT, "warning"),
    "LEASE_WITHDRAWAL": Known("the lease ran out long ago; all orders leave", _SILENT, "warning"),
    "EVENT_QUEUE_FULL": Known(
        "the market's event queue is nearly full",
        {"events": _count("that wait"), "capacity": _count("room for")},
    ),
    "EVENTS_MISSED": Known(
        "events of the market were overwritten before they were read",
        {"events": _count("how many")},
        "warning",
    ),
    "EVENTS_FOUND": Known(
        "they were read back from transactions",
        {"missed": _count("how many"), "fills": _count("fills of ours"), "reason": _text("note", given=True)},
    ),
    "EVENTS_LOST": Known(
        "not all of them could be read back",
        {"missed": _count("how many"), "fills": _count("fills found"), "reason": _text("why", given=True)},
        "warning",
    ),
    "FILLS_DISAGREE": Known(
        "a wallet's balances do not agree with its fills",
        {
            "wallet": _WALLET,
            "base_atoms": Told("atoms", "tokens unexplained"),
            "lamports": Told("lamports", "SOL unexplained"),
        },
        "warning",
    ),
    # The treasury
    "CONVERSION_DUE": Known(
        "the treasury wants to convert",
        {
            "rule": _text("rule that asks for it"),
            "direction": _text("which way"),
            "usdc": Told("microdollars", "USDC of it"),
            "sol": Told("lamports", "SOL of it"),
            "why": _REASON,
        },
    ),
    "FIAT_INJECTION": Known("USDC became SOL", _CONVERTED),
    "FIAT_RESERVE": Known("SOL became USDC", _CONVERTED),
    "DAMPER_ON": Known("SOL fell against the dollar: the damper spends USDC", _DAMPER),
    "DAMPER_OFF": Known("the damper ended", _DAMPER),
    "RENT_RECLAIM": Known(
        "rent came back from an account",
        {
            "wallet": _WALLET,
            "lamports": Told("lamports", "what came back"),
            "account": _text("the account that was closed", given=True),
        },
    ),
    "TRANSFER": Known(
        "SOL moved between our wallets (stored only)",
        {
            "ticket": _count("of the action"),
            "source": _text("wallet, or treasury"),
            "target": _text("wallet, or treasury"),
            "lamports": Told("lamports", "how much"),
        },
    ),
    "DEPOSIT": Known("something came in from outside; the books call it transfers, no profit", _OUTSIDE),
    "WITHDRAWAL": Known("something left, and the engine did not do it; transfers too", _OUTSIDE, "warning"),
    # Life
    "REMEMBERED": Known(
        "what earlier runs left was taken over",
        {
            "trades_volume": Told("lots", "in the Pivot"),
            "fills_since": _count("fills since the belief was kept"),
            "in_flight": _count("actions without a known outcome"),
            "first_start": Told("ms", "since 1970"),
            "missing": _text("what could not be found again", given=True),
        },
    ),
    "BASELINE_SET": Known(
        "bought base is counted anew",
        {"number": _count("of the baseline"), "net_base_before": Told("lots", "bought until then, net")},
    ),
    "CONFIG_RELOADED": Known(
        "other settings hold from now on",
        {
            "changed": _text("keys"),
            "without_effect": _text("keys that the environment overrides", given=True),
        },
    ),
    "CONFIG_REFUSED": Known(
        "the changed settings are not allowed; the running ones stay",
        {"keys": _text("keys"), "reason": _REASON},
        "warning",
    ),
    # Every end begins so, and every command says at its end how it ended.
    "KILL_SWITCH": Known("the engine halts", {"reason": _REASON}),
    "HALT_CANCELLED": Known(
        "the chain shows no order of ours for the first time", {"slots": _count("slots since the halt began")}
    ),
    "HALT_REMAINS": Known(
        "the engine ends, and this is left: a token account is frozen, or nothing lands any more",
        {
            "wallet": _WALLET,
            "orders": _count("of ours on the book"),
            "lamports": Told("lamports", "not settled"),
            "base_atoms": Told("atoms", "not settled"),
            "rent": Told("lamports", "of accounts that were to be closed"),
        },
        "warning",
    ),
}


def problems(name: str, fields: Mapping[str, object]) -> list[str]:
    """Return what is wrong with an event, by its schema; nothing is what it should be."""
    known = EVENTS.get(name)
    if known is None:
        return [f"{name} is not in the catalogue"]
    wanted = {key for key, told in known.fields.items() if not told.given}
    found = [f"{name}.{key} is missing" for key in sorted(wanted - set(fields))]
    found += [f"{name}.{key} is not in the catalogue" for key in sorted(set(fields) - set(known.fields))]
    return found + [
        f"{name}.{key} is {type(value).__name__}, not {known.fields[key].kind.__name__}"
        for key, value in fields.items()
        if key in known.fields and (isinstance(value, bool) or not isinstance(value, known.fields[key].kind))
    ]


def level_of(name: str) -> Level:
    """Return how loud an event is; what is not known is loud."""
    known = EVENTS.get(name)
    return "warning" if known is None else known.level
