"""Conversions through real clients: the lawful land and are booked to the lamport, nothing else is signed."""

import contextlib
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from solders.pubkey import Pubkey

from bmv.app import reporting
from bmv.app.assembly import go_on
from bmv.app.demo import VIRTUAL_START_MS, DemoOptions, run_demo
from bmv.app.world import WorldOptions
from bmv.core.errands import FIRST_REST
from bmv.core.ledger import Part
from bmv.errors import Garbled
from bmv.events import BundleResolved, Convert
from bmv.model import Conversion, Direction, Outcome, Rule
from bmv.sandbox.clock import LoopClock
from bmv.sandbox.dollar_genesis import Purse
from bmv.sandbox.prices import PricePath
from bmv.services.accounts import TreasuryAccounts
from bmv.services.booking import brought_by
from bmv.services.recollection import Recollection, _Bundle
from bmv.services.treasury import QUOTES
from bmv.units import BlockHeight, Lamports, MicroUsd, Slot
from tests.services.living_world import NOBODY, living, settings_with, virtually

FALLING = [150] * 20 + [150 - 3 * step for step in range(15)] + [108] * 300


@dataclass
class Told:
    """What a run reported, by name."""

    report: dict[str, Any]
    events: Counter[str] = field(default_factory=Counter)
    asked: list[int] = field(default_factory=list)
    """When a conversion was asked for."""


def run(minutes: int = 70, **changes: Any) -> Told:
    """Let SOL fall by a quarter after twenty minutes, with nobody trading the token."""
    times = tuple(VIRTUAL_START_MS + row * 60_000 for row in range(len(FALLING)))
    path = PricePath("falling", times, tuple(Decimal(price) for price in FALLING), 60_000)
    options = {"purse": Purse(Decimal(20), Decimal(5_000)), "crowd": NOBODY, "wallets": 2, **changes}
    world = WorldOptions(seed=3, sol_usd=path, **options)
    settings = settings_with(grid_levels=24, seed_price=Decimal("0.012"), seed_daily_volume=Decimal(20_000))
    told = Told({})

    @contextlib.asynccontextmanager
    async def shown(_world: Any, assembly: Any) -> Any:
        did = assembly.engine.record.did

        def heard(action: Any, at: Any) -> None:
            did(action, at)
            told.events[getattr(action, "name", type(action).__name__)] += 1
            told.asked += [int(at)] if isinstance(action, Convert) else []

        assembly.engine.record.did = heard
        yield

    told.report = run_demo(DemoOptions(world, settings, None, minutes * 60.0, None, quiet=True), shown)
    return told


def closes(report: dict[str, Any]) -> bool:
    """Say whether books and chain agree to the lamport and the micro-dollar."""
    residual = report["chain_residual"] == {"lamports": 0, "tokens": 0}
    return bool(residual and report["identity_residual_lamports"] == 0 and report["clean"])


def test_conversions_land_are_shared_out_and_close_the_books() -> None:
    told = run()
    report, treasury = told.report, told.report["treasury"]
    assert closes(report)
    assert not report["errors"]
    assert treasury["conversions"] == told.events["FIAT_INJECTION"] == told.events["Convert"] >= 3
    assert told.events["Fund"] >= treasury["conversions"] - 1
    bought, turnover = Decimal(treasury["bought_sol"]), Decimal(treasury["turnover_usdc"])
    assert Decimal(treasury["usdc"]) == 5_000 - turnover
    assert 108 * bought < turnover < 150 * bought
    # The pool's fee, the price's way since it was asked, tips and fees.
    assert 0 < Decimal(treasury["cost_sol"]) < bought / 100
    assert report["pnl_parts_lamports"]["conversions"] < 0


def test_a_service_that_fails_and_lies_costs_time_and_nothing_else(tmp_path: Path) -> None:
    plan = tmp_path / "faults.toml"
    rates = {"jupiter_hostile": 0.9, "jupiter_rate_limited": 0.2, "jupiter_stale": 0.1, "bundle_dropped": 0.1}
    rates |= dict.fromkeys(("jupiter_garbled", "jupiter_unreachable", "jupiter_no_route"), 0.05)
    plan.write_text("\n".join(f"{name} = {rate}" for name, rate in rates.items()))
    told = run(110, faults=str(plan))
    assert closes(told.report)
    struck = told.report["faults_injected"]
    assert struck["jupiter_hostile"] >= 5
    assert told.report["treasury"]["conversions"] >= 1
    assert told.report["errors"]["jupiter_rate_limited"] > 0
    # Every hostile answer was refused: what was converted was worth its price.
    bought = Decimal(told.report["treasury"]["bought_sol"])
    assert Decimal(told.report["treasury"]["turnover_usdc"]) < 150 * bought


