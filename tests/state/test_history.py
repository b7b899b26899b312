"""History is written once however often it is sent, and its sums are those of the raw trades."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

import asyncpg
import msgspec
import pytest

from bmv.belief import Belief, QueueMark
from bmv.errors import Unreachable
from bmv.model import DEPTH_BANDS, MarketSpec, Side, Trade
from bmv.secret import Secret
from bmv.state import history as history_module
from bmv.state.database import BadRows
from bmv.state.history import KEPT_BEYOND_MS, History
from bmv.state.rows import (
    BalanceRow,
    Batch,
    BookRow,
    BundleEnd,
    BundleSent,
    EventRow,
    FillRow,
    MarkoutRow,
    Opening,
    OrderEnd,
    OrderRow,
    SampleRow,
    decode_batch,
    encode_batch,
)
from bmv.state.statements import HOUR_MS
from bmv.units import BaseLots, Millis, Slot, Ticks
from tests.state.real_clock import RealClock

SPEC = MarketSpec("market", "mint", 9, 9, 1_000, 10, 100, 100, 100)
NOW = 1_767_225_600_000 + 12_345
DAY = 24 * HOUR_MS
LARGE = 2**63 - 1
T = TypeVar("T")


def run(url: Secret, told: Callable[[History], Awaitable[T]], spec: MarketSpec = SPEC, world: str = "w") -> T:
    async def with_history() -> T:
        history = History.at(url, spec, world, RealClock())
        try:
            return await told(history)
        finally:
            await history.close()

    return asyncio.run(with_history())


def asked(url: Secret, query: str) -> list[tuple[object, ...]]:
    async def fetched() -> list[tuple[object, ...]]:
        connection = await asyncpg.connect(url.reveal(), server_settings={"search_path": "bmv"})
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    return asyncio.run(fetched())


def some_trades(rng: random.Random, count: int, days: int) -> list[Trade]:
    times = sorted(NOW - rng.randrange(days * DAY) for _ in range(count))
    # Moments on the border of an hour, and of the window, are where sums go wrong.
    times[::7] = [at // HOUR_MS * HOUR_MS for at in times[::7]]
    times.sort()
    return [
        Trade(
            seq,
            Millis(at),
            Ticks(rng.randrange(1, 10**9)),
            BaseLots(rng.randrange(1, 10**6)),
            Side.ASK,
            rng.random() < 0.2,
        )
        for seq, at in enumerate(times)
    ]


async def opened(history: History) -> Opening:
    return await history.opening(Millis(NOW), Millis(DAY), Millis(0))


def sums(trades: Sequence[Trade], after: int) -> tuple[int, int, int]:
    counted = [trade for trade in trades if int(trade.at) > after]
    return (
        sum(int(trade.price) * int(trade.size) for trade in counted),
        sum(int(trade.size) for trade in counted),
        sum(int(trade.size) for trade in counted if trade.own),
    )


def test_any_window_sums_to_what_its_trades_do_however_often_and_in_whatever_order_they_were_sent(
    database_url: Secret,
) -> None:
    rng = random.Random(5)
    trades = some_trades(rng, 3_000, days=40)

    async def told(history: History) -> None:
        parts = [trades[at : at + 250] for at in range(0, len(trades), 250)] * 2
        rng.shuffle(parts)
        for part in parts:
            await history.write(Batch(trades=rng.sample(part, len(part)) + part[:5]))
        for _ in range(20):
            window, now = rng.randrange(1, 45 * DAY), NOW + rng.randrange(3 * HOUR_MS)
            window -= (now - window) % HOUR_MS if rng.random() < 0.3 else 0
            recent = rng.randrange(12 * HOUR_MS)
            opening = await history.opening(Millis(now), Millis(window), Millis(recent))
            assert opening.sums() == sums(trades, now - window)
            times = [int(trade.at) for trade in opening.trades]
            assert times == sorted(times)
            young = [trade for trade in trades if int(trade.at) > max(now - window, now - recent)]
            assert [trade for trade in opening.trades if trade in young] == young

    run(database_url, told)


def test_two_markets_and_two_worlds_of_one_market_do_not_mix(database_url: Secret) -> None:
    places = [(SPEC, "w"), (SPEC, "v"), (msgspec.structs.replace(SPEC, address="other"), "w")]
    for index, (spec, world) in enumerate(places):
        batch = Batch(trades=[Trade(1, Millis(NOW), Ticks(index + 1), BaseLots(10), Side.BID, False)])
        run(database_url, partial(History.write, batch=batch), spec, world)
    for index, (spec, world) in enumerate(places):
        opening = run(database_url, opened, spec, world)
        assert opening.sums() == (10 * (index + 1), 10, 0)


def test_what_is_too_old_for_any_window_goes_and_does_not_come_back_twice(
    database_url: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_module, "STEP", 7)
    trades = some_trades(random.Random(6), 500, days=20)
    window = 10 * DAY
    horizon = (NOW - window - KEPT_BEYOND_MS) // HOUR_MS * HOUR_MS

    async def told(history: History) -> None:
        await history.write(Batch(trades=trades))
        gone = await history.thin_out(Millis(NOW), Millis(window))
        assert gone == sum(int(trade.at) < horizon for trade in trades) > 100
        await history.write(Batch(trades=trades))
        assert len(await history.trades(Millis(0), Millis(NOW + 1))) == len(trades) - gone
        opening = await history.opening(Millis(NOW), Millis(window), Millis(HOUR_MS))
        assert opening.sums() == sums(trades, NOW - window)

    run(database_url, told)
    assert asked(database_url, "SELECT sum(volume), sum(trades) FROM trade_hour") == [
        (sum(int(trade.size) for trade in trades), len(trades))
    ]


def sample(sol_usd: int | None) -> SampleRow:
    return SampleRow(
        run=NOW,
        at=NOW,
        booked=1,
        settled=True,
        sol=2**50,
        base=2**40,
        usdc=5,
        sol_usd=sol_usd,
        mark=7,
        rent=8,
        price_fine=2**80,
        pivot_fine=None,
        orders=9,
        quoting=60_000,
        present_bid=50_000,
        present_ask=40_000,
        spread_weighted=60_000 * 80,
        spread_millis=60_000,
        depth_millis=60_000,
        depth=[60_000 * each for each in range(16)],
    )


def everything() -> Batch:
    order = OrderRow(2**100, "wallet", 0, 5, 7, 128, NOW, 3)
    other = OrderRow(2**127, "wallet", 1, 6, 7, 1, NOW)
    return Batch(
        trades=[Trade(3, Millis(NOW), Ticks(LARGE), BaseLots(LARGE), Side.ASK, True)],
        fills=[FillRow(3, NOW, NOW, "wallet", 1, 5, 7, True, 1, 0, 2**127, 1, "someone", False)],
        orders=[order, other],
        ends=[OrderEnd(2**127, NOW + 5, "filled", 7)],
        sent=[BundleSent("a", NOW, [1, 2], ["s"], 9, 4, 5), BundleSent("b", NOW, [3], ["t"], 9, 4, 5)],
        resolved=[BundleEnd("a", NOW + 9, "landed", 77, "", 4, 5)],
        events=[EventRow(NOW, 1, NOW, "GRID_REBUILD", {"trigger": "forced", "cost": 12, "placed": 3})],
        balances=[BalanceRow(NOW // HOUR_MS, "wallet", 1, 2, 3, 4, 2**64 - 1, 6, 7, 8, 9)],
        books=[BookRow(NOW, 1, NOW, "spread", -(2**40), "fill 3")],
        markouts=[MarkoutRow(3, 60, NOW + 60_000, 2**80)],
        samples=[sample(None), msgspec.structs.replace(sample(150_000_000), at=NOW + 1)],
        belief=Belief(Millis(NOW), QueueMark(Slot(7), 3), last_fine=2**80, net_base=BaseLots(-4)),
    )


def test_every_kind_of_row_is_there_once_however_often_it_was_sent(database_url: Secret) -> None:
    async def told(history: History) -> None:
        for _ in range(3):
            await history.write(decode_batch(encode_batch(everything())))
        await history.write(
            Batch(belief=Belief(Millis(NOW - 1)), ends=[OrderEnd(2**127, NOW + 9, "gone", 0)])
        )
        opening = await opened(history)
        assert opening.belief == everything().belief
        assert (opening.standing, opening.filled) == (everything().orders[:1], {})
        assert opening.in_flight == everything().sent[1:]
        assert opening.sums() == (LARGE * LARGE, LARGE, LARGE)

    run(database_url, told)
    for table in ("trade", "fill", "event", "balance", "book", "markout"):
        assert asked(database_url, f"SELECT count(*) FROM {table}") == [(1,)], table
    assert asked(database_url, "SELECT ending, filled FROM own_order WHERE ended_at IS NOT NULL") == [
        ("filled", 7)
    ]
    assert asked(database_url, "SELECT outcome, slot FROM bundle ORDER BY bundle_id") == [
        ("landed", 77),
        (None, None),
    ]
    assert asked(database_url, "SELECT trigger, cost, placed FROM rebuild") == [("forced", 12, 3)]
    assert asked(database_url, "SELECT at, sol_usd, pivot_fine FROM sample ORDER BY at") == [
        (NOW, None, None),
        (NOW + 1, 150_000_000, None),
    ]
    shown = f"SELECT side, band, own / millis, everybody / millis FROM depth WHERE at = {NOW}"
    assert asked(database_url, shown) == [
        (side, band, place, place + 8)
        for place, (side, band) in enumerate((s, b) for s in ("bid", "ask") for b in DEPTH_BANDS)
    ]


def test_every_fill_has_its_order_as_large_as_it_was_ever_told_to_be(database_url: Secret) -> None:
    def fills(order_id: int, *numbers: int) -> list[FillRow]:
        return [
            FillRow(n, NOW + n, NOW, "wallet", 1, 5, 7, True, 1, 0, order_id, 1, "", False) for n in numbers
        ]

    async def told(history: History) -> None:
        await history.write(Batch(fills=fills(8, 1, 2)))
        await history.write(Batch(fills=fills(8, 2, 3) + fills(9, 4)))
        opening = await opened(history)
        assert [(row.order_id, row.size, row.seen_at) for row in opening.standing] == [
            *((8, 21, NOW + 1), (9, 7, NOW + 4))
        ]
        assert opening.filled == {8: 21, 9: 7}
        larger = [OrderRow(8, "wallet", 1, 5, size, 1, NOW + 9) for size in (25, 30, 22)]
        await history.write(Batch(orders=larger, fills=fills(8, 5), ends=[OrderEnd(9, NOW + 9, "filled", 7)]))
        opening = await opened(history)
        assert [(row.order_id, row.size) for row in opening.standing] == [(8, 30)]

    run(database_url, told)


def test_a_batch_with_a_row_that_does_not_fit_leaves_nothing_behind(database_url: Secret) -> None:
    bad = everything()
    bad.balances.append(msgspec.structs.replace(bad.balances[0], hour=1, base_held=10**30))

    async def told(history: History) -> None:
        with pytest.raises(BadRows):
            await history.write(bad)
        opening = await opened(history)
        assert (opening.sums(), opening.belief) == ((0, 0, 0), None)

    run(database_url, told)


def test_a_connection_that_was_cut_is_opened_anew(database_url: Secret) -> None:
    async def told(history: History) -> None:
        await history.prepare()
        cutter = await asyncpg.connect(database_url.reveal())
        await cutter.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'bmv'"
        )
        await cutter.close()
        # Whether the cut is noticed before or in the middle of the call is a matter of microseconds.
        with contextlib.suppress(Unreachable):
            await history.write(everything())
        await history.write(everything())

    run(database_url, told)
    assert asked(database_url, "SELECT count(*) FROM fill") == [(1,)]


def test_a_slow_database_is_an_error_after_the_time_limit(database_url: Secret) -> None:
    async def told(history: History) -> None:
        await history.prepare()
        blocker = await asyncpg.connect(database_url.reveal(), server_settings={"search_path": "bmv"})
        async with blocker.transaction():
            await blocker.execute("LOCK TABLE fill")
            with pytest.raises(Unreachable):
                await history.write(everything())
        await blocker.close()
        await history.write(everything())

    async def limited() -> None:
        history = History.at(database_url, SPEC, "w", RealClock(), haste=1 / 60)
        try:
            await told(history)
        finally:
            await history.close()

    asyncio.run(limited())
