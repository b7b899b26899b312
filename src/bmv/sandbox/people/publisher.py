"""Pyth's publisher: keeps the SOL/USD and EUR/USD accounts on the simulated chain up to date.

Rules of this file
- As the sponsored feeds do: an update each minute, and at once where the price has moved by half a percent.
- Only the upgraded program's account is fed; the old address holds the price of the first moment, and ages.
- The account is written, not sent: what the receiver program verifies (guardians' signatures) has no place
  in the sandbox. Its layout is packed here on its own, so that the client's decoder reads another's bytes.

Layout: PriceUpdateV2 of pyth-solana-receiver-sdk, exponent -8.
"""

import hashlib
import struct
from decimal import Decimal

from bmv.sandbox.account import Account
from bmv.sandbox.chain import Chain
from bmv.sandbox.faults import Faults
from bmv.sandbox.people.reference import Reference
from bmv.sandbox.system_program import rent_exempt_lamports
from bmv.venue.pyth import EUR_USD, RECEIVER_OF, SOL_USD, price_account

EVERY_MS = 60_000
MOVE = Decimal("0.005")
SIZE = 134
SCALE = Decimal(10**8)
CONFIDENCE, UNSURE = Decimal("0.0005"), Decimal("0.05")
DOLLARS_PER_EURO = Decimal("1.08")
_HEAD = struct.Struct("<8s32sB")
_PARTIAL = struct.Struct("<8s32sBB")
_BODY = struct.Struct("<32sqQiqqqQQ")
_TAG = hashlib.sha256(b"account:PriceUpdateV2").digest()[:8]


class Publisher:
    """Write the price accounts when they are due; ``sol_usd`` is the path outside the market."""

    def __init__(self, chain: Chain, sol_usd: Reference, faults: Faults, *, start_ms: int) -> None:
        self._chain, self._sol_usd, self._faults = chain, sol_usd, faults
        self._due = start_ms
        self._published: tuple[int, Decimal] | None = None
        _, (self._push, self._owner) = RECEIVER_OF.items()

    def accounts(self, now: int) -> dict[bytes, Account]:
        """Return the accounts there are at the beginning."""
        price = self._sol_usd.price_at(now)
        found: dict[bytes, Account] = {}
        for push, owner in RECEIVER_OF.items():
            for feed, value in ((SOL_USD, price), (EUR_USD, DOLLARS_PER_EURO)):
                key = bytes(price_account(push, feed))
                found[key] = _account(bytes(owner), _update(key, feed, value, now // 1000, 0))
        return found

    def next_due_ms(self) -> int:
        """Return when it next has something to do."""
        return self._due

    def run_due(self, now: int) -> None:
        """Publish where a minute is over or the price has moved far enough."""
        if now < self._due:
            return
        price = self._sol_usd.price_at(now)
        last = self._published
        if last is None or now - last[0] >= EVERY_MS or abs(price / last[1] - 1) >= MOVE:
            self._published = now, price
            if not self._faults.strikes("pyth_late"):
                self._publish(now, price)
        step = self._sol_usd.next_step(now)
        assert self._published is not None
        next_minute = self._published[0] + EVERY_MS
        self._due = max(now + 1, next_minute if step is None else min(step, next_minute))

    def _publish(self, now: int, price: Decimal) -> None:
        self._chain.run_due()
        slot = self._chain.slot
        share = UNSURE if self._faults.strikes("pyth_unsure") else CONFIDENCE
        partial = self._faults.strikes("pyth_partial")
        for feed, value in ((SOL_USD, price), (EUR_USD, DOLLARS_PER_EURO)):
            key = bytes(price_account(self._push, feed))
            data = _update(key, feed, value, now // 1000, slot, share=share, partial=partial)
            self._chain.bank.put(key, _account(bytes(self._owner), data), slot)


def _account(owner: bytes, data: bytes) -> Account:
    return Account(rent_exempt_lamports(SIZE), data, owner)


def _update(
    key: bytes,
    feed: bytes,
    price: Decimal,
    seconds: int,
    slot: int,
    *,
    share: Decimal = CONFIDENCE,
    partial: bool = False,
) -> bytes:
    head = _PARTIAL.pack(_TAG, key, 0, 5) if partial else _HEAD.pack(_TAG, key, 1)
    value, confidence = int(price * SCALE), int(price * share * SCALE)
    return (head + _BODY.pack(feed, value, confidence, -8, seconds, seconds, value, confidence, slot)).ljust(
        SIZE, b"\0"
    )
