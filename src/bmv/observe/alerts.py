"""Which events a person is told of at once, in what words, and how often at most.

Rules of this file
- The same event is told once per interval, and there are only so many messages an hour; what is held back is
  counted and told with the next message of that event.
- Trades with ourselves and halts are always told: nobody is to sleep through those because of noise before.
"""

from collections import deque
from collections.abc import Mapping

import msgspec

from bmv.units import Millis

HOUR_MS = 3_600_000
ALERTS: Mapping[str, str] = {
    "INTEGRITY_OWN_TRADE": "an account of ours stood on both sides of a trade; the engine halts",
    "KILL_SWITCH": "the engine halts: it withdraws all orders, verifies that, and ends",
    "DRAWDOWN": "losses have reached a stage of the drawdown stop",
    "FEED_LOST": "the chain cannot be read; nothing new is placed",
    "STALE_WITHDRAWAL": "the chain was not seen for long; all orders are being withdrawn",
    "BUNDLE_NEVER_LANDS": "bundles are accepted and never land",
    "CYCLES_FAILED": "changes fail again and again; placing pauses",
    "COST_BUDGET_SPENT": "the budget of a day or an hour for tips and fees is spent; placements wait",
    "WALLET_SET_ASIDE": "a wallet is set aside; its levels move to the others",
    "WALLET_LOW_GAS": "a wallet has too little SOL left for fees",
    "SIDE_STOPPED": "one side is not quoted any more",
    "OUT_OF_CHANNEL": "the price left the channel, and the side named here stays empty (none: it is back)",
    "WALLET_ORDER_EVICTED": "a full book pushed out an order of ours; its level rests for EVICT_BACKOFF",
    "BOOK_FLOODED": "the book is full of others' orders and evicts ours",
    "EVENTS_MISSED": "events of the market were overwritten before they could be read",
    "WITHDRAWAL": "something left an account of ours, and the engine did not do it; transfers of yours too",
    "FILLS_DISAGREE": "a wallet's balances do not agree with the fills that were seen",
    "CONFIG_REFUSED": "the changed settings are not allowed; the running values stay",
}
ALWAYS = frozenset({"INTEGRITY_OWN_TRADE", "KILL_SWITCH"})
TEST = "ALERT_TEST"


class Alert(msgspec.Struct, frozen=True):
    """One message; ``held`` counts the events of its name that were not told before it."""

    at: Millis
    name: str
    fields: dict[str, str | int]
    market: str
    held: int = 0

    @property
    def text(self) -> str:
        """Return the message as a person reads it, without markup."""
        meaning = ALERTS.get(self.name, "a test: alerts of this engine arrive here")
        parts = [f"BMV market maker: {self.name}: {meaning}."]
        parts += [", ".join(f"{key} {value}" for key, value in self.fields.items())]
        parts += [f"{self.held} more of these were held back."] if self.held else []
        return "\n".join([*filter(None, parts), f"market {self.market}"])


class Gate:
    """Decide which events become messages."""

    def __init__(self) -> None:
        self._told_at: dict[str, Millis] = {}
        self._held: dict[str, int] = {}
        self._hour: deque[Millis] = deque()

    def admit(self, name: str, at: Millis, interval: Millis, per_hour: int) -> int | None:
        """Return how many of this name were held back since the last message; None: hold this one back."""
        if name not in ALERTS:
            return None
        while self._hour and int(at - self._hour[0]) >= HOUR_MS:
            self._hour.popleft()
        last = self._told_at.get(name)
        early = last is not None and at - last < interval
        if name not in ALWAYS and (early or len(self._hour) >= per_hour):
            self._held[name] = self._held.get(name, 0) + 1
            return None
        self._told_at[name] = at
        self._hour.append(at)
        return self._held.pop(name, 0)
