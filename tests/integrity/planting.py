"""Tapes with planted wash trades, made anew from a seed: other sizes, timings and lengths than recorded ones.

The honest part: on the book a few makers of unequal size meet takers drawn by a power law, takers meet each
other now and then, sizes are log-normal; on the pool the price walks, wallets buy and sell with the price at
risk, some sell all they bought, and bots trade quickly for a change of price.
"""

from dataclasses import dataclass, field

import numpy as np
import polars as pl

Row = tuple[float, float, float, str, str, str]
"""at, price, size, first account, second account or side, ring."""


@dataclass
class Planter:
    """Plant groups into an honest tape of ``rows`` trades; ``planted`` tells each ring's kind."""

    seed: int
    rows: int = 600
    planted: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.span = self.rows * 30.0
        steps = self.rng.normal(0, 0.004, self.rows + 1)
        self.prices = np.exp(np.cumsum(steps)) * self.rng.lognormal(0, 3)

    def price(self, at: float) -> float:
        """Return the market's price at a moment."""
        return float(self.prices[min(self.rows, max(0, int(at / 30.0)))])

    def name(self, what: str) -> str:
        """Return an account nobody else has."""
        return f"{what}{self.rng.integers(1 << 60):015x}"

    def moments(self, count: int) -> np.ndarray:
        """Return times of ``count`` planted trades: even, random or in a burst."""
        share = self.rng.uniform(0.05, 0.6)
        begin = self.rng.uniform(0, (1 - share) * self.span)
        style = self.rng.integers(3)
        if style == 0:
            at = np.linspace(0, 1, count) + self.rng.normal(0, 0.1 / count, count)
        elif style == 1:
            at = np.sort(self.rng.uniform(0, 1, count))
        else:
            at = np.sort(self.rng.beta(0.5, 3, count))
        return begin + np.sort(at) * share * self.span


