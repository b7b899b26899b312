"""P: what the world outside our own orders says the token costs (SPEC 3.1).

Rules of this file
- Three sources in this order: newest trades worth REF_NOTIONAL, the foreign mid, the last confirmed price.
  The Pivot is P once at most, where nothing else was ever seen.
- ``last`` never contains a trade that still counts by itself: a trade enters it once, when it ages out.
- A jump is not believed at its first sight; the price stays and ``confirmed`` is False.
- Prices are fine ticks, notionals quote lots; a reading costs O(1), amortised over the trades.
"""

from collections import deque
from collections.abc import Sequence
from typing import Literal

import msgspec

from bmv.belief import Belief
from bmv.config import DAY_MS, HOUR_MS, Settings
from bmv.core.decay import BPS, FINE
from bmv.model import ForeignBook, Trade
from bmv.units import Millis

Source = Literal["trades", "foreign_mid", "last", "pivot"]
CONFIRM_WITHIN_BPS = 500
DAILY_WALK_BPS = 950
"""Summed hour by hour; compounded it stays below 10 %."""


class PriceReading(msgspec.Struct, frozen=True):
    """P in fine ticks and where it comes from.

    While ``confirmed`` is False a jump to ``seen_fine`` waits for its second reading, ``price_fine`` is the
    price before it, and no bid may be raised and no ask lowered.
    """

    price_fine: int
    source: Source
    confirmed: bool
    seen_fine: int


