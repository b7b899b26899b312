"""A market's tape as columns: who sold how much to whom, when and at what price.

Two shapes of tape exist. On an order book both sides of a trade are known; on a pool only the trader is, and
the other side is the pool (``NOBODY``). Figures are floats: this is statistics about other people's trades,
nothing here is paid out.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
NOBODY = -1


@dataclass(frozen=True, slots=True)
class Tape:
    """Trades in the order of time; every column has one value a trade.

    ``row`` is the place in what was read; ``market``, ``seller`` and ``buyer`` are numbers into ``markets``
    and ``accounts`` (NOBODY: the pool, or unknown). ``at`` is the tape's clock: seconds, or event numbers.
    """

    row: Ints
    market: Ints
    at: Floats
    seller: Ints
    buyer: Ints
    size: Floats
    price: Floats
    markets: tuple[str, ...]
    accounts: tuple[str, ...]

    def chosen(self, rows: Any) -> "Tape":
        """Return the trades a mask or list of positions chooses."""
        return Tape(
            self.row[rows],
            self.market[rows],
            self.at[rows],
            self.seller[rows],
            self.buyer[rows],
            self.size[rows],
            self.price[rows],
            self.markets,
            self.accounts,
        )
