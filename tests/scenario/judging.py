"""What is asked of a scenario that was played: quotes near the price, stock left, SOL not spent at once."""

from bisect import bisect_right
from dataclasses import asdict, dataclass
from itertools import accumulate

from bmv.model import Side
from bmv.units import LAMPORTS_PER_SOL, notional
from tests.scenario.playing import DAY_MS, MINUTE_MS, Sample, Seen

NEAR = 0.05


@dataclass(frozen=True, slots=True)
class Verdict:
    """The numbers a scenario is held to.

    ``near_share``: minutes with both our best prices within 5 % of the outside price. ``worst_day``: the most
    that bids paid less what asks received in any 24 hours, as a share of S + X, and ``sweep`` the same within
    one minute. ``tokens_left``: the lowest share of equity in tokens. ``bids_above``: bids placed at or above
    P. ``excess_bps``: the time-weighted excess of the best bid over the outside price.
    """

    minutes: int
    near_share: float
    worst_day: float
    sweep: float
    tokens_left: float
    sol_left: float
    bids_above: int
    excess_bps: float
    fills: int

    def row(self) -> dict[str, float]:
        """Return it as plain rounded values."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def judge(seen: Seen) -> Verdict:
    """Return the verdict on a scenario."""
    first = seen.samples[0].sol
    return Verdict(
        minutes=len(seen.samples),
        near_share=seen.share(_is_near),
        worst_day=_most_spent(seen, DAY_MS),
        sweep=_most_spent(seen, MINUTE_MS),
        tokens_left=min(_token_share(seen, sample) for sample in seen.samples),
        sol_left=min(sample.sol for sample in seen.samples) / first,
        bids_above=sum(
            place.side is Side.BID and int(place.price) >= price for _, place, price in seen.placed
        ),
        excess_bps=10_000 * seen.mean(_excess),
        fills=len(seen.fills),
    )


def books(seen: Seen) -> dict[str, float]:
    """Return in SOL: equity at start and end, what the start's holdings would be worth, spread, and costs."""
    report, first, last = seen.report, seen.samples[0], seen.samples[-1]
    assert seen.spec is not None
    started = float(report["equity_start_sol"])
    moved = first.base * (last.price - first.price) * seen.spec.quote_lot_size / LAMPORTS_PER_SOL
    parts = report["pnl_parts_lamports"]
    return {
        "equity_start": round(started, 1),
        "equity_end": round(float(report["at_end"]["equity_sol"]), 1),
        "held_end": round(started + moved, 1),
        "spread": round((parts["spread"] + parts["rebates"]) / LAMPORTS_PER_SOL, 2),
        "costs": round(-(parts["network_fees"] + parts["tips"]) / LAMPORTS_PER_SOL, 3),
    }


def net_paid(seen: Seen) -> list[tuple[int, int]]:
    """Return (time, lamports paid; negative where received) of every fill of ours."""
    assert seen.spec is not None
    lot = seen.spec.quote_lot_size
    return [
        (at, int(notional(fill.price, fill.size, lot)) * (1 if fill.side is Side.BID else -1))
        for at, fill in seen.fills
    ]


def _is_near(sample: Sample) -> bool:
    return all(
        price is not None and abs(price / sample.outside - 1) <= NEAR for price in (sample.bid, sample.ask)
    )


def _excess(sample: Sample) -> float:
    return max(0.0, sample.bid / sample.outside - 1) if sample.bid is not None else 0.0


def _token_share(seen: Seen, sample: Sample) -> float:
    assert seen.spec is not None
    worth = sample.base * sample.price * seen.spec.quote_lot_size
    return worth / (worth + sample.sol)


def _most_spent(seen: Seen, span_ms: int) -> float:
    """Return the most net paid within a span that ends with a sample, as a share of S + X.

    S + X are those of the span's end or beginning, whichever come to less.
    """
    flows = net_paid(seen)
    times = [at for at, _ in flows]
    paid = [0, *accumulate(amount for _, amount in flows)]
    treasury = _treasury(seen, flows)
    stamps = [sample.at for sample in seen.samples]
    worst = 0.0
    for index, sample in enumerate(seen.samples):
        begins = sample.at - span_ms
        spent = paid[bisect_right(times, sample.at)] - paid[bisect_right(times, begins)]
        before = max(0, bisect_right(stamps, begins) - 1)
        worst = max(worst, spent / min(treasury[index], treasury[before]))
    return worst


def _treasury(seen: Seen, flows: list[tuple[int, int]]) -> list[float]:
    """Return S + X at every sample: X is what was paid less what was received, with a half-life of a day."""
    totals, decayed, before, upcoming = [], 0.0, seen.samples[0].at, 0
    for sample in seen.samples:
        while upcoming < len(flows) and flows[upcoming][0] <= sample.at:
            at, amount = flows[upcoming]
            decayed = decayed * 0.5 ** ((at - before) / DAY_MS) + amount
            before, upcoming = at, upcoming + 1
        totals.append(sample.sol + max(0.0, decayed * 0.5 ** ((sample.at - before) / DAY_MS)))
    return totals
