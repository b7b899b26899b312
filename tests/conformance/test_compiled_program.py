"""Random instructions go through the compiled OpenBook program and the emulator alike."""

import pytest
from solders.pubkey import Pubkey

from tests.conformance.arena import OK
from tests.conformance.chaos import Habits, run_chaos
from tests.conformance.conftest import StepCounter
from tests.conformance.coverage import NEVER_SUCCEEDS, ORDERS, STATES, TAGS, Coverage

STABLE_MARKET = bytes(Pubkey.from_string("B2na8Awyd7cpC59iEU43FagJAPLigr3AP3s38KM982bu"))
FUZZ_STEPS = 11_000
NOT_OK = NEVER_SUCCEEDS | {"InitializeMarket"}
"""The market is there already; ``test_edges`` opens thousands of others."""

MARKETS = {
    "chaos": Habits(),
    "busy crank": Habits(crank=0.35, wallets=6),
    "six decimals": Habits(
        orders=300, events=400, wallets=6, decimals=6, base_lot=100_000, quote_lot=10, crank=0.3
    ),
    "full book": Habits(wallets=8, post_only=0.95, crank=0.25, replace=0.05, cancel=0.05, spread=90),
    "full book, even": Habits(wallets=8, post_only=0.95, crank=0.25, cancel=0.02, spread=90, spare=72),
    "ladders": Habits(orders=455, events=1024, replace=0.5, post_only=0.9),
    "slots run out": Habits(orders=300, events=3000, wallets=2, crank=0.01, cancel=0.05),
    "many fills": Habits(wallets=20, events=900, post_only=0.1, crank=0.1, cancel=0.02, spread=15),
    "crowd": Habits(wallets=30, orders=455, events=128, crank=0.3, post_only=0.5),
    "permissioned": Habits(permissioned=3, crank=0.3),
    "prunable": Habits(permissioned=2, post_only=0.8),
    "authority": Habits(permissioned=1),
    "stable pair": Habits(market=STABLE_MARKET, crank=0.3),
    "disabled": Habits(disabled_after=800, crank=0.3),
    "extremes": Habits(extreme=0.4, riches=2**62, crank=0.3),
    "extreme lots": Habits(base_lot=2**40, quote_lot=2**35, riches=2**62, extreme=0.05, crank=0.3),
    "no quote lot": Habits(quote_lot=0, riches=2**60, crank=0.3),
    "no base lot": Habits(base_lot=0, crank=0.3),
    "damaged": Habits(odd=0.5, extreme=0.02, crank=0.25),
}


@pytest.mark.parametrize("market", MARKETS)
def test_random_steps_end_the_same(compiled_program: bytes, counter: StepCounter, market: str) -> None:
    seed = list(MARKETS).index(market)
    outcomes = run_chaos(compiled_program, seed, 2_000, MARKETS[market])
    counter.add(sum(outcomes.values()))
    assert outcomes[OK] > 500


@pytest.mark.fuzz
def test_two_hundred_thousand_more_steps_end_the_same_and_reach_everything(
    compiled_program: bytes, counter: StepCounter, capsys: pytest.CaptureFixture[str]
) -> None:
    reached = Coverage()
    for number, market in enumerate(MARKETS):
        run_chaos(compiled_program, 100 + number, FUZZ_STEPS, MARKETS[market], reached.note)
    counter.add(reached.steps)
    with capsys.disabled():
        print(f"\n{reached.table()}")
    assert reached.steps >= 200_000
    assert reached.failed_share >= 0.3
    assert set(reached.ended) >= set(TAGS.values())
    assert {name for name in TAGS.values() if reached.ended[name]["ok"]} == set(TAGS.values()) - NOT_OK
    assert all(reached.states[state] > 100 for state in STATES)
    assert reached.orders_reached == ORDERS
    assert {0, 1, 2, 3, 65_535} <= set(reached.limits)
    assert {101, 455} <= set(reached.sizes)
    assert (min(reached.accounts) <= 4, max(reached.accounts)) == (True, 30)
