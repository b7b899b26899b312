"""Put an engine together from addresses, keys and settings; demo and live take the same path."""

import random
from collections import Counter
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import aiohttp
from solders.pubkey import Pubkey

from bmv import __version__
from bmv.chain.jito import BlockEngine
from bmv.chain.jupiter import Jupiter
from bmv.chain.oracle import PythOnChain
from bmv.chain.rpc import Rpc
from bmv.chain.stream import AccountStream
from bmv.chain.tickers import SERVICES, Ticker
from bmv.chain.transaction import WalletSigner
from bmv.config import Settings
from bmv.core.capacity import check_levels
from bmv.core.state import new_state
from bmv.errors import BadBytes, BadInput, OutsideError
from bmv.model import MarketSpec, WalletIndex
from bmv.observe.journal import Journal
from bmv.ports import Clock
from bmv.secret import Secret
from bmv.services.accounts import TreasuryAccounts, WalletAccounts, market_keys, market_spec
from bmv.services.baseline import BaselineKeeper
from bmv.services.dispatch import Dispatcher
from bmv.services.engine import Engine, Service
from bmv.services.feed import Feed
from bmv.services.leftovers import LeftoverBook, LeftoverSearch
from bmv.services.oracle import OracleWatch, PriceSource
from bmv.services.reading import Reader
from bmv.services.recollection import Recollection
from bmv.services.record import Record, count_error
from bmv.services.tables import TableBook, find_tables
from bmv.services.treasury import Treasury
from bmv.units import Slot
from bmv.venue.market import detect
from bmv.venue.openbook_v1.codec import decode_market
from bmv.venue.openbook_v1.instructions import MarketKeys
from bmv.venue.token import decode_mint, decode_token_account

RPC_TIMEOUT_S, JITO_TIMEOUT_S, PRICE_TIMEOUT_S, STREAM_SILENCE_S = 10.0, 5.0, 5.0, 5.0


@dataclass(frozen=True, slots=True)
class Outside:
    """Where the world is: one RPC node, its WebSocket, the block engine's regions and tip figures.

    ``prices`` says where price services are that are not where the settings say.
    """

    rpc_url: str
    ws_url: str
    jito_urls: tuple[str, ...]
    tip_floor_url: str
    jito_auth: Secret | None = None
    bundles_per_second: float = 1.0
    prices: Mapping[str, str] = field(default_factory=dict)
    haste: float = 1.0
    """How much faster than real time its clock runs: what is real delay here looks longer by that factor."""


@dataclass(frozen=True, slots=True)
class Assembly:
    """An engine ready to run, and the parts others look at."""

    engine: Engine
    feed: Feed
    dispatcher: Dispatcher
    spec: MarketSpec
    market: MarketKeys
    wallets: list[WalletAccounts]
    """The one list that every part looks into; wallets that come while it runs are added to it."""
    oracle: OracleWatch
    search: LeftoverSearch
    treasury: Treasury | None
    ours: set[Pubkey]
    reader: Reader

    def joined(self, wallet: WalletAccounts) -> None:
        """Take note of a wallet that is about to be added to the list."""
        self.ours.update(wallet.all)
        self.reader.join(wallet)

    def address_of(self, wallet: WalletIndex) -> str:
        """Return a wallet's address."""
        return str(self.wallets[wallet].owner)

    @property
    def beside(self) -> dict[str, Service]:
        """Return the services that run beside feed and dispatcher, by name."""
        services: dict[str, Service] = {"oracle": self.oracle.run, "leftovers": self.search.run}
        return services | ({"treasury": self.treasury.run} if self.treasury is not None else {})


