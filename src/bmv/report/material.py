"""What a report is made of: the rows of one market and one stretch of time, read in one transaction.

Rules of this file
- Only facts and their sums leave the database; what they come to is for the other modules.
- A ``Stretch`` lies between two settled samples of one run, within one UTC day (its first sample may be the
  last one of the day before): there, the rows of the ledger add up to the change of what is owned.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import msgspec
from asyncpg import Connection, Record

from bmv.core.ledger import Part
from bmv.errors import BadInput
from bmv.model import MarketSpec, Side
from bmv.state.migrating import NEWEST, version_of
from bmv.state.rows import SampleRow
from bmv.units import Lamports, MicroUsd

DAY_MS = 86_400_000
SOURCE = "the history"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Two samples of a run, and what the ledger says between them; ``missing`` rows were lost."""

    first: SampleRow
    last: SampleRow
    parts: dict[Part, int]
    missing: int

    @property
    def day(self) -> int:
        """Return the number of the UTC day since 1970."""
        return self.last.at // DAY_MS


class FillSeen(NamedTuple):
    """One of our orders matched; ``level`` counts from the inside, None where nobody knows it."""

    seq: int
    at: int
    side: Side
    price: int
    size: int
    rebate: int
    fee: int
    counterparty: str
    self_trade: bool
    level: int | None


class Later(NamedTuple):
    """P in fine ticks so many seconds after a fill."""

    seq: int
    horizon: int
    price_fine: int


class Ended(NamedTuple):
    """Orders of one side and level that ended in one way, in lots."""

    side: Side
    level: int | None
    ending: str
    orders: int
    size: int
    filled: int


class Traded(NamedTuple):
    """All trades of a UTC day: how many, sum of ticks x lots, our part of it."""

    day: int
    trades: int
    notional: int
    own: int


class Joined(NamedTuple):
    """What a wallet brought that joined in a run; ``number`` is that of its row in the ledger."""

    run: int
    number: int
    lamports: int


class Exchanged(NamedTuple):
    """A conversion: ``sol`` bought (True) or sold for ``usdc``."""

    at: int
    bought: bool
    usdc: MicroUsd
    sol: Lamports


class Bundles(NamedTuple):
    """Bundles that ended in one way, and their tips and fees: paid where they landed."""

    outcome: str
    number: int
    tips: int
    fees: int


@dataclass(frozen=True, slots=True)
class Material:
    """Everything a report says follows from this; times in milliseconds, ``end`` excluded."""

    spec: MarketSpec
    world: str
    start: int
    end: int
    samples: list[SampleRow]
    stretches: list[Stretch]
    fills: list[FillSeen]
    later: list[Later]
    ended: list[Ended]
    traded: list[Traded]
    bundles: list[Bundles]
    exchanged: list[Exchanged]
    exchange_costs: int
    rents: list[int]
    joined: list[Joined]
    trades_from: int
    """Trades before this moment are not kept one by one any more."""

    @property
    def settled(self) -> list[SampleRow]:
        """Return the samples in which accounts and ledger speak of one moment."""
        return [sample for sample in self.samples if sample.settled]


async def read(connection: Connection, address: str | None, start: int | None, end: int | None) -> Material:
    """Read what the history holds of a market from ``start`` until before ``end``.

    Without an address it is the market that was sampled last; without limits, from the first run's start to
    the last sample. BadInput where nothing was sampled.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        if await version_of(connection) != NEWEST:
            allowed = "one that `bmv db migrate` has brought up to date"
            raise BadInput("--state", "an older history", allowed, SOURCE)
        market, spec, world = await _market(connection, address)
        samples = await _samples(connection, market, start, end)
        runs = {run: list(group) for run, group in groupby(samples, key=lambda one: one.run)}
        if not any(sample.settled for sample in samples):
            allowed = "a time in which an engine ran for more than a minute with its history on"
            raise BadInput("--from, --to", "nothing recorded", allowed, SOURCE)
        start = min(one.run for one in samples) if start is None else start
        end = samples[-1].at + 1 if end is None else end
        stretches = [
            await _stretch(connection, market, first, last)
            for group in runs.values()
            for first, last in _days([one for one in group if one.settled])
        ]
        span = market, start, end
        return Material(
            spec=spec,
            world=world,
            start=start,
            end=end,
            samples=samples,
            stretches=stretches,
            fills=await _fills(connection, span),
            later=[Later(*map(int, row)) for row in await connection.fetch(LATER, *span)],
            ended=[
                Ended(Side(side), level, ending, orders, int(size), int(filled))
                for side, level, ending, orders, size, filled in await connection.fetch(ENDED, *span)
            ],
            traded=[Traded(*map(int, row)) for row in await connection.fetch(TRADED, *span)],
            bundles=[
                Bundles(outcome, *map(int, rest)) for outcome, *rest in await connection.fetch(BUNDLES, *span)
            ],
            exchanged=[
                Exchanged(at, name == "FIAT_INJECTION", MicroUsd(int(usdc)), Lamports(int(sol)))
                for at, name, usdc, sol in await connection.fetch(EXCHANGED, *span)
            ],
            exchange_costs=int(await connection.fetchval(EXCHANGE_COSTS, *span)),
            rents=[int(row["lamports"]) for row in await connection.fetch(RENTS, *span)],
            joined=[Joined(*map(int, row)) for row in await connection.fetch(JOINED, *span)],
            trades_from=max(
                start, await connection.fetchval("SELECT kept_from FROM market WHERE id = $1", market)
            ),
        )


LATER = (
    "SELECT seq, horizon, price_fine FROM markout JOIN fill USING (market, seq) "
    "WHERE market = $1 AND fill.at >= $2 AND fill.at < $3 ORDER BY seq, horizon"
)
ENDED = (
    "SELECT side, level, ending, count(*), sum(size), sum(filled) FROM own_order "
    "WHERE market = $1 AND ended_at >= $2 AND ended_at < $3 GROUP BY side, level, ending ORDER BY 1, 2, 3"
)
TRADED = (
    f"SELECT at / {DAY_MS}, count(*), sum(price::numeric * size), "
    "coalesce(sum(price::numeric * size) FILTER (WHERE own), 0) FROM trade "
    "WHERE market = $1 AND at >= $2 AND at < $3 GROUP BY 1 ORDER BY 1"
)
BUNDLES = (
    "SELECT outcome, count(*), sum(tip), sum(fees) FROM bundle "
    "WHERE market = $1 AND ended_at >= $2 AND ended_at < $3 GROUP BY outcome ORDER BY outcome"
)
EXCHANGED = (
    "SELECT at, name, usdc, sol FROM conversion "
    "WHERE market = $1 AND at >= $2 AND at < $3 ORDER BY at, number"
)
EXCHANGE_COSTS = """
    WITH sent AS (
        SELECT bundle_id, sent_at, tip + fees AS cost, 'conversion ' || ticket AS cause
        FROM bundle, jsonb_array_elements_text(tickets) AS ticket
        WHERE market = $1 AND ended_at >= $2 AND ended_at < $3 AND outcome = 'landed'
    ), exchanging AS (
        SELECT DISTINCT bundle_id, cost FROM sent JOIN book USING (cause)
        WHERE market = $1 AND part = 'conversions' AND at >= sent_at AND at < sent_at + 3600000
    )
    SELECT coalesce(sum(cost), 0) FROM exchanging
