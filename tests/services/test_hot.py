"""What the engine believes reaches Redis and the run folder, whatever Redis does, and never holds it up."""

import asyncio
import time
from pathlib import Path

import msgspec

from bmv.core.halting import halting
from bmv.core.state import InFlight, Phase, Target
from bmv.events import Execute
from bmv.model import Side
from bmv.observe.metrics import Values
from bmv.ports import Clock
from bmv.services.hot import STATUS_NAME, Picture, SnapshotWriter
from bmv.state.folder import StateFolder, made
from bmv.state.hot import HotState
from bmv.state.snapshot import Author, Snapshot, unpacked
from bmv.units import Lamports, Millis
from tests.core.belongings import START, order, quote, quoting_state, settings, wallet
from tests.services.living_world import StillClock
from tests.state.valkey import Valkey, running

AUTHOR = Author("0", "here", 1, START, 7)


def file_of(folder: StateFolder) -> Snapshot:
    return unpacked((folder.run / STATUS_NAME).read_bytes(), "the file")


def writer(
    server: Valkey, folder: StateFolder, clock: Clock, **options: float
) -> tuple[HotState, SnapshotWriter]:
    made(folder.run)
    hot = HotState(server.url, "MARKET", clock, timeout_s=0.3)
    return hot, SnapshotWriter(hot, folder, Picture(["a", "b"].__getitem__), clock, fence=7, **options)


def is_up(writes: SnapshotWriter) -> bool:
    """Return what the metrics are told."""
    values = Values()
    writes.measure(values)
    return bool(values.found["bmv_hot_state_up"][()])


def test_a_picture_shows_what_is_believed() -> None:
    bid, ask = order(0, Side.BID, 90, 10, (90 << 64) | 5), order(1, Side.ASK, 110, 4, (110 << 64) | 6)
    state = quoting_state([wallet(0, orders=[bid]), wallet(1, orders=[ask])])
    state.target = Target((quote(0, Side.BID, 90, 10),))
    state.in_flight[3] = InFlight(3, Execute(3, 1, (), ()), 1, START)
    state.guards.aside[1] = "frozen"
    shown = Picture(["a", "b"].__getitem__).of(state, AUTHOR)
    assert [(purse.address, purse.aside) for purse in shown.purses] == [("a", ""), ("b", "frozen")]
    assert [[o.order_id for o in purse.orders] for purse in shown.purses] == [[bid.order_id], [ask.order_id]]
    for purse in shown.purses:
        view = state.views[purse.wallet]
        assert (purse.gas, purse.quote_locked, purse.base_locked) == (
            view.gas, view.quote_locked, view.base_locked,
        )  # fmt: skip
    assert [(w.side, int(w.price), int(w.size)) for w in shown.ladder] == [(Side.BID, 90, 10)]
    assert [(f.ticket, f.kind, f.wallet) for f in shown.flying] == [(3, "Execute", 1)]
    assert (shown.phase, shown.orders, shown.clean) == ("quoting", 2, False)


def test_a_picture_is_clean_only_at_an_end_that_left_nothing() -> None:
    state = quoting_state([wallet(0)])
    picture = Picture(["a"].__getitem__)
    assert not picture.of(state, AUTHOR).clean
    for left, clean in ((0, True), (1, False)):
        state.phase, state.halt_reason = Phase.HALTING, "enough"
        state.views[0] = msgspec.structs.replace(wallet(0), quote_free=Lamports(left))
        while state.phase is not Phase.DONE:
            state.now += Millis(60_000)
            halting(state, settings())
        assert picture.of(state, AUTHOR).clean is clean


def test_a_picture_takes_over_what_has_not_changed_and_nothing_else() -> None:
    state = quoting_state([wallet(0), wallet(1)])
    picture = Picture(["a", "b"].__getitem__)
    first = picture.of(state, AUTHOR)
    state.views[1] = wallet(1, orders=[order(1, Side.BID, 90, 10)])
    state.guards.aside[0] = "rejected"
    second = picture.of(state, AUTHOR)
    assert second.purses[0].aside == "rejected"
    assert len(second.purses[1].orders) == 1
    assert picture.of(state, AUTHOR).purses[1] is second.purses[1]
    assert first.purses[1].orders == ()


def test_what_is_believed_reaches_redis_and_the_file_a_few_times_a_second(tmp_path: Path) -> None:
    async def scenario(server: Valkey) -> None:
        folder, state = StateFolder(tmp_path), quoting_state([wallet(0), wallet(1)])
        hot, writes = writer(server, folder, StillClock(), beat_s=0.1)
        before = server.direct.info()["total_commands_processed"]
        running_on = asyncio.create_task(writes.run())
        for _ in range(100):
            state.now += Millis(10)
            writes.follow(state)
            await asyncio.sleep(0.01)
        await writes.write()
        seen = await hot.read()
        assert seen is not None
        assert seen.snapshot == file_of(folder)
        assert seen.snapshot.at == state.now
        assert server.direct.info()["total_commands_processed"] - before < 60
        await asyncio.sleep(0.5)
        idle = await hot.read()
        assert idle is not None
        assert idle.age_ms < 480
        running_on.cancel()
        await hot.close()

    with running() as server:
        asyncio.run(scenario(server))


def test_a_dead_redis_costs_the_view_there_and_nothing_else(tmp_path: Path) -> None:
    async def scenario(server: Valkey) -> None:
        folder, state = StateFolder(tmp_path), quoting_state([wallet(0), wallet(1)])
        hot, writes = writer(server, folder, StillClock())
        server.kill()
        running_on = asyncio.create_task(writes.run())
        began = time.perf_counter()
        writes.follow(state)
        assert time.perf_counter() - began < 0.01
        await asyncio.sleep(0.3)
        assert file_of(folder).at == state.now
        assert is_up(writes) is False
        server.start()
        state.now += Millis(5)
        writes.follow(state)
        await asyncio.sleep(0.8)
        seen = await hot.read()
        assert seen is not None
        assert seen.snapshot.at == state.now
        assert is_up(writes) is True
        assert not running_on.done()
        running_on.cancel()
        await hot.close()

    with running() as server:
        asyncio.run(scenario(server))


def test_a_folder_that_cannot_be_written_does_not_end_the_writing(tmp_path: Path) -> None:
    async def scenario() -> None:
        (tmp_path / "run").touch()
        writes = SnapshotWriter(
            None, StateFolder(tmp_path), Picture(["a"].__getitem__), StillClock(), fence=0, beat_s=0.05
        )
        running_on = asyncio.create_task(writes.run())
        writes.follow(quoting_state([wallet(0)]))
        await asyncio.sleep(0.5)
        assert not running_on.done()
        running_on.cancel()

    asyncio.run(scenario())
