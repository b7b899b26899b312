"""``bmv plan``: what a run would do first and what comes of it, against the live market; nothing is sent."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from bmv.app.live import LiveOptions
from bmv.app.plan import Planned, planned
from bmv.app.signing import known_wallets, operators_of
from bmv.cli import options
from bmv.state.folder import StateFolder

DEFAULT_STATE = Path("state")


def plan(
    config: Annotated[Path | None, typer.Option(help="Settings, TOML.")] = None,
    state: Annotated[Path, typer.Option(help="Folder of the engine's state.")] = DEFAULT_STATE,
    passphrase_fd: Annotated[
        int | None, typer.Option("--passphrase-fd", help="Descriptor to read Vault's token from, if any.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Read the chain, decide, send nothing: print the ladder, the changes, their cost, and what waits."""
    settings, file = options.configured(config)
    folder = StateFolder(state)
    show(LiveOptions(settings=settings, state=folder, file=file), passphrase_fd, as_json=as_json)


def show(chosen: LiveOptions, passphrase_fd: int | None, *, as_json: bool) -> None:
    """Print the plan, no passphrase is needed; exit with 4 where the chain showed nothing in time."""
    path = chosen.state.keystore_of(chosen.settings.keystore)
    found = planned(chosen, operators_of(known_wallets(path, passphrase_fd), path))
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        typer.echo("\n".join(lines(found)))
    if not found.feed_up:
        raise typer.Exit(4)


def lines(found: Planned) -> Iterator[str]:
    """Yield a plan as people read it."""
    cost = found.cost
    yield f"market {found.market}: P {_shown(found.price)}, Pivot {_shown(found.pivot)} SOL per token"
    yield from (f"WARNING: {each}" for each in found.warnings)
    yield "it would send first: " + (", ".join(type(each).__name__ for each in found.actions) or "nothing")
    yield (
        f"ladder: keep {cost.kept}, cancel {cost.cancels}, place {cost.places}; "
        f"{cost.transactions} transactions in {cost.bundles} bundles, "
        f"tips {cost.tips_sol} SOL, fees {cost.fees_sol} SOL"
    )
    for level in found.levels:
        yield f"{level.side}: {level.quoted} of {level.wanted} levels, the zone has {level.ticks} ticks"
    yield (
        f"best {_shown(found.best_bid)} / {_shown(found.best_ask)}, others {_shown(found.foreign_bid)} / "
        f"{_shown(found.foreign_ask)}; spread {_shown(found.spread_pct)} %"
    )
    for depth in found.depth:
        yield f"depth within {depth.within_pct} %: {depth.bid_sol:.3f} SOL bid, {depth.ask_sol:.3f} SOL asked"
    for wait in found.waiting:
        unit = "SOL" if wait.side == "bid" else "tokens"
        yield f"waits: {wait.amount} {unit} and {wait.levels} levels of the {wait.side} side: {wait.reason}"
    for each in found.transfers:
        yield (
            f"proposed: {each.amount} {each.asset} from wallet {each.source} to {each.target}: {each.reason}"
        )
    for cancel in found.cancels:
        yield f"wallet {cancel.wallet} cancel {cancel.side} at {cancel.price}"
    for quote in sorted(found.quotes, key=lambda quote: quote.wallet):
        yield (
            f"wallet {quote.wallet} {quote.side} {quote.size} at {quote.price} ({quote.sol} SOL)"
            f" {quote.change}; {quote.why}"
        )


def _shown(value: object) -> str:
    return "none" if value is None else str(value)
