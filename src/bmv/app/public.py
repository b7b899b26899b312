"""The public feed wired: the chain read every few seconds, and a port that tells of it."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
from solders.pubkey import Pubkey

from bmv.app.assembly import read_market
from bmv.app.live import outside_of
from bmv.app.stopping import Stopping
from bmv.chain.rpc import Rpc
from bmv.config import Settings
from bmv.errors import BadBytes, OutsideError
from bmv.observe.log import configure, get_logger
from bmv.services.accounts import WalletAccounts
from bmv.services.ticker import MarketTicker
from bmv.units import Millis
from bmv.venue.openbook_v1.instructions import MarketKeys
from bmv.web.public import create_feed
from bmv.web.server import Server

EVERY_S, STALE_S, RPC_TIMEOUT_S = 2.0, 60.0, 10.0


@dataclass(frozen=True, slots=True)
class FeedOptions:
    """Which market, whose wallets (their trades with each other are none), and what the pair is called."""

    settings: Settings
    wallets: Sequence[Pubkey]
    names: tuple[str, str]


def read_feed(options: FeedOptions) -> dict[str, Any]:
    """Read the market once and return pair, figures and book; raises OutsideError, BadInput, BadBytes."""

    async def once() -> dict[str, Any]:
        async with aiohttp.ClientSession() as session:
            feed = await _Feed.open(options, session)
            ticker = feed.ticker
            return {"pairs": ticker.pairs(), "tickers": ticker.tickers(), "orderbook": ticker.order_book(0)}

    return asyncio.run(once())


def serve_feed(options: FeedOptions, port: int, started: Callable[[str], None]) -> None:
    """Answer on a port until a signal; ``started`` is told the URL. Raises what ``read_feed`` raises."""

    async def until_asked() -> None:
        stopping = Stopping("")
        stopping.listen()
        configure(_now, quiet=True)
        async with aiohttp.ClientSession() as session:
            feed = await _Feed.open(options, session)
            server = Server(create_feed(feed.ticker, feed.is_fresh))
            started(await server.start(port=port))
            reading = asyncio.create_task(feed.run())
            asked = asyncio.create_task(stopping.asked.wait())
            await asyncio.wait({reading, asked}, return_when=asyncio.FIRST_COMPLETED)
            asked.cancel()
            await server.stop()
            if reading.done():
                reading.result()
            reading.cancel()

    asyncio.run(until_asked())


class _Feed:
    """Read the market's three accounts again and again."""

    def __init__(self, rpc: Rpc, market: MarketKeys, ticker: MarketTicker) -> None:
        self._rpc, self._market, self.ticker = rpc, market, ticker
        self._read_at = 0.0
        self._log = get_logger("feed")

    @classmethod
    async def open(cls, options: FeedOptions, session: aiohttp.ClientSession) -> "_Feed":
        url = outside_of(options.settings).rpc_url
        rpc = Rpc(session, url, rng=random.Random(), timeout_s=RPC_TIMEOUT_S)
        spec, market = await read_market(rpc, Pubkey.from_string(options.settings.market))
        own = [str(WalletAccounts.of(wallet, market).open_orders) for wallet in options.wallets]
        ticker = MarketTicker(spec, spec.base_mint, str(market.quote_mint), options.names, own)
        feed = cls(rpc, market, ticker)
        await feed.read()
        return feed

    def is_fresh(self) -> bool:
        """Say whether the chain was read of late."""
        return time.monotonic() - self._read_at < STALE_S

    async def read(self) -> None:
        keys = [self._market.bids, self._market.asks, self._market.event_queue]
        images = (await self._rpc.accounts(keys)).accounts
        bids, asks, events = (image.data if image is not None else b"" for image in images)
        self.ticker.see(bids, asks, events, _now())
        self._read_at = time.monotonic()

    async def run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.read()
            except (OutsideError, BadBytes) as error:
                self._log.warning("feed_not_read", error=str(error))


def _now() -> Millis:
    return Millis(int(time.time() * 1000))
