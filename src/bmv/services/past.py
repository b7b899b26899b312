"""Read a market's trades back from the logs of its cranks, from where the engine's records begin.

Every match passes the event queue, and a crank logs both halves of it once. So the logs of the transactions
that name the queue are all trades there were; the maker's halves are counted. What waited for a crank when
the engine first looked is its past too: the first fills logged after that.

Rules of this file
- Each step is written with how far it came, so a run that was killed goes on where it was.
- Back in time step by step; forward, to the engine's first reading or the chain's end, from the oldest on.
- The time of a trade is that of the block it was cranked in: the chain tells no other.
- A log that the node has cut short is counted and told: what it held is not known.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from bmv.belief import QueueMark
from bmv.chain.rpc import Rpc, SignatureRecord
from bmv.errors import Garbled, Stale
from bmv.model import MarketSpec, Trade
from bmv.services.fills import Matches, half_of_log
from bmv.services.logs import CutShort, fills_logged
from bmv.state.past import Cursor, Past
from bmv.units import Millis
from bmv.venue.openbook_v1.instructions import MarketKeys
from bmv.venue.openbook_v1.logs import FillLog

PAGE = 1_000
CHUNK = 64
"""So many transactions are one step."""
AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class _Logged:
    """The fills of one transaction, None where its log was cut short."""

    at: int
    fills: list[FillLog] | None


class Walk:
    """Walk along the transactions of one market; ``told`` hears of each step."""

    def __init__(
        self, rpc: Rpc, market: MarketKeys, spec: MarketSpec, past: Past, told: Callable[[Cursor], None]
    ) -> None:
        self._rpc, self._market, self._past, self._told = rpc, market, past, told
        self._matches = Matches(spec, {})
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def run(self, since: Millis) -> Cursor | None:
        """Read until ``since``; None where the market has no transaction.

        Raises Stale where the node has forgotten one it lists, Garbled where the logs do not fit what the
        engine saw, and what the node's client raises; what was read until then is kept.
        """
        cursor, live = await self._past.known()
        cursor = cursor or await self._begun(live)
        if cursor is None:
            return None
        if not cursor.joined:
            cursor = await self._forward(cursor, live)
        return await self._backward(cursor, int(since))

    async def _begun(self, live: QueueMark | None) -> Cursor | None:
        """Take the newest transaction there is before the engine's records."""
        before: str | None = None
        while page := await self._page(before=before):
            for record in page:
                if live is None or record.slot <= live.slot:
                    return await self._step(Cursor(record.signature, record.signature, 0), [record])
            before = page[-1].signature
        return None

    async def _backward(self, cursor: Cursor, since: int) -> Cursor:
        while not cursor.complete and cursor.oldest_at > since:
            page = await self._page(before=cursor.oldest)
            if not page:
                cursor = msgspec.structs.replace(cursor, complete=True)
                await self._past.advance((), cursor)
            for start in range(0, len(page), CHUNK):
                chunk = page[start : start + CHUNK]
                ends = msgspec.structs.replace(cursor, oldest=chunk[-1].signature)
                cursor = await self._step(ends, chunk)
                if cursor.oldest_at <= since:
                    break
        return cursor

    async def _forward(self, cursor: Cursor, live: QueueMark | None) -> Cursor:
        """Go on to the engine's first reading; where none was made yet, to the chain's end."""
        newer: list[SignatureRecord] = []
        before: str | None = None
        while page := await self._page(before=before, until=cursor.newest):
            newer += page
            before = page[-1].signature
        newer.reverse()
        mine = [record for record in newer if live is None or record.slot <= live.slot]
        for start in range(0, len(mine), CHUNK):
            chunk = mine[start : start + CHUNK]
            cursor = await self._step(msgspec.structs.replace(cursor, newest=chunk[-1].signature), chunk)
        return cursor if live is None else await self._joined(cursor, newer[len(mine) :], live)

    async def _joined(self, cursor: Cursor, later: Sequence[SignatureRecord], live: QueueMark) -> Cursor:
        """Take what waited for a crank at the engine's first reading; not yet, where it still waits."""
        waiting = list(live.waiting)
        found: list[tuple[int, FillLog]] = []
        newest = cursor.newest
        for start in range(0, len(later), CHUNK):
            if len(found) >= len(waiting):
                break
            chunk = later[start : start + CHUNK]
            for logged in await self._logs(chunk):
                if logged.fills is None and len(found) < len(waiting):
                    raise Garbled("rpc", "the log of a crank around the first start was cut short")
                found += [(logged.at, fill) for fill in logged.fills or ()]
            newest = chunk[-1].signature
        if len(found) < len(waiting):
            return cursor
        found = found[: len(waiting)]
        if [fill.order_id for _, fill in found] != waiting:
            raise Garbled("rpc", "the logs do not fit what waited for a crank at the first start")
        trades = self._trades(found, cursor.trades)
        total = cursor.trades + len(trades)
        joined = msgspec.structs.replace(cursor, newest=newest, joined=True, trades=total)
        await self._past.advance(trades, joined)
        return joined

    async def _step(self, ends: Cursor, chunk: Sequence[SignatureRecord]) -> Cursor:
        """Write what a chunk of transactions holds; ``ends`` is the cursor with its signatures moved."""
        logs = await self._logs(chunk)
        found = [(logged.at, fill) for logged in logs for fill in logged.fills or ()]
        trades = self._trades(found, ends.trades)
        oldest = min([logged.at for logged in logs] + ([ends.oldest_at] if ends.oldest_at else []), default=0)
        cursor = msgspec.structs.replace(
            ends,
            oldest_at=oldest,
            trades=ends.trades + len(trades),
            cut=ends.cut + sum(logged.fills is None for logged in logs),
        )
        await self._past.advance(trades, cursor)
        self._told(cursor)
        return cursor

    def _trades(self, found: Sequence[tuple[int, FillLog]], before: int) -> list[Trade]:
        """Return the matches among halves, numbered downwards after so many ``before``."""
        makers = [(at, fill) for at, fill in found if fill.maker]
        trades: list[Trade] = []
        for number, (at, fill) in enumerate(makers, start=before + 1):
            trades += self._matches.told([half_of_log(fill, -number)], Millis(at))[0]
        return trades

    async def _logs(self, chunk: Sequence[SignatureRecord]) -> list[_Logged]:
        """Return what each transaction logged, in the order given; a failed one logged nothing."""
        return list(await asyncio.gather(*(self._logged(record) for record in chunk)))

    async def _logged(self, record: SignatureRecord) -> _Logged:
        if record.err is not None and record.block_time is not None:
            return _Logged(record.block_time * 1_000, [])
        async with self._gate:
            transaction = await self._rpc.transaction(record.signature)
        if transaction is None:
            raise Stale("rpc", "it has forgotten a transaction it lists; take a node with the whole history")
        fills: list[FillLog] | None = []
        if record.err is None:
            try:
                fills = fills_logged(transaction, self._market)
            except CutShort:
                fills = None
        return _Logged(_time(transaction), fills)

    async def _page(self, *, before: str | None = None, until: str | None = None) -> list[SignatureRecord]:
        return await self._rpc.signatures_for_address(
            self._market.event_queue, before=before, until=until, limit=PAGE
        )


def _time(transaction: dict[str, Any]) -> int:
    seconds = transaction.get("blockTime")
    if not isinstance(seconds, int):
        raise Garbled("rpc", "a transaction without the time of its block")
    return seconds * 1_000
