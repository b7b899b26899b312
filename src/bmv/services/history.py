"""Write the history beside the running engine; PostgreSQL may be away for as long as the spool lasts.

What decisions add is gathered and written every ``every_s``. While the database does not answer, it goes to
the spool instead, and later batches behind it, so that all of it arrives in order. The engine never waits
for any of this.

| what fails | what happens |
|---|---|
| the database | HISTORY_DELAYED once; rows wait on disk; HISTORY_CAUGHT_UP when they are written |
| the disk too, or the spool is full | HISTORY_STUCK: rows wait in memory, beyond ``MOST_ROWS`` HISTORY_LOST |
| one batch, for what is in it | set aside in the spool folder: HISTORY_REFUSED |
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence

import msgspec

from bmv.config import Settings
from bmv.core.remembering import belief_of
from bmv.core.state import State
from bmv.errors import BadInput, OutsideError
from bmv.events import AnyAction, AnyEvent
from bmv.observe.log import get_logger
from bmv.observe.metrics import Values
from bmv.ports import Clock
from bmv.services.chronicle import Chronicle
from bmv.services.outcomes import Sent
from bmv.services.record import Record
from bmv.services.sampling import Sampling
from bmv.state.database import BadRows
from bmv.state.history import History
from bmv.state.rows import Batch, Opening, decode_batch, encode_batch
from bmv.state.spool import Spool
from bmv.state.statements import HOUR_MS
from bmv.units import Millis

EVERY_S = 1.0
MOST_ROWS = 200_000
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
LAST_TRY_S = 10.0
AGAIN_MS = Millis(60_000)
"""What the journal tells of this long before the last belief is written again, to be sure."""


class Historian:
    """Listen to an engine and write its history: ``open`` first, ``run`` beside it, ``finish`` at the end.

    ``record`` is the engine's own.
    """

    def __init__(
        self,
        history: History,
        spool: Spool,
        clock: Clock,
        settings: Callable[[], Settings],
        record: Record,
        *,
        every_s: float = EVERY_S,
    ) -> None:
        self._history, self._spool, self._clock = history, spool, clock
        self._settings, self._every_s = settings, every_s
        self._record = record
        self._chronicle, self._sampling = Chronicle((), clock.now()), Sampling(record, clock.now())
        self._pending = Batch()
        self._pause = self._retry_at = 0.0
        self._thinned = clock.now()
        self._stuck = False
        self._state: State | None = None
        self.lost = 0
        self._log = get_logger("history")

    @property
    def waiting(self) -> int:
        """Return how many bytes wait on disk for the database."""
        return self._spool.size

    async def open(
        self, wallets: Sequence[str], run: Millis, journalled: Callable[[Millis], Iterable[Batch]]
    ) -> Opening:
        """Write what earlier runs left in spool and journal, then return what the history knows.

        ``wallets`` are the operator wallets' addresses in their order, ``run`` is when this run began,
        ``journalled`` returns what the journal tells since a moment. Raises Unreachable or Refused where the
        database does not answer, UnsafeState where its schema is not ours.
        """
        await self._history.prepare()
        await self._catch_up()
        known = await self._history.belief()
        since = known.at - AGAIN_MS if known else Millis(0)
        try:
            for batch in journalled(since):
                await self._history.write(batch)
        except BadInput as error:
            self._log.error("HISTORY_INCOMPLETE", reason=str(error))
        now, settings = self._clock.now(), self._settings()
        opening = await self._history.opening(now, settings.history_window, settings.price_max_age)
        self._chronicle = Chronicle(wallets, run, opening.standing, opening.filled)
        self._sampling = Sampling(self._record, run)
        return opening

    def saw(self, event: AnyEvent, actions: Sequence[AnyAction], state: State) -> None:
        """Take what a decision adds."""
        self._state = state
        batch = self._chronicle.told(event, actions, state)
        batch.join(self._sampling.told(event, actions, state))
        self._take(batch)

    def sending(self, sent: Sent) -> None:
        """Take a bundle that is about to be sent."""
        self._take(self._chronicle.sending(sent))

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await asyncio.sleep(self._every_s)
            await self.flush()
            if self._clock.now() - self._thinned >= Millis(HOUR_MS):
                await self._thin_out()

    async def flush(self) -> None:
        """Write what there is, to the database or else to the spool; errors are told, not raised."""
        if len(self._pending) and self._state is not None:
            self._pending.belief = belief_of(self._state)
        try:
            if not self._spool.is_empty:
                self._to_spool()
            await self._catch_up()
            if self._spool.is_empty and len(self._pending) and self._is_time():
                await self._write_pending()
        except OutsideError as error:
            self._failed(error)
        if self._pause:
            self._to_spool()

    async def finish(self) -> None:
        """Write what is left once more, and leave the rest in the spool."""
        self._retry_at = 0.0
        try:
            async with asyncio.timeout(LAST_TRY_S):
                await self.flush()
        except TimeoutError:
            self._log.warning("HISTORY_DELAYED", reason="no time left at the end")
        self._to_spool()
        if len(self._pending):
            self._log.error("HISTORY_LOST", rows=self.lost + len(self._pending))

    def measure(self, values: Values) -> None:
        """Tell the metrics what waits and what was lost."""
        values.put("bmv_history_up", int(not self._pause))
        values.put("bmv_history_waiting_bytes", self.waiting)
        values.put("bmv_history_waiting_rows", len(self._pending))
        values.put("bmv_history_lost_rows", self.lost)

    def _take(self, batch: Batch) -> None:
        if len(self._pending) + len(batch) <= MOST_ROWS:
            self._pending.join(batch)
            return
        if not self.lost:
            self._log.error("HISTORY_LOST", reason="neither database nor disk takes rows", rows=len(batch))
        self.lost += len(batch)

    async def _write_pending(self) -> None:
        """Write the pending rows; they stay pending unless the database has them."""
        batch, self._pending = self._pending, Batch()
        written = False
        try:
            await self._history.write(batch)
            written = True
        except BadRows as error:
            self._spool.append(encode_batch(batch))
            written = True
            self._refused(error)
        finally:
            if not written:
                batch.join(self._pending)
                self._pending = batch
        self._pause = 0.0

    def _to_spool(self) -> None:
        """Move the pending rows to the disk; where it does not take them they stay pending."""
        if not len(self._pending):
            return
        try:
            self._spool.append(encode_batch(self._pending))
        except OutsideError as error:
            if not self._stuck:
                self._log.error("HISTORY_STUCK", reason=str(error))
            self._stuck = True
        else:
            self._pending, self._stuck = Batch(), False

    async def _catch_up(self) -> None:
        """Write what waits on disk, oldest first, until none is left or the database fails."""
        if self._spool.is_empty:
            return
        while self._is_time() and (record := self._spool.first()) is not None:
            try:
                await self._history.write(decode_batch(record))
            except (BadRows, msgspec.DecodeError) as error:
                self._refused(error)
                continue
            self._spool.done()
            self._pause = 0.0
        if self._spool.is_empty:
            self._log.info("HISTORY_CAUGHT_UP")

    def _refused(self, error: Exception) -> None:
        self._log.error("HISTORY_REFUSED", reason=str(error), kept="spool/refused.records")
        self._spool.set_aside()

    def _failed(self, error: OutsideError) -> None:
        if not self._pause:
            self._log.warning("HISTORY_DELAYED", reason=str(error))
        self._pause = min(LONGEST_PAUSE_S, 2 * self._pause or FIRST_PAUSE_S)
        self._retry_at = asyncio.get_running_loop().time() + self._pause

    def _is_time(self) -> bool:
        return asyncio.get_running_loop().time() >= self._retry_at

    async def _thin_out(self) -> None:
        self._thinned = self._clock.now()
        if self._spool.is_empty:
            try:
                await self._history.thin_out(self._thinned, self._settings().history_window)
            except OutsideError as error:
                self._failed(error)
