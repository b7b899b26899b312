"""Slots, block heights and blockhashes as functions of time: an empty slot costs nothing.

Rules
- slot = start_slot + elapsed // slot_ms. One slot in ``SKIP_PERIOD`` (which one, the seed says) has no block:
  nothing lands there and the block height stands still, so height lags slots as on the real chain.
- A blockhash is sha256 of seed and slot; it is valid while the block height is at most 150 above its block's.
  Only hashes handed out by ``latest`` are recognised (they are remembered for as long as they can be valid).
"""

import hashlib
import random

from solders.hash import Hash

MAX_AGE_BLOCKS = 150
SKIP_PERIOD = 20


class SlotClock:
    """Turn milliseconds into slots and slots into heights and hashes."""

    def __init__(self, start_ms: int, slot_ms: int, seed: int, start_slot: int) -> None:
        self.start_ms, self.slot_ms, self.seed, self.start_slot = start_ms, slot_ms, seed, start_slot
        self._skipped = random.Random(f"{seed} skipped slot").randrange(SKIP_PERIOD)
        self._issued: dict[str, int] = {}

    @property
    def genesis_hash(self) -> str:
        """Return the hash that tells this chain from every other."""
        return str(Hash(hashlib.sha256(f"{self.seed} {self.start_ms} genesis".encode()).digest()))

    def slot_at(self, now_ms: int) -> int:
        """Return the newest slot that has a block at ``now_ms``."""
        return self.at_or_before(self.start_slot + (now_ms - self.start_ms) // self.slot_ms)

    def starts_ms(self, slot: int) -> int:
        """Return when ``slot`` begins."""
        return self.start_ms + (slot - self.start_slot) * self.slot_ms

    def is_skipped(self, slot: int) -> bool:
        """Say whether ``slot`` has no block."""
        return slot % SKIP_PERIOD == self._skipped

    def at_or_before(self, slot: int) -> int:
        """Return ``slot``, or the one before it where it is skipped."""
        return slot - 1 if self.is_skipped(slot) else slot

    def at_or_after(self, slot: int) -> int:
        """Return ``slot``, or the one after it where it is skipped."""
        return slot + 1 if self.is_skipped(slot) else slot

    def height(self, slot: int) -> int:
        """Return how many blocks there are up to and including ``slot``."""
        return slot - ((slot - self._skipped) // SKIP_PERIOD + 1)

    def latest(self, slot: int) -> tuple[str, int]:
        """Return the blockhash of ``slot`` (base58) and the last block height at which it is valid."""
        digest = hashlib.sha256(f"{self.seed} {slot}".encode()).digest()
        blockhash = str(Hash(digest))
        if blockhash not in self._issued:
            self._issued[blockhash] = slot
            self._forget(slot)
        return blockhash, self.height(slot) + MAX_AGE_BLOCKS

    def is_valid(self, blockhash: str, slot: int) -> bool:
        """Say whether a transaction with ``blockhash`` may land in ``slot``."""
        born = self._issued.get(blockhash)
        return born is not None and self.height(slot) <= self.height(born) + MAX_AGE_BLOCKS

    def slots_left(self, blockhash: str, slot: int) -> int:
        """Return for how many slots after ``slot`` a transaction with ``blockhash`` may still land."""
        born = self._issued.get(blockhash, slot - MAX_AGE_BLOCKS)
        last = born + MAX_AGE_BLOCKS
        while self.height(last + 1) <= self.height(born) + MAX_AGE_BLOCKS:
            last += 1
        return max(0, last - slot)

    def _forget(self, slot: int) -> None:
        while self._issued:
            oldest = next(iter(self._issued))
            if self._issued[oldest] >= slot - 2 * MAX_AGE_BLOCKS:
                return
            del self._issued[oldest]
