"""Find what the event queue lost: fills that a crank consumed and the ring overwrote before we read them.

A crank logs every fill it consumes, in the queue's order, without its number. So the logs between two
readings must begin with the fills that waited at the first and end with those consumed since that the ring
still holds; what stands between them is what was missed. Where they do not fit, nothing is guessed and the
gap is told as it is.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bmv.chain.rpc import Rpc, SignatureRecord
from bmv.errors import BadBytes, Garbled, OutsideError, Stale
from bmv.events import EventsFound
from bmv.observe.log import get_logger
from bmv.ports import Clock
from bmv.services.fills import Matches, half_of_log
from bmv.services.logs import fills_logged
from bmv.units import Millis, Slot
from bmv.venue.openbook_v1.instructions import MarketKeys
from bmv.venue.openbook_v1.logs import FillLog

PAGE = 1_000
MAX_PAGES = 50
TRIES = 6
FIRST_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class Gap:
    """Events the ring lost between the readings of two slots, ``first_seq`` being the first of them.

    ``waiting``: order ids of the fills that waited for a crank at the older reading; ``consumed``: of those
    that were consumed since and that the newer reading still found behind the queue's head.
    """

    after: Slot
    until: Slot
    first_seq: int
    missed: int
    waiting: tuple[int, ...]
    consumed: tuple[int, ...]


class Backfill:
    """Read gaps back from transaction logs, one after another; each ends in one ``EventsFound``."""

    def __init__(
        self,
        rpc: Rpc,
        market: MarketKeys,
        matches: Matches,
        clock: Clock,
        emit: Callable[[EventsFound], None],
    ) -> None:
        self._rpc, self._market = rpc, market
        self._matches, self._clock, self._emit = matches, clock, emit
        self._gaps: asyncio.Queue[Gap] = asyncio.Queue()
        self._log = get_logger("backfill")

    def close(self, gap: Gap) -> None:
        """Ask for a gap to be read back."""
        self._gaps.put_nowait(gap)

    async def run(self) -> None:
        """Close gaps until cancelled."""
        while True:
            gap = await self._gaps.get()
            self._emit(await self._found(gap))

    async def _found(self, gap: Gap) -> EventsFound:
        reason = ""
        for attempt in range(TRIES):
            try:
                logs = await self._logs(gap)
                missing = between(logs, gap)
                return self._told(gap, missing)
            except (OutsideError, BadBytes) as error:
                reason = str(error)
                self._log.warning("backfill_failed", reason=reason, attempt=attempt)
                await asyncio.sleep(FIRST_PAUSE_S * 2**attempt)
        return EventsFound(at=self._clock.now(), missed=gap.missed, complete=False, reason=reason)

    def _told(self, gap: Gap, missing: Sequence[tuple[Millis, FillLog]]) -> EventsFound:
        now = self._clock.now()
        at = missing[0][0] if missing else now
        halves = [half_of_log(log, gap.first_seq + index) for index, (_, log) in enumerate(missing)]
        trades, fills = self._matches.told(halves, at)
        return EventsFound(at=now, trades=tuple(trades), fills=tuple(fills), missed=gap.missed, complete=True)

    async def _logs(self, gap: Gap) -> list[tuple[Millis, FillLog]]:
        """Return this market's fills that were consumed within the gap, oldest first, with their times."""
        logs: list[tuple[Millis, FillLog]] = []
        for record in await self._records(gap):
            transaction = await self._rpc.transaction(record.signature)
            if transaction is None:
                raise Stale("rpc", "a transaction it lists is not there yet")
            logs += self._fills(transaction)
        return logs

    async def _records(self, gap: Gap) -> list[SignatureRecord]:
        """Return the successful transactions on the event queue within the gap, oldest first."""
        found: list[SignatureRecord] = []
        before: str | None = None
        for _ in range(MAX_PAGES):
            page = await self._rpc.signatures_for_address(self._market.event_queue, before=before, limit=PAGE)
            found += [one for one in page if gap.after < one.slot <= gap.until and one.err is None]
            if len(page) < PAGE or page[-1].slot <= gap.after:
                break
            before = page[-1].signature
        found.reverse()
        return sorted(found, key=lambda one: (one.slot, one.index or 0))

    def _fills(self, transaction: dict[str, Any]) -> list[tuple[Millis, FillLog]]:
        seconds = transaction.get("blockTime")
        at = Millis(seconds * 1000) if isinstance(seconds, int) else self._clock.now()
        return [(at, fill) for fill in fills_logged(transaction, self._market)]


def between(logs: Sequence[tuple[Millis, FillLog]], gap: Gap) -> Sequence[tuple[Millis, FillLog]]:
    """Return the fills nobody has told us of; raise Garbled where the logs do not fit around the gap."""
    ids = tuple(log.order_id for _, log in logs)
    start, end = len(gap.waiting), len(ids) - len(gap.consumed)
    if end < start or ids[:start] != gap.waiting or ids[end:] != gap.consumed:
        raise Garbled("rpc", "the logs do not fit what was read before and after the gap")
    return logs[start:end]
