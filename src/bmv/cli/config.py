"""``bmv config``: what the keys are, what a file comes to, and the ladder it gives an example treasury."""

import json
import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from bmv.app.preview import Example, Preview, preview
from bmv.cli import options
from bmv.cli.options import WHOLE, whole
from bmv.config import KNOWN_KEYS, Configuration, Settings, read
from bmv.config.presets import TEXTS, preset_values
from bmv.config.reference import markdown, reference
from bmv.config.settings import said
from bmv.errors import BadInput

config_app = typer.Typer(help="The settings: what there is, what a file comes to.", no_args_is_help=True)
Sol = Annotated[str, typer.Option("--sol", help="Example: SOL for bids, of all wallets.")]
Tokens = Annotated[str, typer.Option("--tokens", help="Example: tokens, of all wallets.")]
Price = Annotated[str, typer.Option("--price", help="Example: the price in SOL per token.")]
Wallets = Annotated[
    int,
    typer.Option("--wallets", help="Example: wallets.", parser=whole("--wallets", 1, 100), metavar=WHOLE),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@config_app.command("reference")
def show_reference(
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the text of docs/configuration.md.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List every key: default, range, whether it may change while running, meaning."""
    if as_markdown:
        typer.echo(markdown(), nl=False)
    elif as_json:
        typer.echo(json.dumps(msgspec.to_builtins(reference()), indent=2))
    else:
        _print_reference()


def _print_reference() -> None:
    section = ""
    for entry in reference():
        if entry.section != section:
            section = entry.section
            typer.echo(f"\n{section}")
        change = "" if entry.hot else ", only with a restart"
        typer.echo(f"  {entry.key} = {entry.default}   ({entry.range}{change})\n      {entry.meaning}")


@config_app.command("check")
def check(
    file: Annotated[
        Path | None, typer.Argument(help="Settings, TOML; without it, defaults and environment.")
    ] = None,
    sol: Sol = "100",
    tokens: Tokens = "10000",
    price: Price = "0.01",
    wallets: Wallets = 4,
    as_json: AsJson = False,
) -> None:
    """Show every value, its source, and the ladder they give; refuse a bad file with all that is wrong."""
    example = _example(sol, tokens, price, wallets)
    try:
        found = read(file, os.environ)
    except BadInput as error:
        if as_json:
            typer.echo(json.dumps({"ok": False, "problems": problems_of(error)}, indent=2))
        raise
    ladder = preview(found.settings, example)
    if as_json:
        typer.echo(_as_json({"ok": True, **as_plain(found), "preview": _plain_preview(ladder)}))
        return
    values = found.settings.by_key()
    for key in KNOWN_KEYS:
        typer.echo(f"{key:<26} {said(key, values[key]):<12} {found.source_of(key)}")
    for note in found.notes():
        typer.echo(f"note: {note}")
    typer.echo("\n" + "\n".join(described(ladder)))


def problems_of(error: BadInput) -> list[dict[str, Any]]:
    """Return what is wrong, one entry for each complaint."""
    return [
        {"field": one.field, "value": str(one.value), "allowed": one.allowed, "source": one.source}
        for one in error.problems
    ]


def as_plain(found: Configuration) -> dict[str, Any]:
    """Return settings with their sources as plain values."""
    written = found.settings.written()
    settings = {
        key: {"value": written[key], "source": found.kind_of(key), "where": found.source_of(key)}
        for key in KNOWN_KEYS
    }
    overridden = {key: str(entry.shown) for key, entry in found.overridden.items()}
    return {
        "preset": found.settings.preset,
        "settings": settings,
        "overridden": overridden,
        "ignored": list(found.ignored),
    }


@config_app.command("preset")
def preset(
    name: Annotated[str, typer.Argument(help="growth, literal, sla or accumulate.")],
    sol: Sol = "100",
    tokens: Tokens = "10000",
    price: Price = "0.01",
    wallets: Wallets = 4,
    as_json: AsJson = False,
) -> None:
    """Print a preset as the text of a settings file, and what ladder it gives."""
    if name not in TEXTS:
        raise BadInput("NAME", name, " or ".join(TEXTS), options.SOURCE)
    values = preset_values(name)
    example = _example(sol, tokens, price, wallets)
    ladder = preview(Settings.model_validate({**values, "PRESET": name}), example)
    if as_json:
        plain = {key: str(value) for key, value in values.items()}
        typer.echo(_as_json({"preset": name, "values": plain, "preview": _plain_preview(ladder)}))
    else:
        typer.echo(TEXTS[name] + "\n" + "\n".join(f"# {line}" for line in described(ladder)))


def _example(sol: str, tokens: str, price: str, wallets: int) -> Example:
    allowed = "a number above 0 and up to 1000000"
    return Example(
        sol=options.amount("--sol", sol),
        tokens=options.amount("--tokens", tokens),
        price=options.positive("--price", price, allowed, most=Decimal(10**6)),
        wallets=wallets,
    )


def _plain_preview(ladder: Preview) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(ladder, builtin_types=(Decimal,))
    return plain


def _as_json(told: dict[str, Any]) -> str:
    """Return JSON with decimals as text a person reads: 0.0000001, not 1E-7."""
    return json.dumps(told, indent=2, default=lambda value: f"{value:f}")


def described(ladder: Preview) -> Iterator[str]:
    """Yield an example's ladder as lines for people."""
    example = ladder.example
    yield (
        f"What this gives with {example.sol:f} SOL and {example.tokens:f} tokens in {example.wallets} wallets"
        f" at {example.price:f} SOL, where price,"
    )
    yield "average and Pivot are one, nobody else is in the book, and somebody has just traded:"
    spread = "none, one side is empty" if ladder.spread_pct is None else f"{ladder.spread_pct:f} %"
    yield f"  spread  {spread}, narrowing to {ladder.idle_spread_pct} % while nobody trades"
    yield f"  bids    {ladder.bids} levels{_span(ladder.best_bid, ladder.lowest_bid)}"
    yield f"  asks    {ladder.asks} levels{_span(ladder.best_ask, ladder.highest_ask)}"
    if ladder.refused:
        yield f"  note: {ladder.refused}"
    yield "  depth within          bids: SOL       tokens    asks: SOL       tokens"
    for depth in ladder.depth:
        yield (
            f"  {depth.within_pct:>8} %        {depth.bid_sol:>12.3f} {depth.bid_tokens:>12.0f}"
            f" {depth.ask_sol:>12.3f} {depth.ask_tokens:>12.0f}"
        )


def _span(inner: Decimal | None, outer: Decimal | None) -> str:
    return "" if inner is None or outer is None else f", {inner:f} to {outer:f} SOL"
