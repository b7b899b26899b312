"""The treasury inside the engine: what it sees, what it tells, and what its USDC allows."""

from fractions import Fraction

from bmv.core.decide import decide
from bmv.core.exposure import bid_cap
from bmv.core.financing import situation, treasury_worth
from bmv.core.state import Flow, State, Treasury
from bmv.events import OracleSeen, Report, Tick, TreasurySeen
from bmv.model import ForeignBook, Side
from bmv.units import BaseLots, Lamports, MicroUsd, Millis, Slot, Ticks, UsdPerSol
from tests.core.belongings import QUOTE_LOT, SOL, later, order, quoting_state, settings, wallet

USD = 1_000_000
HOUR = 3_600_000
BOOK = ForeignBook(Ticks(11_950), Ticks(12_050), Ticks(11_950), Ticks(12_050), 1, 1)


def told(state: State, wait: int, sol_usd: int) -> dict[str, Report]:
    """Let the oracle speak and the engine price anew; return what it tells, by name."""
    chosen = settings()
    at = later(wait)
    decide(state, OracleSeen(at=at, sol_usd=UsdPerSol(sol_usd * USD)), chosen)
    state.seen_at = at
    _, approved = decide(state, Tick(at=Millis(at + Millis(10_000)), slot=Slot(200)), chosen)
    return {action.name: action for action in approved.actions if isinstance(action, Report)}


def rich(usdc: int = 20_000) -> State:
    """Return a quoting engine with 200 SOL in two wallets and USDC in its treasury."""
    state = quoting_state([wallet(0), wallet(1)], book=BOOK)
    decide(state, TreasurySeen(at=later(0), sol=Lamports(0), usdc=MicroUsd(usdc * USD)), settings())
    return state


def test_a_falling_sol_starts_the_damper_asks_for_dollars_to_be_spent_and_ends_it() -> None:
    state = rich(5_000)
    assert not {"DAMPER_ON", "CONVERSION_DUE"} & told(state, 0, 100).keys()
    fallen = told(state, 24 * HOUR, 90)
    assert fallen["DAMPER_ON"].fields["usdc"] == 5_000 * USD
    # D = 10 %: a quarter of 5,000 dollars, cut to 5 % of 23,000.
    asked = fallen["CONVERSION_DUE"].fields
    assert (asked["rule"], asked["direction"]) == ("damper", "usdc to sol")
    assert (asked["usdc"], asked["sol"]) == (1_150 * USD, 1_150 * SOL // 90)
    assert not {"DAMPER_ON", "CONVERSION_DUE"} & told(state, 24 * HOUR + 60_000, 90).keys()
    assert "CONVERSION_DUE" in told(state, 24 * HOUR + 700_000, 90)
    assert "DAMPER_OFF" in told(state, 25 * HOUR, 99)


def test_the_reserve_is_everything_above_gas_floors_and_rent() -> None:
    bids = [order(0, Side.BID, 11_000, 100)]
    state = quoting_state([wallet(0, sol=50 * SOL, orders=bids), wallet(1, sol=7 * SOL)])
    assert situation(state, settings()) is None
    state.treasury = Treasury(Lamports(3 * SOL), MicroUsd(9))
    state.flow.proceeds = Lamports(5)
    state.oracle.on_price(later(0), UsdPerSol(100 * USD))
    # Both wallets hold one SOL of gas, which is the floor.
    seen = situation(state, settings())
    assert seen is not None
    assert seen.reserve.sol == Lamports(60 * SOL)
    assert int(seen.reserve.locked) == 11_000 * 100 * QUOTE_LOT
    assert (seen.reserve.proceeds, seen.reserve.usdc) == (Lamports(5), MicroUsd(9))
    more = situation(state, settings(GAS_FLOOR_SOL="0.4"))
    assert more is not None
    assert more.reserve.sol - seen.reserve.sol == Lamports(2 * 6 * SOL // 10)


def test_proceeds_are_what_asks_brought_in() -> None:
    flow = Flow()
    flow.record(Side.ASK, BaseLots(3), Lamports(70), later(0))
    flow.record(Side.BID, BaseLots(3), Lamports(50), later(0))
    flow.record(Side.ASK, BaseLots(1), Lamports(5), later(0))
    assert flow.proceeds == Lamports(75)


def test_dollars_and_sol_of_the_treasury_raise_what_may_become_tokens() -> None:
    state, chosen = quoting_state([wallet(0, sol=10 * SOL)]), settings()
    price = 12_000 << 24
    alone = bid_cap(state, chosen, price).planned
    assert alone == 8 * SOL
    state.treasury = Treasury(Lamports(2 * SOL), MicroUsd(500 * USD))
    assert treasury_worth(state) == Lamports(2 * SOL)
    state.oracle.on_price(later(0), UsdPerSol(100 * USD))
    assert treasury_worth(state) == Lamports(7 * SOL)
    assert Fraction(bid_cap(state, chosen, price).planned, SOL) == Fraction(17 * 8, 10)
