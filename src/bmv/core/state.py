"""Everything the engine believes, in one place.

``State`` is the one mutable value of the core: ``decide`` consumes and returns it, nobody else writes to it.
It is built from ``MarketSpec`` alone; the first readings of the chain fill it, so first start,
restart and crash take the same path.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from bmv.belief import QueueMark
from bmv.config import DAY_MS, HOUR_MS, Settings
from bmv.core.allocation import Waiting
from bmv.core.channel import Channel, Inertia
from bmv.core.decay import decayed
from bmv.core.drawdown import Drawdown
from bmv.core.failures import Backoff, Failures
from bmv.core.funding import Transfer
from bmv.core.ladder import Weights
from bmv.core.lattice import Lattice
from bmv.core.oracle import Oracle
from bmv.core.pivot import CappedPivot, PivotWindow, Seed
from bmv.core.presence import Presence
from bmv.core.price import PriceReading, PriceTracker
from bmv.core.treasury import Memory
from bmv.core.witness import Witness
from bmv.events import Action, Execute, TreasurySeen
from bmv.model import (
    Duty,
    ForeignBook,
    Leftover,
    LiveOrder,
    MarketSpec,
    Placement,
    Quote,
    Side,
    TableView,
    WalletIndex,
    WalletView,
)
from bmv.units import BaseAtoms, BaseLots, Bps, Lamports, MicroUsd, Millis, Slot, Ticks


class Phase(StrEnum):
    """What the engine is doing; it only ever moves down this list."""

    STARTING = "starting"
    QUOTING = "quoting"
    HALTING = "halting"
    DONE = "stopped"


@dataclass(slots=True)
class InFlight:
    """An action whose outcome is not known yet, or known but not yet seen in the accounts.

    ``landed`` is the slot it landed in; it leaves flight when a reading at or after that slot arrives.
    ``dead`` is the slot after which nothing of it can land, where it is said to have expired: until a reading
    of that slot its orders may stand all the same, whatever a node on another fork told.
    ``arrived`` holds the client ids of its placements that were seen standing or being filled.
    ``booked``: what a conversion brought is known; until then it stays.
    """

    ticket: int
    action: Action
    wallet: WalletIndex | None
    sent_at: Millis
    landed: Slot | None = None
    dead: Slot | None = None
    arrived: set[int] = field(default_factory=set)
    booked: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """A long procedure: the step it is at and what that is about.

    The step's action has ``ticket``; nothing more is done about it before slot ``deadline``.
    """

    step: str
    subject: str
    ticket: int
    deadline: Slot


@dataclass(slots=True)
class Market:
    """The strategy's memory of the market: price, pivot, channel and the ladder's anchors.

    ``closed`` are the sides that find no price in their zone (pivot mode), ``imported`` is the seed that
    files of prices give.
    """

    tracker: PriceTracker
    pivot: PivotWindow
    capped_pivot: CappedPivot
    inertia: Inertia
    presence: Presence
    lattices: dict[Side, Lattice] = field(default_factory=dict)
    weights: dict[Side, Weights | None] = field(default_factory=dict)
    density: Bps | None = None
    pennies: tuple[Millis, ...] = ()
    priced_at: Millis = Millis(0)
    reading: PriceReading | None = None
    channel: Channel | None = None
    closed: tuple[Side, ...] = ()
    imported: Seed = Seed()


@dataclass(slots=True)
class Target:
    """The ladder of the last trigger; fills lower it, only triggers rebuild it.

    ``prices`` is the P each side was built at (fine ticks), ``built_at`` when both were, ``grown_at`` when
    standing orders last were free to grow, ``moved_at`` when P last left where it was built. ``waiting`` is
    the money that no wallet can place, ``transfers`` what would help, ``wallets`` those it was shared out to.
    """

    quotes: tuple[Quote, ...] = ()
    prices: dict[Side, int] = field(default_factory=dict)
    built_at: Millis = Millis(0)
    grown_at: Millis = Millis(0)
    moved_at: Millis = Millis(0)
    waiting: tuple[Waiting, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    topped_up_at: dict[Side, Millis] = field(default_factory=dict)
    wallets: tuple[WalletIndex, ...] = ()


@dataclass(slots=True)
class Flow:
    """Money that moved through fills: for the pace of buying and the cap on what was bought.

    ``proceeds`` is what asks brought in and no conversion has spent. ``net_base`` counts since the baseline
    of number ``baseline`` (0: since the engine started). ``pace`` is the pace in force, in quarters.
    """

    net_paid: int = 0
    net_paid_at: Millis = Millis(0)
    net_base: BaseLots = BaseLots(0)
    proceeds: Lamports = Lamports(0)
    baseline: int = 0
    pace: int | None = None

    def paid(self, now: Millis) -> int:
        """Return SOL paid by bids less SOL received by asks, in lamports, decayed with a 24 h half-life."""
        return decayed(self.net_paid, now - self.net_paid_at, Millis(DAY_MS))

    def forget_sales(self, beyond: Lamports, now: Millis) -> None:
        """Count at most ``beyond`` of what asks received over what bids paid: a rise is no leave to buy."""
        self.net_paid, self.net_paid_at = max(-int(beyond), self.paid(now)), now

    def record(self, side: Side, size: BaseLots, lamports: Lamports, now: Millis) -> None:
        """Count one fill of ours."""
        sign = 1 if side is Side.BID else -1
        self.net_paid = self.paid(now) + sign * int(lamports)
        self.net_paid_at = now
        self.net_base += size * sign
        if side is Side.ASK:
            self.proceeds += lamports


@dataclass(frozen=True, slots=True)
class Supply:
    """The token's supply, and what the configured locked accounts hold of it."""

    total: BaseAtoms
    locked: BaseAtoms


