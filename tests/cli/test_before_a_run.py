"""``bmv plan`` beside a sandbox: what would be done, and that nothing is."""

import json
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bmv.cli.main import app
from tests.processes import PATIENCE_S, open_orders, prepared, sandbox


class Beside:
    """A sandbox, and commands run beside it with settings added to its own."""

    def __init__(self, folder: Path, facts: dict[str, Any]) -> None:
        self.facts, self.folder, self.state = facts, folder, folder / "state"
        prepared(self.state, 7)

    def __call__(self, *words: str, lines: str = "", code: int = 0) -> Any:
        settings = self.folder / "bmv.toml"
        written = (self.folder / "world" / "sandbox.toml").read_text()
        settings.write_text(f"{written}\n{lines}\n")
        told = CliRunner().invoke(app, [*words, "--config", str(settings), "--state", str(self.state)])
        assert told.exit_code == code, told.output
        return json.loads(told.stdout) if {"--json", "--dry-run"} & set(words) else told.stdout


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beside]:
    folder = tmp_path_factory.mktemp("before")
    with sandbox(folder / "world", "--seed", "7") as facts:
        beside, until = Beside(folder, facts), time.monotonic() + PATIENCE_S
        while (told := beside("plan", "--json"))["price"] is None:
            assert "no price to start from" in told["warnings"][0]
            assert time.monotonic() < until
            time.sleep(0.1)
        yield beside


def test_a_plan_shows_the_ladder_its_cost_and_the_market_it_makes(beside: Beside) -> None:
    told = beside("plan", "--json")
    price, quotes = Decimal(told["price"]), told["quotes"]
    bids = [quote for quote in quotes if quote["side"] == "bid"]
    asks = [quote for quote in quotes if quote["side"] == "ask"]
    assert max(Decimal(bid["price"]) for bid in bids) == Decimal(told["best_bid"]) < price
    assert min(Decimal(ask["price"]) for ask in asks) == Decimal(told["best_ask"]) > price
    assert told["cost"]["places"] == sum(quote["change"] == "place" for quote in quotes) > 50
    assert told["cost"]["kept"] == told["orders_found"] == 0
    assert all(quote["why"] for quote in quotes)
    for depth in told["depth"]:
        near = price * (1 - Decimal(depth["within_pct"]) / 100)
        bid_sol = sum(Decimal(bid["sol"]) for bid in bids if Decimal(bid["price"]) >= near)
        assert Decimal(depth["bid_sol"]) == bid_sol
    assert {level["side"]: level["quoted"] for level in told["levels"]} == {
        "bid": len(bids),
        "ask": len(asks),
    }
    assert {action["type"] for action in told["actions"]} == {"Prepare"}
    assert told["warnings"] == []
    assert open_orders(beside.facts) == []
    assert not (beside.state / "journal").exists()


def test_a_plan_warns_of_an_empty_side_and_so_does_a_dry_run(beside: Beside) -> None:
    far = 'CHANNEL_MODE = "pivot"\nSEED_PRICE = 0.02\nSEED_DAILY_VOLUME = 1000'
    told = beside("plan", lines=far)
    assert "WARNING: OUT_OF_CHANNEL: CHANNEL_MODE=pivot leaves the bid side empty" in told
    again = beside("run", "--dry-run", lines=far)
    assert {level["side"]: level["quoted"] for level in again["levels"]}["bid"] == 0
    assert again["warnings"] == [line.removeprefix("WARNING: ") for line in told.splitlines()[1:2]]
