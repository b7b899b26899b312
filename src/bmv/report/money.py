"""Profit and loss by part, against holding; inventory; costs. Integers until a share is asked for."""

from collections.abc import Iterable, Sequence
from typing import Any

from bmv.core.ledger import Part
from bmv.model import MarketSpec
from bmv.observe.figures import drawdown, rounded, sol, usd
from bmv.report.material import Material, Stretch
from bmv.state.rows import SampleRow
from bmv.units import BaseLots, MicroUsd, Ticks, UsdPerSol, lamports_worth, notional


def worth(held: SampleRow, at: SampleRow, spec: MarketSpec) -> int:
    """Return what was ``held`` in one sample at the prices of another, in lamports."""
    rate = at.sol_usd
    dollars = int(lamports_worth(MicroUsd(held.usdc), UsdPerSol(rate))) if rate is not None else 0
    return held.sol + int(notional(Ticks(at.mark), BaseLots(held.base), spec.quote_lot_size)) + dollars


def equity(sample: SampleRow, spec: MarketSpec) -> int:
    """Return what was owned in a sample, in lamports."""
    return worth(sample, sample, spec)


def brought(material: Material, first: SampleRow, last: SampleRow) -> int:
    """Return what wallets brought that joined between two samples of a run."""
    return sum(
        one.lamports
        for one in material.joined
        if one.run == first.run and first.booked < one.number <= last.booked
    )


def parts_of(stretches: Iterable[Stretch]) -> dict[Part, int]:
    """Return the sum of each part of the ledger."""
    return {part: sum(one.parts[part] for one in stretches) for part in Part}


def change_of(stretches: Iterable[Stretch], spec: MarketSpec) -> int:
    """Return by how much what was owned has changed, by the accounts."""
    return sum(equity(one.last, spec) - equity(one.first, spec) for one in stretches)


def pnl(material: Material) -> dict[str, Any]:
    """Return profit and loss: the parts from the ledger, the change from the accounts, their difference.

    What changed while no engine ran (deposits, withdrawals, the start of the next run) is told apart.
    """
    stretches, spec = material.stretches, material.spec
    first, last = material.settled[0], material.settled[-1]
    parts = parts_of(stretches)
    change = change_of(stretches, spec)
    return {
        "equity_start_sol": sol(equity(first, spec)),
        "equity_end_sol": sol(equity(last, spec)),
        "parts_lamports": {part.value: parts[part] for part in Part},
        "change_lamports": change,
        "residual_lamports": change - sum(parts.values()),
        "between_runs_lamports": equity(last, spec) - equity(first, spec) - change,
        "ledger_rows_missing": sum(one.missing for one in stretches),
    }


def benchmarks(material: Material) -> dict[str, Any]:
    """Return what had come of what each run began with, had nothing been done with it.

    ``hold``: kept as it was; ``sol``: all of it SOL from the start; ``tokens``: all of it tokens.
    """
    spec = material.spec
    first = {one.run: one for one in reversed(material.settled)}
    last = {one.run: one for one in material.settled}
    began = {run: equity(one, spec) for run, one in first.items()}
    ours = sum(
        equity(last[run], spec) - began[run] - brought(material, first[run], last[run]) for run in first
    )
    hold = sum(worth(first[run], last[run], spec) - began[run] for run in first)
    tokens = sum(began[run] * last[run].mark // first[run].mark - began[run] for run in first)
    own, held = courses(material)
    return {
        "ours_sol": sol(ours),
        "hold_sol": sol(hold),
        "sol_sol": sol(0),
        "tokens_sol": sol(tokens),
        "ours_against_hold_sol": sol(ours - hold),
        "drawdown_ours": rounded(drawdown(own)),
        "drawdown_hold": rounded(drawdown(held)),
    }


def courses(material: Material) -> tuple[list[int], list[int]]:
    """Return what was owned at each settled sample, and what each run's start would have been worth.

    What wallets brought that joined in a run is left out of both.
    """
    first = {one.run: one for one in reversed(material.settled)}
    spec = material.spec
    own = [equity(one, spec) - brought(material, first[one.run], one) for one in material.settled]
    return own, [worth(first[one.run], one, spec) for one in material.settled]


def inventory(material: Material) -> dict[str, Any]:
    """Return what was held in tokens, and how often what is owned was turned over."""
    spec, settled = material.spec, material.settled
    base = [one.base for one in settled]
    shares = [_token_worth(one, spec) / equity(one, spec) for one in settled]
    turned = sum(fill.price * fill.size * spec.quote_lot_size for fill in material.fills)
    mean = sum(equity(one, spec) for one in settled) / len(settled)
    days = covered(settled) / 86_400_000
    return {
        "start_tokens": _tokens(base[0], spec),
        "end_tokens": _tokens(base[-1], spec),
        "least_tokens": _tokens(min(base), spec),
        "most_tokens": _tokens(max(base), spec),
        "share_of_equity": {
            "mean": rounded(sum(shares) / len(shares)),
            "least": rounded(min(shares)),
            "most": rounded(max(shares)),
        },
        "turnover_sol": sol(turned),
        "turnover_of_equity_per_day": rounded(turned / mean / days) if days else None,
    }


def costs(material: Material) -> dict[str, Any]:
    """Return what execution cost, and the spread that pays for it."""
    tips = sum(one.tips for one in material.bundles if one.outcome == "landed")
    fees = sum(one.fees for one in material.bundles if one.outcome == "landed")
    turned = sum(fill.price * fill.size * material.spec.quote_lot_size for fill in material.fills)
    counts = {one.outcome: one.number for one in material.bundles}
    ended = sum(counts.values())
    return {
        "bundles": counts,
        "landed_share": rounded(counts.get("landed", 0) / ended) if ended else None,
        "tips_sol": sol(tips),
        "network_fees_sol": sol(fees),
        "breakeven_spread_bps": rounded((tips + fees) / turned * 10_000) if turned else None,
    }


def conversions(material: Material) -> dict[str, Any]:
    """Return what was exchanged between SOL and USDC, and at what cost."""
    against = -parts_of(material.stretches)[Part.CONVERSIONS]
    bought = [one for one in material.exchanged if one.bought]
    sold = [one for one in material.exchanged if not one.bought]
    return {
        "count": len(material.exchanged),
        "bought_sol": sol(sum(int(one.sol) for one in bought)),
        "sold_sol": sol(sum(int(one.sol) for one in sold)),
        "usdc": usd(sum(int(one.usdc) for one in material.exchanged)),
        "cost_against_oracle_sol": sol(against),
        "network_cost_sol": sol(material.exchange_costs),
        "usdc_held": usd(material.settled[-1].usdc),
    }


def rent(material: Material) -> dict[str, Any]:
    """Return the rent our accounts hold at the end, and what came back."""
    return {
        "locked_sol": sol(material.settled[-1].rent),
        "recovered_sol": sol(sum(material.rents)),
        "accounts_closed": len(material.rents),
    }


def covered(samples: Sequence[SampleRow]) -> int:
    """Return the milliseconds between each run's first and last sample, added up."""
    first = {one.run: one.at for one in reversed(samples)}
    last = {one.run: one.at for one in samples}
    return sum(last[run] - first[run] for run in first)


def _token_worth(sample: SampleRow, spec: MarketSpec) -> int:
    return int(notional(Ticks(sample.mark), BaseLots(sample.base), spec.quote_lot_size))


def _tokens(lots: int, spec: MarketSpec) -> str:
    return f"{spec.size(BaseLots(lots)):f}"
