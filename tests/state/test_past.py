"""Imported rows are the seed, once however often they are taken; recorded trades never count in it too."""

import random

import pytest

from bmv.belief import QueueMark
from bmv.model import MarketSpec, Side, Trade
from bmv.secret import Secret
from bmv.state.history import DAY_MS, History
from bmv.state.past import Cursor, Past
from bmv.state.rows import Batch, ImportedRow, SolUsdRow
from bmv.state.statements import HOUR_MS
from bmv.units import BaseLots, Millis, Slot, Ticks
from tests.state.real_clock import RealClock
from tests.state.test_history import run

SPEC = MarketSpec("market", "mint", 9, 9, 1_000, 10, 100, 100, 100)
WINDOW, RECENT = Millis(30 * DAY_MS), Millis(HOUR_MS)


def rows(now: int, kind: str = "trades") -> list[ImportedRow]:
    rng = random.Random(1)
    times = sorted(now - rng.randrange(1, 60 * DAY_MS) for _ in range(3_000))
    return [
        ImportedRow(kind, at, n, rng.randrange(1, 10**12), rng.randrange(1, 10**9))
        for n, at in enumerate(times)
    ]


def test_the_seed_is_what_files_say_of_the_window_before_the_first_start(database_url: Secret) -> None:
    async def told(history: History) -> None:
        await history.prepare()
        now = int(history._first_start or 0)
        past, taken = Past(history), rows(now)
        assert await past.take(taken) == len(taken)
        assert await past.take(taken) == 0
        seed = (await history.opening(Millis(now), WINDOW, RECENT)).seed
        inside = [row for row in taken if row.at >= now - int(WINDOW)]
        lots = sum(row.size for row in inside)
        assert seed == (
            sum(row.price * row.size for row in inside) // lots,
            lots * DAY_MS // (inside[-1].at - inside[0].at),
        )
        # It stays what it was at the first start.
        later = await history.opening(Millis(now + 20 * DAY_MS), WINDOW, RECENT)
        assert later.seed == seed

        recorded = now - 10 * DAY_MS
        trade = Trade(-1, Millis(recorded), Ticks(5), BaseLots(7), Side.BID, False)
        await past.advance([trade], Cursor("a", "b", recorded, 1))
        less = (await history.opening(Millis(now), WINDOW, RECENT)).seed
        before = [row for row in inside if row.at < recorded // HOUR_MS * HOUR_MS]
        lots = sum(row.size for row in before)
        assert less[0] == sum(row.price * row.size for row in before) // lots

    run(database_url, told, SPEC)


def test_rows_of_another_kind_for_the_same_time_are_told(database_url: Secret) -> None:
    async def told(history: History) -> None:
        past = Past(history)
        mine = rows(10**12)
        await past.take(mine)
        assert await past.overlapping(mine) is None
        assert await past.overlapping([ImportedRow("bars 60000", mine[0].at, 0, 1, 1)]) == "trades"

    run(database_url, told, SPEC)


def test_filling_a_history_is_no_first_start(database_url: Secret) -> None:
    async def filled(history: History) -> None:
        tool = History.at(database_url, SPEC, "w", RealClock(), starts=False)
        await tool.prepare()
        await tool.close()
        await history.prepare()
        opening = await history.opening(Millis(10**15), WINDOW, RECENT)
        assert opening.first_start == history._first_start
        again = History.at(database_url, SPEC, "w", RealClock())
        await again.prepare()
        assert (await again.opening(Millis(10**15), WINDOW, RECENT)).first_start == opening.first_start
        await again.close()

    run(database_url, filled, SPEC)


def test_where_the_engine_s_records_begin_is_noted_once(database_url: Secret) -> None:
    async def told(history: History) -> None:
        past = Past(history)
        first, second = QueueMark(Slot(5), 6, (7,)), QueueMark(Slot(8), 9)
        assert await past.known() == (None, None)
        await history.write(Batch(live_from=first))
        await history.write(Batch(live_from=second))
        assert await past.known() == (None, first)
        cursor = Cursor("new", "old", 123, 4, 1, True, False)
        await past.advance((), cursor)
        assert (await past.known())[0] == cursor

    run(database_url, told, SPEC)


def test_what_is_known_of_an_hour_stays(database_url: Secret) -> None:
    async def told(history: History) -> None:
        past = Past(history)
        now = 10**12
        hours = [SolUsdRow(now // HOUR_MS - n, 100 + n) for n in range(1_000)]
        assert await past.take_dollars(hours) == 1_000
        assert await past.take_dollars([SolUsdRow(hours[0].hour, 5)]) == 0
        known = (await history.opening(Millis(now), Millis(10 * DAY_MS), RECENT)).sol_usd
        assert known == [(row.hour, row.micros) for row in reversed(hours[:241])]

    run(database_url, told, SPEC)


@pytest.mark.parametrize("taken", [0, 3])
def test_a_step_is_written_whole_or_not_at_all(database_url: Secret, taken: int) -> None:
    async def told(history: History) -> None:
        past = Past(history)
        trades = [
            Trade(-n, Millis(n * 1_000), Ticks(5), BaseLots(7), Side.BID, False) for n in range(1, 1 + taken)
        ]
        await past.advance(trades, Cursor("a", "b", 1, taken))
        broken = Trade(-9, Millis(1), Ticks(2**70), BaseLots(1), Side.BID, False)
        with pytest.raises(Exception, match=r"out of .* range"):
            await past.advance([broken], Cursor("a", "c", 1, 99))
        assert (await past.known())[0] == Cursor("a", "b", 1, taken)
        async with history.opened() as (connection, _):
            assert await connection.fetchval("SELECT count(*) FROM trade") == taken

    run(database_url, told, SPEC)
