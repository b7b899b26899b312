"""Turn what the chain shows into events.

The stream only says that something changed; every decision rests on one consistent reading (see
``reading.py``). Readings never overlap, changes that arrive meanwhile merge into the next one, and one is
made every ``resync_s`` seconds whatever the stream says. A reading is never older than the one before it:
time running backwards would count fills twice. What the event queue lost between two readings is read back
from transaction logs (see ``backfill.py``).
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from bmv.belief import QueueMark
from bmv.chain.rpc import AccountsAt, Rpc
from bmv.chain.stream import AccountStream, AccountTouched, SlotSeen, StreamDown, StreamEvent, StreamUp
from bmv.errors import BadBytes, OutsideError
from bmv.events import AnyEvent, EventsFound, FeedLost, Tick, TreasurySeen
from bmv.observe.log import get_logger
from bmv.ports import Clock
from bmv.services.backfill import Backfill, Gap
from bmv.services.closing import Brought, brought_by_closing
from bmv.services.reading import Reader
from bmv.services.record import Record
from bmv.units import BaseAtoms, Millis, Slot

RESYNC_S = 20.0
RETRY_S = 1.0


class Feed:
    """Read the chain when it changes and at least every ``resync_s``; hand events to ``emit``."""

    def __init__(
        self,
        rpc: Rpc,
        stream: AccountStream,
        reader: Reader,
        clock: Clock,
        emit: Callable[[AnyEvent], None],
        record: Record,
        *,
        resync_s: float = RESYNC_S,
    ) -> None:
        self._rpc, self._stream, self._reader = rpc, stream, reader
        self._clock, self._emit, self._record, self._resync_s = clock, emit, record, resync_s
        self._backfill = Backfill(rpc, reader.market, reader.matches, clock, self._on_found)
        self._changed = asyncio.Event()
        self._wanted = self._seen = Slot(0)
        self._supply: tuple[BaseAtoms, BaseAtoms] | None = None
        self._treasury: TreasurySeen | None = None
        self._log = get_logger("feed")

    async def run(self) -> None:
        """Feed events until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._stream.run(self._on_stream))
            tasks.create_task(self._read_on())
            tasks.create_task(self._backfill.run())

    def believe_from(self, slot: Slot) -> None:
        """Believe no reading before ``slot``: a node that lags would not show what landed by then."""
        self._seen = max(self._seen, slot)

    def go_on_from(self, mark: QueueMark, gaps: Sequence[Gap]) -> None:
        """Tell what has happened since an earlier run, and read back what that had not come to."""
        self._reader.go_on_from(mark)
        for gap in gaps:
            self._backfill.close(gap)

    def _on_found(self, event: EventsFound) -> None:
        self._emit(event)

    def refresh(self, slot: Slot) -> None:
        """Ask for a reading at ``slot`` or later."""
        self._wanted = max(self._wanted, slot)
        self._changed.set()

    def _on_stream(self, event: StreamEvent) -> None:
        if isinstance(event, SlotSeen):
            self._emit(Tick(at=self._clock.now(), slot=event.slot))
        elif isinstance(event, AccountTouched):
            self.refresh(event.slot)
        elif isinstance(event, StreamUp):
            self.refresh(Slot(0))
        elif isinstance(event, StreamDown):
            self._record.errors["ws_lost" if event.silent else "ws_disconnected"] += 1
            self._log.warning("stream_down", reason=event.reason)
            # Whether the node is gone as well must show now, not at the next resync.
            self.refresh(Slot(0))

    async def _read_on(self) -> None:
        while True:
            # Not wait_for: in Python 3.11 it may swallow a cancellation that comes with the result.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._resync_s):
                    await self._changed.wait()
            self._changed.clear()
            try:
                oldest = max(self._wanted, self._seen) or None
                reading = await self._rpc.accounts(self._reader.keys, min_slot=oldest, commitment="confirmed")
                brought = await brought_by_closing(self._rpc, self._reader.closed(reading))
                self._tell(reading, brought)
                self._seen = reading.slot
                if self._reader.gap is not None:
                    self._backfill.close(self._reader.gap)
            except (OutsideError, BadBytes) as error:
                # One absurd slot in a notification must not make every node look stale for ever.
                self._wanted = Slot(0)
                self._emit(FeedLost(at=self._clock.now(), reason=str(error)))
                await asyncio.sleep(RETRY_S)
                self._changed.set()

    def _tell(self, reading: AccountsAt, brought: Brought) -> None:
        """Emit what a reading shows: supply and treasury where they changed, then the market."""
        now = self._clock.now()
        supply = self._reader.read_supply(now, reading)
        treasury = self._reader.read_treasury(now, reading)
        market = self._reader.read(now, reading, brought)
        if (supply.supply, supply.locked) != self._supply:
            self._supply = supply.supply, supply.locked
            self._emit(supply)
        if treasury is not None and replace(treasury, at=Millis(0)) != self._treasury:
            self._treasury = replace(treasury, at=Millis(0))
            self._emit(treasury)
        self._emit(market)