class PriceTracker:
    """Keep what the next reading of P needs: recent trades, the last confirmed price, a jump that waits.

    A ``last_fine`` given at the start is a price confirmed before. It holds what traded until then, so
    ``on_trades`` is to be given only later trades, in order of time.
    """

    def __init__(self, quote_lot_size: int, last_fine: int | None = None) -> None:
        self.last_fine = last_fine
        self._quote_lot_size = quote_lot_size
        self._newest: deque[Trade] = deque()
        self._notional = 0
        self._volume = 0
        self._accepted = last_fine
        self._jump: tuple[int, int] | None = None
        self._walk = _DailyWalk()

    @property
    def confirmed_fine(self) -> int | None:
        """Return the last price that was believed; None before the first."""
        return self.last_fine if self._accepted is None else self._accepted

    @property
    def jump(self) -> tuple[int, int] | None:
        """Return the price that waits for its second reading, and since when; None while none waits."""
        return self._jump

    @property
    def counted_from(self) -> int | None:
        """Return the number of the oldest trade that still counts by itself; None where none does."""
        return self._newest[0].seq if self._newest else None

    @property
    def walked(self) -> tuple[tuple[int, int], ...]:
        """Return (hour, how far P has drifted in it) of the last day."""
        return tuple(self._walk.walked)

    def go_on(self, belief: Belief, trades: Sequence[Trade]) -> None:
        """Begin where ``belief`` was, with ``trades`` from its ``counted_from`` on.

        Where those are not all there P is the price that was believed, which holds what traded until then.
        """
        self.last_fine = self._accepted = belief.last_fine
        self._jump = belief.jump
        self._walk.walked.extend(belief.walked)
        whole = belief.counted_from is None or [trade.seq for trade in trades[:1]] == [belief.counted_from]
        if whole and belief.unblended_fine is not None:
            self.last_fine = belief.unblended_fine or None
        self.on_trades(trades)

    def on_trades(self, trades: Sequence[Trade]) -> None:
        """Take note of trades, oldest first."""
        for trade in trades:
            self._newest.append(trade)
            self._notional += int(trade.price) * int(trade.size)
            self._volume += int(trade.size)

    def reading(
        self,
        now: Millis,
        book: ForeignBook,
        settings: Settings,
        *,
        walk: int,
        pivot_fine: int | None,
    ) -> PriceReading | None:
        """Return P; None where nothing has ever been seen and there is no Pivot (start is refused then).

        ``walk`` says where P drifts while it has no outside source: up (1), down (-1) or not at all (0).
        """
        full = max(1, -(-int(settings.ref_notional) // self._quote_lot_size))
        self._forget(now, book, settings, full)
        seen, source = self._outside(book, settings, full)
        if seen is None:
            if self.last_fine is not None:
                self.last_fine = self._walk.step(self.last_fine, walk, now, int(settings.price_drift_per_h))
            seen, source = self._blended(full, pivot_fine)
        else:
            self._walk.rest()
        if seen is None:
            return None
        confirmed = self._believe(seen, now, settings)
        if confirmed and source != "last":
            self.last_fine = seen
        price = seen if self._accepted is None else self._accepted
        return PriceReading(price, source, confirmed, seen)

    def _forget(self, now: Millis, book: ForeignBook, settings: Settings, full: int) -> None:
        """Drop trades that newer ones worth ``full`` replace; fold into ``last`` those that are too old.

        Folding keeps P where it is: an old trade takes its own weight against the one ``last`` has by then.
        """
        newest, horizon = self._newest, int(now) - int(settings.price_max_age)
        while newest and (
            self._notional - (first := _notional(newest[0])) >= full or int(newest[0].at) < horizon
        ):
            trade = newest.popleft()
            counted = min(self._notional, full)
            self._notional -= first
            self._volume -= int(trade.size)
            if self._notional < full:
                price = int(trade.price) * FINE
                # While the reference was reached P was clamped; below it the trade itself was blended in.
                price = _clamped(price, book) if counted == full else price
                share, others = counted - self._notional, full - counted
                last = price if self.last_fine is None else self.last_fine
                self.last_fine = (share * price + others * last) // (share + others)

    def _outside(self, book: ForeignBook, settings: Settings, full: int) -> tuple[int | None, Source]:
        """Return the price of source 1 or 2."""
        if self._notional >= full:
            oldest = self._newest[0]
            price, newer = int(oldest.price), self._notional - _notional(oldest)
            # The oldest counts with the part that fills up to ``full``: (full - newer) / price lots of it.
            volume = (self._volume - int(oldest.size)) * price + full - newer
            return _clamped(full * price * FINE // volume, book), "trades"
        bid, ask = book.firm_bid, book.firm_ask
        if bid is not None and ask is not None:
            total, gap = int(bid) + int(ask), int(ask) - int(bid)
            if 0 < gap * 2 * BPS <= int(settings.max_foreign_spread) * total:
                return total * FINE // 2, "foreign_mid"
        return None, "last"

    def _blended(self, full: int, pivot_fine: int | None) -> tuple[int | None, Source]:
        """Return source 3: the last confirmed price with what little traded blended in."""
        if self.last_fine is None and not self._newest:
            return pivot_fine, "pivot"
        average = self._notional * FINE // self._volume if self._newest else 0
        if self.last_fine is None:
            return average, "last"
        return (self._notional * average + (full - self._notional) * self.last_fine) // full, "last"

    def _believe(self, seen: int, now: Millis, settings: Settings) -> bool:
        """Return whether ``seen`` may be taken for P now, and remember it if so."""
        before = self._accepted
        if before is not None and abs(seen - before) * BPS > before * int(settings.max_price_jump):
            if self._jump is None or abs(seen - self._jump[0]) * BPS > self._jump[0] * CONFIRM_WITHIN_BPS:
                self._jump = (seen, int(now))
                return False
            if int(now) - self._jump[1] < int(settings.price_confirm):
                return False
        self._accepted, self._jump = seen, None
        return True


class _DailyWalk:
    """Walk a price that finds no trade: so much an hour, and at most 10 % in any 24 hours."""

    def __init__(self) -> None:
        self._since: int | None = None
        self.walked: deque[tuple[int, int]] = deque()

    def rest(self) -> None:
        """Note that there is no reason to walk."""
        self._since = None

    def step(self, price: int, direction: int, now: Millis, bps_per_h: int) -> int:
        """Return ``price`` moved up (1), down (-1) or not (0) for the time since the last step."""
        since, self._since = self._since, int(now) if direction else None
        if not direction or since is None:
            return price
        hour = int(now) // HOUR_MS
        while self.walked and self.walked[0][0] < hour - DAY_MS // HOUR_MS:
            self.walked.popleft()
        room = DAILY_WALK_BPS * HOUR_MS - sum(walked for _, walked in self.walked)
        walked = min(bps_per_h * (int(now) - since), room)
        move = price * walked // (BPS * HOUR_MS)
        if move <= 0:
            # Too short a time to move by the smallest part: let it add up. A spent day does not add up.
            self._since = since if walked < room else self._since
            return price
        before = self.walked.pop()[1] if self.walked and self.walked[-1][0] == hour else 0
        self.walked.append((hour, before + walked))
        return max(1, price + direction * move)


def _notional(trade: Trade) -> int:
    return int(trade.price) * int(trade.size)


def _clamped(fine: int, book: ForeignBook) -> int:
    """Return a price moved into the foreign book as far as that exists."""
    if book.firm_bid is not None:
        fine = max(fine, int(book.firm_bid) * FINE)
    if book.firm_ask is not None:
        fine = min(fine, int(book.firm_ask) * FINE)
    return fine
