"""The crowd on the real simulated chain: it trades, it is finite, it can be repeated."""

import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from bmv.model import Side
from bmv.sandbox import spl_token
from bmv.sandbox.people.crowd import WEALTH_SOL, CrowdOptions
from bmv.sandbox.people.reference import RecordedReference
from bmv.sandbox.prices import PricePath
from bmv.venue.openbook_v1.codec import decode_market, decode_open_orders
from tests.sandbox.people.crowd_world import HOUR_MS, START_MS, CrowdWorld

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def day() -> tuple[CrowdWorld, list[tuple[int | None, int | None, int]]]:
    world = CrowdWorld(seed=1)
    return world, world.run(12)


def test_many_different_takers_trade(day: tuple[CrowdWorld, object]) -> None:
    world, _ = day
    taking = [event for event in world.fills if not event.is_maker]
    orders = {(event.owner, event.order_id) for event in taking}
    assert 100 <= len(orders) <= 300
    assert len({event.owner for event in taking}) >= 30
    assert {event.side for event in taking} == {Side.BID, Side.ASK}


def test_nobody_trades_with_himself_and_nothing_fails(day: tuple[CrowdWorld, object]) -> None:
    world, _ = day
    makers = {owner for role in ("quoter", "duster", "wall") for owner in world.crowd.open_orders(role)}
    takers = {owner for role in ("taker", "arbitrageur") for owner in world.crowd.open_orders(role)}
    assert {event.owner for event in world.fills if event.is_maker} <= makers
    assert {event.owner for event in world.fills if not event.is_maker} <= takers
    assert sum(world.errors.values()) <= 2, world.errors


def test_there_is_a_book_near_the_reference_almost_always(
    day: tuple[CrowdWorld, list[tuple[int | None, int | None, int]]],
) -> None:
    _, looks = day
    near = [
        bid is not None and ask is not None and bid >= fair * 0.99 and ask <= fair * 1.01
        for bid, ask, fair in looks
    ]
    assert sum(near) > 0.9 * len(near)
    assert all(bid is None or ask is None or bid < ask for bid, ask, _ in looks)


def test_the_queue_is_cranked(day: tuple[CrowdWorld, object]) -> None:
    world, _ = day
    assert 0 < world.longest_queue < 200


def test_money_is_neither_made_nor_lost(day: tuple[CrowdWorld, object]) -> None:
    world, _ = day
    assert world.chain.total_lamports() + world.chain.burnt_lamports == world.lamports
    mint = bytes(world.floor.keys.base_mint)
    held = [
        spl_token.Holding.read(account).amount
        for account in world.chain.bank.accounts.values()
        if account.owner == spl_token.PROGRAM_ID and len(account.data) == 165 and account.data[:32] == mint
    ]
    assert sum(held) == world.genesis.supply_atoms


def test_tokens_only_change_hands_and_sol_only_leaves_as_fees(day: tuple[CrowdWorld, object]) -> None:
    world, _ = day
    world.drain()
    before = CrowdWorld(seed=1).holdings()
    after = world.holdings()
    account = world.chain.account(world.genesis.market)
    assert account is not None
    market = decode_market(bytes(account.data))
    kept = market.quote_fees_accrued + market.referrer_rebates_accrued
    pending = sum(
        decode_open_orders(bytes(open_orders.data)).referrer_rebates
        for role in WEALTH_SOL
        for key in world.crowd.open_orders(role)
        if (open_orders := world.chain.account(key)) is not None
    )
    assert after[1] == before[1]
    assert before[0] - after[0] == kept
    assert 0 <= pending <= kept


def test_poor_wallets_quote_and_take_only_what_they_have() -> None:
    options = CrowdOptions(wealth=Decimal("0.02"))
    world = CrowdWorld(seed=4, options=options)
    world.run(6)
    assert len(world.fills) > 20
    assert not world.errors
    world.drain()
    assert world.holdings()[1] == CrowdWorld(seed=4, options=options).holdings()[1]


@pytest.mark.parametrize(
    "options",
    [
        CrowdOptions(takers=0, arbitrageurs=0),
        CrowdOptions(quoters=0, dusters=0, walls=0),
        CrowdOptions(0, 0, 0, 0, 0, 0),
        CrowdOptions(crankers=0, arrivals_per_day=50),
    ],
)
def test_any_part_of_the_crowd_may_be_left_out(options: CrowdOptions) -> None:
    world = CrowdWorld(seed=2, options=options)
    world.run(0.25)
    if not (options.takers and options.quoters):
        assert not world.fills
    assert not world.errors


def test_a_recorded_jump_is_followed_within_a_minute() -> None:
    prices = (Decimal("0.01"), Decimal("0.0108"), Decimal("0.0097"))
    path = PricePath("test", tuple(hour * HOUR_MS for hour in range(3)), prices, HOUR_MS)
    world = CrowdWorld(seed=3, reference=RecordedReference(path, start_ms=START_MS))
    looks = world.run(2.9)
    for hour, price in enumerate(prices):
        bid, ask, fair = looks[hour * 60 + 5]
        assert fair == world.floor.spec.ticks(price)
        assert bid is not None
        assert ask is not None
        assert abs((bid + ask) / 2 / fair - 1) < 0.005


def test_two_runs_are_equal_whatever_the_hash_seed() -> None:
    digests = set()
    for hash_seed in ("0", "77"):
        done = subprocess.run(
            [sys.executable, "-m", "tests.sandbox.people.crowd_world", "9"],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        )
        digests.add(done.stdout)
    assert len(digests) == 1
    assert len(digests.pop().strip()) == 64
