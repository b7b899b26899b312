"""The demo's report: one JSON value, amounts as decimal strings, prices in ticks as well."""

from typing import Any

from bmv.app.assembly import Assembly
from bmv.app.samples import Samples, best_own
from bmv.app.truth import locked_atoms, residual_lamports, residual_tokens, standing_orders, tables_of
from bmv.app.world import World
from bmv.core.capacity import grid_levels
from bmv.core.decay import FINE
from bmv.core.ledger import Part
from bmv.model import MarketSpec, Side
from bmv.observe.figures import sol, usd
from bmv.sandbox.jupiter_program import USDC_MINT
from bmv.services.record import Record
from bmv.units import Lamports, Ticks


def price_fields(spec: MarketSpec, name: str, ticks: int | None) -> dict[str, Any]:
    """Return a price as a decimal string and as ``*_ticks``; both None where there is none."""
    text = None if ticks is None else f"{spec.price(Ticks(ticks)):f}"
    return {name: text, f"{name}_ticks": ticks}


def at_end(world: World, assembly: Assembly) -> dict[str, Any]:
    """Return what stands before the closing drain."""
    engine, spec = assembly.engine, assembly.spec
    state = engine.state
    best = best_own(world, assembly)
    own = [o for o in standing_orders(world.chain, assembly.market, assembly.wallets) if o.wallet is not None]
    pivot, raw = state.market.capped_pivot.value_fine, state.market.capped_pivot.raw_fine
    own_lots, lots = state.market.pivot.own_share
    price = state.market.reading.price_fine if state.market.reading else None
    known = engine.record.equity_start is not None
    return {
        "orders_live": len(own),
        **price_fields(spec, "pivot", None if pivot is None else pivot // FINE),
        **price_fields(spec, "pivot_raw", None if raw is None else raw // FINE),
        "pivot_own_lots": own_lots,
        "pivot_lots": lots,
        **price_fields(spec, "price", None if price is None else price // FINE),
        **price_fields(spec, "best_bid", best.get(Side.BID)),
        **price_fields(spec, "best_ask", best.get(Side.ASK)),
        "equity_sol": sol(_equity(assembly)) if known else None,
    }


def books(assembly: Assembly) -> dict[str, Any]:
    """Return profit and loss: parts from ledgers, change of equity from accounts, and their difference."""
    record = assembly.engine.record
    if record.ledger is None or record.equity_start is None:
        return {"equity_start_sol": None, "pnl_parts_lamports": None, "identity_residual_lamports": None}
    parts = record.ledger.totals()
    change = _equity(assembly) - record.equity_start
    return {
        "equity_start_sol": sol(record.equity_start),
        "pnl_parts_lamports": {part.value: int(parts[part]) for part in Part},
        "identity_residual_lamports": int(change) - sum(int(amount) for amount in parts.values()),
    }


def counts(assembly: Assembly, samples: Samples) -> dict[str, Any]:
    """Return everything that was counted and sampled."""
    record = assembly.engine.record
    parts = record.ledger.totals() if record.ledger else {}
    median, lowest = samples.median(samples.shares), min(samples.shares, default=None)
    return {
        "wallets": len(assembly.wallets),
        "levels": grid_levels(assembly.engine.state, assembly.engine.settings),
        "levels_wanted": {
            "median": samples.median(samples.wanted),
            "min_standing_share": lowest,
            "median_standing_share": median,
        },
        "orders": dict(record.orders),
        "rebuilds": dict(record.rebuilds),
        "bundles": dict(record.bundles),
        "cost_sol": {
            "tips": sol(-parts.get(Part.TIPS, Lamports(0))),
            "fees": sol(-parts.get(Part.NETWORK_FEES, Lamports(0))),
        },
        "rent_reclaimed_sol": sol(record.rent_reclaimed),
        "execution": execution(record),
        "treasury": treasury(record),
        "fills": record.fills,
        "takers": len(record.counterparties),
        "volume_sol": sol(record.volume),
        "self_trades": record.self_trades,
        "price_error": {
            "share_within_2pct": samples.share(samples.price_hits),
            "quotes_within_5pct": samples.share(samples.quote_hits),
            "hours": samples.hours,
        },
    }


def treasury(record: Record) -> dict[str, Any]:
    """Return what the treasury holds, and what was converted at what cost."""
    held, turnover = record.treasury, record.turnover
    dear = record.ledger.totals()[Part.CONVERSIONS] if record.ledger else Lamports(0)
    return {
        "sol": sol(held.sol + held.kept),
        "usdc": usd(held.usdc),
        "conversions": turnover.count,
        "bought_sol": sol(turnover.bought),
        "sold_sol": sol(turnover.sold),
        "turnover_usdc": usd(turnover.usdc),
        "cost_sol": sol(turnover.network - dear),
    }


def execution(record: Record) -> dict[str, Any]:
    """Return how well bundles landed, and what rebuilds and orders cost."""
    seen = record.execution
    cost = seen.tips + seen.fees
    return {
        "landed_share": seen.landed_share(),
        "latency_ms": {"median": seen.latency_ms(50), "p95": seen.latency_ms(95)},
        "orders_landed": seen.orders_landed,
        "sol_per_landed_order": sol(cost // seen.orders_landed) if seen.orders_landed else None,
        "sol_per_rebuild": {
            "tips": sol(seen.rebuild_tips // seen.rebuilds) if seen.rebuilds else None,
            "fees": sol(seen.rebuild_fees // seen.rebuilds) if seen.rebuilds else None,
        },
    }


def after_drain(world: World, assembly: Assembly) -> dict[str, Any]:
    """Return what of ours is left on the simulated chain."""
    book = standing_orders(world.chain, assembly.market, assembly.wallets)
    return {
        "orders_live": sum(order.wallet is not None for order in book),
        "locked": locked_atoms(world.chain, assembly.wallets),
    }


def lookup_tables(world: World, assembly: Assembly) -> dict[str, int]:
    """Return the lookup tables that are kept for the next run, and the rent they hold."""
    held = tables_of(world.chain, assembly.wallets[0].owner)
    return {"kept": len(held), "rent_lamports": sum(held)}


def chain_residual(world: World) -> dict[str, int]:
    """Return lamports, and atoms of token and USDC, that came or went since genesis; all must be 0."""
    return {
        "lamports": residual_lamports(world.chain, world.genesis_lamports),
        "tokens": sum(abs(residual_tokens(world.chain, mint)) for mint in (world.mint, USDC_MINT)),
    }


def _equity(assembly: Assembly) -> Lamports:
    state = assembly.engine.state
    return assembly.engine.record.equity([state.views[wallet] for wallet in sorted(state.views)])
