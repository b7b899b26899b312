"""Keep the lease on the market, and tell the engine how long it lasts.

Redis that does not answer ends nothing: the engine itself places no more once the lease may be another's. A
lease that another engine has taken ends this one. Where the other has the same wallets, what stands is its
own now and is left to it; with other wallets our orders would have nobody, so they are withdrawn.
"""

import asyncio
from collections.abc import Callable

from bmv.errors import OutsideError
from bmv.events import HaltRequested, LeaseSeen
from bmv.observe.log import get_logger
from bmv.ports import Clock
from bmv.state.lease import Lease

EXTEND_EVERY_S = 5.0


class LeaseKeeper:
    """Extend ``lease`` until cancelled; ``stop`` hears why the engine must end.

    The loop's seconds pass ``haste`` times as fast as real ones.
    """

    def __init__(
        self,
        lease: Lease,
        emit: Callable[[LeaseSeen], None],
        stop: Callable[[HaltRequested], None],
        clock: Clock,
        *,
        haste: float = 1.0,
    ) -> None:
        self._lease, self._emit, self._stop, self._clock = lease, emit, stop, clock
        self._haste = haste
        self._log = get_logger("lease")

    def tell(self) -> None:
        """Tell the engine how long the lease lasts; the first time before it decides anything."""
        self._emit(LeaseSeen(at=self._clock.now(), until=self._lease.until))

    async def run(self) -> None:
        """Extend the lease every few seconds."""
        answers = True
        while True:
            await asyncio.sleep(EXTEND_EVERY_S * self._haste)
            try:
                held = await self._lease.extend()
            except OutsideError as error:
                if answers:
                    self._log.warning("LEASE_NOT_EXTENDED", reason=str(error))
                answers = False
                continue
            answers = True
            if not held:
                self._lost()
                # Nothing is left to extend; the engine ends, and this with it.
                await asyncio.Event().wait()
            self.tell()

    def _lost(self) -> None:
        other = self._lease.lost_to
        reason = f"the lease on the market went to {other}" if other else "the lease on the market is lost"
        theirs = other is not None and other.wallets == self._lease.holder.wallets
        self._stop(HaltRequested(at=self._clock.now(), reason=reason, hand_over=theirs))
