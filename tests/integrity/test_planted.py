"""The detector on tapes with planted wash trades: fresh ones of other shapes, and the recorded ones."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bmv.integrity.reading import tape_of
from bmv.integrity.roundtrips import matched
from bmv.integrity.scan import scan
from tests.bench.integrity import honest, plainly_matched
from tests.integrity.measuring import Share, measure, table_lines
from tests.integrity.planting import Planter, alone, book, pool

ROOT = Path(__file__).parents[2]
WASH = ROOT.parent / "shared" / "data" / "wash"
WAYS: dict[str, Callable[[int], tuple[pl.DataFrame, Planter]]] = {
    "book": book,
    "thin book": partial(book, rows=120),
    "uneven sizes": partial(book, noise=0.1),
    "pool": pool,
    "pool with fees": partial(pool, fee=0.004, noise=0.008),
}


@pytest.mark.parametrize("way", WAYS)
def test_fresh_rings_of_every_kind_are_found_and_nobody_else(way: str) -> None:
    found, planted = Counter[str](), Counter[str]()
    right = flagged = natural = 0
    for seed in range(100, 110):
        measured = measure(WAYS[way](seed)[0])
        for kind, share in measured.rings_found.items():
            found[kind] += share.part
            planted[kind] += share.whole
        right, flagged = right + measured.rings_right.part, flagged + measured.rings_right.whole
        natural += measured.natural_flagged.part
    assert all(found[kind] >= 0.9 * planted[kind] for kind in planted), (found, planted)
    assert right >= 0.95 * flagged
    assert natural == 0


@pytest.mark.parametrize("people", [2, 3])
def test_who_is_alone_on_a_tape_is_found_by_an_even_beat_and_no_market_maker_is(people: int) -> None:
    def flagged(**how: float) -> int:
        return sum(bool(scan(tape_of(alone(seed, people, **how), "tape")).flagged) for seed in range(40))

    assert flagged() >= 30
    assert flagged(jitter=1.0) <= 1
    # The same beat, to and fro, but each trip pays the maker his spread.
    assert flagged(spread=0.005) <= 1


def in_a_pool(seed: int, wallets: int, trips: int, gain: float, hold_s: float) -> pl.DataFrame:
    """Return a pool's tape with round trips among honest trades, ``hold_s`` long on average."""
    table, planter = pool(seed)
    rng, market = planter.rng, table.filter(pl.col("ring_id") == "").sort("ts")
    names, size = [f"planted{number}" for number in range(wallets)], float(rng.lognormal(8, 1))
    rows = []
    for row in sorted(rng.choice(market.height, trips, replace=False)):
        at, price = market["ts"][int(row)], market["price"][int(row)]
        buyer, seller = rng.choice(names, 2, replace=wallets == 1)
        later = at + timedelta(seconds=float(rng.exponential(hold_s)))
        rows += [
            (price, size, buyer, "buy", "planted", at),
            (price * (1 + gain), size, seller, "sell", "planted", later),
        ]
    return pl.concat([market, pl.DataFrame(rows, market.schema, orient="row")]).sort(
        "ts", maintain_order=True
    )


@pytest.mark.parametrize(("wallets", "trips", "hold_s"), [(1, 5, 3), (1, 5, 3600), (2, 5, 3600), (6, 12, 60)])
def test_round_trips_are_found_within_seconds_and_hours_and_among_many_wallets(
    wallets: int, trips: int, hold_s: float
) -> None:
    found = [
        measure(in_a_pool(seed, wallets, trips, -0.002, hold_s), None).rows_found["planted"].value >= 0.5
        for seed in range(10)
    ]
    assert sum(found) >= 9


@pytest.mark.parametrize("gain", [0.003, 0.006, 0.012, 0.019])
def test_who_gains_at_every_round_trip_is_not_suspected(gain: float) -> None:
    for seed in range(4):
        assert measure(in_a_pool(seed, 1, 10, gain, 30)).rows_found["planted"].part == 0


def test_rings_that_trade_with_strangers_too_are_found() -> None:
    found = planted = 0
    for seed in range(100, 110):
        table, _ = book(seed, strangers=0.2)
        for kind, share in measure(table).rings_found.items():
            if kind.startswith("ring"):
                found, planted = found + share.part, planted + share.whole
    assert found >= 0.9 * planted


def test_round_trips_are_those_of_trying_all_open_buys() -> None:
    rng = np.random.default_rng(11)
    for _ in range(5):
        tape = honest(rng, 2_000, 1)
        tape.size[:] = np.exp(np.round(np.log(tape.size), 1))
        tape.size[:] *= rng.uniform(0.99, 1.01, len(tape.size))
        assert matched(tape) == plainly_matched(tape)


@pytest.mark.parametrize("name", ["serum_sbr_usdc", "pumpswap"])
def test_recorded_tapes_are_measured_as_the_paper_says(name: str) -> None:
    file = WASH / f"{name}_with_planted_wash.parquet"
    if not file.exists():
        pytest.skip("the labelled tapes (shared/data/wash) are not here")
    table = pl.read_parquet(file)
    measured = measure(table, table["label"].to_list())
    for label, share in measured.rings_found.items():
        assert share.value >= 0.9, label
    assert measured.rings_right.value >= 0.95
    paper = (ROOT / "docs" / "integrity.md").read_text(encoding="utf-8")
    for line in table_lines(name, measured):
        assert line in paper


def test_intervals_are_wilsons() -> None:
    # Brown, Cai and DasGupta 2001 give the form; the bounds solve (share - p)^2 = z^2 p (1 - p) / n.
    for part, whole in ((0, 10), (3, 10), (10, 10), (81, 263)):
        share = Share(part, whole)
        for bound in share.wilson():
            off = (share.value - bound) ** 2 - 1.959964**2 * bound * (1 - bound) / whole
            assert abs(off) < 1e-9 or bound in (0.0, 1.0)