@dataclass(frozen=True, slots=True)
class Treasury:
    """What the treasury holds beside the wallets: SOL above its gas floor, and USDC.

    ``acts``: it can convert and pay. ``unshared`` is SOL it bought and has not sent to the wallets yet;
    ``rest``: what it tried last came to nothing, the next try waits.
    """

    sol: Lamports = Lamports(0)
    usdc: MicroUsd = MicroUsd(0)
    acts: bool = False
    unshared: Lamports = Lamports(0)
    rest: Backoff | None = None


@dataclass(slots=True)
class Guards:
    """What the guards remember and what they hold back: sides and wallets, each with the reason.

    ``blind``: what stands is being withdrawn because the chain was not seen for long.
    """

    drawdown: Drawdown = field(default_factory=Drawdown)
    failures: Failures = field(default_factory=Failures)
    stopped: dict[Side, str] = field(default_factory=dict)
    aside: dict[WalletIndex, str] = field(default_factory=dict)
    blind: bool = False


@dataclass(slots=True)
class Halt:
    """How far a halt has come: its rounds of cancels, and what must have passed before it is verified.

    ``round`` counts the rounds, the last one asked for in ``slot`` at ``at``; ``since`` is the slot in which
    it began. ``proof``: a reading of this slot or later shows what became of all that flew.
    ``left`` is what is not settled, the same ``left_since`` then. ``clean``: it has ended, with nothing left.
    ``strangers_until``: placements of somebody else may land until the chain's clock says this (unix seconds;
    None: not known yet).
    """

    round: int = 0
    slot: Slot = Slot(0)
    at: Millis = Millis(0)
    since: Slot = Slot(0)
    proof: Slot = Slot(0)
    left: tuple[object, ...] = ()
    left_since: Millis = Millis(0)
    cancelled: bool = False
    clean: bool = False
    hand_over: bool = False
    alone: bool = False
    strangers_until: int | None = None


