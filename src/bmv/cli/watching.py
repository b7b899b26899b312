"""The live page in a terminal: the same stream, followed and drawn anew with every push."""

from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Any

import aiohttp
import msgspec
from rich import box
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bmv.observe.view import LevelView, View

NEAREST = 6
NEWEST = 5
WALLETS = 12
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
    return Group(_header(view), _figures(view), _ladder(view), _wallets(view), _money(view), _newest(view))


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
    presence, treasury, counters = view.presence, view.treasury, view.counters
    table = Table.grid(padding=(0, 3))
    price = f"{view.price.value} SOL ({view.price.source})" if view.price else DASH
    usd, eur = (view.price.usd, view.price.eur) if view.price else (None, None)
    table.add_row(f"price {price}", f"{usd or DASH} USD", f"{eur or DASH} EUR")
    table.add_row(
        f"pivot {view.pivot or DASH} SOL",
        f"spread {view.spread_pct or DASH} %",
        f"mean spread {presence.spread_pct or DASH} %",
    )
    table.add_row(
        f"bids present {presence.bid_pct or DASH} %",
        f"asks {presence.ask_pct or DASH} %",
        f"both at once {presence.both_pct or DASH} %",
    )
    table.add_row(
        f"equity {_fixed(view.equity_sol, 4)} SOL",
        f"PnL {_fixed(view.pnl_sol, 6)} SOL",
        f"{counters.fills} fills, {_fixed(counters.volume_sol, 3)} SOL",
    )
    if treasury is not None:
        table.add_row(
            f"treasury {_fixed(treasury.sol, 4)} SOL",
            f"{_fixed(treasury.usdc, 2)} USDC",
            f"SOL/USD {_fixed(treasury.sol_usd, 2)}",
        )
    sent = f"bundles {counters.bundles_landed}/{counters.bundles_sent} landed"
    table.add_row(sent, f"{view.in_flight} in flight")
    return table


def _ladder(view: View) -> Table:
    title = f"ladder, {len(view.ladder)} orders; prices in SOL, sizes in {view.symbol}"
    table = Table(title=title, title_justify="left", expand=True, box=box.SIMPLE_HEAD, show_edge=False)
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


def _wallets(view: View) -> Table:
    names = ("wallet", "orders", "SOL free", "in bids", f"{view.symbol} free", "in asks", "gas SOL", "state")
    table = _small(f"wallets, {len(view.wallets)}", *names)
    for wallet in view.wallets[:WALLETS]:
        money = [_fixed(each, 2) for each in (wallet.sol_free, wallet.sol_locked)]
        tokens = [_fixed(each, 0) for each in (wallet.tokens_free, wallet.tokens_locked)]
        gas = _fixed(wallet.gas_sol, 4)
        table.add_row(str(wallet.index), str(wallet.orders), *money, *tokens, gas, wallet.state)
    return table


def _money(view: View) -> Columns:
    depth = _small("depth, SOL: ours of all", "within", "bids", "asks")
    for band in view.bands:
        bids, asks = (
            f"{_fixed(own, 2)} of {_fixed(of, 2)}"
            for own, of in ((band.bid_own, band.bid_all), (band.ask_own, band.ask_all))
        )
        depth.add_row(f"{band.pct} %", bids, asks)
    parts = _small("profit and loss", "part", "SOL")
    for part in view.pnl_parts:
        parts.add_row(part.name.replace("_", " "), _fixed(part.sol, 6))
    markouts = _small("markouts, bps", "after", "bids", "asks")
    for one in view.markouts:
        markouts.add_row(f"{one.seconds} s", one.bid_bps or DASH, one.ask_bps or DASH)
    return Columns([depth, parts, markouts], padding=(0, 2))


def _newest(view: View) -> Group:
    fills = _small("fills", "side", "price", "size", "wallet")
    for fill in view.fills[:NEWEST]:
        fills.add_row(Text(fill.side, TONES[fill.side]), fill.price, fill.size, str(fill.wallet))
    bundles = _small("bundles", "outcome", "cost SOL", "why")
    for bundle in view.bundles[:NEWEST]:
        bundles.add_row(bundle.outcome, bundle.cost_sol, bundle.reason)
    events = Table(title="events", title_justify="left", show_header=False, box=None, expand=True)
    events.add_column(no_wrap=True)
    events.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for event in view.events[:NEWEST]:
        events.add_row(event.name, event.text)
    return Group(Columns([fills, bundles], padding=(0, 2)), events)


def _small(title: str, *names: str) -> Table:
    """Return an empty table as wide as what is in it, words to the left."""
    table = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0)
    )
    for name in names:
        words = name in ("within", "part", "side", "outcome", "why", "state")
        table.add_column(name, justify="left" if words else "right", no_wrap=True)
    return table


def _fixed(text: str | None, digits: int) -> str:
    """Return a number with so many digits after the point."""
    return DASH if text is None else f"{Decimal(text):,.{digits}f}"
