"""How fast a kill empties the book: slots until a reading shows none of our orders, with and without loss."""

import asyncio
import contextlib
import random
import statistics
from collections.abc import AsyncIterator

import pytest

from bmv.app.assembly import Assembly
from bmv.app.truth import standing_orders
from bmv.app.world import World
from bmv.core.state import State
from tests.app.recorded_run import run, settings_of

LEVELS = 60


def slots_to_empty(seed: int, loss: float) -> int:
    """Return how many slots after the kill the first reading is that shows nothing of ours."""
    rng = random.Random(f"halt {seed}")
    taken: list[int] = []

    @contextlib.asynccontextmanager
    async def look(world: World, assembly: Assembly) -> AsyncIterator[None]:
        engine = assembly.engine
        began = 0

        def own() -> int:
            book = standing_orders(world.chain, assembly.market, assembly.wallets)
            return sum(order.wallet is not None for order in book)

        def follow(state: State) -> None:
            if state.halt.cancelled and not taken:
                assert own() == 0, "what the engine says is what the chain holds"
                # A skipped slot has no block that anything could land in.
                height = world.chain.clock.height
                taken.append(height(int(state.seen)) - height(began))

        async def kill() -> None:
            nonlocal began
            await asyncio.sleep(rng.uniform(20, 40))
            assert own() > LEVELS // 2
            world.faults.rates["bundle_dropped"] = loss
            began = world.chain.slot
            engine.halt("kill")

        engine.followers.append(follow)
        killing = asyncio.create_task(kill())
        yield
        killing.cancel()

    # Bundles alone, and a price to start from in whatever world.
    settings = settings_of(LEVELS, SEED_PRICE="0.012", SEED_DAILY_VOLUME="1000", KILL_PLAIN_RPC="off")
    report = run(300, look=look, seed=seed, settings=settings).report
    assert report["halted"] == "kill"
    assert report["after_drain"] == {"orders_live": 0, "locked": 0}
    assert (report["clean"], report["self_trades"]) == (True, 0)
    assert report["identity_residual_lamports"] in (0, None)
    assert report["chain_residual"] == {"lamports": 0, "tokens": 0}
    (slots,) = taken
    return slots


def test_without_loss_three_slots_are_enough() -> None:
    assert max(slots_to_empty(seed, 0.0) for seed in range(4)) <= 3


def test_at_half_the_bundles_lost_it_takes_a_few_slots_more() -> None:
    slots = [slots_to_empty(seed, 0.5) for seed in range(5)]
    assert statistics.median(slots) <= 8
    assert max(slots) <= 25


@pytest.mark.soak
def test_two_hundred_kills_at_half_the_bundles_lost() -> None:
    slots = sorted(slots_to_empty(seed, 0.5) for seed in range(200))
    assert statistics.median(slots) <= 8
    assert slots[-3] <= 25, "the 99th percentile of 200"


@pytest.mark.soak
def test_fifty_kills_without_loss() -> None:
    assert max(slots_to_empty(seed, 0.0) for seed in range(50)) <= 3
