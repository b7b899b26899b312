"""A market's trades are read back from the chain: each once, wherever the reading was killed."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from bmv.app.past import Market, backfilled
from bmv.belief import QueueMark
from bmv.chain.rpc import Rpc
from bmv.errors import Garbled, UnsafeState
from bmv.events import AnyEvent, MarketSeen
from bmv.model import Side
from bmv.sandbox.clock import LoopClock
from bmv.sandbox.people.crowd import CrowdOptions
from bmv.secret import Secret
from bmv.services import past as walking
from bmv.services.past import Walk
from bmv.state.history import History
from bmv.state.past import Cursor, Past
from bmv.state.rows import Batch
from bmv.units import Millis
from bmv.venue.openbook_v1.logs import FillLog, decode_log
from tests.services.living_world import START_MS, Living, living, virtually

BUSY = CrowdOptions(arrivals_per_day=20_000)
BEGIN = Millis(START_MS - 10_000)
Traded = tuple[int, int, int]


class Filling:
    """A market that lives, and its history."""

    def __init__(self, it: Living, url: Secret, clock: LoopClock) -> None:
        self.it, self.url = it, url
        self.history = History.at(url, it.world.spec, "w", clock, starts=False)
        self.past = Past(self.history)

    def walk(self, told: Callable[[Cursor], None] = lambda _: None, rpc: Rpc | None = None) -> Walk:
        found = self.it.assembly
        return Walk(rpc or self.it.assembly.feed._rpc, found.market, found.spec, self.past, told)

    async def recorded(self) -> Counter[Traded]:
        """Return what the database holds: second, price, lots."""
        async with self.history.opened() as (connection, market):
            query = "SELECT at / 1000, price, size FROM trade WHERE market = $1 AND seq < 0"
            return Counter(tuple(row) for row in await connection.fetch(query, market))

    def cranked(self, until: int = 1 << 62) -> Counter[Traded]:
        """Return what the sandbox's own record of the chain says was matched and cranked, up to a slot."""
        found: Counter[Traded] = Counter()
        lot = self.it.world.spec.base_lot_size
        for landed in self.it.world.chain.ledger.since(0):
            logs = landed.outcome.logs if landed.slot <= until else ()
            for record in map(decode_log, logs):
                if isinstance(record, FillLog) and record.maker:
                    base = record.native_received if record.side is Side.BID else record.native_paid
                    found[(landed.block_time, record.order_id >> 64, base // lot)] += 1
        return found


def filling(url: Secret, seconds: float, told: Callable[[Filling], Awaitable[None]]) -> None:
    """Let the market live for a while, with nobody of ours in it, then look."""

    async def scenario(clock: LoopClock) -> None:
        async with living(clock, seed=4, crowd=BUSY) as it:
            await asyncio.sleep(seconds)
            await told(Filling(it, url, clock))

    virtually(scenario)


def test_every_trade_the_chain_logged_is_recorded_once_at_the_time_of_its_block(database_url: Secret) -> None:
    async def told(it: Filling) -> None:
        cursor = await it.walk().run(BEGIN)
        recorded = await it.recorded()
        assert cursor is not None
        assert (cursor.complete, cursor.trades, cursor.cut) == (True, recorded.total(), 0)
        # The chain went on while it was read.
        missing = it.cranked() - recorded
        assert not recorded - it.cranked()
        await it.walk().run(BEGIN)
        assert not missing - await it.recorded()
        assert recorded.total() > 100

    filling(database_url, 900, told)


def test_a_reading_killed_anywhere_goes_on_and_finds_what_an_undisturbed_one_finds(
    database_url: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walking, "CHUNK", 8)

    async def told(it: Filling) -> None:
        kills, steps = 0, 0
        reading: list[asyncio.Task[Cursor | None]] = []

        def stepped(_: Cursor) -> None:
            nonlocal steps
            steps += 1
            if steps % 3 == 0:
                reading[-1].cancel()

        cursor = None
        while cursor is None:
            reading.append(asyncio.create_task(it.walk(stepped).run(BEGIN)))
            try:
                cursor = await reading[-1]
            except asyncio.CancelledError:
                kills += 1
        assert kills > 3
        recorded = await it.recorded()
        newest = max(at for at, _, _ in recorded)
        logged = Counter({one: count for one, count in it.cranked().items() if one[0] < newest})
        assert Counter({one: count for one, count in recorded.items() if one[0] < newest}) == logged
        async with it.history.opened() as (connection, _):
            assert await connection.fetchval("SELECT sum(trades) FROM trade_hour") == recorded.total()

    filling(database_url, 600, told)


def test_with_the_engine_s_own_records_every_trade_is_there_once(database_url: Secret) -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock, seed=4, crowd=BUSY) as it:
            told: list[AnyEvent] = []
            it.assembly.feed._emit = told.append
            await asyncio.sleep(300)
            running = asyncio.create_task(it.assembly.feed.run())
            await asyncio.sleep(300)
            running.cancel()
            first = next(event for event in told if isinstance(event, MarketSeen))
            assert first.mark is not None
            found = Filling(it, database_url, clock)
            live = [trade for event in told if isinstance(event, MarketSeen) for trade in event.trades]
            await found.history.write(Batch(trades=live, live_from=first.mark))
            cursor = await found.walk().run(BEGIN)
            assert cursor is not None
            assert cursor.joined
            both = Counter((price, size) for _, price, size in (await found.recorded()).elements())
            both += Counter((int(trade.price), int(trade.size)) for trade in live)
            logged = Counter((price, size) for _, price, size in found.cranked().elements())
            assert not logged - both
            # What waits for a crank now is told already and not logged yet.
            waiting = it.assembly.feed._reader.queue
            assert waiting is not None
            assert (both - logged).total() <= waiting.count

    virtually(scenario)


def test_what_waited_for_a_crank_at_the_first_start_belongs_to_the_past(database_url: Secret) -> None:
    async def told(it: Filling) -> None:
        records = await it.walk()._page()
        logged = [
            (record, await it.walk()._logged(record)) for record in reversed(records[: len(records) // 2])
        ]
        slot = logged[0][0].slot
        after = [fill for record, found in logged if record.slot > slot for fill in found.fills or ()]
        waiting = tuple(fill.order_id for fill in after[:5])
        mark = QueueMark(slot, 0, waiting)
        await it.history.write(Batch(live_from=mark))
        cursor = await it.walk().run(BEGIN)
        assert cursor is not None
        assert cursor.joined
        before = it.cranked(int(slot)).total()
        assert (await it.recorded()).total() == before + sum(fill.maker for fill in after[:5])
        assert 0 < before < it.cranked().total()

    filling(database_url, 600, told)


def test_logs_that_do_not_fit_what_the_engine_saw_are_not_guessed_from(database_url: Secret) -> None:
    async def told(it: Filling) -> None:
        records = await it.walk()._page()
        await it.history.write(Batch(live_from=QueueMark(records[len(records) // 2].slot, 0, (1, 2))))
        with pytest.raises(Garbled, match="do not fit what waited"):
            await it.walk().run(BEGIN)

    filling(database_url, 300, told)


def test_records_of_an_older_program_are_not_filled_up(database_url: Secret) -> None:
    async def told(it: Filling) -> None:
        await it.walk().run(BEGIN)
        async with it.history.opened() as (connection, _):
            await connection.execute("UPDATE trade SET seq = -seq")
        with pytest.raises(UnsafeState, match="recorded by an older program"):
            await it.walk().run(BEGIN)

    filling(database_url, 120, told)


def test_backfilling_tells_what_a_sol_cost_in_each_hour(database_url: Secret) -> None:
    async def told(it: Filling) -> None:
        world = it.it
        market = Market(
            world.assembly.spec,
            world.assembly.market,
            world.assembly.feed._rpc,
            it.past,
            world.session,
            world.settings.model_copy(update={"oracle_coinbase_url": world.outside.prices["coinbase"]}),
        )
        since = Millis(START_MS - 400 * 3_600_000)
        found = await backfilled(market, since, lambda _: None)
        assert found["sol_usd"] == {"hours": 400, "reason": ""}
        again = await backfilled(market, since, lambda _: None)
        assert again["sol_usd"]["hours"] == 0
        async with it.history.opened() as (connection, number):
            rows = await connection.fetch("SELECT hour, micros FROM sol_usd WHERE market = $1", number)
        reference = it.it.world.sol_usd
        assert all(int(reference.price_at(hour * 3_600_000) * 10**6) == micros for hour, micros in rows)

    filling(database_url, 60, told)
