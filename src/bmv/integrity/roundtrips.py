"""Round trips on a tape that names one side only: the pool buys and sells, who else is behind it is not told.

1. A sale is matched with the buy that is nearest to it in size, within ``SAME_SIZE``, ``SAME_PRICE`` and
   ``WITHIN``: the same tokens come back to the pool for the same money. A trader hopes for another price
   between the two; somebody who makes volume pays two fees for nothing.
2. Wallets are joined by two and more such trips between them that matter to both (a wallet with itself too),
   or by one, if both do little else: one wallet, a pair, a cluster that hands tokens on among its wallets.
3. Each such group is judged by what ``evidence`` measures.

Fees make the price of a sale a little lower than that of the buy, hence the tolerances; that two strangers
meet them by chance is what ``closed`` and the demand for two trips are for. Whoever gains at every trip
(``gainless``) lives on it: a grid, an arbitrage. A price more than ``FAR_OFF``
times away from the median of the trades around it was not paid (tips, or transfers netted in one transaction,
got into the amount): such a trade says nothing about a price and is left out.
"""

from collections import Counter, defaultdict, deque
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bmv.integrity import evidence
from bmv.integrity.evidence import Group, Part
from bmv.integrity.graph import strong_components
from bmv.integrity.tape import NOBODY, Floats, Ints, Tape

SAME_SIZE = 0.01
SAME_PRICE = 0.02
WITHIN = 6 * 3600.0
"""On the tape's clock: six hours, or so many events."""
MOST_OPEN = 64
"""Buys of one size and price that wait for their sale; the oldest are forgotten."""
ROW = 1 << 20
"""Cells of one size: more than logarithms of prices can fill."""
AROUND_A_CELL = [size * ROW + price for size in (-1, 0, 1) for price in (-1, 0, 1)]
FAR_OFF, AROUND = 3.0, 21
MUTUAL = 1 / 8
FEWEST_TRIPS = 2
LITTLE_ELSE, ENOUGH = 3 / 4, 3
"""Part of a wallet's trades, and number of them, in round trips."""

Trip = tuple[int, int]
"""Positions of a buy and its sale in the tape."""


def find(tape: Tape) -> list[Group]:
    """Return the groups of a tape, flagged or not."""
    found: list[Group] = []
    one_sided = (tape.seller == NOBODY) != (tape.buyer == NOBODY)
    by_market = np.argsort(np.where(one_sided, tape.market, -1), kind="stable")
    by_market = by_market[one_sided[by_market]]
    starts = np.searchsorted(tape.market[by_market], np.arange(len(tape.markets) + 1))
    for start, end in pairwise(starts):
        if end - start >= 2 * FEWEST_TRIPS:
            rows = by_market[start:end]
            found += _Market(tape, rows[plausible(tape.price[rows])]).groups()
    return found


