"""Stop at any moment of a run: whatever is going on, nothing of ours stays on the chain."""

import asyncio
import contextlib
import random
import signal
from collections.abc import AsyncIterator

import pytest

from bmv.app.assembly import Assembly
from bmv.app.world import World
from tests.app.recorded_run import run

_DRAW = random.Random(2026)
EARLY = [0.0, *(round(_DRAW.uniform(0, 6), 2) for _ in range(9))]
LATER = [round(_DRAW.uniform(6, 1_500), 1) for _ in range(15)]


MOMENTS = [(moment, ("none", "standard")[number % 2]) for number, moment in enumerate([*EARLY, *LATER])]


@pytest.mark.parametrize(("moment", "faults"), MOMENTS)
def test_a_stop_at_any_moment_leaves_nothing(moment: float, faults: str) -> None:
    @contextlib.asynccontextmanager
    async def look(_: World, __: Assembly) -> AsyncIterator[None]:
        async def stop() -> None:
            await asyncio.sleep(moment)
            signal.raise_signal(signal.SIGINT)

        stopping = asyncio.create_task(stop())
        yield
        stopping.cancel()

    report = run(7_200, look=look, seed=int(moment * 100), faults=faults, levels=60).report
    assert report["sim_seconds"] <= moment + 1
    assert report["after_drain"] == {"orders_live": 0, "locked": 0}
    assert (report["clean"], report["self_trades"]) == (True, 0)
    assert report["identity_residual_lamports"] in (0, None)
    assert report["chain_residual"] == {"lamports": 0, "tokens": 0}
    assert set(report["errors"]) <= set(report["faults_injected"])


def test_a_stop_while_every_bundle_is_dropped_waits_until_one_lands() -> None:
    @contextlib.asynccontextmanager
    async def look(world: World, _: Assembly) -> AsyncIterator[None]:
        async def sabotage() -> None:
            await asyncio.sleep(60)
            world.faults.rates["bundle_dropped"] = 1.0
            signal.raise_signal(signal.SIGINT)
            await asyncio.sleep(150)
            world.faults.rates.clear()

        working = asyncio.create_task(sabotage())
        yield
        await working

    report = run(7_200, look=look).report
    assert report["at_end"]["orders_live"] > 60
    assert report["after_drain"] == {"orders_live": 0, "locked": 0}
    assert report["faults_injected"]["bundle_dropped"] > 4 * 4
    assert report["identity_residual_lamports"] == 0
