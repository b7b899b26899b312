"""The examples run as their first lines say, and print what they promise."""

import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).resolve().parent.parent / "examples").glob("*.py"))
ROW = re.compile(r"(bid|ask)\s+([\d.]+) SOL\s+([\d.]+) tokens")


def run(name: str, *arguments: str) -> str:
    path = next(one for one in EXAMPLES if one.stem.startswith(name))
    command = [sys.executable, str(path), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def rows(output: str, side: str) -> list[tuple[Decimal, Decimal]]:
    found = [match.groups() for match in ROW.finditer(output)]
    return [(Decimal(price), Decimal(size)) for name, price, size in found if name == side]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_says_how_to_run_it(path: Path) -> None:
    assert f"Try:  .venv/bin/python examples/{path.name}" in path.read_text()


def test_the_ladder_on_paper_is_asymmetric_and_never_crosses() -> None:
    output = run("01", "0.012")
    bids, asks = rows(output, "bid"), rows(output, "ask")
    assert max(price for price, _ in bids) < Decimal("0.012") < min(price for price, _ in asks)
    assert [size for _, size in bids] == sorted(size for _, size in bids)
    assert len({size for _, size in asks}) == 1
    assert sum(price * size for price, size in bids) <= 100


def test_the_ladder_on_paper_follows_the_price_it_is_given() -> None:
    asks = rows(run("01", "0.5"), "ask")
    assert min(price for price, _ in asks) > Decimal("0.5")


def test_the_decoded_book_is_sorted_and_not_crossed() -> None:
    output = run("02")
    bids, asks = ([price for price, _ in rows(output, side)] for side in ("bid", "ask"))
    assert len(bids) > 3
    assert len(asks) > 3
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks, reverse=True)
    assert min(asks) > max(bids)
