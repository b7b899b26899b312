"""The real world, server and clients in one virtual loop, and images of its accounts without any server."""

import asyncio
import random
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import aiohttp
from solders.pubkey import Pubkey

from bmv.app.assembly import Assembly, Outside, assemble
from bmv.app.truth import standing_orders
from bmv.app.world import World, WorldOptions
from bmv.chain.jito import BlockEngine
from bmv.chain.rpc import AccountImage, AccountsAt, Rpc
from bmv.config import Settings, load
from bmv.core.limits import approve
from bmv.events import AnyAction, BundleResolved
from bmv.keys.signer import InProcessSigner
from bmv.observe.journal import Journal
from bmv.sandbox.clock import LoopClock, SimulatedLoop
from bmv.sandbox.people.crowd import CrowdOptions
from bmv.services.accounts import WalletAccounts, market_keys
from bmv.services.dispatch import Dispatcher
from bmv.services.engine import Service
from bmv.services.moving import Mover
from bmv.units import Lamports, Millis, Slot
from bmv.venue.openbook_v1.addresses import OPENBOOK_V1
from bmv.venue.openbook_v1.codec import decode_market

START_MS = 1_767_225_600_000
NOBODY = CrowdOptions(quoters=0, dusters=0, walls=0, takers=0, arrivals_per_day=0, arbitrageurs=0)
T = TypeVar("T")


class StillClock:
    """A clock that stands."""

    def now(self) -> Millis:
        """Return the one moment there is."""
        return Millis(START_MS)

    def hold(self) -> AbstractContextManager[None]:
        """Hold what does not move anyway."""
        return nullcontext()


def image(world: World, key: Pubkey) -> AccountImage | None:
    """Return what a node would say of an account."""
    account = world.chain.account(bytes(key))
    if account is None or not account.lamports:
        return None
    return AccountImage(account.lamports, Pubkey.from_bytes(account.owner), bytes(account.data))  # type: ignore[arg-type]


def reading(world: World, keys: Sequence[Pubkey], slot: int = 1) -> AccountsAt:
    """Return the accounts as one consistent reading."""
    return AccountsAt(Slot(slot), [image(world, key) for key in keys])


def accounts_of(world: World) -> list[WalletAccounts]:
    """Return the addresses of the engine's wallets."""
    market = image(world, world.market)
    assert market is not None
    keys = market_keys(world.market, OPENBOOK_V1, decode_market(market.data))
    return [WalletAccounts.of(keypair.pubkey(), keys) for keypair in world.keypairs]


def settings_with(**changes: object) -> Settings:
    """Return the default settings with some changed by their field names."""
    return load(None, {}).model_copy(update=changes)


def virtually(scenario: Callable[[LoopClock], Awaitable[T]]) -> T:
    """Run a scenario in virtual time."""
    loop = SimulatedLoop(None)

    async def run() -> T:
        return await scenario(LoopClock(loop, START_MS))

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(run())


@dataclass
class Living:
    """A served world and an engine put together for it, not started."""

    world: World
    assembly: Assembly
    clock: LoopClock
    session: aiohttp.ClientSession
    outside: Outside
    settings: Settings
    treasury: bool = False

    @property
    def url(self) -> str:
        """Return where the node is."""
        return self.outside.rpc_url

    async def assembled_again(self, settings: Settings | None = None) -> "Living":
        """Put another engine together for the same world, as a restart does."""
        chosen = settings or self.settings
        assembly = await _assembled(
            self.outside, self.session, self.world, chosen, self.clock, None, self.treasury
        )
        return replace(self, assembly=assembly, settings=chosen)

    def own_orders(self) -> int:
        """Count our orders on the simulated chain."""
        book = standing_orders(self.world.chain, self.assembly.market, self.assembly.wallets)
        return sum(order.wallet is not None for order in book)

    async def run_engine(self, seconds: float, beside: Mapping[str, Service] = MappingProxyType({})) -> bool:
        """Run the engine, ask it to stop after ``seconds``, and say whether it ended clean."""
        engine, assembly = self.assembly.engine, self.assembly
        running = asyncio.create_task(engine.run(assembly.feed, assembly.dispatcher, None, beside))
        await asyncio.wait({running}, timeout=seconds)
        engine.halt("the test is over")
        return (await asyncio.wait_for(running, 3_600)).clean

    def dispatcher(self, emit: Callable[[BundleResolved], None]) -> Dispatcher:
        """Return a second dispatcher whose outcomes go to ``emit`` and nowhere else."""
        rpc, block_engine = clients(self)
        return Dispatcher(
            rpc=rpc,
            block_engine=block_engine,
            signer=InProcessSigner(self.world.keypairs),
            spec=self.assembly.spec,
            market=self.assembly.market,
            wallets=self.assembly.wallets,
            reader=self.assembly.feed._reader,
            settings=lambda: self.settings,
            clock=self.clock,
            rng=random.Random(1),
            emit=emit,
            on_sending=lambda _: None,
        )

    def send(self, dispatcher: Dispatcher, *actions: AnyAction) -> None:
        """Approve actions and hand them to a dispatcher."""
        dispatcher.dispatch(approve(actions, self.assembly.engine.state, self.settings))


async def _assembled(
    outside: Outside,
    session: aiohttp.ClientSession,
    world: World,
    settings: Settings,
    clock: LoopClock,
    journal: Journal | None,
    treasury: bool,
) -> Assembly:
    return await assemble(
        outside,
        session,
        world.market,
        InProcessSigner([*world.keypairs, world.treasury] if treasury else world.keypairs),
        settings,
        clock=clock,
        seconds=asyncio.get_running_loop().time,
        journal=journal or Journal(),
        seed=1,
        treasury=world.treasury.pubkey() if treasury else None,
    )


@asynccontextmanager
async def living(
    clock: LoopClock,
    journal: Journal | None = None,
    settings: Settings | None = None,
    *,
    treasury: bool = False,
    **options: Any,
) -> AsyncIterator[Living]:
    """Serve a world over a UNIX socket and assemble an engine for it; ``options`` are the world's."""
    chosen = settings or settings_with(grid_levels=24)
    world = World(replace(WorldOptions(wallets=2), **options), clock, idle_slots_told=False)
    with tempfile.TemporaryDirectory(prefix="bmv-") as folder:
        path = Path(folder) / "world.sock"
        outside = await world.start(unix_path=path)
        try:
            async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session:
                assembly = await _assembled(outside, session, world, chosen, clock, journal, treasury)
                yield Living(world, assembly, clock, session, outside, chosen, treasury)
        finally:
            await world.stop()


def clients(it: Living) -> tuple[Rpc, BlockEngine]:
    """Return a node and a block engine to talk to beside the engine."""
    block_engine = BlockEngine(
        it.session,
        [it.url],
        auth_uuid=None,
        rng=random.Random(1),
        now=asyncio.get_running_loop().time,
        per_second=20,
        tip_floor_url=f"{it.url}/api/v1/bundles/tip_floor",
    )
    return Rpc(it.session, it.url, rng=random.Random(1)), block_engine


def mover(it: Living, tip: int) -> Mover:
    """Return what ``bmv wallets fund`` and ``sweep`` send with, for the wallets and the treasury."""
    rpc, block_engine = clients(it)
    keys = InProcessSigner([*it.world.keypairs, it.world.treasury])
    return Mover(rpc, block_engine, keys, it.clock, Lamports(tip))
