"""The ledger's identity: its rows add up to the change of what is owned, to the lamport, for any history."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmv.core.ledger import Ledger, Part
from bmv.model import BundleCost, Fill, Side, Trade
from bmv.units import BaseLots, Lamports, MicroUsd, Millis, Ticks, UsdPerSol
from tests.core.belongings import QUOTE_LOT, market

AT = Millis(5)
SPEC = market()


@dataclass
class Purse:
    """What the wallets really have: lamports and lots, and the mark they are valued at."""

    quote: int
    base: int
    mark: int
    usdc: int = 10**9
    sol_usd: int = 100 * 10**6

    @property
    def equity(self) -> int:
        return self.quote + self.base * self.mark * QUOTE_LOT + self.usdc * 10**9 // self.sol_usd


Happening = Callable[[Purse, Ledger], None]


def fill(side: Side, price: int, size: int, rebate: int, fee: int) -> Fill:
    return Fill(
        1,
        AT,
        0,
        side,
        Ticks(price),
        BaseLots(size),
        True,
        Lamports(rebate),
        Lamports(fee),
        order_id=1,
        client_id=1,
    )


def seen(fills: list[Fill], trades: list[int]) -> Happening:
    """Return a reading: what it shows happens to the purse by the plainest arithmetic there is."""

    def happen(purse: Purse, ledger: Ledger) -> None:
        for each in fills:
            sign = 1 if each.side is Side.BID else -1
            purse.base += sign * int(each.size)
            purse.quote -= sign * int(each.price) * int(each.size) * QUOTE_LOT
            purse.quote += int(each.rebate) - int(each.fee)
        if trades:
            purse.mark = trades[-1]
        tape = [Trade(n, AT, Ticks(price), BaseLots(1), Side.BID, False) for n, price in enumerate(trades)]
        ledger.record_market(AT, tape, fills)

    return happen


def landed(fees: int, tip: int) -> Happening:
    def happen(purse: Purse, ledger: Ledger) -> None:
        purse.quote -= fees + tip
        ledger.record_bundle(AT, "bundle", BundleCost(Lamports(fees), Lamports(tip)))

    return happen


def reclaimed(lamports: int, base: int) -> Happening:
    def happen(purse: Purse, ledger: Ledger) -> None:
        purse.quote += lamports
        purse.base += base
        ledger.record_reclaimed(AT, Lamports(lamports), BaseLots(base), "an account nobody used")

    return happen


def converted(sol: int, usdc: int) -> Happening:
    def happen(purse: Purse, ledger: Ledger) -> None:
        purse.quote += sol
        purse.usdc += usdc
        ledger.record_conversion(AT, 7, Lamports(sol), MicroUsd(usdc))

    return happen


def priced(sol_usd: int) -> Happening:
    def happen(purse: Purse, ledger: Ledger) -> None:
        purse.sol_usd = sol_usd
        ledger.record_dollar_mark(AT, UsdPerSol(sol_usd))

    return happen


PRICES, COSTS = st.integers(1, 10**6), st.integers(0, 10**7)
FILLS = st.builds(fill, st.sampled_from(list(Side)), PRICES, st.integers(1, 10**6), COSTS, COSTS)
HISTORIES = st.lists(
    st.one_of(
        st.builds(seen, st.lists(FILLS, max_size=4), st.lists(PRICES, max_size=4)),
        st.builds(landed, COSTS, COSTS),
        st.builds(reclaimed, COSTS, st.integers(0, 10**6)),
        st.builds(converted, st.integers(-(10**11), 10**11), st.integers(-(10**7), 10**9)),
        st.builds(priced, st.integers(1, 10**9)),
    ),
    max_size=12,
)


def lived(history: list[Happening], mark: int) -> tuple[int, Ledger]:
    """Let a history happen; return the change of equity and the ledger."""
    purse = Purse(10**12, 10**6, mark)
    held = MicroUsd(purse.usdc), UsdPerSol(purse.sol_usd)
    ledger = Ledger(SPEC, Ticks(mark), BaseLots(10**6), *held)
    before = purse.equity
    for happen in history:
        happen(purse, ledger)
    assert (int(ledger.base), int(ledger.mark)) == (purse.base, purse.mark)
    return purse.equity - before, ledger


@given(HISTORIES, PRICES)
def test_the_rows_add_up_to_the_change_of_equity(history: list[Happening], mark: int) -> None:
    change, ledger = lived(history, mark)
    assert sum(int(row.lamports) for row in ledger.rows) == change


@given(HISTORIES, PRICES)
def test_a_row_that_is_lost_leaves_exactly_its_own_value_unexplained(
    history: list[Happening], mark: int
) -> None:
    change, ledger = lived(history, mark)
    for lost in range(len(ledger.rows)):
        rest = [row for number, row in enumerate(ledger.rows) if number != lost]
        assert change - sum(int(row.lamports) for row in rest) == ledger.rows[lost].lamports != 0


@given(HISTORIES, PRICES)
def test_totals_are_the_rows_by_part_and_every_row_names_its_cause(
    history: list[Happening], mark: int
) -> None:
    _, ledger = lived(history, mark)
    assert ledger.totals() == {
        part: sum(int(row.lamports) for row in ledger.rows if row.part is part) for part in Part
    }
    assert all(row.cause and row.at == AT for row in ledger.rows)


@pytest.mark.parametrize(
    ("side", "price", "earned"),
    [(Side.BID, 90, 10), (Side.BID, 110, -10), (Side.ASK, 110, 10), (Side.ASK, 90, -10)],
)
def test_spread_is_what_a_fill_earned_against_the_price_before_it(
    side: Side, price: int, earned: int
) -> None:
    ledger = Ledger(SPEC, Ticks(100), BaseLots(50))
    ledger.record_market(AT, [], [fill(side, price, 3, rebate=0, fee=0)])
    assert ledger.totals()[Part.SPREAD] == earned * 3 * QUOTE_LOT
    assert ledger.totals()[Part.INVENTORY] == 0


def test_inventory_is_what_holding_earned_as_the_mark_moved() -> None:
    ledger = Ledger(SPEC, Ticks(100), BaseLots(50))
    ledger.record_market(AT, [Trade(1, AT, Ticks(107), BaseLots(1), Side.BID, False)], [])
    assert ledger.totals()[Part.INVENTORY] == 7 * 50 * QUOTE_LOT