async def assemble(
    outside: Outside,
    session: aiohttp.ClientSession,
    market_address: Pubkey,
    signer: WalletSigner,
    settings: Settings,
    *,
    clock: Clock,
    seconds: Callable[[], float],
    journal: Journal,
    seed: int,
    baseline: Path | None = None,
    goes_on: bool = False,
    treasury: Pubkey | None = None,
) -> Assembly:
    """Read the market's facts from the chain and wire the engine for it.

    ``seconds`` is the loop's monotonic time; ``seed`` feeds the jitter of retries and the choice of tip
    accounts; ``treasury`` is the one of the signer's keys that quotes nothing and holds what the others do
    not need; ``baseline`` is the file that keeps the count of bought base, ``goes_on``
    says that the last run of the journal was on this chain, see ``go_on``. Raises OutsideError where the
    chain cannot be read, BadBytes where the market's parts are not there, BadInput where this version cannot
    trade there, GRID_LEVELS asks for more than wallets and book hold, LOCKED_ACCOUNTS names no account of
    the token, or the file of the baseline says nothing sensible.
    """
    errors: Counter[str] = Counter()
    rpc, block_engine = clients(outside, session, seconds, seed, partial(count_error, errors))
    spec, market = await read_market(rpc, market_address)
    operators = [owner for owner in signer.pubkeys() if owner != treasury]
    check_levels(spec, len(operators), settings)
    record = Record(spec, errors)
    wallets = [WalletAccounts.of(owner, market) for owner in operators]
    purse = TreasuryAccounts.of(treasury) if treasury is not None else None
    locked = await _locked_accounts(rpc, market, settings)
    state = new_state(spec, len(wallets), clock.now())
    start = {"version": __version__, "at": int(state.now), "wallets": len(wallets), "market": spec}
    chain = await rpc.genesis_hash()
    came = {"chain": chain, "owners": [str(wallet.owner) for wallet in wallets], "goes_on": goes_on}
    journal.begin({**start, **came, "settings": settings.written()})
    engine = Engine(state, settings, journal, record, clock)
    if baseline is not None:
        keeper = BaselineKeeper(baseline, spec.address, clock.now(), engine.emit)
        engine.followers.append(keeper.follow)
    tables = TableBook(market, wallets, await find_tables(rpc, wallets[0].owner, market))
    leftovers = LeftoverBook(market, wallets)
    reader = Reader(spec, market, wallets, lambda: engine.settings, locked, tables, leftovers, purse)
    feed = Feed(rpc, _stream(outside, session, market, seed), reader, clock, engine.emit, record)
    ours = {key for one in wallets for key in one.all}
    desk = _treasury(purse, outside, session, rpc, engine, ours, clock, seed, errors)
    dispatcher = Dispatcher(
        rpc=rpc,
        block_engine=block_engine,
        signer=signer,
        spec=spec,
        market=market,
        wallets=wallets,
        reader=reader,
        settings=lambda: engine.settings,
        clock=clock,
        rng=random.Random(f"{seed} tips"),
        emit=engine.emit,
        on_sending=engine.sending,
        may_place=engine.may_place,
        treasury=desk,
    )
    oracle = _oracle(outside, session, rpc, engine, clock, errors)
    refresh = partial(feed.refresh, Slot(0))
    search = LeftoverSearch(rpc, market, wallets, leftovers, lambda: engine.settings, refresh)
    return Assembly(engine, feed, dispatcher, spec, market, wallets, oracle, search, desk, ours, reader)


def _stream(outside: Outside, session: aiohttp.ClientSession, market: MarketKeys, seed: int) -> AccountStream:
    return AccountStream(
        session,
        outside.ws_url,
        [market.bids, market.asks, market.event_queue],
        rng=random.Random(f"{seed} stream"),
        silence_s=STREAM_SILENCE_S * outside.haste,
        commitment="confirmed",
    )


def _oracle(
    outside: Outside,
    session: aiohttp.ClientSession,
    rpc: Rpc,
    engine: Engine,
    clock: Clock,
    errors: Counter[str],
) -> OracleWatch:
    sources = price_sources(outside, session, rpc, engine.settings)
    count = partial(count_error, errors)
    return OracleWatch(sources, lambda: engine.settings, clock, engine.emit, count)


def _treasury(
    accounts: TreasuryAccounts | None,
    outside: Outside,
    session: aiohttp.ClientSession,
    rpc: Rpc,
    engine: Engine,
    ours: AbstractSet[Pubkey],
    clock: Clock,
    seed: int,
    errors: Counter[str],
) -> Treasury | None:
    if accounts is None:
        return None
    jupiter = Jupiter(
        session,
        outside.prices.get("jupiter", engine.settings.jupiter_url),
        rng=random.Random(f"{seed} jupiter"),
        key=engine.settings.jupiter_api_key,
        timeout_s=PRICE_TIMEOUT_S * outside.haste,
        on_error=partial(count_error, errors),
    )
    desk = Treasury(
        accounts, jupiter, rpc, ours, lambda: engine.settings, lambda: engine.state, clock, engine.emit
    )
    engine.followers.append(desk.follow)
    return desk


