"""What random steps have reached: tags and how they ended, orders by kind, and how full everything became."""

from collections import Counter
from dataclasses import dataclass, field
from struct import Struct

from bmv.venue.openbook_v1 import layouts
from tests.conformance.arena import OK, Outcome, Step
from tests.conformance.chaos import Chaos

TAGS = {
    0: "InitializeMarket", 3: "ConsumeEvents", 5: "SettleFunds", 7: "DisableMarket", 8: "SweepFees",
    10: "NewOrderV3", 11: "CancelOrderV2", 12: "CancelOrderByClientIdV2", 13: "SendTake",
    14: "CloseOpenOrders", 15: "InitOpenOrders", 16: "Prune", 17: "ConsumeEventsPermissioned",
    18: "CancelOrdersByClientIds", 19: "ReplaceOrderByClientId", 20: "ReplaceOrdersByClientIds",
}  # fmt: skip
NEVER_SUCCEEDS = {"SendTake"}
"""Not implemented by the program: it panics."""
ORDERS = {(self_trade, kind, side) for self_trade in range(3) for kind in range(3) for side in range(2)}
QUEUE_FULL, BIDS_FULL, ASKS_FULL, SLOTS_FULL = "event queue full", "bids full", "asks full", "128 slots used"
STATES = (QUEUE_FULL, BIDS_FULL, ASKS_FULL, SLOTS_FULL)
_ORDER = Struct("<IQQQIIQH")
_U64 = Struct("<Q")


@dataclass
class Coverage:
    """Counts of everything worth reaching; ``note`` hears of each step that both programs agreed on."""

    ended: dict[str, Counter[str]] = field(default_factory=dict)
    orders: Counter[tuple[int, int, int]] = field(default_factory=Counter)
    limits: Counter[int] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    accounts: Counter[int] = field(default_factory=Counter)
    sizes: Counter[int] = field(default_factory=Counter)

    def note(self, chaos: Chaos, step: Step, outcome: Outcome) -> None:
        """Count one step."""
        tag = int.from_bytes(step.data[1:5], "little") if len(step.data) >= 5 else -1
        name = TAGS.get(tag, "other tags")
        how = "ok" if outcome == OK else "failed"
        self.ended.setdefault(name, Counter())[how] += 1
        if tag == 10 and len(step.data) >= 5 + _ORDER.size:
            side, _, _, _, self_trade, kind, _, limit = _ORDER.unpack_from(step.data, 5)
            self.orders[self_trade, kind, side] += outcome == OK
            self.limits[min(limit, 65_535)] += outcome == OK
        if outcome == OK:
            self._note_states(chaos, step)
        self.accounts[chaos.habits.wallets] += 1
        self.sizes[chaos.habits.orders] += 1

    @property
    def steps(self) -> int:
        """Return how many steps were counted."""
        return sum(sum(how.values()) for how in self.ended.values())

    @property
    def orders_reached(self) -> set[tuple[int, int, int]]:
        """Return the combinations of self-trade behaviour, type and side taken at least once."""
        return {combination for combination, taken in self.orders.items() if taken} & ORDERS

    @property
    def failed_share(self) -> float:
        """Return which part of the steps failed."""
        return sum(how["failed"] for how in self.ended.values()) / self.steps

    def table(self) -> str:
        """Return everything as text for people."""
        lines = [f"{'instruction':28}{'ok':>9}{'failed':>9}"]
        lines += [f"{name:28}{how['ok']:9,}{how['failed']:9,}" for name, how in sorted(self.ended.items())]
        lines.append(f"{'all':28}{self.steps:9,} of which failed {self.failed_share:.0%}")
        lines += [f"{state:28}{self.states[state]:9,}" for state in STATES]
        lines.append(f"self-trade, kind, side: {len(self.orders_reached)} of {len(ORDERS)}")
        lines.append(f"match limits: {sorted(self.limits)}")
        lines.append(f"wallets: {sorted(self.accounts)}; orders a side: {sorted(self.sizes)}")
        return "\n".join(lines)

    def _note_states(self, chaos: Chaos, step: Step) -> None:
        named = {name for name, flags in step.accounts if "w" in flags}
        accounts, habits = chaos.arena.accounts, chaos.habits
        if "event_queue" in named:
            count = _U64.unpack_from(accounts["event_queue"].data, layouts.QUEUE_COUNT)[0]
            self.states[QUEUE_FULL] += count == habits.events
        for side, state in (("bids", BIDS_FULL), ("asks", ASKS_FULL)):
            if side in named:
                leaves = _U64.unpack_from(accounts[side].data, layouts.SLAB_LEAF_COUNT)[0]
                self.states[state] += leaves == habits.orders
        for name in named:
            data = accounts[name].data if name.endswith(".oo") else b""
            if data:
                free = data[layouts.OPEN_ORDERS_FREE_SLOT_BITS : layouts.OPEN_ORDERS_FREE_SLOT_BITS + 16]
                self.states[SLOTS_FULL] += data[5] == 5 and not any(free)
