"""The life of lookup tables as values: what is asked for, event by event, on a chain made of a list."""

import msgspec
import pytest

from bmv.config import Settings
from bmv.core.state import InFlight, State, new_state
from bmv.core.tables import COOL_DOWN_SLOTS, REST_SLOTS, TABLES, WALLETS_PER_STEP, served, table_step
from bmv.events import CloseTable, ExtendTable, OpenTable, RetireTable, TableAction
from bmv.model import TableView, WalletView
from bmv.units import LAMPORTS_PER_SOL, BaseAtoms, Lamports, Millis, Slot
from tests.core.belongings import market

ON, OFF = Settings(), Settings.model_validate({"LOOKUP_TABLES": "off"})
SHARED, PER_WALLET, FULL = 12, 3, 256


def view(wallet: int, gas: int = LAMPORTS_PER_SOL) -> WalletView:
    none = Lamports(0)
    atoms = BaseAtoms(0)
    return WalletView(wallet, Lamports(gas), none, none, none, atoms, atoms, atoms, none, none, 128, True)


class Chain:
    """The tables there are; ``act`` carries out a step as the real program would."""

    def __init__(self, wallets: int) -> None:
        self.state: State = new_state(market(), wallets, Millis(0))
        self.state.views = {wallet: view(wallet) for wallet in range(wallets)}
        self.state.tables = ()
        self.state.seen = Slot(1_000)
        self.asked: list[TableAction] = []

    def step(self, settings: Settings = ON, *, lands: bool = True) -> TableAction | None:
        """Let the engine think once; what it asks for lands, or vanishes."""
        found = table_step(self.state, settings)
        assert len(found) <= 1
        for action in found:
            self.state.in_flight[action.ticket] = InFlight(action.ticket, action, None, Millis(0))
            assert table_step(self.state, settings) == []
            del self.state.in_flight[action.ticket]
            self.asked.append(action)
            if lands:
                self.act(action)
        self.state.seen += Slot(3)
        return found[0] if found else None

    def act(self, action: TableAction) -> None:
        """Change the tables."""
        tables = {table.address: table for table in self.state.tables or ()}
        if isinstance(action, OpenTable):
            name = f"table {action.recent_slot}"
            taken = SHARED + PER_WALLET * len(action.wallets)
            assert taken <= FULL
            tables[name] = TableView(name, action.wallets, FULL - taken)
        elif isinstance(action, ExtendTable):
            old = tables[action.table]
            room = old.room - PER_WALLET * len(action.wallets)
            assert room >= 0
            wallets = (*old.wallets, *action.wallets)
            tables[action.table] = msgspec.structs.replace(old, wallets=wallets, room=room)
        elif isinstance(action, RetireTable):
            assert tables[action.table].retired is None
            tables[action.table] = msgspec.structs.replace(tables[action.table], retired=self.state.seen)
        else:
            retired = tables.pop(action.table).retired
            assert retired is not None
            assert self.state.seen - retired >= Slot(513)
        self.state.tables = tuple(tables.values())


@pytest.mark.parametrize("wallets", [1, 4, 28, 29, 81, 82, 100])
def test_every_wallet_is_served_after_bounded_steps_and_then_nothing_more_is_asked(
    wallets: int,
) -> None:
    chain = Chain(wallets)
    for _ in range(20):
        chain.step()
    assert served(chain.state) == frozenset(range(wallets))
    assert len(chain.state.tables or ()) == -(-wallets // 81)
    assert all(
        len(action.wallets) <= WALLETS_PER_STEP
        for action in chain.asked
        if isinstance(action, OpenTable | ExtendTable)
    )
    assert chain.step() is None
    assert TABLES not in chain.state.jobs


def test_a_table_of_an_earlier_run_is_used_and_not_opened_again() -> None:
    chain = Chain(4)
    chain.state.tables = (TableView("old", (0, 1, 2), 200),)
    step = chain.step()
    assert isinstance(step, ExtendTable)
    assert (step.table, step.wallets) == ("old", (3,))
    assert chain.step() is None


def test_a_step_that_comes_to_nothing_rests_before_it_is_tried_again() -> None:
    chain = Chain(4)
    assert isinstance(chain.step(lands=False), OpenTable)
    assert chain.step() is None
    resting = chain.state.jobs[TABLES]
    assert resting.step == "resting"
    tried = 0
    while chain.state.seen < resting.deadline:
        tried += chain.step() is not None
    assert tried == 0
    assert resting.deadline - chain.state.seen <= REST_SLOTS
    assert isinstance(chain.step(), OpenTable)
    assert served(chain.state) == frozenset(range(4))


def test_a_table_whose_wallets_others_serve_is_retired_and_closed_when_it_has_cooled_down() -> None:
    chain = Chain(3)
    chain.state.tables = (TableView("a", (0, 1, 2), 200), TableView("b", (1, 2), 200))
    step = chain.step()
    assert isinstance(step, RetireTable)
    assert step.table == "b"
    slots = chain.state.seen
    while (step := chain.step()) is None:
        assert chain.state.seen - slots < COOL_DOWN_SLOTS + Slot(10)
    assert isinstance(step, CloseTable)
    assert [table.address for table in chain.state.tables or ()] == ["a"]
    assert chain.step() is None


def test_switched_off_all_tables_are_retired_and_closed_and_none_is_used_meanwhile() -> None:
    chain = Chain(100)
    for _ in range(20):
        chain.step()
    assert len(chain.state.tables or ()) == 2
    chain.step(OFF)
    chain.step(OFF)
    assert served(chain.state) == frozenset()
    for _ in range(300):
        chain.step(OFF)
    assert chain.state.tables == ()
    assert chain.step(OFF) is None


def test_nothing_is_opened_where_nobody_can_say_what_there_is_or_the_rent_would_eat_the_gas() -> None:
    chain = Chain(2)
    chain.state.tables = None
    assert chain.step() is None
    chain.state.tables = ()
    chain.state.views[0] = view(0, gas=50_000_000)
    assert chain.step() is None
    chain.state.views[0] = view(0)
    assert isinstance(chain.step(), OpenTable)
