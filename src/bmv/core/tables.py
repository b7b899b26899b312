"""The life of lookup tables: opened, extended, retired, closed, one step at a time (``State.jobs``).

A wallet whose accounts are in an active table needs fewer transactions; without one everything works with
more. So nothing ever waits for a table. What there is comes with the readings alone, tables of an earlier run
included; a job only says which step is under way, and until when the next one rests after a failure.

1. While LOOKUP_TABLES is on, every wallet is to be in an active table: extend one that has room, else open
   another. A table all of whose wallets others serve is retired.
2. While it is off, or the wallet that pays for them is leaving, every table is retired.
3. A retired table is closed once it has cooled down, and its rent returns.
"""

from bmv.config import Settings
from bmv.core.limits import gas_reserve
from bmv.core.state import Job, State
from bmv.events import CloseTable, ExtendTable, OpenTable, RetireTable, TableAction
from bmv.model import TableView, WalletIndex
from bmv.units import Lamports, Slot

TABLES = "lookup tables"
PAYER: WalletIndex = 0
"""The wallet that is the authority of all tables and pays their rent."""
LARGEST_RENT = Lamports(60_000_000)
"""More than a full table costs."""
ADDRESSES_PER_WALLET = 3
WALLETS_PER_STEP = 28
"""What fits one bundle beside the market's own addresses."""
COOL_DOWN_SLOTS = Slot(600)
"""The program asks for 512 slots with a block since the deactivation; some slots have none."""
REST_SLOTS = Slot(1_500)
"""After a step that came to nothing, about ten minutes."""


def served(state: State) -> frozenset[WalletIndex]:
    """Return the wallets whose accounts are in an active table."""
    return frozenset(wallet for table in _active(state) for wallet in table.wallets)


def table_step(state: State, settings: Settings) -> list[TableAction]:
    """Return the next step of the tables' life, if one is due."""
    job = state.jobs.get(TABLES)
    if state.tables is None or (job and job.ticket in state.in_flight):
        return []
    if job and job.deadline > state.seen:
        return []
    action = _due(state, settings)
    if action is None:
        state.jobs.pop(TABLES, None)
        return []
    step, subject = type(action).__name__, _subject(action)
    if job and job.step == step and job.subject == subject:
        # The step was tried, and what it was for has not come about.
        state.jobs[TABLES] = Job("resting", subject, 0, state.seen + REST_SLOTS)
        return []
    state.jobs[TABLES] = Job(step, subject, action.ticket, Slot(0))
    return [action]


def _due(state: State, settings: Settings) -> TableAction | None:
    active = _active(state)
    wanted = settings.lookup_tables == "on" and not state.leaves(PAYER)
    for table in state.tables or ():
        if table.retired is not None and state.seen >= table.retired + COOL_DOWN_SLOTS:
            return CloseTable(state.take_ticket(), table.address)
    for table in reversed(active):
        others = {wallet for other in active if other is not table for wallet in other.wallets}
        if not wanted or others >= set(table.wallets):
            return RetireTable(state.take_ticket(), table.address)
    known = served(state)
    missing = [wallet for wallet in sorted(state.views) if wallet not in known and not state.leaves(wallet)]
    if not wanted or not missing or state.views[PAYER].gas < gas_reserve(settings) + LARGEST_RENT:
        return None
    for table in active:
        fitting = min(table.room // ADDRESSES_PER_WALLET, WALLETS_PER_STEP)
        if fitting:
            return ExtendTable(state.take_ticket(), table.address, tuple(missing[:fitting]))
    return OpenTable(state.take_ticket(), state.seen, tuple(missing[:WALLETS_PER_STEP]))


def _active(state: State) -> list[TableView]:
    return [table for table in state.tables or () if table.retired is None]


def _subject(action: TableAction) -> str:
    """Return what a step is about, alike each time it is tried."""
    if isinstance(action, OpenTable):
        return str(action.wallets)
    return f"{action.table} {action.wallets}" if isinstance(action, ExtendTable) else action.table
