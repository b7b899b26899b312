"""The outside world of a demo or sandbox run: chain, market, crowd and their server, in one piece."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from solders.keypair import Keypair
from solders.pubkey import Pubkey

from bmv.app.assembly import Outside
from bmv.model import MarketSpec
from bmv.ports import Clock
from bmv.sandbox import jupiter_program
from bmv.sandbox.chain import Chain
from bmv.sandbox.dollar_genesis import Purse, found_dollars
from bmv.sandbox.faucet import Faucet
from bmv.sandbox.faults import Faults
from bmv.sandbox.jupiter_front import PATH as SWAP_PATH
from bmv.sandbox.jupiter_front import JupiterFront
from bmv.sandbox.jupiter_program import JupiterProgram
from bmv.sandbox.market_genesis import (
    BOOK_SIDE_SIZE,
    EVENT_CAPACITY,
    OPENBOOK,
    Genesis,
    engine_holders,
    engine_keypairs,
    found_market,
    lots_for,
    seeded_keypair,
)
from bmv.sandbox.openbook import program as openbook
from bmv.sandbox.people.crowd import Crowd, CrowdOptions, crowd_holders
from bmv.sandbox.people.publisher import Publisher
from bmv.sandbox.people.reference import RecordedReference, Reference, SyntheticReference
from bmv.sandbox.price_front import PriceFront
from bmv.sandbox.prices import PricePath
from bmv.sandbox.server import SandboxServer

START_PRICE = Decimal("0.012")
START_SOL_USD = Decimal(150)
DECIMALS = 9
SLOT_MS = 400
QUIET_SLOT_NOTIFY_MS = 2_000


@dataclass(frozen=True, slots=True)
class WorldOptions:
    """What the world is like; ``path`` makes the reference recorded, ``run_ms`` says how much is used.

    ``sol_usd`` is a recorded path of dollars per SOL; a seeded one else.
    ``guests`` are wallets of strangers, with what an operator wallet has.

    ``book_side_size`` is the byte length of bids and of asks, ``event_capacity`` a number of events.
    """

    seed: int = 1
    wallets: int = 4
    wallet_sol: Decimal = Decimal(120)
    wallet_tokens_worth: Decimal = Decimal(120)
    path: PricePath | None = None
    sol_usd: PricePath | None = None
    time_scale: Decimal = Decimal(1)
    run_ms: int | None = None
    faults: str = "none"
    book_side_size: int = BOOK_SIDE_SIZE
    event_capacity: int = EVENT_CAPACITY
    crowd: CrowdOptions = field(default_factory=CrowdOptions)
    purse: Purse = field(default_factory=Purse)
    guests: tuple[Pubkey, ...] = ()


class World:
    """Everything but the engine; ``start`` serves it, ``stop`` ends it."""

    def __init__(self, options: WorldOptions, clock: Clock, *, idle_slots_told: bool) -> None:
        self.options, self._clock = options, clock
        start_ms = int(clock.now())
        self.reference = _reference(options, start_ms)
        self.sol_usd = _sol_usd(options, start_ms)
        price = self.reference.price_at(start_ms)
        self.keypairs = engine_keypairs(options.seed, options.wallets)
        self.treasury = seeded_keypair(options.seed, "treasury", 0)
        self.genesis = _genesis(options, price, self.keypairs)
        self.chain = Chain(
            start_ms=start_ms, slot_ms=SLOT_MS, seed=options.seed, now=lambda: int(clock.now())
        )
        self.chain.programs[OPENBOOK] = openbook.process
        self.chain.programs[jupiter_program.PROGRAM_ID] = JupiterProgram(self.sol_usd.price_at).process
        self.faults = Faults.load(options.faults, options.seed)
        self.faults.elapsed_s = lambda: (int(clock.now()) - start_ms) / 1000
        self.publisher = Publisher(self.chain, self.sol_usd, self.faults, start_ms=start_ms)
        dollars = found_dollars(options.seed, bytes(self.treasury.pubkey()), options.purse)
        faucet = Faucet(self.chain, seeded_keypair(options.seed, "faucet", 0))
        published = self.publisher.accounts(start_ms)
        self.chain.genesis(self.genesis.accounts | dollars | published | faucet.accounts)
        self.genesis_lamports = self.chain.total_lamports()
        self.crowd = Crowd(
            self.chain,
            self.genesis.spec,
            self.reference,
            seed=options.seed,
            start_ms=start_ms,
            options=options.crowd,
        )
        notify = SLOT_MS if idle_slots_told else QUIET_SLOT_NOTIFY_MS
        swaps = JupiterFront(self.chain, self.sol_usd, self.faults, options.seed)
        gets = PriceFront(self.chain, self.sol_usd, self.faults).routes | {SWAP_PATH: swaps.answer}
        self.server = SandboxServer(self.chain, self.faults, gets, faucet.methods, slot_notify_ms=notify)
        self._driver: asyncio.Task[None] | None = None

    @property
    def spec(self) -> MarketSpec:
        """Return the market's numbers."""
        return self.genesis.spec

    @property
    def market(self) -> Pubkey:
        """Return the market's address."""
        return Pubkey(self.genesis.market)

    @property
    def mint(self) -> bytes:
        """Return the token's mint."""
        return bytes(Pubkey.from_string(self.genesis.spec.base_mint))

    @property
    def locked_accounts(self) -> tuple[str, ...]:
        """Return the token accounts whose holdings are locked."""
        return tuple(str(Pubkey(account)) for account in self.genesis.locked_accounts)

    async def start(self, *, port: int = 0, unix_path: Path | None = None) -> Outside:
        """Serve the world and let the crowd act; return where it is."""
        await self.server.start(port=port, unix_path=unix_path)
        self._driver = asyncio.create_task(self._drive_crowd())
        base = self.server.http_url
        return Outside(
            rpc_url=base,
            ws_url=self.server.ws_url,
            jito_urls=(base,),
            tip_floor_url=f"{base}/api/v1/bundles/tip_floor",
            bundles_per_second=20.0,
            prices={name: f"{base}/{name}" for name in ("hermes", "coinbase", "kraken", "binance")}
            | {"jupiter": f"{base}/jup"},
        )

    async def stop(self) -> None:
        """Stop the crowd and the server."""
        if self._driver is not None:
            self._driver.cancel()
            await asyncio.gather(self._driver, return_exceptions=True)
        await self.server.stop()

    async def _drive_crowd(self) -> None:
        while True:
            crowd, now = self.crowd.next_due_ms(), int(self._clock.now())
            published = self.publisher.next_due_ms()
            due = published if crowd is None else min(crowd, published)
            if due > now:
                await asyncio.sleep((due - now) / 1000)
            self.publisher.run_due(int(self._clock.now()))
            self.crowd.run_due(int(self._clock.now()))


