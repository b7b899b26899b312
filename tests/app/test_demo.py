"""The demo as a whole, in virtual time: its report, its journal, its view, its books."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from bmv.app import reporting
from bmv.app.assembly import Assembly
from bmv.app.world import World
from bmv.core.decide import decide
from bmv.core.ledger import Part
from bmv.core.state import new_state
from bmv.events import AnyAction, AnyEvent
from bmv.model import MarketSpec
from bmv.observe.journal import JOURNAL_FOLDER
from bmv.observe.segments import records
from bmv.observe.view import HistoryPoint, View
from bmv.services.replay import replay
from bmv.services.showing import Showing
from bmv.units import Lamports, Millis
from tests.app.recorded_run import Run, run

RUN_S = 2_400
KEYS = {
    "seed", "sim_seconds", "slots", "wallets", "levels", "levels_wanted", "orders", "rebuilds", "bundles",
    "cost_sol", "fills", "volume_sol", "self_trades", "price_error", "at_end", "after_drain",
    "equity_start_sol", "pnl_parts_lamports", "identity_residual_lamports", "chain_residual", "errors",
    "wall_s", "digest",
}  # fmt: skip
AT_END = {"orders_live", "pivot", "price", "best_bid", "best_ask", "equity_sol"}


@dataclass
class Watched:
    """A run that was looked at once a minute."""

    run: Run = field(default_factory=Run)
    journal: bytes = b""
    state: Path = Path()
    views: list[View] = field(default_factory=list)
    showing: Showing | None = None


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    kept = Watched()

    @contextlib.asynccontextmanager
    async def look(_: World, assembly: Assembly) -> AsyncIterator[None]:
        kept.showing = Showing(assembly.engine, assembly.spec, assembly.wallets, "demo")

        async def minutely() -> None:
            while True:
                await asyncio.sleep(0.2 if len(kept.views) < 20 else 60)
                assert kept.showing is not None
                kept.showing.note()
                kept.views.append(kept.showing.view())

        looking = asyncio.create_task(minutely())
        try:
            yield
        finally:
            looking.cancel()

    state = tmp_path_factory.mktemp("state")
    kept.run = run(RUN_S, state=state, look=look, seed=3)
    kept.state = state
    kept.journal = b"\n".join(record.payload for record in records(state / JOURNAL_FOLDER))
    return kept


def test_the_report_has_every_field_and_exact_numbers(watched: Watched) -> None:
    report = json.loads(json.dumps(watched.run.report))
    assert set(report) >= KEYS
    assert set(report["at_end"]) >= AT_END
    assert (report["seed"], report["wallets"], report["levels"]) == (3, 4, 100)
    assert RUN_S <= report["sim_seconds"] < RUN_S + 60
    assert report["slots"] == pytest.approx(report["sim_seconds"] / 0.4, rel=0.01)
    for text in (report["volume_sol"], report["equity_start_sol"], *report["cost_sol"].values()):
        assert isinstance(text, str)
        assert "E" not in text.upper()
        assert Decimal(text).is_finite()
    for name in ("pivot", "price", "best_bid", "best_ask"):
        ticks, price = report["at_end"][f"{name}_ticks"], report["at_end"][name]
        assert isinstance(ticks, int)
        assert watched.run.engine.spec.ticks(Decimal(price)) == ticks
    assert report["at_end"]["best_bid_ticks"] < report["at_end"]["best_ask_ticks"]


def test_the_books_balance_and_nothing_is_left(watched: Watched) -> None:
    report = watched.run.report
    parts = report["pnl_parts_lamports"]
    assert set(parts) == {part.value for part in Part}
    change = Decimal(report["at_end"]["equity_sol"]) - Decimal(report["equity_start_sol"])
    assert int(change * 10**9) == sum(parts.values())
    assert report["identity_residual_lamports"] == 0
    assert report["chain_residual"] == {"lamports": 0, "tokens": 0}
    assert report["after_drain"] == {"orders_live": 0, "locked": 0}
    assert (report["self_trades"], report["errors"], report["clean"]) == (0, {}, True)
    bundles = report["bundles"]
    assert bundles["sent"] == bundles["landed"] + bundles["failed"] + bundles["expired"] + bundles["unsent"]


def test_dropping_any_one_ledger_row_makes_the_residual_that_rows_value(watched: Watched) -> None:
    assembly = watched.run.engine
    ledger = assembly.engine.record.ledger
    assert ledger is not None
    assert {row.part for row in ledger.rows} >= {
        Part.SPREAD, Part.INVENTORY, Part.REBATES, Part.TIPS, Part.NETWORK_FEES,
    }  # fmt: skip
    assert reporting.books(assembly)["identity_residual_lamports"] == 0
    for row in ledger.rows:
        assert row.lamports != Lamports(0)
        ledger._totals[row.part] -= int(row.lamports)
        assert reporting.books(assembly)["identity_residual_lamports"] == int(row.lamports)
        ledger._totals[row.part] += int(row.lamports)


def test_the_journal_played_into_a_fresh_decide_gives_the_same_bytes(watched: Watched) -> None:
    read_event = msgspec.json.Decoder(AnyEvent).decode
    write = msgspec.json.Encoder().encode
    assembly = watched.run.engine
    first, *lines = watched.journal.splitlines()
    run = msgspec.json.decode(first)["run"]
    assert (run["at"], run["wallets"]) == (int(watched.run.started), 4)
    # The world's own locked accounts are part of them.
    settings = assembly.engine.settings
    assert run["settings"] == settings.written()
    assert settings.locked_accounts
    spec = msgspec.convert(run["market"], MarketSpec)
    assert spec == assembly.spec
    state = new_state(spec, run["wallets"], Millis(run["at"]))
    replayed = []
    for line in lines:
        raw = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
        if "event" in raw:
            event = read_event(raw["event"])
            replayed.append(b'{"event":' + write(event) + b"}")
            state, approved = decide(state, event, settings)
            replayed += [b'{"action":' + write(action) + b"}" for action in approved.actions]
    assert replayed == [line for line in lines if line.startswith((b'{"event":', b'{"action":'))]
    assert len(replayed) > 500


def test_a_replay_comes_to_the_digest_of_the_report(watched: Watched) -> None:
    (again,) = replay(watched.state / JOURNAL_FOLDER)
    assert again.complete
    assert again.first_difference is None
    assert again.digest == watched.run.report["digest"]
    assert again.actions == watched.journal.count(b'{"action":')


def test_every_action_of_the_journal_decodes_again(watched: Watched) -> None:
    read_action = msgspec.json.Decoder(AnyAction).decode
    write = msgspec.json.Encoder().encode
    names = set()
    for line in watched.journal.splitlines():
        raw = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
        if "action" in raw:
            action = read_action(raw["action"])
            names.add(type(action).__name__)
            assert write(action) == bytes(raw["action"])
    assert names >= {"Prepare", "Execute", "Settle", "Report", "Finish"}


def test_the_view_encodes_and_every_field_is_what_it_says(watched: Watched) -> None:
    for view in watched.views:
        assert msgspec.json.decode(msgspec.json.encode(view), type=View) == view
        prices = [Decimal(level.price) for level in view.ladder]
        assert prices == sorted(prices, reverse=True)
        live = [level for level in view.ladder if level.state == "live"]
        bids = [Decimal(level.price) for level in live if level.side == "bid"]
        asks = [Decimal(level.price) for level in live if level.side == "ask"]
        assert max(bids, default=Decimal(0)) < min(asks, default=Decimal(10))
        texts = [view.counters.volume_sol, view.counters.tips_sol, view.counters.fees_sol]
        texts += [level.price for level in view.ladder] + [level.size for level in view.ladder]
        texts += [row.gas_sol for row in view.wallets] + [row.tokens_locked for row in view.wallets]
        assert not [text for text in texts if "E" in text.upper()]
    states = [view.state for view in watched.views]
    assert states[0] == "starting"
    assert {level.state for view in watched.views for level in view.ladder} >= {"in-flight", "live"}
    last = [view for view in watched.views if view.state == "quoting"][-1]
    assert (len(last.wallets), last.mode, last.symbol) == (4, "demo", "BMV")
    assert len([level for level in last.ladder if level.state == "live"]) > 60
    assert last.equity_sol is not None
    assert last.price is not None
    assert last.channel is not None
    assert last.counters.bundles_landed > 0
    assert last.fills
    assert last.fills[0].at >= last.fills[-1].at
    assert any(event.name == "GRID_REBUILD" for event in last.events)


def test_the_charts_points_count_up_and_are_given_since_a_number(watched: Watched) -> None:
    assert watched.showing is not None
    points = watched.showing.history(0)
    assert [point.seq for point in points] == list(range(1, len(points) + 1))
    assert all(later.at - point.at >= 2_000 for point, later in pairwise(points))
    assert watched.showing.history(points[4].seq) == points[5:]
    assert all(isinstance(point, HistoryPoint) and point.price for point in points)


def test_another_seed_is_another_run_and_the_same_seed_the_same() -> None:
    first, again, other = (run(600, seed=seed).report for seed in (5, 5, 6))
    assert first["digest"] == again["digest"]
    assert first | {"wall_s": 0} == again | {"wall_s": 0}
    assert other["digest"] != first["digest"]


def test_more_wallets_than_one_answer_holds_are_read_and_drained() -> None:
    report = run(120, wallets=30, levels=90).report
    assert report["after_drain"] == {"orders_live": 0, "locked": 0}
    assert (report["identity_residual_lamports"], report["errors"]) == (0, {})
    assert report["at_end"]["orders_live"] > 60


def test_one_wallet_alone_can_hold_a_ladder() -> None:
    report = run(600, wallets=1, levels=24).report
    assert report["after_drain"] == {"orders_live": 0, "locked": 0}
    assert report["at_end"]["orders_live"] > 10