@pytest.mark.parametrize("fault", ["jupiter_hostile", "jupiter_no_route"])
def test_a_swap_that_never_fits_is_asked_for_three_times_and_then_rests_twice_as_long_each_time(
    fault: str, tmp_path: Path
) -> None:
    plan = tmp_path / "faults.toml"
    plan.write_text(f"{fault} = 1.0\n")
    told = run(60, faults=str(plan))
    assert closes(told.report)
    assert told.report["treasury"]["conversions"] == 0
    assert len(told.asked) >= 2
    # The last one may still be at it when the run ends.
    assert QUOTES * (len(told.asked) - 1) < told.report["faults_injected"][fault] <= QUOTES * len(told.asked)
    rests = [later - earlier for earlier, later in pairwise(told.asked)]
    assert all(rest >= int(FIRST_REST) * 2**number for number, rest in enumerate(rests))


def test_an_outage_of_every_price_stops_conversions_and_not_the_ladder(tmp_path: Path) -> None:
    plan = tmp_path / "faults.toml"
    plan.write_text("price_unreachable = 1.0\n")
    told = run(50, faults=str(plan))
    assert closes(told.report)
    assert told.events["Convert"] == 0
    assert told.report["at_end"]["orders_live"] > 10
    assert told.report["levels_wanted"]["min_standing_share"] > 0.9


def test_a_conversion_that_landed_before_a_kill_is_booked_after_it_and_not_in_the_new_books() -> None:
    asked = Conversion(Rule.INJECTION, Direction.BUY_SOL, MicroUsd(90_000_000), Lamports(6 * 10**8), "a test")
    seed = {"seed_price": Decimal("0.012"), "seed_daily_volume": Decimal(20_000)}

    async def scenario(clock: LoopClock) -> None:
        purse = Purse(Decimal(20), Decimal(5_000))
        chosen = settings_with(grid_levels=24, **seed)
        async with living(clock, settings=chosen, treasury=True, purse=purse, crowd=NOBODY) as it:
            memory = Recollection(it.assembly.spec.address, (), clock.now())
            memory.asked(Convert(1, asked))
            slot = Slot(it.world.chain.slot - 5)
            sent = ["5" * 88]
            memory.bundles["a"] = _Bundle(
                "a", (1,), sent, BlockHeight(0), Lamports(1), Lamports(1), clock.now()
            )
            landed = BundleResolved(
                at=clock.now(), bundle_id="a", tickets=(1,), outcome=Outcome.LANDED, slot=slot
            )
            memory.saw(landed)
            go_on(memory, it.assembly, clock)
            engine = it.assembly.engine
            assert await it.run_engine(300, it.assembly.beside)
            # Its transactions cannot be read here, so what was expected is taken after two minutes.
            assert engine.record.reports["FIAT_INJECTION"] == 1
            assert not any(isinstance(flight.action, Convert) for flight in engine.state.in_flight.values())
            assert engine.record.ledger is not None
            assert engine.record.ledger.totals()[Part.CONVERSIONS] == 0
            assert reporting.books(it.assembly)["identity_residual_lamports"] == 0

    virtually(scenario)


def test_what_a_transaction_brought_is_read_from_its_balances() -> None:
    accounts = TreasuryAccounts.of(Pubkey.from_bytes(bytes([7] * 32)))
    keys = [str(accounts.owner), str(accounts.wrapped), "stranger"]
    token = {"accountIndex": 3, "uiTokenAmount": {"amount": "5"}}
    transaction = {
        "transaction": {"message": {"accountKeys": keys}},
        "meta": {
            "fee": 5_000,
            "preBalances": [100_000, 0, 7, 2_039_280],
            "postBalances": [60_000, 30_000, 9, 2_039_280],
            "preTokenBalances": [token],
            "postTokenBalances": [token | {"uiTokenAmount": {"amount": "25"}}],
            "loadedAddresses": {"writable": [str(accounts.usdc)], "readonly": []},
        },
    }
    brought = brought_by([transaction, transaction], accounts)
    assert (int(brought.sol), int(brought.usdc)) == (-10_000, 40)
    with pytest.raises(Garbled):
        brought_by([{"meta": {}}], accounts)
