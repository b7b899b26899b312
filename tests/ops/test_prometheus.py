"""Prometheus rules and Grafana dashboards against the metrics of a real run, and in a real Prometheus."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.parse
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import pytest

from tests.app.scraped_run import EVERY_S, Seen, scraped, scraping
from tests.ops import troubles
from tests.ops.prometheus import Prometheus, holding, running
from tests.ops.troubles import ALERTS, RULES, firing
from tests.processes import BMV

ROOT = Path(__file__).parents[2]
DASHBOARDS = sorted((ROOT / "ops" / "grafana").glob("*.json"))
NAME = re.compile(r"\bbmv_\w+")
NEEDS = {"prometheus", "promtool"}
LIVE_PATIENCE_S = 300
needs_prometheus = pytest.mark.skipif(
    not all(map(shutil.which, NEEDS)), reason="prometheus and promtool are not installed"
)


RUNS: dict[str, Callable[[], Seen]] = {
    "healthy": scraped,
    "troubled": troubles.troubled,
    "losing": troubles.losing,
    "poor": troubles.poor,
    "outside": troubles.outside,
}
END = 24 * 3_600
HALTED = 'sum(bmv_phase{phase=~"halting|stopped"})'
MOVES = [
    # What a healthy run does
    ("healthy", 'sum(bmv_phase{phase="quoting"})', 0, 60, "rises"),
    ("healthy", "sum(bmv_fills_total)", 60, END, "rises"),
    ("healthy", "sum(bmv_fill_value_sol_total)", 60, END, "rises"),
    ("healthy", 'bmv_turnover_sol_total{whose="own"}', 60, END, "rises"),
    ("healthy", 'bmv_turnover_sol_total{whose="others"}', 60, END, "rises"),
    ("healthy", "bmv_trades_total", 60, END, "rises"),
    ("healthy", "bmv_cost_today_sol", 0, END, "rises"),
    ("healthy", "bmv_cost_hour_sol", 0, 60, "rises"),
    ("healthy", 'sum(bmv_ladder_orders{state="live"})', 0, 60, "rises"),
    ("healthy", 'bmv_orders_total{action="cancelled"}', 60, END, "rises"),
    ("healthy", HALTED, 60, END, "rises"),
    # A database and Redis away
    ("losing", "bmv_history_up", troubles.AWAY - 60, troubles.AWAY + 120, "falls"),
    ("losing", "bmv_history_up", troubles.BACK - 60, troubles.BACK + 120, "rises"),
    ("losing", "bmv_hot_state_up", troubles.AWAY - 60, troubles.AWAY + 120, "falls"),
    ("losing", "bmv_hot_state_up", troubles.BACK - 60, troubles.BACK + 120, "rises"),
    ("losing", "bmv_history_waiting_bytes", troubles.AWAY, troubles.BACK - 60, "rises"),
    ("losing", "bmv_history_waiting_bytes", troubles.BACK - 60, troubles.BACK + 120, "falls"),
    ("losing", "bmv_history_waiting_rows", troubles.AWAY, troubles.BACK - 60, "rises"),
    # Bundles lost
    ("losing", "bmv_bundle_landed_ratio", troubles.LOST, troubles.FOUND, "falls"),
    ("losing", 'bmv_bundles_total{outcome="expired"}', troubles.LOST, troubles.FOUND, "rises"),
    ("losing", "max_over_time(bmv_in_flight[5m])", troubles.LOST, troubles.LOST + 300, "rises"),
    ("losing", "bmv_breakeven_spread_ratio", troubles.LOST + 60, troubles.FOUND, "falls"),
    # Buyers meet no new orders then: tokens go, SOL comes
    ("losing", "bmv_inventory_tokens", troubles.LOST, troubles.FOUND, "falls"),
    ("losing", 'sum(bmv_wallet_exposure_sol{asset="sol"})', troubles.LOST, troubles.FOUND, "rises"),
    # The chain cannot be read
    ("troubled", "bmv_feed_up", troubles.FEED, troubles.FEED + 120, "falls"),
    ("troubled", "bmv_feed_up", troubles.FEED + 120, troubles.THEFT, "rises"),
    ("troubled", "bmv_feed_age_seconds", troubles.FEED, troubles.FEED + 180, "rises"),
    ("troubled", "sum(rate(bmv_errors_total[2m]))", troubles.FEED + 180, troubles.THEFT, "falls"),
    # SOL stolen from a wallet
    ("troubled", "bmv_equity_sol", troubles.THEFT, troubles.THEFT + 60, "falls"),
    ("troubled", 'bmv_wallet_gas_sol{wallet="1"}', troubles.THEFT, troubles.THEFT + 60, "falls"),
    ("troubled", 'bmv_wallet_orders{wallet="1"}', troubles.THEFT, troubles.THEFT + 60, "falls"),
    ("troubled", 'bmv_wallet_aside{wallet="1"}', troubles.THEFT, troubles.THEFT + 60, "rises"),
    ("troubled", 'bmv_quote_present_sol{side="bid"}', troubles.THEFT, troubles.THEFT + 60, "falls"),
    ("troubled", 'bmv_reports_total{name="WITHDRAWAL"}', troubles.THEFT, troubles.THEFT + 60, "rises"),
    # Costs that are not booked from then on
    ("troubled", "abs(bmv_pnl_residual_sol)", troubles.THEFT, troubles.LATE, "rises"),
    # Others trade with themselves; the engine's share and the time between trades shrink
    ("troubled", "bmv_market_noise_ratio", troubles.WASH, troubles.OWN_TRADE, "rises"),
    ("troubled", "bmv_trade_cadence_seconds", troubles.WASH, troubles.OWN_TRADE, "falls"),
    ("troubled", "bmv_pivot_own_ratio", troubles.WASH, troubles.OWN_TRADE, "falls"),
    ("troubled", 'rate(bmv_turnover_sol_total{whose="others"}[5m])', troubles.WASH, troubles.LATE, "rises"),
    # A loop that is late, a trade with ourselves
    ("troubled", "bmv_loop_lag_seconds", troubles.WASH, troubles.LATE + 60, "rises"),
    ("troubled", "bmv_self_trades_total", troubles.OWN_TRADE - 60, END, "rises"),
    ("troubled", "bmv_synthetic_volume_rate", troubles.OWN_TRADE - 60, END, "rises"),
    ("troubled", HALTED, troubles.OWN_TRADE - 60, END, "rises"),
    # A budget that is spent, and raised
    ("poor", "bmv_cost_budget_sol", troubles.RAISED - 60, troubles.RAISED + 60, "rises"),
    ("poor", "bmv_cost_hour_budget_sol", troubles.RAISED - 60, troubles.RAISED + 60, "rises"),
    ("poor", 'bmv_orders_total{action="placed"}', troubles.RAISED - 60, END, "rises"),
    ("poor", "sum(bmv_rebuild_cost_sol_total)", troubles.RAISED - 60, END, "rises"),
    # A price outside of the channel; accounts closed at the end
    ("outside", 'bmv_out_of_channel{side="bid"}', 0, 60, "rises"),
    ("outside", "bmv_rent_recovered_sol_total", 60, END, "rises"),
    ("outside", "bmv_rent_locked_sol", 60, END, "falls"),
]
"""In which run what must rise or fall between two moments, in seconds since its start."""
ONLY_IN = {
    "bmv_self_trades_total": {"troubled"},
    "bmv_synthetic_volume_rate": {"troubled"},
    "bmv_market_noise_ratio": {"troubled"},
    "bmv_pnl_residual_sol": {"troubled"},
    'bmv_reports_total{name="WITHDRAWAL"}': {"troubled"},
    "bmv_wallet_aside": {"troubled"},
    "bmv_loop_lag_seconds": {"troubled"},
    "bmv_history_lost_rows_total": {"losing"},
    "bmv_history_waiting_bytes": {"losing"},
    'bmv_reports_total{name="BUNDLE_NEVER_LANDS"}': {"losing"},
    'bmv_reports_total{name="COST_BUDGET_SPENT"}': {"poor"},
    "bmv_out_of_channel": {"outside"},
    "bmv_rent_recovered_sol_total": {"outside"},
}
"""What is 0 in every run but these."""
FIRST_MINUTES = {
    "troubled": {
        "BmvFeedStale": troubles.FEED,
        "BmvWalletEmpty": troubles.THEFT,
        "BmvMoneyLeft": troubles.THEFT,
        "BmvBooksDisagree": troubles.THEFT,
        "BmvMarketNoise": troubles.WASH,
        "BmvLoopLate": troubles.LATE,
        "BmvSelfTrade": troubles.OWN_TRADE,
        "BmvHalted": troubles.OWN_TRADE,
    },
    "losing": {
        "BmvNothingLands": troubles.LOST,
        "BmvBundlesLost": troubles.LOST,
        "BmvHistoryAway": troubles.AWAY,
        "BmvHistoryLost": troubles.AWAY,
        "BmvHotStateAway": troubles.AWAY,
        "BmvHalted": troubles.FOUND,
    },
    "poor": {
        "BmvBudgetNearlySpent": 60,
        "BmvBudgetSpent": 60,
        "BmvHourBudgetSpent": 60,
        "BmvHalted": troubles.RAISED,
    },
    "outside": {"BmvOutOfChannel": 0, "BmvSideNotQuoted": 14 * 60, "BmvHalted": 19 * 60},
}
"""What fires in a run, and since when (in seconds) it may."""
STILL = (
    # Rare in any run: each is shown to move with its cause in tests/app/test_observing.py.
    r'bmv_bundles_total\{outcome="(failed|unsent)"\}',
    r'bmv_markout_(ratio\{horizon="\w+",side="bid"|sol\{horizon="3600s",side="\w+")\}',
    r'bmv_out_of_channel\{side="ask"\}',
    r'bmv_pnl_sol\{part="(conversions|rent)"\}',
    r'bmv_rebuilds_total\{trigger="(forced|local|threshold)"\}',
    r'bmv_wallet_aside\{wallet="[023]"\}',
    # What is there for the first time has moved.
    r"bmv_(errors|reports)_total\{.*",
    # What cannot move.
    r"bmv_info\{.*",
    r'bmv_bundle_latency_seconds_bucket\{le="0.5"\}',
)
"""What no run moves."""
PATIENCE_MIN = 20


@pytest.fixture(scope="module")
def seen() -> Seen:
    return scraped()


def panel_queries() -> Iterator[tuple[str, str]]:
    for file in DASHBOARDS:
        for panel in json.loads(file.read_text(encoding="utf-8"))["panels"]:
            for target in panel["targets"]:
                yield f"{file.stem}: {panel['title']}", target["expr"]


def test_panels_fill_the_width_and_none_lies_on_another() -> None:
    for file in DASHBOARDS:
        taken: set[tuple[int, int]] = set()
        for panel in json.loads(file.read_text(encoding="utf-8"))["panels"]:
            place = panel["gridPos"]
            cells = set(
                product(
                    range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
                )
            )
            assert not cells & taken
            assert place["x"] + place["w"] <= 24
            taken |= cells


def rule_lines() -> str:
    return "\n".join(line for line in RULES.read_text(encoding="utf-8").splitlines() if "record:" not in line)


def test_the_dashboards_are_those_the_code_draws(tmp_path: Path) -> None:
    drawn = ROOT / "ops" / "grafana" / "draw.py"
    copy = Path(shutil.copy(drawn, tmp_path))
    subprocess.run([sys.executable, copy], check=True, timeout=30)
    assert {file.name: file.read_text() for file in DASHBOARDS} == {
        file.name: file.read_text() for file in sorted(tmp_path.glob("*.json"))
    }
    assert len(DASHBOARDS) == 7


def test_every_metric_in_panels_and_rules_is_one_of_a_real_run(seen: Seen) -> None:
    known = {name for scrape in seen.scrapes for name, _ in scrape}
    asked = {name for _, query in panel_queries() for name in NAME.findall(query)}
    asked |= set(NAME.findall(rule_lines()))
    assert asked <= known
    assert len(asked) > 40


def test_every_metric_is_shown_somewhere(seen: Seen) -> None:
    asked = {name for _, query in panel_queries() for name in NAME.findall(query)}
    known = {name for scrape in seen.scrapes for name, _ in scrape}
    parts = ("_sum", "_count")
    # Which version runs is no graph.
    assert {name for name in known - asked if not name.endswith(parts)} == {"bmv_info"}


def test_every_single_series_moves_in_a_run() -> None:
    courses: dict[str, dict[str, set[float]]] = defaultdict(lambda: defaultdict(set))
    for run, play in RUNS.items():
        seen = play()
        for (name, labels), value in (pair for one in [*seen.scrapes, seen.busy] for pair in one.items()):
            series = name + "{" + ",".join(f'{key}="{said}"' for key, said in labels) + "}"
            courses[series][run].add(value)
    still = {one for one, runs in courses.items() if all(len(values) == 1 for values in runs.values())}
    assert {one for one in still if not any(re.fullmatch(known, one) for known in STILL)} == set()
    assert len(courses) > 200


@needs_prometheus
def test_rules_and_configuration_pass_promtool() -> None:
    folder = RULES.parent
    for command in (["check", "config", "prometheus.yml"], ["test", "rules", "bmv.rules.test.yml"]):
        done = subprocess.run(
            ["promtool", *command], cwd=folder, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tried_by_promtool_to_fire_and_to_be_silent() -> None:
    alerts = set(re.findall(r"alert: (\w+)", RULES.read_text(encoding="utf-8")))
    tried = (RULES.parent / "bmv.rules.test.yml").read_text(encoding="utf-8")
    silent = set(re.findall(r"\{eval_time: 29m, alertname: (\w+)\}", tried))
    firing = set(re.findall(r"alertname: (\w+)\n\s+exp_alerts", tried))
    assert alerts == silent == firing


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Give one Prometheus over all runs."""
    runs = {name: play() for name, play in RUNS.items()}
    with holding(runs, tmp_path_factory.mktemp("prometheus")) as server:
        yield server