@dataclass(slots=True)
class State:
    """The engine's belief; see the module's rules.

    ``started`` is when this run began.
    ``stirred``: readings have shown something new since the ladder was last looked at. ``tables`` is None
    where nobody can say which lookup tables there are. ``jobs`` are the procedures under way, by name.
    ``never_landed`` counts the bundles taken by the block engine in a row of which the chain knows nothing.
    ``lease_until`` is None where there is no lease to hold. ``duties`` holds the wallets that were told
    anything else than to quote.
    """

    spec: MarketSpec
    wallet_count: int
    market: Market
    started: Millis = Millis(0)
    now: Millis = Millis(0)
    slot: Slot = Slot(0)
    phase: Phase = Phase.STARTING
    feed_up: bool = False
    stirred: bool = False
    seen: Slot = Slot(0)
    seen_at: Millis = Millis(0)
    mark: QueueMark | None = None
    book: ForeignBook = ForeignBook()
    views: dict[WalletIndex, WalletView] = field(default_factory=dict)
    duties: dict[WalletIndex, Duty] = field(default_factory=dict)
    target: Target = field(default_factory=Target)
    in_flight: dict[int, InFlight] = field(default_factory=dict)
    next_ticket: int = 1
    flow: Flow = field(default_factory=Flow)
    oracle: Oracle = field(default_factory=Oracle)
    supply: Supply | None = None
    treasury: Treasury = Treasury()
    treasury_seen: TreasurySeen | None = None
    memory: Memory = Memory()
    evicted: dict[tuple[Side, Ticks], Backoff] = field(default_factory=dict)
    failed: dict[WalletIndex, Backoff] = field(default_factory=dict)
    guards: Guards = field(default_factory=Guards)
    witness: Witness = field(default_factory=Witness)
    tables: tuple[TableView, ...] | None = None
    leftovers: tuple[Leftover, ...] = ()
    jobs: dict[str, Job] = field(default_factory=dict)
    never_landed: int = 0
    chain_clock: int = 0
    lease_until: Millis | None = None
    queue_count: int = 0
    own_pending: int = 0
    cranked_at: Millis = Millis(0)
    halt_reason: str = ""
    halt: Halt = field(default_factory=Halt)
    cost_day: int = 0
    cost_spent: Lamports = Lamports(0)
    cost_hour: int = 0
    cost_in_hour: Lamports = Lamports(0)
    last_tip: Lamports | None = None
    signal: str = ""

    def take_ticket(self) -> int:
        """Return the next ticket number."""
        ticket = self.next_ticket
        self.next_ticket += 1
        return ticket

    def left_over_orders(self) -> list[LiveOrder]:
        """Return the orders of ours that stand in accounts the engine does not use."""
        return [order for one in self.leftovers for order in one.orders]

    @property
    def staying(self) -> int:
        """Return how many wallets there are that do not leave."""
        return self.wallet_count - sum(map(self.leaves, self.duties))

    def leaves(self, wallet: WalletIndex) -> bool:
        """Say whether a wallet is leaving or gone."""
        return self.duties.get(wallet) in (Duty.LEAVE, Duty.GONE)

    def ready_wallets(self) -> tuple[WalletIndex, ...]:
        """Return the wallets that can hold orders: open, and not set aside."""
        aside = self.guards.aside
        return tuple(
            wallet for wallet, view in sorted(self.views.items()) if view.ready and wallet not in aside
        )

    def flying_places(self) -> list[Placement]:
        """Return every placement that may still come to stand."""
        return [
            place
            for flight in self.in_flight.values()
            if isinstance(flight.action, Execute)
            for place in flight.action.places
        ]

    def busy(self) -> dict[WalletIndex, list[Placement]]:
        """Return the wallets to leave alone, with the placements that may still come to stand for them.

        Those are the wallets with a change in flight, and those whose last one failed a moment ago.
        """
        wallets: dict[WalletIndex, list[Placement]] = {}
        for flight in self.in_flight.values():
            if flight.wallet is not None:
                places = flight.action.places if isinstance(flight.action, Execute) else ()
                wallets.setdefault(flight.wallet, []).extend(places)
        for wallet, rest in self.failed.items():
            if rest.until > self.now:
                wallets.setdefault(wallet, [])
        return wallets

    def spend(self, lamports: Lamports, at: Millis) -> None:
        """Count a cost against the budgets of the (UTC) day and of the hour."""
        day = int(at) // DAY_MS
        if day != self.cost_day:
            self.cost_day, self.cost_spent = day, Lamports(0)
        self.cost_spent += lamports
        hour = int(at) // HOUR_MS
        if hour != self.cost_hour:
            self.cost_hour, self.cost_in_hour = hour, Lamports(0)
        self.cost_in_hour += lamports

    def budget_spent(self, settings: Settings, now: Millis) -> str:
        """Return which cost budget is spent, the ``day``'s or the ``hour``'s; '' where none is."""
        if self.cost_today(now) >= settings.daily_cost_budget:
            return "day"
        limit = hour_budget(settings)
        return "hour" if limit and self.cost_this_hour(now) >= limit else ""

    def cost_today(self, now: Millis) -> Lamports:
        """Return what was spent in the (UTC) day of ``now``."""
        return self.cost_spent if int(now) // DAY_MS == self.cost_day else Lamports(0)

    def cost_this_hour(self, now: Millis) -> Lamports:
        """Return what was spent in the hour by the clock of ``now``."""
        return self.cost_in_hour if int(now) // HOUR_MS == self.cost_hour else Lamports(0)


def hour_budget(settings: Settings) -> Lamports:
    """Return what an hour may cost, a quarter of the day where nothing is said; 0: no such limit."""
    said = settings.hourly_cost_budget
    return settings.daily_cost_budget // 4 if said is None else said


def new_state(spec: MarketSpec, wallet_count: int, started: Millis) -> State:
    """Build the empty belief of an engine that has just started at ``started``."""
    market = Market(
        tracker=PriceTracker(spec.quote_lot_size),
        pivot=PivotWindow(started),
        capped_pivot=CappedPivot(),
        inertia=Inertia(),
        presence=Presence(started),
    )
    return State(spec=spec, wallet_count=wallet_count, market=market, started=started, now=started)
