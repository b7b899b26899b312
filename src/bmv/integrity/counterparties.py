"""Self trades, pairs and rings on a tape that names both sides.

1. The same account on both sides is a self trade by definition, once is enough: score 1.
2. Accounts that matter to each other are joined: an edge from seller to buyer stands where the two make up at
   least ``MUTUAL`` of the trades of *both*. A market maker matters to everybody, but nobody matters to him.
3. What is strongly connected by such edges is a closed cycle, or several: the token can come back to whoever
   sold it. (Victor and Weintraud 2021 search cycles of trade graphs of exchanges in this way.)
4. Each such group is judged by what ``evidence`` measures.
"""

import numpy as np

from bmv.integrity import evidence
from bmv.integrity.evidence import Group, Part
from bmv.integrity.graph import strong_components
from bmv.integrity.tape import NOBODY, Ints, Tape

MUTUAL = 1 / 6
FEWEST = 3
"""Trades of a group below which there is nothing to judge."""


def find(tape: Tape) -> list[Group]:
    """Return the groups of a tape, self trades first, flagged or not."""
    known = np.flatnonzero((tape.seller != NOBODY) & (tape.buyer != NOBODY))
    same = tape.seller[known] == tape.buyer[known]
    return _self_trades(tape, known[same]) + _cycles(tape, known[~same])


def _self_trades(tape: Tape, rows: Ints) -> list[Group]:
    found = []
    key = tape.market[rows] * len(tape.accounts) + tape.seller[rows]
    in_groups = rows[np.argsort(key, kind="stable")]
    names, starts = np.unique(np.sort(key), return_index=True)
    for name, own in zip(names.tolist(), np.split(in_groups, starts[1:]), strict=False):
        market, account = divmod(name, len(tape.accounts))
        part = Part("closed", 1.0, f"{len(own)} trades with the same account on both sides")
        found.append(Group("self", tape.markets[market], (tape.accounts[account],), own, 1.0, (part,)))
    return found


def _cycles(tape: Tape, rows: Ints) -> list[Group]:
    if not len(rows):
        return []
    # An account is another one in each market.
    seller = tape.market[rows] * len(tape.accounts) + tape.seller[rows]
    buyer = tape.market[rows] * len(tape.accounts) + tape.buyer[rows]
    names, numbers = np.unique(np.concatenate([seller, buyer]), return_inverse=True)
    seller, buyer = numbers[: len(rows)], numbers[len(rows) :]
    trades_of = np.bincount(numbers, minlength=len(names))
    groups = strong_components(_mutual(seller, buyer, trades_of))
    member_of = np.full(len(names), -1)
    for number, members in enumerate(groups):
        member_of[members] = number
    inside = np.flatnonzero((member_of[seller] == member_of[buyer]) & (member_of[seller] >= 0))
    inside = inside[np.argsort(member_of[seller[inside]], kind="stable")]
    starts = np.searchsorted(member_of[seller[inside]], np.arange(len(groups) + 1))
    market_trades = np.bincount(tape.market[rows])
    spread_of = _spreads(tape, rows)
    found = []
    for members, start, end in zip(groups, starts, starts[1:], strict=False):
        own = inside[start:end]
        if len(own) < FEWEST:
            continue
        market, accounts = divmod(names[members], len(tape.accounts))
        parts = _parts(
            tape.chosen(rows[own]),
            trades_of=trades_of[members],
            inside_of=np.bincount(np.concatenate([seller[own], buyer[own]]))[members],
            market_trades=int(market_trades[market[0]]),
            market_spread=spread_of[int(market[0])],
        )
        kind = "pair" if len(members) == 2 else "ring"
        named = tuple(tape.accounts[account] for account in accounts)
        value = evidence.score(parts[:3], parts[3:])
        found.append(Group(kind, tape.markets[market[0]], named, rows[own], value, parts))
    return found


def _mutual(seller: Ints, buyer: Ints, trades_of: Ints) -> list[tuple[int, int]]:
    """Return the directed edges between accounts that make up much of each other's trading."""
    low, high = np.minimum(seller, buyer), np.maximum(seller, buyer)
    pairs, which, counts = np.unique(low * len(trades_of) + high, return_inverse=True, return_counts=True)
    first, second = divmod(pairs, len(trades_of))
    close = counts >= MUTUAL * np.maximum(trades_of[first], trades_of[second])
    kept = close[which]
    edges = np.unique(np.stack([seller[kept], buyer[kept]]), axis=1)
    return [(int(start), int(end)) for start, end in edges.T]


def _spreads(tape: Tape, rows: Ints) -> dict[int, float]:
    """Return the spread of log sizes of each market."""
    market, logs = tape.market[rows], np.log(tape.size[rows])
    counts = np.maximum(1, np.bincount(market))
    mean = np.bincount(market, weights=logs) / counts
    variance = np.bincount(market, weights=(logs - mean[market]) ** 2) / counts
    return dict(enumerate(np.sqrt(variance).tolist()))


def _parts(
    trades: Tape, trades_of: Ints, inside_of: Ints, market_trades: int, market_spread: float
) -> tuple[Part, ...]:
    """Return three musts, then the habits; ``trades_of`` and ``inside_of`` are per member."""
    accounts = np.unique(np.concatenate([trades.seller, trades.buyer]))
    net = sum(
        abs(float(trades.size[trades.buyer == one].sum() - trades.size[trades.seller == one].sum()))
        for one in accounts
    )
    beat, order = evidence.rhythm(trades.at), evidence.order(trades.seller, trades.buyer, len(accounts))
    if trades_of.sum() == 2 * market_trades:
        together = evidence.alone([beat, order, evidence.even(trades.seller, trades.buyer, trades.price)])
    else:
        # The least closed of them decides: who trades with everybody is a market maker.
        least = float((inside_of / trades_of).min())
        together = evidence.closed(least, float(trades_of.sum()) / (2 * market_trades))
    return (
        together,
        evidence.returned(net, 2 * float(trades.size.sum())),
        evidence.repeated(len(trades.size)),
        evidence.alike(trades.size, market_spread),
        beat,
        order,
    )
