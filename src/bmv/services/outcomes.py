"""What became of the bundles we sent: what the chain says, nothing else.

A bundle has landed when its last signature is on the chain; it is dead only when the block height has passed
its blockhash's last valid one and no signature is found. Until then the same signed bytes may be sent again,
which cannot place anything twice.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bmv.chain.rpc import Rpc, SignatureStatus
from bmv.errors import OutsideError
from bmv.events import BundleResolved
from bmv.model import BundleCost, Outcome
from bmv.observe.log import get_logger
from bmv.ports import Clock
from bmv.units import BlockHeight, Millis

POLL_S = 0.4
HEIGHT_EVERY_MS = Millis(4_000)
RESEND_AFTER_MS = Millis(3_000)
MAX_RESENDS = 3
EXPIRY_MARGIN = BlockHeight(16)
"""The node that tells the height may be ahead of the one that tells the signatures: a few blocks more."""


@dataclass(slots=True)
class Sent:
    """A bundle on its way; ``plain``: one transaction, sent to the node without a tip."""

    bundle_id: str
    tickets: tuple[int, ...]
    raws: list[bytes]
    signatures: list[str]
    last_valid: BlockHeight
    cost: BundleCost
    sent_at: Millis
    places: bool = False
    plain: bool = False
    resends: int = 0


class Outcomes:
    """Watch sent bundles until each is resolved; ``emit`` gets one BundleResolved for every one."""

    def __init__(
        self,
        rpc: Rpc,
        clock: Clock,
        emit: Callable[[BundleResolved], None],
        resend: Callable[[Sent], Awaitable[None]],
    ) -> None:
        self._rpc, self._clock, self._emit, self._resend = rpc, clock, emit, resend
        self._pending: dict[str, Sent] = {}
        self._some = asyncio.Event()
        self._height_at = Millis(0)
        self._log = get_logger("outcomes")

    def watch(self, sent: Sent) -> None:
        """Start watching a bundle."""
        self._pending[sent.bundle_id] = sent
        self._some.set()

    def resolve(self, sent: Sent, outcome: Outcome, reason: str) -> None:
        """Report an outcome that is already known."""
        self._pending.pop(sent.bundle_id, None)
        self._emit(
            BundleResolved(
                at=self._clock.now(),
                bundle_id=sent.bundle_id,
                tickets=sent.tickets,
                outcome=outcome,
                reason=reason,
            )
        )

    async def run(self) -> None:
        """Poll while anything is pending, until cancelled."""
        while True:
            if not self._pending:
                self._some.clear()
                await self._some.wait()
            await asyncio.sleep(POLL_S)
            try:
                await self._poll()
            except OutsideError as error:
                self._log.warning("poll_failed", reason=str(error))

    async def _poll(self) -> None:
        bundles = list(self._pending.values())
        found = await self._rpc.signature_statuses([sent.signatures[-1] for sent in bundles])
        for sent, status in zip(bundles, found.statuses, strict=True):
            if status is not None and _final(status):
                self._settle(sent, status)
        waiting = [sent for sent in bundles if sent.bundle_id in self._pending]
        for sent in waiting:
            due = sent.sent_at + RESEND_AFTER_MS * (sent.resends + 1)
            if sent.resends < MAX_RESENDS and self._clock.now() >= due:
                sent.resends += 1
                await self._resend(sent)
        if waiting and self._clock.now() - self._height_at >= HEIGHT_EVERY_MS:
            self._height_at = self._clock.now()
            await self._expire(waiting)

    async def _expire(self, waiting: list[Sent]) -> None:
        height = await self._rpc.block_height("confirmed")
        overdue = [sent for sent in waiting if height > sent.last_valid + EXPIRY_MARGIN]
        if not overdue:
            return
        last_look = await self._rpc.signature_statuses(
            [s.signatures[-1] for s in overdue], search_history=True
        )
        for sent, status in zip(overdue, last_look.statuses, strict=True):
            if status is None:
                self.resolve(sent, Outcome.EXPIRED, f"block height {height} passed {sent.last_valid}")
            elif _final(status):
                self._settle(sent, status)

    def _settle(self, sent: Sent, status: SignatureStatus) -> None:
        if status.err is not None:
            self.resolve(sent, Outcome.FAILED, str(status.err))
            return
        del self._pending[sent.bundle_id]
        self._emit(
            BundleResolved(
                at=self._clock.now(),
                bundle_id=sent.bundle_id,
                tickets=sent.tickets,
                outcome=Outcome.LANDED,
                slot=status.slot,
                cost=sent.cost,
            )
        )


def _final(status: SignatureStatus) -> bool:
    """Say whether a status can be counted on; a processed transaction may still be on a fork that dies."""
    return status.confirmation != "processed"
