"""Stop at any moment of a run: whatever is going on, nothing of ours stays on the chain."""

import asyncio
import contextlib
import random
import signal
from collections.abc import AsyncIterator

import pytest
import typer

from bmv.app import demo
from bmv.app.assembly import Assembly
from bmv.app.demo import PATIENCE_S, VIRTUAL_START_MS
from bmv.app.samples import MINUTE_S
from bmv.app.world import World
from bmv.cli.demo import end
from tests.app.recorded_run import run, settings_of

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


def test_a_demo_whose_orders_can_never_be_withdrawn_ends_all_the_same_and_lists_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    patience = 120.0
    assert patience < PATIENCE_S
    monkeypatch.setattr(demo, "PATIENCE_S", patience)

    @contextlib.asynccontextmanager
    async def look(world: World, _: Assembly) -> AsyncIterator[None]:
        async def sabotage() -> None:
            await asyncio.sleep(60)
            world.faults.rates["bundle_dropped"] = 1.0

        working = asyncio.create_task(sabotage())
        yield
        await working

    settings = settings_of(12, KILL_PLAIN_RPC="off")
    ended = run(90, look=look, wallets=2, settings=settings)
    report = ended.report
    stood = report["at_end"]["orders_live"]
    assert stood > 5
    assert report["after_drain"]["orders_live"] == stood
    assert not report["clean"]
    listed = [order for wallet in report["remaining"] for order in wallet["orders"]]
    assert len(listed) == stood
    world = ended.world
    assert world is not None
    assert patience <= (world.chain.now() - VIRTUAL_START_MS) / 1_000 - 90 <= patience + 2 * MINUTE_S + 240
    with pytest.raises(typer.Exit) as code:
        end(report)
    assert code.value.exit_code == 3
    said = capsys.readouterr().err
    assert all(f"(id {order['order_id']})" in said for order in listed)
