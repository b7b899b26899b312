"""What became of the bundles we sent: what the chain says, nothing else.

A bundle has landed when its last signature is on the chain; it is dead only when nothing of it can land any
more and no signature is found: when the block height has passed its blockhash's last valid one; or,
where it places orders, when the chain's own clock has passed their max_ts (the program fails them from then
on, and a bundle fails as a whole). Neither goes back: what has not landed by the slot at which they were read
never will, and a node that knows the chain beyond that slot, and knows no signature, says so. Until then the
same signed bytes may be sent again, which cannot place anything twice.

A node on a fork that dies would say so too. Orders are therefore in doubt until the accounts of that slot are
seen (``BundleResolved.slot``, see ``core/absorb.py``); for whatever else a bundle does, the node must know so
much of the chain that no such fork is left. A bundle called dead is asked about for some time more; where it
has landed after all, that is told as well (with no tickets: those were answered), for what it cost.
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
MOURNED_MS = Millis(30_000)
TIP_MARGIN, FORK_MARGIN = Slot(1), Slot(32)
"""How far beyond the slot of death a node must know the chain: for orders, and for whatever else."""


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
    """Where clock or height were first seen past what it lives to: nothing of it lands after that slot."""

    @property
    def places(self) -> bool:
        """Say whether orders may come to stand by it."""
        return self.until is not None

    def is_outlived(self, seconds: int) -> bool:
        """Say whether its placements fail once the chain's clock shows so much."""
        return self.until is not None and seconds > self.until

    def is_known_at(self, slot: Slot) -> bool:
        """Say whether who knows the chain up to ``slot`` knows all of it that can have landed."""
        margin = TIP_MARGIN if self.places else FORK_MARGIN
        return self.dead_after is not None and slot >= self.dead_after + margin

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
        self._dead: dict[str, tuple[Sent, Millis]] = {}
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
                slot=sent.dead_after or Slot(0),
                reason=reason,
            )
        )

    async def run(self) -> None:
        """Poll while anything is pending, until cancelled."""
        while True:
            if not self._pending and not self._dead:
                self._some.clear()
                await self._some.wait()
            await asyncio.sleep(POLL_S)
            try:
                await self._poll()
            except OutsideError as error:
                self._log.warning("poll_failed", reason=str(error))

    async def _poll(self) -> None:
        self._dead = {
            name: (sent, until) for name, (sent, until) in self._dead.items() if until > self._clock.now()
        }
        bundles = [*self._pending.values(), *(sent for sent, _ in self._dead.values())]
        if not bundles:
            return
        found = await self._rpc.signature_statuses([sent.signatures[-1] for sent in bundles])
        for sent, status in zip(bundles, found.statuses, strict=True):
            if status is not None and _final(status):
                self._settle(sent, status)
        waiting = list(self._pending.values())
        for sent in waiting:
            if sent.is_due_again(self._clock.now()):
                sent.resends += 1
                await self._resend(sent)
        now = self._clock.now()
        await self._outlived(
            [s for s in waiting if s.until is not None and self._chain_seconds(now) > s.until]
        )
        near = any(self._height + NEAR_BLOCKS > sent.last_valid for sent in waiting)
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
        await self._last_look(sent, "the chain's clock has passed its max_ts")

    async def _expire(self, waiting: Sequence[Sent]) -> None:
        """Give up those whose blockhash is no longer valid."""
        now = await self._rpc.block_height("confirmed")
        self._height, self._height_at = now.height, self._clock.now()
        overdue = [sent for sent in waiting if now.height > sent.last_valid]
        for sent in overdue:
            sent.dead_after = sent.dead_after or now.slot
        await self._last_look(overdue, f"block height {now.height} is past its blockhash")

    async def _last_look(self, dead: Sequence[Sent], why: str) -> None:
        """Resolve what can no longer land, by a node that knows all that landed before it could not."""
        overdue = [sent for sent in dead if sent.dead_after is not None]
        if not overdue:
            return
        last_look = await self._rpc.signature_statuses(
            [sent.signatures[-1] for sent in overdue], search_history=True
        )
        for sent, status in zip(overdue, last_look.statuses, strict=True):
            if status is None and sent.is_known_at(last_look.slot):
                self.resolve(sent, Outcome.EXPIRED, why)
                self._dead[sent.bundle_id] = sent, self._clock.now() + MOURNED_MS
            elif status is not None and _final(status):
                self._settle(sent, status)

    def _settle(self, sent: Sent, status: SignatureStatus) -> None:
        was_dead = self._dead.pop(sent.bundle_id, None) is not None
        if status.err is not None:
            if not was_dead:
                self.resolve(sent, Outcome.FAILED, str(status.err))
            return
        self._pending.pop(sent.bundle_id, None)
        self._emit(
            BundleResolved(
                at=self._clock.now(),
                bundle_id=sent.bundle_id,
                tickets=() if was_dead else sent.tickets,
                outcome=Outcome.LANDED,
                slot=status.slot,
                cost=sent.cost,
            )
        )


def _final(status: SignatureStatus) -> bool:
    """Say whether a status can be counted on; a processed transaction may still be on a fork that dies."""
    return status.confirmation != "processed"