"""
"""A conversion's row names its ticket; its number may come again in a later run, not within an hour."""
RENTS = "SELECT lamports FROM rent WHERE market = $1 AND at >= $2 AND at < $3 ORDER BY at, number"
JOINED = (
    "SELECT run, number, lamports FROM book "
    "WHERE market = $1 AND at >= $2 AND at < $3 AND part = 'transfers' ORDER BY run, number"
)
PARTS = (
    "SELECT part, sum(lamports) AS sum, count(*) AS count FROM book "
    "WHERE market = $1 AND run = $2 AND number > $3 AND number <= $4 GROUP BY part"
)


async def _market(connection: Connection, address: str | None) -> tuple[int, MarketSpec, str]:
    found = await connection.fetchrow(
        "SELECT id, address, world, base_lot_size, quote_lot_size, base_decimals FROM market "
        "WHERE ($1::text IS NULL OR address = $1) AND base_decimals IS NOT NULL ORDER BY "
        "(SELECT max(at) FROM sample WHERE market = market.id) DESC NULLS LAST, id DESC LIMIT 1",
        address,
    )
    if found is None:
        allowed = "a market of which the history knows something"
        raise BadInput("MARKET", address or "", allowed, SOURCE)
    spec = MarketSpec(
        address=found["address"],
        base_mint="",
        base_decimals=found["base_decimals"],
        quote_decimals=9,
        base_lot_size=found["base_lot_size"],
        quote_lot_size=found["quote_lot_size"],
        bid_capacity=0,
        ask_capacity=0,
        event_capacity=0,
    )
    return found["id"], spec, found["world"]


async def _samples(
    connection: Connection, market: int, start: int | None, end: int | None
) -> list[SampleRow]:
    names = ", ".join(
        f"{field.name}::text" if field.name == "depth" else field.name
        for field in msgspec.structs.fields(SampleRow)
    )
    rows = await connection.fetch(
        f"SELECT {names} FROM sample WHERE market = $1 AND ($2::bigint IS NULL OR at >= $2) "
        "AND ($3::bigint IS NULL OR at < $3) ORDER BY run, at",
        *(market, start, end),
    )
    return [_sample(row) for row in rows]


def _sample(row: Record) -> SampleRow:
    fields: dict[str, Any] = dict(row)
    for name in ("price_fine", "pivot_fine"):
        fields[name] = None if fields[name] is None else int(fields[name])
    return SampleRow(**fields | {"depth": msgspec.json.decode(fields["depth"])})


def _days(samples: Sequence[SampleRow]) -> Iterator[tuple[SampleRow, SampleRow]]:
    """Yield first and last sample of each day of a run; a day begins with the last of the one before."""
    for _, group in groupby(pairwise(samples), key=lambda pair: pair[1].at // DAY_MS):
        pairs = list(group)
        yield pairs[0][0], pairs[-1][1]


async def _stretch(connection: Connection, market: int, first: SampleRow, last: SampleRow) -> Stretch:
    rows = await connection.fetch(PARTS, market, first.run, first.booked, last.booked)
    parts = dict.fromkeys(Part, 0) | {Part(row["part"]): int(row["sum"]) for row in rows}
    missing = last.booked - first.booked - sum(row["count"] for row in rows)
    return Stretch(first, last, parts, missing)


async def _fills(connection: Connection, span: tuple[int, int, int]) -> list[FillSeen]:
    rows = await connection.fetch(
        "SELECT seq, at, fill.side, fill.price, fill.size, rebate, fee, counterparty, self_trade, level "
        "FROM fill LEFT JOIN own_order USING (market, order_id) "
        "WHERE fill.market = $1 AND at >= $2 AND at < $3 ORDER BY seq",
        *span,
    )
    return [FillSeen(seq, at, Side(side), *rest) for seq, at, side, *rest in rows]
