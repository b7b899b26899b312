"""What a SOL costs along a tape: a recorded path that holds from row to row."""

import msgspec
import numpy as np

from bmv.backtest.reading import Whole
from bmv.backtest.tape import Table, Tape
from bmv.errors import BadInput
from bmv.units import MICROS_PER_USD, UsdPerSol


class Dollars(msgspec.Struct, frozen=True):
    """Prices of SOL in micro-dollars, each from its time (ms) on; nobody knows one before that."""

    source: str
    times: Whole
    prices: Whole

    def at(self, ms: int) -> UsdPerSol:
        """Return the newest price known at a moment."""
        return UsdPerSol(int(self.prices[self.times.searchsorted(ms, side="right") - 1]))


def dollars_of(table: Table, tape: Tape) -> Dollars:
    """Return a table of SOL/USD as a path; raise BadInput where it does not span the tape.

    A bar is known by its opening price, and by its last one once it is over; what came between is not used.
    """
    first, last = int(tape.times[0]), int(tape.times[-1])
    if int(table.times[0]) > first or int(table.times[-1]) + table.bar_ms < last:
        raise BadInput("--sol-usd", table.source, "prices of SOL for the whole tape", "command line")
    micros = np.maximum(1, np.rint(table.points * MICROS_PER_USD)).astype(np.int64)
    if table.points.shape[1] == 1:
        return Dollars(table.source, table.times, micros[:, 0])
    times = np.stack([table.times, table.times + table.bar_ms - 1], axis=1)
    return Dollars(table.source, times.reshape(-1), micros[:, [0, -1]].reshape(-1))
