"""What can happen (events, into ``decide``) and what can be asked (actions, out of it).

Every event carries ``at``: the engine's clock when it entered the inbox. Tickets are numbers ``decide`` gives
out in order, so a replay gives the same ones; the dispatcher may put several tickets into one bundle.
The journal is these two unions, in order.
"""

import msgspec

from bmv.belief import Belief, QueueMark, TradeSum
from bmv.model import (
    BundleCost,
    Cancel,
    Conversion,
    Duty,
    Fill,
    ForeignBook,
    Leftover,
    LiveOrder,
    Outcome,
    Placement,
    Share,
    TableView,
    Trade,
    WalletIndex,
    WalletView,
)
from bmv.units import BaseAtoms, BaseLots, Lamports, MicroUsd, Millis, Slot, UsdPerSol


class Event(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Something that happened, at ``at``."""

    at: Millis


class Tick(Event, frozen=True):
    """Time passed; the chain stands at ``slot``."""

    slot: Slot


class MarketSeen(Event, frozen=True):
    """Report one consistent reading of the chain; ``wallets`` holds only those that changed.

    ``tables`` are all lookup tables of ours, told when they changed. ``events_missed`` counts market events
    that the queue's ring overwrote before they could be read.
    ``torn``: with many wallets, some balances are of a later slot than the books (never of an earlier one).
    ``mark`` is how far its events are told by now; where some were missed, ``consumed`` are the order ids of
    the fills cranked since the last reading that the ring still held.
    ``closed`` says why the market itself takes no orders any more: disabled, or closed. ``clock`` is the
    chain's own, in unix seconds: what ``max_ts`` of a placement is held against.
    ``leftovers`` are all accounts of ours that nothing uses, told when they changed; ``reclaimed`` those of
    all our accounts that are gone since the last reading, with the lamports their closing has brought.
    """

    slot: Slot
    book: ForeignBook
    wallets: tuple[WalletView, ...] = ()
    trades: tuple[Trade, ...] = ()
    fills: tuple[Fill, ...] = ()
    queue_count: int = 0
    own_pending: int = 0
    events_missed: int = 0
    torn: bool = False
    closed: str = ""
    tables: tuple[TableView, ...] | None = None
    clock: int = 0
    leftovers: tuple[Leftover, ...] | None = None
    reclaimed: tuple[Leftover, ...] = ()
    mark: QueueMark | None = None
    consumed: tuple[int, ...] = ()


class EventsFound(Event, frozen=True):
    """Report what a gap of ``missed`` market events held, read back from transaction logs.

    ``complete`` says that nothing of it stays unknown; else ``reason`` says why.
    """

    missed: int
    complete: bool
    trades: tuple[Trade, ...] = ()
    fills: tuple[Fill, ...] = ()
    reason: str = ""


class BundleResolved(Event, frozen=True):
    """A bundle ended; ``slot`` is where it landed, or can last have, ``reason`` why it did not."""

    bundle_id: str
    tickets: tuple[int, ...]
    outcome: Outcome
    slot: Slot = Slot(0)
    cost: BundleCost = BundleCost()
    reason: str = ""


class FeedLost(Event, frozen=True):
    """The chain cannot be read; no order may be placed until it is seen again."""

    reason: str


class OracleSeen(Event, frozen=True):
    """The oracle says what a SOL costs; only prices that are fresh at their source are told.

    ``firm``: sources enough agree on it to convert at it. ``eur_usd`` is what a euro costs, where known.
    """

    sol_usd: UsdPerSol
    firm: bool = True
    eur_usd: MicroUsd | None = None


class SupplySeen(Event, frozen=True):
    """Report the token's supply and what the locked accounts hold of it; told when either changed."""

    supply: BaseAtoms
    locked: BaseAtoms


class TreasurySeen(Event, frozen=True):
    """Report what the treasury holds beside the wallets: SOL above its gas floor, and USDC.

    ``kept`` are its lamports below that floor, and rent. ``acts``: its key is ours, it can convert and pay.
    """

    sol: Lamports
    usdc: MicroUsd
    kept: Lamports = Lamports(0)
    acts: bool = False


class Converted(Event, frozen=True):
    """Report what a conversion that landed did, by its transactions: what the treasury has more, or less.

    Fees and tips are not in it. Where not ``proven``, it is what was expected. It landed in ``slot``.
    """

    ticket: int
    sol: Lamports
    usdc: MicroUsd
    proven: bool = True
    slot: Slot = Slot(0)


class ConfigChanged(Event, frozen=True):
    """The settings were read anew: ``settings`` is all of them, as a file would say them.

    ``changed`` names the keys with another value than before, ``without_effect`` those that were edited in
    the file although the environment or the command line says otherwise.
    """

    settings: dict[str, str | int]
    changed: tuple[str, ...]
    without_effect: tuple[str, ...] = ()


class ConfigRefused(Event, frozen=True):
    """The settings file was changed to something that is not allowed; the running values stay."""

    keys: str
    reason: str


class BaselineSet(Event, frozen=True):
    """Bought base is counted from ``set_at`` on; ``net_base`` lots of it were bought (less sold) so far."""

    number: int
    set_at: Millis
    net_base: BaseLots


class HaltRequested(Event, frozen=True):
    """Somebody asked to stop: cancel everything, verify, end.

    ``hand_over``: another engine has the market and its orders now: send nothing more, and end.
    ``alone``: this engine has placed nothing itself, so placements nobody here knows of may be on their way.
    """

    reason: str
    hand_over: bool = False
    alone: bool = False


class WalletDuty(Event, frozen=True):
    """Report what the operator wants of a wallet, by address; the next number is a wallet that is new."""

    wallet: WalletIndex
    owner: str
    duty: Duty


class LeaseSeen(Event, frozen=True):
    """The lease on the market is ours until ``until`` (the engine's clock), whatever happens to Redis."""

    until: Millis


class Action(msgspec.Struct, frozen=True, tag=True):
    """Something the engine asks the shell to do."""


class Execute(Action, frozen=True, omit_defaults=True):
    """Change one wallet's orders: cancels first, then placements, atomically.

    In a halt the same cancels are asked for again and again; ``round`` counts that from 1. A newer round
    takes the place of one that was not sent yet, and its transactions differ from those of all others.
    ``plain``: send them to the node instead of the block engine.
    """

    ticket: int
    wallet: WalletIndex
    cancels: tuple[Cancel, ...]
    places: tuple[Placement, ...]
    round: int = 0
    plain: bool = False


class Prepare(Action, frozen=True):
    """Open a wallet's accounts and wrap ``wrap`` lamports for bids."""

    ticket: int
    wallet: WalletIndex
    wrap: Lamports


class Crank(Action, frozen=True):
    """Consume events of our wallets so that slots and proceeds become free."""

    ticket: int


class Settle(Action, frozen=True):
    """Move a wallet's free funds out of OpenOrders (after cranking what is pending)."""

    ticket: int
    wallet: WalletIndex


class OpenTable(Action, frozen=True):
    """Open a lookup table for the market and these wallets; its address follows from ``recent_slot``."""

    ticket: int
    recent_slot: Slot
    wallets: tuple[WalletIndex, ...]


class ExtendTable(Action, frozen=True):
    """Add wallets to a lookup table."""

    ticket: int
    table: str
    wallets: tuple[WalletIndex, ...]


class RetireTable(Action, frozen=True):
    """Deactivate a lookup table, so that it can be closed later."""

    ticket: int
    table: str


class CloseTable(Action, frozen=True):
    """Close a lookup table that has cooled down; its rent returns to the first wallet."""

    ticket: int
    table: str


class Withdraw(Action, frozen=True):
    """Cancel orders of a left-over OpenOrders account, and crank what that frees."""

    ticket: int
    wallet: WalletIndex
    account: str
    orders: tuple[LiveOrder, ...]


class Reclaim(Action, frozen=True):
    """Settle and close left-over accounts of one wallet; what they hold returns to it."""

    ticket: int
    wallet: WalletIndex
    accounts: tuple[Leftover, ...]


class CloseAccounts(Action, frozen=True):
    """Close a wallet's own accounts, unwrapping its SOL; ``base``: the token account too, which is empty."""

    ticket: int
    wallet: WalletIndex
    base: bool


class Retire(Action, frozen=True):
    """Empty a wallet for good: its tokens go to wallet ``heir``, all else to the treasury, which pays."""

    ticket: int
    wallet: WalletIndex
    heir: WalletIndex


class Convert(Action, frozen=True):
    """Exchange SOL and USDC of the treasury."""

    ticket: int
    conversion: Conversion


class Fund(Action, frozen=True):
    """Send SOL of the treasury to wallets."""

    ticket: int
    shares: tuple[Share, ...]


class Collect(Action, frozen=True):
    """Send wrapped SOL that a wallet has free to the treasury."""

    ticket: int
    wallet: WalletIndex
    lamports: Lamports


class Report(Action, frozen=True):
    """Tell people and logs: ``name`` is an event name of the product, ``fields`` are plain values."""

    name: str
    fields: dict[str, str | int]


class Finish(Action, frozen=True):
    """The engine is done; ``clean`` says that nothing of ours is left on the book."""

    clean: bool
    reason: str


TableAction = OpenTable | ExtendTable | RetireTable | CloseTable
RentAction = Withdraw | Reclaim | CloseAccounts
TreasuryAction = Convert | Fund | Collect
OnChain = Execute | Prepare | Crank | Settle | TableAction | RentAction | Retire | TreasuryAction
"""What is carried out by bundles."""
AnyAction = OnChain | Report | Finish


class Flight(msgspec.Struct, frozen=True):
    """An action of an earlier run without an outcome, or a conversion that ``landed`` and is not booked."""

    action: OnChain
    sent_at: Millis
    landed: Slot | None = None


class Remembered(Event, frozen=True):
    """What earlier runs have left: told once, before the first reading.

    ``hours`` are the trades recorded since ``recorded_from``; ``fills``, ``costs`` (when, how much) and what
    was ``converted`` came after ``belief`` was kept, ``trades`` from the first on that counted for P then.
    ``missing`` says what could not be found again. ``seed`` is what files of prices say of the time before
    records: a price in fine ticks, and lots a day. ``sol_usd`` are prices of a SOL, each from a moment on.
    """

    first_start: Millis
    recorded_from: Millis
    hours: tuple[TradeSum, ...] = ()
    belief: Belief | None = None
    fills: tuple[Fill, ...] = ()
    trades: tuple[Trade, ...] = ()
    costs: tuple[tuple[Millis, Lamports], ...] = ()
    converted: tuple[Converted, ...] = ()
    flights: tuple[Flight, ...] = ()
    next_ticket: int = 1
    missing: str = ""
    seed: tuple[int, int] = (0, 0)
    sol_usd: tuple[tuple[Millis, MicroUsd], ...] = ()


AnyEvent = (
    Tick
    | MarketSeen
    | EventsFound
    | BundleResolved
    | FeedLost
    | OracleSeen
    | SupplySeen
    | TreasurySeen
    | Converted
    | ConfigChanged
    | ConfigRefused
    | BaselineSet
    | WalletDuty
    | LeaseSeen
    | HaltRequested
    | Remembered
)