def _reference(options: WorldOptions, start_ms: int) -> Reference:
    if options.path is None:
        return SyntheticReference(seed=options.seed, start_ms=start_ms, price=START_PRICE)
    if options.run_ms is not None:
        options.path.require(int(options.run_ms * options.time_scale))
    return RecordedReference(options.path, start_ms=start_ms, time_scale=options.time_scale)


def _sol_usd(options: WorldOptions, start_ms: int) -> Reference:
    if options.sol_usd is not None:
        return RecordedReference(options.sol_usd, start_ms=start_ms, time_scale=options.time_scale)
    return SyntheticReference(seed=f"{options.seed} sol/usd", start_ms=start_ms, price=START_SOL_USD)


def _genesis(options: WorldOptions, price: Decimal, keypairs: Sequence[Keypair]) -> Genesis:
    lowest = None
    if options.path is not None and options.run_ms is not None:
        lowest = options.path.lowest(int(options.run_ms * options.time_scale))
    holders = crowd_holders(options.seed, options.crowd, price=price, decimals=DECIMALS)
    holders += engine_holders(
        [*(keypair.pubkey() for keypair in keypairs), *options.guests],
        price=price,
        decimals=DECIMALS,
        sol=options.wallet_sol,
        tokens_worth=options.wallet_tokens_worth,
    )
    return found_market(
        seed=options.seed,
        lots=lots_for(price, DECIMALS, lowest),
        holders=holders,
        decimals=DECIMALS,
        event_capacity=options.event_capacity,
        book_side_size=options.book_side_size,
    )
