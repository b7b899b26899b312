"""Units: the type checker keeps them apart, at run time they are plain integers."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmv import units
from bmv.units import (
    BaseAtoms,
    BaseLots,
    BlockHeight,
    Bps,
    Lamports,
    MicroUsd,
    Millis,
    QuoteLots,
    Slot,
    Ticks,
    UsdPerSol,
    atoms_to_lots,
    lamports_worth,
    lots_to_atoms,
    lots_to_lamports,
    notional,
    notional_lots,
    usd_value,
)

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = sorted((ROOT / "tests" / "wrong_units").glob("*.py"))
COUNTS = st.integers(-(2**40), 2**40)
SIZES = st.integers(1, 10**6)


@pytest.fixture(scope="module")
def complaints() -> set[tuple[str, int]]:
    """Ask mypy, as the repository sets it up, about all samples; return (file, line) of its errors."""
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml")]
    command += ["--no-error-summary", "--no-incremental", *map(str, SAMPLES)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    found = re.findall(r"^\S*?(\w+\.py):(\d+): error:", done.stdout, re.MULTILINE)
    assert done.returncode == 1, done.stdout + done.stderr
    return {(name, int(line)) for name, line in found}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_mypy_refuses_the_marked_lines_and_no_other(sample: Path, complaints: set[tuple[str, int]]) -> None:
    lines = sample.read_text().splitlines()
    marked = {number for number, line in enumerate(lines, 1) if line.endswith("# error")}
    assert marked
    assert {line for name, line in complaints if name == sample.name} == marked


def test_at_run_time_every_unit_is_int_itself() -> None:
    every: list[object] = [Ticks, BaseLots, QuoteLots, BaseAtoms, Lamports, Slot, BlockHeight, Millis, Bps]
    every += [MicroUsd, UsdPerSol]
    assert all(unit is int for unit in every)
    assert units.LAMPORTS_PER_SOL == 10**9


@given(COUNTS, COUNTS, SIZES, SIZES)
def test_conversions_multiply_by_what_their_names_say(
    price: int, size: int, quote_lot: int, base_lot: int
) -> None:
    assert notional_lots(Ticks(price), BaseLots(size)) == price * size
    assert lots_to_lamports(QuoteLots(price), quote_lot) == price * quote_lot
    assert notional(Ticks(price), BaseLots(size), quote_lot) == price * size * quote_lot
    assert lots_to_atoms(BaseLots(size), base_lot) == size * base_lot


@given(COUNTS, SIZES)
def test_atoms_become_whole_lots_and_less_than_one_lot_is_left(atoms: int, base_lot: int) -> None:
    lots = int(atoms_to_lots(BaseAtoms(atoms), base_lot))
    assert 0 <= atoms - lots * base_lot < base_lot


@given(COUNTS, SIZES)
def test_dollars_buy_what_is_worth_no_more_than_they_are(amount: int, sol_usd: int) -> None:
    worth = usd_value(Lamports(amount), UsdPerSol(sol_usd))
    assert int(worth) == amount * sol_usd // 10**9
    bought = lamports_worth(worth, UsdPerSol(sol_usd))
    assert usd_value(bought, UsdPerSol(sol_usd)) <= worth
    assert usd_value(bought + Lamports(1), UsdPerSol(sol_usd)) >= worth