class _Market:
    """One market's trades, and what each wallet did in it."""

    def __init__(self, tape: Tape, rows: Ints) -> None:
        self.rows, self.tape = rows, tape.chosen(rows)
        is_buy = self.tape.buyer != NOBODY
        self.trader = np.where(is_buy, self.tape.buyer, self.tape.seller)
        self.trades_of = np.bincount(self.trader)
        self.net_of = np.bincount(self.trader, weights=np.where(is_buy, self.tape.size, -self.tape.size))
        self.gross_of = np.bincount(self.trader, weights=self.tape.size)
        self.prices = np.log(self.tape.price)
        self.spread = float(np.std(np.log(self.tape.size)))

    def groups(self) -> list[Group]:
        """Return the wallets that are joined by round trips."""
        trips = matched(self.tape)
        joined = self._joined(trips)
        number_of = {one: number for number, members in enumerate(joined) for one in members}
        own: dict[int, list[Trip]] = defaultdict(list)
        for buy, sale in trips:
            number = number_of.get(int(self.trader[buy]))
            if number is not None and number == number_of.get(int(self.trader[sale])):
                own[number].append((buy, sale))
        return [self._group(joined[number], np.array(trips)) for number, trips in sorted(own.items())]

    def _joined(self, trips: list[Trip]) -> list[list[int]]:
        between = Counter(
            tuple(sorted((int(self.trader[buy]), int(self.trader[sale])))) for buy, sale in trips
        )
        in_trips = np.bincount(self.trader[np.array(trips, dtype=int).ravel()], minlength=len(self.trades_of))
        little_else = (in_trips >= LITTLE_ELSE * self.trades_of) & (in_trips >= ENOUGH)
        close = {
            (a, b)
            for (a, b), count in between.items()
            if (count >= FEWEST_TRIPS and 2 * count >= MUTUAL * max(self.trades_of[a], self.trades_of[b]))
            or (little_else[a] and little_else[b])
        }
        several = strong_components([edge for a, b in close if a != b for edge in ((a, b), (b, a))])
        taken = {one for members in several for one in members}
        return several + sorted([a] for a, b in close if a == b and a not in taken)

    def _group(self, members: list[int], trips: Ints) -> Group:
        kind = {1: "round_trip", 2: "pair"}.get(len(members), "cluster")
        taking_part = np.sort(trips.ravel())
        trades = int(self.trades_of[members].sum())
        musts = (
            evidence.closed(len(taking_part) / trades, trades / len(self.rows)),
            evidence.returned(abs(float(self.net_of[members].sum())), float(self.gross_of[members].sum())),
            evidence.repeated(len(taking_part)),
            evidence.gainless(self.prices[trips[:, 1]] - self.prices[trips[:, 0]]),
        )
        habits = (
            evidence.alike(self.tape.size[taking_part], self.spread),
            evidence.rhythm(np.sort(self.tape.at[trips[:, 1]])),
            self._riskless(trips),
        )
        return Group(
            kind,
            self.tape.markets[int(self.tape.market[0])],
            tuple(self.tape.accounts[one] for one in members),
            self.rows[taking_part],
            evidence.score(musts, habits),
            musts + habits,
        )

    def _riskless(self, trips: Ints) -> Part:
        """Compare the price change within trips to the market's over as many trades."""
        apart = max(1, int(np.median(trips[:, 1] - trips[:, 0])))
        market = np.abs(self.prices[apart:] - self.prices[:-apart])
        moves = np.abs(self.prices[trips[:, 1]] - self.prices[trips[:, 0]])
        return evidence.riskless(moves, float(np.median(market)))


def plausible(price: Floats) -> NDArray[np.bool_]:
    """Return which prices are near the median of the trades around them."""
    logs = np.log(price)
    around = np.pad(logs, AROUND // 2, mode="reflect") if len(logs) > AROUND else logs
    window = min(AROUND, len(logs))
    medians = np.median(np.lib.stride_tricks.sliding_window_view(around, window), axis=1)
    return np.asarray(np.abs(logs - medians) <= np.log(FAR_OFF))


def matched(market: Tape) -> list[Trip]:
    """Return the round trips of a one-sided tape of one market, each trade in one of them at most."""
    waiting: dict[int, deque[int]] = defaultdict(lambda: deque(maxlen=MOST_OPEN))
    size, price = np.log(market.size) / SAME_SIZE, np.log(market.price) / SAME_PRICE
    # Whatever is near enough in size and price lies in the same cell or in one of the eight around it.
    cells = (np.floor(size).astype(int) * ROW + np.floor(price).astype(int)).tolist()
    sizes, prices, at = size.tolist(), price.tolist(), market.at.tolist()
    found = []
    for index, is_buy in enumerate((market.buyer != NOBODY).tolist()):
        cell = cells[index]
        if is_buy:
            waiting[cell].append(index)
            continue
        best, distance, home = -1, 2.0, cell
        for step in AROUND_A_CELL:
            open_buys = waiting.get(cell + step)
            while open_buys and at[index] - at[open_buys[0]] > WITHIN:
                open_buys.popleft()
            for buy in open_buys or ():
                off, dear = abs(sizes[index] - sizes[buy]), abs(prices[index] - prices[buy])
                if off <= 1 and dear <= 1 and off + dear <= distance:
                    best, distance, home = buy, off + dear, cell + step
        if best >= 0:
            waiting[home].remove(best)
            found.append((best, index))
    return found
