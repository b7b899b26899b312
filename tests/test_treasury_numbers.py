"""The worked numbers of treasury and Target Control in docs/strategy.md, recomputed."""

from fractions import Fraction

from bmv.config import load
from bmv.core.ladder import stepped_density
from bmv.core.oracle import Oracle
from bmv.core.target import wanted_density
from bmv.core.treasury import Memory, Position, Reserve, Situation, next_conversion, step
from bmv.model import Conversion
from bmv.units import LAMPORTS_PER_SOL, Lamports, MicroUsd, UsdPerSol
from tests.core.belongings import later, quoting_state, settings, wallet
from tests.test_strategy_numbers import rows

USD = 1_000_000
DAY_MS = 86_400_000


def test_the_treasury_table_is_what_the_rules_ask_for() -> None:
    chosen, price = load(None, {}), UsdPerSol(100 * USD)
    for cells in rows("| P | D | USDC | rule |"):
        place, drop, usdc = (int(cell) for cell in cells[:3])
        sol = Lamports((100_000 - usdc) * LAMPORTS_PER_SOL // 100)
        reserve = Reserve(sol, Lamports(0), sol, MicroUsd(usdc * USD), price)
        position = Position(place, 1_000, 1_000, 850, 1_300)
        seen = Situation(later(0), Oracle(price, later(0)), reserve, position, Fraction(drop, 100))
        onset = MicroUsd(20_000 * USD) if drop > 5 else None
        memory = Memory(usdc=reserve.usdc, high=MicroUsd(20_000 * USD), onset=onset)
        due = next_conversion(seen, step(memory, seen, chosen), chosen)
        found = [due.rule, str(int(due.usdc) // USD)] if isinstance(due, Conversion) else ["none", "0"]
        assert found == cells[3:], cells


def test_the_density_table_is_what_target_control_and_damper_want() -> None:
    for control, damper, drop, density, taken in rows("| TC | damper | D |"):
        state = quoting_state([wallet(0)])
        state.oracle.on_price(later(0), UsdPerSol(100 * USD))
        state.now = later(DAY_MS)
        state.oracle.on_price(state.now, UsdPerSol((100 - int(drop)) * USD))
        state.memory = Memory(onset=MicroUsd(0) if damper == "on" else None)
        chosen = settings(TARGET_CONTROL_PCT=control)
        wanted = wanted_density(state, chosen)
        assert Fraction(int(wanted), 10_000) == Fraction(density)
        assert Fraction(int(stepped_density(wanted, chosen.buy_density)), 10_000) == Fraction(taken)