@needs_prometheus
def test_every_panel_shows_data_of_a_run(held: Prometheus) -> None:
    assert [place for place, query in panel_queries() if not held.courses(query, "healthy")] == []


@needs_prometheus
def test_no_panel_is_satisfied_by_a_constant(held: Prometheus) -> None:
    def moves(query: str) -> bool:
        courses = (course for run in RUNS for course in held.courses(query, run).values())
        return any(value != course[0] for course in courses for value in course)

    still = [f"{place}: {query}" for place, query in panel_queries() if not moves(query)]
    assert still == []


@needs_prometheus
@pytest.mark.parametrize(("run", "query", "before_s", "after_s", "way"), MOVES)
def test_what_happens_in_a_run_moves_what_tells_of_it(
    held: Prometheus, run: str, query: str, before_s: int, after_s: int, way: str
) -> None:
    before, after = held.value(query, run, before_s), held.value(query, run, after_s)
    assert after > before if way == "rises" else after < before


@needs_prometheus
@pytest.mark.parametrize("query", ONLY_IN)
def test_what_only_trouble_moves_stays_at_0_without_it(held: Prometheus, query: str) -> None:
    moved = {
        run
        for run in RUNS
        if any(value != 0 for course in held.courses(query, run).values() for value in course)
    }
    assert moved == ONLY_IN[query]


