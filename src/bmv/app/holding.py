"""Hold a market for one engine: kill switch, lease, and what the world is told of it."""

import contextlib
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from solders.pubkey import Pubkey

from bmv.app.assembly import Assembly
from bmv.errors import OutsideError
from bmv.ports import Clock
from bmv.secret import Secret
from bmv.services.engine import Engine, Service
from bmv.services.hot import Picture, SnapshotWriter
from bmv.services.killswitch import KillSwitch
from bmv.services.lease import LeaseKeeper
from bmv.state.folder import StateFolder
from bmv.state.hot import HotState
from bmv.state.latch import LatchFile
from bmv.state.lease import take_lease, this_process


def wallets_digest(wallets: Sequence[Pubkey]) -> str:
    """Return what tells one set of wallets from another."""
    return hashlib.sha256(b"".join(sorted(map(bytes, wallets)))).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Holding:
    """What runs beside the engine that holds the market."""

    switch: KillSwitch
    beside: Mapping[str, Service]


@contextlib.asynccontextmanager
async def market_held(
    assembly: Assembly, redis_url: Secret, state: StateFolder, clock: Clock, *, haste: float = 1.0
) -> AsyncIterator[Holding]:
    """Hold the market while the block runs; the caller holds the folder's lock.

    Raises Latched where the kill switch is latched, LeaseTaken where another engine has the market,
    OutsideError where Redis does not answer.
    """
    engine = assembly.engine
    hot = HotState(redis_url, assembly.spec.address, clock, timeout_s=2.0 * haste)
    try:
        switch = KillSwitch(LatchFile(state), hot, engine.emit, clock, haste=haste)
        await switch.admit()
        owners = [wallet.owner for wallet in assembly.wallets]
        ours = this_process(state, wallets_digest(owners), clock.now())
        lease = await take_lease(hot, clock, ours, haste=haste)
        keeper = LeaseKeeper(lease, engine.emit, switch.stop, clock, haste=haste)
        writer = SnapshotWriter(
            hot, state, Picture(assembly.address_of), clock, fence=lease.fence, haste=haste
        )
        _join(engine, switch, writer, keeper)
        try:
            yield Holding(switch, {"kill switch": switch.run, "lease": keeper.run, "hot state": writer.run})
        finally:
            await writer.write()
            await switch.last_word()
            with contextlib.suppress(OutsideError):
                await lease.release()
    finally:
        await hot.close()


def _join(engine: Engine, switch: KillSwitch, writer: SnapshotWriter, keeper: LeaseKeeper) -> None:
    engine.followers += [switch.follow, writer.follow]
    engine.record.sources.append(writer.measure)
    keeper.tell()