def go_on(memory: Recollection, assembly: Assembly, clock: Clock) -> None:
    """Let a new engine go on where earlier runs have ended; to be called before it runs."""
    assembly.engine.emit(memory.event(clock.now()))
    assembly.feed.believe_from(memory.newest)
    if memory.mark is not None:
        assembly.feed.go_on_from(memory.mark, memory.gaps)
    for sent in memory.sent():
        assembly.engine.record.sent()
        assembly.dispatcher.watch(sent)
    if assembly.treasury is not None:
        for sent in memory.landed():
            assembly.treasury.sending(sent)


def price_sources(
    outside: Outside, session: aiohttp.ClientSession, rpc: Rpc, settings: Settings
) -> list[PriceSource]:
    """Return whom ORACLE_SOURCES names, in that order."""
    pyth = PythOnChain(rpc)
    configured = {
        "hermes": settings.oracle_hermes_url,
        "coinbase": settings.oracle_coinbase_url,
        "kraken": settings.oracle_kraken_url,
        "binance": settings.oracle_binance_url,
        "jupiter": settings.jupiter_url,
    }
    urls = {**configured, **outside.prices}
    keys = {"hermes": settings.oracle_hermes_key, "jupiter": settings.jupiter_api_key}
    return [
        pyth
        if name == pyth.name
        else Ticker(
            session,
            SERVICES[name],
            urls[name],
            slot_now=lambda: pyth.slot,
            key=keys.get(name),
            timeout_s=PRICE_TIMEOUT_S * outside.haste,
        )
        for name in settings.oracle_sources
    ]


async def _locked_accounts(rpc: Rpc, market: MarketKeys, settings: Settings) -> list[Pubkey]:
    """Return the locked accounts; a wrong one would count tokens as free, or stop every reading."""
    keys = [Pubkey.from_string(each) for each in settings.locked_accounts]
    for key, image in zip(keys, (await rpc.accounts(keys)).accounts if keys else (), strict=True):
        try:
            sound = image is not None and decode_token_account(image.data).mint == market.base_mint
        except BadBytes:
            sound = False
        if not sound:
            allowed = f"token accounts of {market.base_mint}"
            raise BadInput("LOCKED_ACCOUNTS", str(key), allowed, "settings and chain together")
    return keys


def clients(
    outside: Outside,
    session: aiohttp.ClientSession,
    seconds: Callable[[], float],
    seed: int,
    count: Callable[[OutsideError], None],
) -> tuple[Rpc, BlockEngine]:
    """Return the clients of a node and of the block engine; ``count`` hears of every error they meet."""
    rpc = Rpc(
        session,
        outside.rpc_url,
        rng=random.Random(f"{seed} rpc"),
        on_error=count,
        timeout_s=RPC_TIMEOUT_S * outside.haste,
    )
    block_engine = BlockEngine(
        session,
        outside.jito_urls,
        auth_uuid=outside.jito_auth,
        rng=random.Random(f"{seed} jito"),
        now=seconds,
        timeout_s=JITO_TIMEOUT_S * outside.haste,
        per_second=outside.bundles_per_second,
        tip_floor_url=outside.tip_floor_url,
        on_error=count,
    )
    return rpc, block_engine


async def read_market(rpc: Rpc, address: Pubkey) -> tuple[MarketSpec, MarketKeys]:
    """Return a market's numbers and addresses; raise BadInput where this version cannot trade there."""
    image = (await rpc.accounts([address])).accounts[0]
    found = detect(address, image.owner if image else None, image.data if image else b"")
    if image is None or not found.is_supported:
        raise BadInput(
            "MARKET", str(address), f"it must be an OpenBook v1 market: {found.message}", "the chain"
        )
    account = decode_market(image.data)
    parts = [account.base_mint, account.quote_mint, account.bids, account.asks, account.event_queue]
    images = (await rpc.accounts(parts)).accounts
    there = [part for part in images if part is not None]
    if len(there) != len(parts):
        raise BadBytes("market", "one of its mints, books or its event queue does not exist")
    decimals = decode_mint(there[0].data).decimals, decode_mint(there[1].data).decimals
    sizes = len(there[2].data), len(there[3].data), len(there[4].data)
    return market_spec(address, account, decimals, sizes), market_keys(address, image.owner, account)