@needs_prometheus
def test_no_alert_fires_while_all_is_well_even_with_an_unreliable_outside(seen: Seen, tmp_path: Path) -> None:
    # After the end it is halted, and says so.
    last = len(seen.scrapes) * EVERY_S // 60
    assert list(firing(seen, tmp_path)) == ["BmvHalted"]
    assert min(firing(seen, tmp_path)["BmvHalted"]) >= last - 1


@pytest.mark.soak
@needs_prometheus
def test_no_alert_fires_on_a_healthy_day(tmp_path: Path) -> None:
    day = scraping(24 * 3_600, levels=40)
    found = firing(day, tmp_path)
    assert list(found) == ["BmvHalted"]
    assert min(found["BmvHalted"]) >= 24 * 60 - 1


@needs_prometheus
@pytest.mark.parametrize("name", FIRST_MINUTES)
def test_alerts_fire_for_their_causes_and_no_others_do(name: str, tmp_path: Path) -> None:
    found = firing(RUNS[name](), tmp_path)
    assert set(found) == set(FIRST_MINUTES[name])
    for alert, since in FIRST_MINUTES[name].items():
        assert since / 60 <= min(found[alert]) <= since / 60 + PATIENCE_MIN, alert


def test_every_alert_about_the_engine_itself_has_a_run_in_which_it_fires() -> None:
    # A dead engine comes below.
    assert {alert for run in FIRST_MINUTES.values() for alert in run} == set(ALERTS) - {"BmvGone"}


