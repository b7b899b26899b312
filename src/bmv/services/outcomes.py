"""What became of the bundles we sent: what the chain says, nothing else.

A bundle has landed when its last signature is on the chain; it is dead only when nothing of it can land any
more and no signature is found: when the block height has passed its blockhash's last valid one; or,
where it places orders, when the chain's own clock has passed their max_ts (the program fails them from then
on, and a bundle fails as a whole). That clock never goes back: a node that knows the chain beyond the slot at
which it was read, and knows no signature, is the proof. Until then the same signed bytes may be sent again,
which cannot place anything twice.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from bmv.chain.rpc import Rpc, SignatureStatus
from bmv.errors import Garbled, OutsideError
from bmv.events import BundleResolved
from bmv.model import BundleCost, Outcome
from bmv.observe.log import get_logger
from bmv.ports import Clock
from bmv.units import BlockHeight, Millis, Slot
from bmv.venue.system import CLOCK, decode_clock

POLL_S = 0.4
HEIGHT_EVERY_MS = Millis(4_000)
NEAR_BLOCKS = BlockHeight(12)
"""So close to its end a blockhash's life is watched at every poll."""
RESEND_AFTER_MS = Millis(3_000)
MAX_RESENDS = 3
AGAIN_EVERY_MS = Millis(1_200)
"""What only withdraws is sent again every few slots for as long as it can land."""
EXPIRY_MARGIN = BlockHeight(16)
"""The node that tells the height may be ahead of the one that tells the signatures: a few blocks more."""

FORK_MARGIN = Slot(1)
"""The node that tells the signatures may follow another fork at its tip."""


@dataclass(slots=True)
class Sent:
    """A bundle on its way; ``plain``: one transaction, sent to the node without a tip.

    ``until``: the chain's time (unix seconds) that no placement of it outlives, None where it places nothing.
    ``withdraws``: it does nothing but cancel.
    """

    bundle_id: str
    tickets: tuple[int, ...]
    raws: list[bytes]
    signatures: list[str]
    last_valid: BlockHeight
    cost: BundleCost
    sent_at: Millis
    until: int | None = None
    withdraws: bool = False
    plain: bool = False
    resends: int = 0
    dead_after: Slot | None = None
    """Where the chain's clock was first seen past ``until``: nothing it places lands after that slot."""

    @property
    def places(self) -> bool:
        """Say whether orders may come to stand by it."""
        return self.until is not None

    def is_outlived(self, seconds: int) -> bool:
        """Say whether its placements fail once the chain's clock shows so much."""
        return self.until is not None and seconds > self.until

    def is_due_again(self, now: Millis) -> bool:
        """Say whether it is time to send it once more."""
        if self.withdraws:
            return now >= self.sent_at + AGAIN_EVERY_MS * (self.resends + 1)
        return self.resends < MAX_RESENDS and now >= self.sent_at + RESEND_AFTER_MS * (self.resends + 1)


class Outcomes:
    """Watch sent bundles until each is resolved; ``emit`` gets one BundleResolved for every one.

    ``chain_seconds`` guesses what the chain's clock shows; what it shows is read before anything is decided.
    """

    def __init__(
        self,
        rpc: Rpc,
        clock: Clock,
        emit: Callable[[BundleResolved], None],
        resend: Callable[[Sent], Awaitable[None]],
        chain_seconds: Callable[[Millis], int] = lambda now: int(now) // 1000,
    ) -> None:
        self._rpc, self._clock, self._emit, self._resend = rpc, clock, emit, resend
        self._chain_seconds = chain_seconds
        self._pending: dict[str, Sent] = {}
        self._some = asyncio.Event()
        self._height, self._height_at = BlockHeight(0), Millis(0)
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
            if sent.is_due_again(self._clock.now()):
                sent.resends += 1
                await self._resend(sent)
        now = self._clock.now()
        await self._outlived(
            [s for s in waiting if s.until is not None and self._chain_seconds(now) > s.until]
        )
        near = any(self._height + NEAR_BLOCKS > sent.last_valid + EXPIRY_MARGIN for sent in waiting)
        if waiting and (near or now - self._height_at >= HEIGHT_EVERY_MS):
            await self._expire([sent for sent in waiting if sent.bundle_id in self._pending])

    async def _outlived(self, sent: Sequence[Sent]) -> None:
        """Give up those whose placements the chain's clock has passed."""
        unknown = [one for one in sent if one.dead_after is None]
        if unknown:
            clock = await self._rpc.accounts([CLOCK])
            if clock.accounts[0] is None:
                raise Garbled("rpc", "no clock")
            seconds = decode_clock(clock.accounts[0].data)
            for one in unknown:
                one.dead_after = clock.slot if one.is_outlived(seconds) else None
        dead = [one for one in sent if one.dead_after is not None]
        await self._last_look(dead, "the chain's clock has passed its max_ts")

    async def _expire(self, waiting: Sequence[Sent]) -> None:
        """Give up those whose blockhash is no longer valid."""
        self._height, self._height_at = await self._rpc.block_height("confirmed"), self._clock.now()
        overdue = [sent for sent in waiting if self._height > sent.last_valid + EXPIRY_MARGIN]
        await self._last_look(overdue, f"block height {self._height} is past its blockhash")

    async def _last_look(self, overdue: Sequence[Sent], why: str) -> None:
        """Resolve what can no longer land, by a node that knows all that landed before it could not."""
        if not overdue:
            return
        last_look = await self._rpc.signature_statuses(
            [sent.signatures[-1] for sent in overdue], search_history=True
        )
        for sent, status in zip(overdue, last_look.statuses, strict=True):
            known = sent.dead_after is None or last_look.slot >= sent.dead_after + FORK_MARGIN
            if status is None and known:
                self.resolve(sent, Outcome.EXPIRED, why)
            elif status is not None and _final(status):
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
