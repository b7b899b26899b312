"""Failed changes: when a wallet is set aside, when the engine pauses, when it halts (SPEC 3.5 and 7).

Rules of this file
- A failure counts against its wallet if something of ours landed since its last one, or if nobody else failed
  since: where nothing of anybody lands, no wallet is to blame. A placement of the wallet that lands makes it
  whole again; a cancel does not.
- A cycle is an attempt made after the last attempt was known to have failed: what was sent side by side and
  lost together counts once. A wallet that fails alone makes no cycle; anything that lands ends the count.
- What nobody can have seen (no region of the block engine may be asked, no blockhash) is nobody's failure and
  no cycle; it only counts towards giving up.
- While nothing lands, one change is tried every now and then: it shows when things land again.
- Waits double, up to 256 times the first one.
"""

from dataclasses import dataclass, field

from bmv.config import Settings
from bmv.model import WalletIndex
from bmv.units import Millis

MOST_DOUBLED = 1 << 8
"""A wait that doubles ends at this many times the first one."""
PROBE_EVERY = Millis(800)
CRANK: WalletIndex = -1
"""Stands for a wallet where a crank has failed: it serves all of them."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Something that failed rests for ``wait``, until ``until``; failing again soon doubles the wait."""

    until: Millis
    wait: Millis

    @classmethod
    def after(
        cls, before: "Backoff | None", now: Millis, first: Millis, memory: Millis | None = None
    ) -> "Backoff":
        """Return the rest after a failure at ``now``.

        ``before`` counts for as long again as it lasted, and for ``memory`` at least.
        """
        again = before is not None and now < before.until + max(before.wait, memory or before.wait)
        wait = min(before.wait * 2, first * MOST_DOUBLED) if before is not None and again else first
        return cls(now + wait, wait)


@dataclass(slots=True)
class WalletFailures:
    """How often a wallet's changes failed in a row; ``blamed`` of these while others landed."""

    total: int = 0
    blamed: int = 0
    last: Millis = Millis(0)


@dataclass(slots=True)
class Failures:
    """What failed lately, by wallet and in all; see the module's rules.

    ``failing`` are those that failed since the last landing. ``attempts`` are all of a row, ``cycles`` those
    of them that were sent.
    """

    landed_at: Millis = Millis(0)
    failing: set[WalletIndex] = field(default_factory=set)
    wallets: dict[WalletIndex, WalletFailures] = field(default_factory=dict)
    rests: dict[WalletIndex, Backoff] = field(default_factory=dict)
    attempts: int = 0
    cycles: int = 0
    judged_at: Millis = Millis(0)
    since: Millis = Millis(0)
    pause: Backoff | None = None
    probed_at: Millis = Millis(0)

    def wallet_failed(
        self, wallet: WalletIndex, now: Millis, settings: Settings, *, others: int, working: bool = False
    ) -> None:
        """Count a failure of a wallet's change; let the wallet rest when there were too many.

        ``others`` could fail as well if the fault lay outside; ``working``: they are known to work.
        """
        self.failing.add(wallet)
        blame = working or (others > 0 and self.failing == {wallet})
        known = self.wallets.setdefault(wallet, WalletFailures())
        known.total += 1
        if known.total == 1 or blame or self.landed_at > known.last:
            known.blamed += 1
        known.last = now
        if known.blamed >= settings.wallet_max_failures:
            self.rest(wallet, now, settings)

    def in_a_row(self, wallet: WalletIndex) -> int:
        """Return how many changes of a wallet have failed since something it placed landed."""
        known = self.wallets.get(wallet)
        return known.total if known is not None else 0

    def rest(self, wallet: WalletIndex, now: Millis, settings: Settings) -> None:
        """Let a wallet rest, twice as long as the last time."""
        before = self.rests.get(wallet)
        if before is None or now >= before.until:
            wait = settings.wallet_rest if before is None else _doubled(before.wait, settings.wallet_rest)
            self.rests[wallet] = Backoff(now + wait, wait)

    def wallet_landed(self, wallet: WalletIndex) -> None:
        """Forget a wallet's failures: something it placed has landed."""
        self.wallets.pop(wallet, None)
        self.rests.pop(wallet, None)

    def landed(self, now: Millis) -> None:
        """Note that something of ours landed."""
        self.landed_at, self.attempts, self.cycles, self.pause = now, 0, 0, None
        self.failing.clear()

    def cycle_failed(
        self, wallet: WalletIndex, sent_at: Millis, now: Millis, settings: Settings, *, others: int
    ) -> bool:
        """Count a failed attempt; return whether a pause begins with it."""
        self.failing.add(wallet)
        if sent_at < self.judged_at or (others > 0 and self.failing == {wallet}):
            return False
        self._attempted(now)
        self.cycles += 1
        if self.cycles < settings.max_failed_cycles or self.pausing(now):
            return False
        first = settings.failed_cycles_pause
        wait = first if self.pause is None else _doubled(self.pause.wait, first)
        self.pause, self.probed_at = Backoff(now + wait, wait), now
        return True

    def not_sent(self, sent_at: Millis, now: Millis) -> None:
        """Note an attempt that nobody can have seen."""
        if sent_at >= self.judged_at:
            self._attempted(now)

    def _attempted(self, now: Millis) -> None:
        self.since = now if not self.attempts else self.since
        self.attempts += 1
        self.judged_at = now

    def pausing(self, now: Millis) -> bool:
        """Say whether nothing lands: one change at a time may be tried at most."""
        return self.pause is not None and self.pause.until > now

    def paused(self, now: Millis) -> bool:
        """Say whether nothing at all may be placed now because nothing lands."""
        return self.pausing(now) and now < self.probed_at + PROBE_EVERY

    def hopeless(self, settings: Settings) -> bool:
        """Say whether attempts have failed for so long that the engine is to halt."""
        many = self.attempts >= settings.max_failed_cycles
        return many and self.judged_at - self.since >= settings.failed_cycles_halt


def _doubled(wait: Millis, first: Millis) -> Millis:
    return min(wait * 2, first * MOST_DOUBLED)