@needs_prometheus
def test_a_prometheus_beside_a_demo_has_data_for_every_panel_and_rule(tmp_path: Path) -> None:
    """The committed configuration, with another port and shorter intervals; then the engine goes away."""
    command = [BMV, "demo", "--speed", "60", "--port", "0", "--json", "--faults", "standard"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as demo:
        assert demo.stdout is not None
        address = json.loads(demo.stdout.readline())["for Prometheus"]
        written = (RULES.parent / "prometheus.yml").read_text(encoding="utf-8").replace(": 15s", ": 1s")
        written = written.replace("- bmv.rules.yml", f"- {RULES}").replace(
            "127.0.0.1:8080", urllib.parse.urlsplit(address).netloc
        )
        (tmp_path / "prometheus.yml").write_text(written)
        records = re.findall(r"record: (\S+)", RULES.read_text(encoding="utf-8"))
        asked = [*panel_queries(), *(("rule", name) for name in records)]
        with running(tmp_path / "prometheus.yml", tmp_path / "data") as server:
            try:
                until = time.monotonic() + LIVE_PATIENCE_S
                while empty := [f"{place}: {query}" for place, query in asked if not server.ask(query)]:
                    assert time.monotonic() < until, empty
                    time.sleep(2)
                assert "firing" not in server.alerts().values()
            finally:
                demo.send_signal(signal.SIGINT)
                demo.wait(LIVE_PATIENCE_S)
            until = time.monotonic() + LIVE_PATIENCE_S
            while server.alerts().get("BmvGone") != "pending":
                assert time.monotonic() < until, server.alerts()
                time.sleep(0.5)
