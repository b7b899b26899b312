"""The live page in a terminal: the same stream, followed and drawn anew with every push."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import aiohttp
import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bmv.observe.view import FillView, LevelView, View

NEAREST = 8
NEWEST = 6
SILENCE_S = 15.0
TONES = {"bid": "green", "ask": "red", "live": "", "in-flight": "yellow", "leaving": "dim", "missing": "dim"}
DASH = "-"


async def followed(url: str) -> AsyncIterator[View]:
    """Yield the view with every push of the page at ``url``, until it ends.

    aiohttp.ClientError or TimeoutError where the page does not answer.
    """
    known: dict[str, Any] = {}
    timeout = aiohttp.ClientTimeout(total=None, connect=SILENCE_S)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.ws_connect(f"{url.replace('http', 'ws', 1)}ws", max_msg_size=0) as stream,
    ):
        while (message := await stream.receive(SILENCE_S)).type is aiohttp.WSMsgType.TEXT:
            known |= msgspec.json.decode(message.data)["view"]
            yield msgspec.convert(known, View)


def screen(view: View) -> RenderableType:
    """Return what a terminal shows of the view."""
    return Group(_header(view), _figures(view), _ladder(view), _money(view), _newest(view))


def _header(view: View) -> Text:
    tone = {"quoting": "bold green", "feed lost": "bold red", "halting": "bold yellow"}.get(
        view.state, "bold"
    )
    line = Text.assemble(
        (f"{view.symbol}/SOL ", "bold"), (view.state, tone), f"  slot {view.slot}  {view.mode}"
    )
    if view.halt_reason:
        line.append(f"  kill switch: {view.halt_reason}", "bold red")
    own = view.counters.self_trades
    line.append(f"  self-trades {own}", "bold red" if own else "green")
    return line


def _figures(view: View) -> Table:
    presence, treasury = view.presence, view.treasury
    table = Table.grid(padding=(0, 3))
    price = f"{view.price.value} ({view.price.source})" if view.price else DASH
    usd, eur = (view.price.usd, view.price.eur) if view.price else (None, None)
    table.add_row(f"price {price}", f"pivot {view.pivot or DASH}", f"spread {view.spread_pct or DASH} %")
    table.add_row(
        f"equity {view.equity_sol or DASH} SOL",
        f"PnL {view.pnl_sol or DASH} SOL",
        f"present {presence.bid_pct or DASH} / {presence.ask_pct or DASH} %, "
        f"both {presence.both_pct or DASH} %",
    )
    table.add_row(f"{usd or DASH} USD", f"{eur or DASH} EUR")
    if treasury is not None:
        table.add_row(
            f"treasury {treasury.sol} SOL", f"{treasury.usdc} USDC", f"SOL/USD {treasury.sol_usd or DASH}"
        )
    counters = view.counters
    table.add_row(
        f"bundles {counters.bundles_landed}/{counters.bundles_sent} landed",
        f"{view.in_flight} in flight",
        f"{counters.fills} fills, {counters.volume_sol} SOL",
    )
    return table


def _ladder(view: View) -> Table:
    table = Table(title=f"ladder, {len(view.ladder)} orders", title_justify="left", expand=True)
    for name in ("side", "price", "size", "from price", "wallet", "state"):
        table.add_column(name, justify="left" if name in ("side", "state") else "right", no_wrap=True)
    table.add_column("why", overflow="ellipsis", no_wrap=True, ratio=1)
    asks = [level for level in view.ladder if level.side == "ask"][-NEAREST:]
    bids = [level for level in view.ladder if level.side == "bid"][:NEAREST]
    _levels(table, asks)
    table.add_section()
    _levels(table, bids)
    return table


def _levels(table: Table, levels: Sequence[LevelView]) -> None:
    for level in levels:
        table.add_row(
            Text(level.side, TONES[level.side]),
            level.price,
            level.size,
            f"{level.distance_pct} %",
            str(level.wallet),
            Text(level.state, TONES[level.state]),
            level.why,
        )


def _money(view: View) -> Table:
    depth = Table(title="depth, SOL: ours of all", title_justify="left")
    for name in ("within", "bids", "asks"):
        depth.add_column(name, justify="right")
    for band in view.bands:
        bids, asks = (
            f"{own} of {of}" for own, of in ((band.bid_own, band.bid_all), (band.ask_own, band.ask_all))
        )
        depth.add_row(f"{band.pct} %", bids, asks)
    parts = Table(title="profit and loss, SOL", title_justify="left")
    parts.add_column("part")
    parts.add_column("SOL", justify="right")
    for part in view.pnl_parts:
        parts.add_row(part.name.replace("_", " "), part.sol)
    markouts = Table(title="markouts, bps", title_justify="left")
    for name in ("after", "bids", "asks"):
        markouts.add_column(name, justify="right")
    for one in view.markouts:
        markouts.add_row(f"{one.seconds} s", one.bid_bps or DASH, one.ask_bps or DASH)
    grid = Table.grid(padding=(0, 2))
    grid.add_row(depth, parts, markouts)
    return grid


def _newest(view: View) -> Table:
    fills = Table(title="fills", title_justify="left", show_header=False)
    for fill in view.fills[:NEWEST]:
        fills.add_row(*_fill(fill))
    events = Table(title="events", title_justify="left", show_header=False)
    for event in view.events[:NEWEST]:
        events.add_row(event.name, Text(event.text, overflow="ellipsis", no_wrap=True))
    grid = Table.grid(padding=(0, 2))
    grid.add_row(fills, events)
    return grid


def _fill(fill: FillView) -> tuple[Text, str, str, str]:
    return Text(fill.side, TONES[fill.side]), fill.price, fill.size, f"wallet {fill.wallet}"