def book(
    seed: int, rows: int = 600, noise: float = 0.005, strangers: float = 0.0
) -> tuple[pl.DataFrame, Planter]:
    """Return an order book's tape with self trades, pairs, noisy pairs and rings of 3 to 6 planted.

    ``noise`` is the spread of sizes within a group; ``strangers`` the share of a group's trades with others.
    """
    it = Planter(seed, rows)
    rng = it.rng
    makers = [it.name("maker") for _ in range(4)]
    takers = [it.name("taker") for _ in range(rows // 5)]
    out: list[Row] = []
    for at in np.sort(rng.uniform(0, it.span, rows)):
        maker = makers[min(3, rng.geometric(0.6) - 1)]
        taker = takers[min(len(takers) - 1, int(rng.pareto(1.1) * 3))]
        if rng.random() < 0.1:
            maker = takers[int(rng.integers(len(takers)))]
        if maker != taker:
            seller, buyer = (maker, taker) if rng.random() < 0.5 else (taker, maker)
            out.append((at, it.price(at), float(rng.lognormal(4, 1.5)), seller, buyer, ""))
    kinds = {"self": 1, "pair": 2, "pair_noisy": 2, "ring3": 3, "ring4": 4, "ring5": 5, "ring6": 6}
    for kind, length in kinds.items():
        for which in range(2):
            ring = f"{kind}_{which}"
            it.planted[ring] = kind
            count = max(6, int(rng.integers(2, 8)) * length)
            accounts = [it.name(ring) for _ in range(length)]
            size, spread = float(rng.lognormal(4, 1.5)), 0.3 if kind == "pair_noisy" else noise
            flip = rng.random() < 0.5
            for number, at in enumerate(it.moments(count)):
                seller = accounts[(number // 2 if flip and length == 2 else number) % length]
                buyer = accounts[(accounts.index(seller) + 1) % length]
                traded = size * (1 + float(rng.uniform(-spread, spread)))
                out.append((at, it.price(at), traded, seller, buyer, ring))
                if length > 1 and rng.random() < strangers:
                    out.append((at, it.price(at), float(rng.lognormal(4, 1.5)), makers[0], buyer, ""))
    out.sort()
    columns = list(zip(*out, strict=True))
    names = ("ts", "price", "size", "seller", "buyer", "ring_id")
    table = pl.DataFrame(dict(zip(names, columns, strict=True)))
    return table.with_row_index("seq").drop("ts"), it


def pool(
    seed: int, rows: int = 1_500, fee: float = 0.0, noise: float = 0.002
) -> tuple[pl.DataFrame, Planter]:
    """Return a pool's tape with round trips of one wallet, two, and clusters of 3 to 8 planted.

    ``fee`` is lost at each trade of a trip; ``noise`` is how far a sale's size is from its buy's.
    """
    it = Planter(seed, rows)
    rng = it.rng
    out: list[Row] = []
    for _ in range(rows // 4):
        wallet, size = it.name("trader"), float(rng.lognormal(8, 2))
        first, last = np.sort(rng.uniform(0, it.span, 2))
        out.append((first, it.price(first), size, wallet, "buy", ""))
        part = 1.0 if rng.random() < 0.6 else float(rng.uniform(0.2, 0.9))
        out.append((last, it.price(last), size * part, wallet, "sell", ""))
    for _ in range(3):
        bot, size = it.name("bot"), float(rng.lognormal(8, 1))
        for first in np.sort(rng.uniform(0, it.span, rows // 30)):
            change, wait = float(rng.normal(0.01, 0.06)), float(rng.uniform(1, 120))
            traded = size * float(rng.lognormal(0, 0.1))
            out.append((first, it.price(first), traded, bot, "buy", ""))
            out.append((first + wait, it.price(first) * np.exp(change), traded, bot, "sell", ""))
    for kind, length in {"roundtrip1": 1, "pair": 2, "cluster3": 3, "cluster6": 6, "cluster8": 8}.items():
        ring = f"{kind}_{seed}"
        it.planted[ring] = kind
        wallets, size = [it.name(ring) for _ in range(length)], float(rng.lognormal(8, 1))
        for at in it.moments(max(6, 5 * length)):
            buyer, seller = rng.choice(length, 2, replace=length == 1)
            bought, price = size * (1 + float(rng.uniform(-0.02, 0.02))), it.price(at)
            sold = bought * (1 + float(rng.uniform(-noise, noise)))
            later = at + float(rng.uniform(0, 20))
            out.append((at, price * (1 + fee), bought, wallets[buyer], "buy", ring))
            out.append((later, price * (1 - fee), sold, wallets[seller], "sell", ring))
    out.sort()
    columns = list(zip(*out, strict=True))
    names = ("at", "price", "size", "trader", "side", "ring_id")
    table = pl.DataFrame(dict(zip(names, columns, strict=True)))
    return table.with_columns(ts=pl.from_epoch((pl.col("at") * 1e6).cast(pl.Int64), "us")).drop("at"), it


def alone(seed: int, people: int, *, spread: float | None = None, jitter: float = 0.1) -> pl.DataFrame:
    """Return a tape on which nobody else trades: one person as ``people``, or with a ``spread`` honest ones.

    One person hands the token round at a price that walks. The honest first one is a market maker who earns
    the spread; each trade is with one of the others, who buys, or sells what he bought. ``jitter`` is that of
    an even beat, 1 is random arrivals.
    """
    rng = np.random.default_rng(seed)
    names = [f"{number}" for number in range(people)]
    count = int(rng.integers(3, 16)) * people
    gaps = rng.normal(1, jitter, count) if jitter < 1 else rng.exponential(1, count)
    at = np.cumsum(np.abs(gaps)) * float(rng.lognormal(4, 1))
    prices = np.exp(np.cumsum(rng.normal(0, rng.choice([0.0, 0.001, 0.004]), count)))
    size, rows = float(rng.lognormal(4, 1.5)), []
    holds = dict.fromkeys(names[1:], False)
    for number in range(count):
        if spread is None:
            seller, buyer, half = names[number % people], names[(number + 1) % people], 0.0
        else:
            taker = names[int(rng.integers(1, people))]
            seller, buyer = (taker, names[0]) if holds[taker] else (names[0], taker)
            half = spread / 2 if buyer == taker else -spread / 2
            holds[taker] = not holds[taker]
        traded = size * (1 + float(rng.uniform(-0.1, 0.1)))
        rows.append((at[number], float(prices[number]) * (1 + half), traded, seller, buyer))
    columns = dict(zip(("at", "price", "size", "seller", "buyer"), zip(*rows, strict=True), strict=True))
    return pl.DataFrame(columns).with_columns(ts=pl.from_epoch((pl.col("at") * 1e6).cast(pl.Int64), "us"))
