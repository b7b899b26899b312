"""The live tape: what of other people's latest trades looks like wash trading."""

from collections import deque

import numpy as np

from bmv.integrity.evidence import FLAG_ABOVE
from bmv.integrity.scan import scan
from bmv.integrity.tape import Tape
from bmv.model import Side, Trade

WINDOW = 2_000


class LiveTape:
    """Keep the newest trades between others, at most ``WINDOW``; ours never count.

    Only trades that name both sides can be judged. Nothing that is found here reaches the strategy.
    """

    def __init__(self) -> None:
        self._trades: deque[Trade] = deque(maxlen=WINDOW)
        self._counted = self._judged = 0
        self._noise: float | None = None

    def traded(self, trade: Trade) -> None:
        """Take a trade of the market."""
        if trade.maker and trade.taker and not trade.own:
            self._trades.append(trade)
            self._counted += 1

    def noise(self) -> float | None:
        """Return the suspected share of the volume in the window; None while there is nothing to judge."""
        if self._judged != self._counted:
            self._judged, self._noise = self._counted, self._judge()
        return self._noise

    def _judge(self) -> float:
        tape = tape_of(list(self._trades))
        volume = tape.size * tape.price
        return float(volume[scan(tape).score > FLAG_ABOVE].sum() / volume.sum())


def tape_of(trades: list[Trade]) -> Tape:
    """Return trades of one market that name both sides as a tape; lots and ticks are its units."""
    names = sorted({name for trade in trades for name in (trade.maker, trade.taker)})
    number = {name: place for place, name in enumerate(names)}
    maker = np.array([number[trade.maker] for trade in trades], dtype=np.int64)
    taker = np.array([number[trade.taker] for trade in trades], dtype=np.int64)
    taker_buys = np.array([trade.taker_side is Side.BID for trade in trades], dtype=bool)
    return Tape(
        row=np.arange(len(trades)),
        market=np.zeros(len(trades), dtype=np.int64),
        at=np.array([int(trade.at) / 1000 for trade in trades]),
        seller=np.where(taker_buys, maker, taker),
        buyer=np.where(taker_buys, taker, maker),
        size=np.array([float(int(trade.size)) for trade in trades]),
        price=np.array([float(int(trade.price)) for trade in trades]),
        markets=("",),
        accounts=tuple(names),
    )
