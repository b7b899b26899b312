"""Look at an engine from outside, running or dead: its newest snapshot, and what people are told of it."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal
from typing import Any

from bmv.config import Settings
from bmv.core.decay import FINE
from bmv.core.rent import unsettled
from bmv.core.state import State
from bmv.errors import OutsideError
from bmv.model import MarketSpec, WalletIndex
from bmv.observe.figures import Crossed, crossed
from bmv.services.hot import STATUS_NAME, Picture
from bmv.state.folder import StateFolder
from bmv.state.hot import HotState, Seen
from bmv.state.latch import LatchFile
from bmv.state.lock import last_occupant, occupied
from bmv.state.snapshot import Purse, Snapshot, unpacked
from bmv.units import LAMPORTS_PER_SOL, Millis, Ticks

ALIVE_MS = 10_000
"""An engine in another folder that was heard of this lately counts as alive."""


class WallClock:
    """The machine's own clock, for commands that look and go."""

    def now(self) -> Millis:
        """Return milliseconds since 1970."""
        return Millis(int(time.time() * 1000))

    def hold(self) -> contextlib.AbstractContextManager[None]:
        """Hold nothing: this clock cannot jump."""
        return contextlib.nullcontext()


@contextlib.asynccontextmanager
async def redis_of(settings: Settings) -> AsyncIterator[HotState | None]:
    """Give the hot state in REDIS_URL while the block runs; None where there is no such key.

    A server of the engine's own needs no look: what it holds of an engine, the state folder holds too.
    """
    if settings.redis_url is None:
        yield None
        return
    hot = HotState(settings.redis_url, settings.market, WallClock())
    try:
        yield hot
    finally:
        await hot.close()


async def last_seen(folder: StateFolder, hot: HotState | None) -> Seen | None:
    """Return the newest snapshot of folder and Redis; None where neither has one."""
    found = [seen for seen in (_in_file(folder), await _in_redis(hot)) if seen is not None]
    return min(found, key=lambda seen: seen.age_ms, default=None)


def _in_file(folder: StateFolder) -> Seen | None:
    path = folder.run / STATUS_NAME
    try:
        raw, changed = path.read_bytes(), path.stat().st_mtime
    except OSError:
        return None
    return Seen(unpacked(raw, str(path)), max(0, int((time.time() - changed) * 1000)))


async def _in_redis(hot: HotState | None) -> Seen | None:
    try:
        return await hot.read() if hot else None
    except OutsideError:
        # The file says as much where the engine is here; who halts is told that Redis did not hear it.
        return None


def is_alive(folder: StateFolder, seen: Seen | None) -> bool:
    """Say whether an engine runs: in this folder by its lock, on another machine by what was heard of it."""
    if occupied(folder) or seen is None:
        return occupied(folder)
    author = seen.snapshot.author
    is_elsewhere = author.host != socket.gethostname() or last_occupant(folder) is None
    return is_elsewhere and seen.age_ms < ALIVE_MS and seen.snapshot.phase != "stopped"


def told(folder: StateFolder, seen: Seen, max_age: Millis) -> dict[str, Any]:
    """Return what is known as JSON; prices and amounts are decimal strings.

    Dollars and euros are left out where their rates were older than ``max_age``.
    """
    shown, latch = seen.snapshot, LatchFile(folder).read()
    prices = shown.prices
    usd, eur = _crossed(shown, max_age)
    return {
        "alive": is_alive(folder, seen),
        "age_s": round(seen.age_ms / 1000, 1),
        "phase": shown.phase,
        "halt_reason": shown.halt_reason,
        "clean": shown.clean,
        "latched": None if latch is None else {"at": int(latch.at), "reason": latch.reason, "by": latch.by},
        "market": shown.spec.address,
        "host": shown.author.host,
        "pid": shown.author.pid,
        "version": shown.author.version,
        "started": int(shown.author.started),
        "fence": shown.author.fence,
        "at": int(shown.at),
        "slot": int(shown.slot),
        "feed_up": shown.feed_up,
        "price": _fine(shown, prices.price),
        "price_source": prices.source,
        "price_usd": usd,
        "price_eur": eur,
        "pivot": _fine(shown, prices.pivot),
        "zones": None if prices.zones is None else [_fine(shown, border) for border in prices.zones],
        "foreign_bid": None if prices.foreign_bid is None else f"{shown.spec.price(prices.foreign_bid):f}",
        "foreign_ask": None if prices.foreign_ask is None else f"{shown.spec.price(prices.foreign_ask):f}",
        "orders": shown.orders,
        "levels": len(shown.ladder),
        "in_flight": [
            {"kind": each.kind, "wallet": each.wallet, "sent_at": int(each.sent_at)} for each in shown.flying
        ],
        "wallets": wallets_told(shown.spec, shown.purses),
    }


def wallets_told(spec: MarketSpec, purses: Sequence[Purse]) -> list[dict[str, Any]]:
    """Return each wallet: what it holds, what of it is still in the market, and its orders."""
    return [_wallet(spec, purse) for purse in purses]


def remaining(state: State, address_of: Callable[[WalletIndex], str]) -> list[dict[str, Any]]:
    """Return those wallets of which, as far as is known, anything is still in the market; as above."""
    purses = Picture(address_of).purses(state)
    left = [one for one in purses if one.orders or unsettled(state.views[one.wallet])]
    return wallets_told(state.spec, left)


def _wallet(spec: MarketSpec, purse: Purse) -> dict[str, Any]:
    def sol(lamports: int) -> str:
        return f"{Decimal(lamports) / LAMPORTS_PER_SOL:f}"

    def tokens(atoms: int) -> str:
        return f"{Decimal(atoms) / Decimal(10) ** spec.base_decimals:f}"

    return {
        "index": purse.wallet,
        "address": purse.address,
        "aside": purse.aside,
        "gas_sol": sol(int(purse.gas)),
        "sol": sol(int(purse.quote_held)),
        "tokens": tokens(int(purse.base_held)),
        "sol_in_market": sol(int(purse.quote_free + purse.quote_locked)),
        "tokens_in_market": tokens(int(purse.base_free + purse.base_locked)),
        "orders": [
            {
                "side": order.side.name.lower(),
                "price": f"{spec.price(order.price):f}",
                "size": f"{spec.size(order.size):f}",
                "order_id": str(order.order_id),
            }
            for order in purse.orders
        ],
    }


def _crossed(shown: Snapshot, max_age: Millis) -> Crossed:
    prices = shown.prices
    if prices.price is None or shown.at - prices.rated_at > max_age:
        return Crossed()
    return crossed(shown.spec.price(Ticks(prices.price // FINE)), prices.sol_usd, prices.eur_usd)


def _fine(shown: Snapshot, fine: int | None) -> str | None:
    return None if fine is None else f"{shown.spec.price(Ticks(fine // FINE)):f}"


async def wait_until_stopped(
    folder: StateFolder, hot: HotState | None, seconds: float
) -> AsyncIterator[Seen | None]:
    """Yield what is seen, a few times a second, until the engine has ended or ``seconds`` have passed."""
    until = time.monotonic() + seconds
    while True:
        seen = await last_seen(folder, hot)
        yield seen
        if not is_alive(folder, seen) or time.monotonic() > until:
            return
        await asyncio.sleep(0.2)
