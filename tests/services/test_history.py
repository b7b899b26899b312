"""PostgreSQL may come and go: what was decided is in the history exactly once, in the end."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from bmv.config import Settings
from bmv.errors import Unreachable
from bmv.model import MarketSpec, Side, Trade
from bmv.observe.metrics import Values
from bmv.secret import Secret
from bmv.services import history as history_module
from bmv.services.history import Historian
from bmv.services.record import Record
from bmv.state.history import History
from bmv.state.rows import BalanceRow, Batch, EventRow
from bmv.state.spool import Spool
from bmv.units import BaseLots, Millis, Ticks
from tests.state.real_clock import RealClock

SPEC = MarketSpec("market", "mint", 9, 9, 1_000, 10, 100, 100, 100)
NOW = int(RealClock().now())
HELD = BalanceRow(1, "w", 0, 0, 0, 0, 10**30, 0, 0, 0, 0)
"""A row that fits no column."""


def nothing(since: Millis) -> tuple[Batch, ...]:
    return ()


class Line:
    """A line to the database's socket that can be cut."""

    def __init__(self, folder: Path, url: Secret) -> None:
        address, query = url.reveal().split("?")
        self._there = Path(query.split("=")[1].split("&")[0]) / ".s.PGSQL.5432"
        self._here = folder / ".s.PGSQL.5432"
        self.url = Secret(f"{address}?host={folder}&port=5432")
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def up(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_unix_server(self._met, self._here)

    async def down(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
            self._here.unlink(missing_ok=True)
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()

    async def _met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_unix_connection(self._there)
        self._open |= {writer, there_writer}
        await asyncio.gather(self._pass(reader, there_writer), self._pass(there_reader, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        writer.close()


@asynccontextmanager
async def line_to(url: Secret, folder: Path) -> AsyncIterator[Line]:
    line = Line(folder, url)
    await line.up()
    try:
        yield line
    finally:
        await line.down()


def historian(line: Line, spool: Spool) -> tuple[Historian, History]:
    history = History.at(line.url, SPEC, "w", RealClock())
    return Historian(history, spool, RealClock(), Settings, Record(SPEC, Counter())), history


def told_of(writer: Historian) -> dict[str, float]:
    """Return what the metrics are told."""
    values = Values()
    writer.measure(values)
    return {name.removeprefix("bmv_history_"): value[()] for name, value in values.found.items()}


def batch(rng: random.Random, number: int) -> Batch:
    trades = [
        Trade(
            number * 10 + n, Millis(NOW - rng.randrange(10**8)), Ticks(5), BaseLots(n + 1), Side.BID, n == 2
        )
        for n in range(rng.randrange(4))
    ]
    return Batch(trades=trades, events=[EventRow(1, number, NOW, "STARTED", {"n": number})])


async def recorded(url: Secret, query: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(url.reveal(), server_settings={"search_path": "bmv"})
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_module, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(history_module, "LONGEST_PAUSE_S", 0.002)


def test_through_outages_and_sudden_ends_everything_is_there_once_and_in_order(
    database_url: Secret, tmp_path: Path
) -> None:
    async def told() -> None:
        rng = random.Random(8)
        sent: list[Batch] = []
        unsure: list[Batch] = []
        async with line_to(database_url, tmp_path) as line:
            spool = Spool(tmp_path / "spool")
            writer, history = historian(line, spool)
            await writer.open([], Millis(NOW), nothing)
            for number in range(150):
                one = batch(rng, number)
                sent.append(one)
                unsure.append(one)
                writer._take(one)
                match rng.randrange(12):
                    case 0:
                        await line.down()
                    case 1 | 2:
                        await line.up()
                    case 3:
                        # A sudden end: what was only in memory comes again, from the chain.
                        spool.close()
                        await history.close()
                        spool = Spool(tmp_path / "spool")
                        writer, history = historian(line, spool)
                        for again in unsure:
                            writer._take(again)
                if rng.random() < 0.5:
                    await writer.flush()
                    unsure.clear()
            await line.up()
            await asyncio.sleep(0.01)
            await writer.finish()
            assert spool.is_empty
            await history.close()
        trades = [trade for one in sent for trade in one.trades]
        assert await recorded(database_url, "SELECT count(*), sum(size) FROM trade") == [
            (len(trades), sum(int(trade.size) for trade in trades))
        ]
        assert await recorded(database_url, "SELECT sum(trades), sum(volume) FROM trade_hour") == [
            (len(trades), sum(int(trade.size) for trade in trades))
        ]
        assert await recorded(database_url, "SELECT count(*), max(number) FROM event") == [(150, 149)]

    asyncio.run(told())


def test_a_batch_that_does_not_fit_is_set_aside_and_holds_up_nothing(
    database_url: Secret, tmp_path: Path
) -> None:
    async def told() -> None:
        rng = random.Random(9)
        async with line_to(database_url, tmp_path) as line:
            writer, history = historian(line, Spool(tmp_path / "spool"))
            await writer.open([], Millis(NOW), nothing)
            for away in (False, True):
                if away:
                    await line.down()
                writer._take(Batch(balances=[HELD]))
                await writer.flush()
                writer._take(batch(rng, int(away)))
                await writer.flush()
                assert (told_of(writer)["up"], told_of(writer)["waiting_bytes"] > 0) == (not away, away)
            await line.up()
            await asyncio.sleep(0.01)
            await writer.finish()
            await history.close()
        assert await recorded(database_url, "SELECT count(*) FROM event") == [(2,)]
        assert (tmp_path / "spool" / "refused.records").stat().st_size > 200

    asyncio.run(told())


def test_with_the_database_gone_and_the_spool_full_rows_wait_in_memory_and_the_first_loss_is_counted(
    database_url: Secret, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_module, "MOST_ROWS", 5)

    async def told() -> None:
        async with line_to(database_url, tmp_path) as line:
            writer, history = historian(line, Spool(tmp_path / "spool", limit=10))
            await writer.open([], Millis(NOW), nothing)
            await line.down()
            for number in range(8):
                writer._take(Batch(events=[EventRow(1, number, NOW, "STARTED", {})]))
                await writer.flush()
            assert (writer.waiting, writer.lost) == (0, 3)
            assert told_of(writer) == {"up": 0, "waiting_bytes": 0, "waiting_rows": 5, "lost_rows": 3}
            await line.up()
            await asyncio.sleep(0.01)
            await writer.finish()
            assert told_of(writer) == {"up": 1, "waiting_bytes": 0, "waiting_rows": 0, "lost_rows": 3}
            await history.close()
        assert await recorded(database_url, "SELECT number FROM event ORDER BY number") == [
            (number,) for number in range(5)
        ]

    asyncio.run(told())


def test_a_start_without_a_database_says_so(tmp_path: Path) -> None:
    async def told() -> None:
        nowhere = Secret(f"postgresql://bmv@/postgres?host={tmp_path}")
        history = History.at(nowhere, SPEC, "w", RealClock())
        spool, record = Spool(tmp_path / "spool"), Record(SPEC, Counter())
        with pytest.raises(Unreachable, match="postgres"):
            await Historian(history, spool, RealClock(), Settings, record).open([], Millis(NOW), nothing)

    asyncio.run(told())
