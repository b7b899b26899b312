"""The life of wallets on the chain: what they hold, funding, sweeping back, passing on to a successor.

Every transfer is among wallets of one keystore, goes through a signer with its policy, and is repeatable:
what has been done already is seen on the chain and not done again.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, TypeVar

import aiohttp
import msgspec
from solders.pubkey import Pubkey

from bmv.app.assembly import clients, read_market
from bmv.app.live import outside_of
from bmv.app.signing import Signer
from bmv.chain.rpc import Rpc
from bmv.config import Settings
from bmv.errors import BadInput, UnsafeState
from bmv.keys.lawful import TOKEN_ACCOUNT_RENT
from bmv.keys.store import Role, Wallet
from bmv.model import MarketSpec
from bmv.sandbox.clock import LoopClock, SimulatedLoop
from bmv.services import compute
from bmv.services.building import Step
from bmv.services.moving import (
    WALLETS_AT_ONCE,
    Holdings,
    Mover,
    fund_steps,
    gather_steps,
    read_holdings,
)
from bmv.units import LAMPORTS_PER_SOL, Lamports
from bmv.venue.jupiter import USDC
from bmv.venue.openbook_v1.instructions import MarketKeys
from bmv.venue.system import transfer
from bmv.venue.token import WRAPPED_SOL

T = TypeVar("T")


class Moved(msgspec.Struct, frozen=True):
    """What was moved for one wallet; ``note`` says why nothing was, where nothing was."""

    wallet: str
    lamports: int = 0
    atoms: int = 0
    signature: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Reach:
    """What commands need of the outside."""

    rpc: Rpc
    mover: Mover
    spec: MarketSpec
    market: MarketKeys

    @property
    def mints(self) -> list[Pubkey]:
        """Return every mint whose accounts are looked at."""
        return list(dict.fromkeys((self.market.base_mint, self.market.quote_mint, WRAPPED_SOL, USDC)))

    def signed_by(self, signer: Signer) -> "Reach":
        """Return the same with another signer."""
        return replace(self, mover=self.mover.signed_by(signer))

    async def holdings(self, owners: Sequence[Pubkey]) -> list[Holdings]:
        """Read what wallets hold."""
        return await read_holdings(self.rpc, owners, self.market, self.mints)


def reaching(settings: Settings, signer: Signer | None, act: Callable[[Reach], Coroutine[Any, Any, T]]) -> T:
    """Run ``act`` with the outside the settings name; nothing can be moved where ``signer`` is None.

    Raises BadInput where the settings name no node, OutsideError where it cannot be reached.
    """
    loop = SimulatedLoop(1.0)

    async def run() -> T:
        async with _reached(settings, signer, loop) as reach:
            return await act(reach)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(run())


@asynccontextmanager
async def _reached(settings: Settings, signer: Signer | None, loop: SimulatedLoop) -> AsyncIterator[Reach]:
    clock = LoopClock(loop, int(time.time() * 1000) - round(loop.time() * 1000))
    async with aiohttp.ClientSession() as session:
        seed = random.SystemRandom().randrange(2**32)
        rpc, block_engine = clients(outside_of(settings), session, loop.time, seed, lambda _: None)
        spec, market = await read_market(rpc, Pubkey.from_string(settings.market))
        if signer is not None:
            signer.serve(market)
        mover = Mover(rpc, block_engine, signer or _Nobody(), clock, settings.jito_tip)
        async with mover.running():
            yield Reach(rpc, mover, spec, market)


class _Nobody:
    elsewhere = False

    def sign_all(self, _jobs: Any) -> list[bytes]:
        raise UnsafeState("nothing is signed here")


async def fund(
    reach: Reach, wallets: Sequence[Wallet], sol: Lamports, atoms: int, chosen: Sequence[Pubkey]
) -> list[Moved]:
    """Bring operator wallets (``chosen``, or all) up to so many lamports and atoms, from the treasury.

    What is wrapped or in the market counts: a wallet that quotes has it all the same.
    Raises BadInput where the treasury holds less than that takes; nothing is moved then.
    """
    treasury = treasury_of(wallets)
    operators = [one.pubkey for one in wallets if one.role is Role.OPERATOR]
    targets = [_known(key, operators) for key in chosen] or operators
    mint = reach.market.base_mint
    own, *found = await reach.holdings([treasury, *targets])
    wishes = [
        (
            one.owner,
            Lamports(max(0, int(sol) - one.owned(WRAPPED_SOL, quoted=True))),
            max(0, atoms - one.owned(mint, quoted=False)),
        )
        for one in found
    ]
    wanted = [wish for wish in wishes if wish[1] > Lamports(0) or wish[2]]
    _refuse_too_much(reach, own, wanted)
    moved = [
        Moved(str(wallet), note="has it already") for wallet, lamports, n in wishes if not int(lamports) + n
    ]
    for start in range(0, len(wanted), WALLETS_AT_ONCE):
        part = wanted[start : start + WALLETS_AT_ONCE]
        signature = await reach.mover.move(fund_steps(treasury, part, mint))
        moved += [Moved(str(wallet), int(lamports), n, signature) for wallet, lamports, n in part]
    return moved


def _refuse_too_much(reach: Reach, own: Holdings, wanted: Sequence[tuple[Pubkey, Lamports, int]]) -> None:
    mint = reach.market.base_mint
    opened = TOKEN_ACCOUNT_RENT * sum(1 for *_, atoms in wanted if atoms)
    bundles = -(-len(wanted) // WALLETS_AT_ONCE)
    lamports = sum(int(wish[1]) for wish in wanted) + opened + bundles * 5 * int(reach.mover.cost)
    if wanted and lamports > int(own.lamports):
        raise BadInput(
            "--sol", shown_sol(lamports), f"at most the treasury's {shown_sol(own.lamports)} SOL", "the chain"
        )
    atoms = sum(wish[2] for wish in wanted)
    held = own.tokens[mint] or 0
    if atoms > held:
        unit = 10**reach.spec.base_decimals
        allowed = f"at most the treasury's {Decimal(held) / unit} tokens"
        raise BadInput("--tokens", str(Decimal(atoms) / unit), allowed, "the chain")


async def sweep(reach: Reach, sources: Sequence[Pubkey], receiver: Pubkey) -> list[Moved]:
    """Move all that wallets hold to ``receiver``: open funds settled, accounts closed, the last lamport sent.

    Raises UnsafeState, before anything is moved, where orders of one of them stand.
    """
    found = await reach.holdings(sources)
    steps = [gather_steps(one, receiver, reach.market) for one in found]
    moved = []
    for one, work in zip(found, steps, strict=True):
        moved.append(await _swept(reach, one, work, receiver))
    return moved


async def sweep_is_possible(reach: Reach, sources: Sequence[Pubkey], receiver: Pubkey) -> None:
    """Raise what ``sweep`` would raise before it moves anything."""
    for one in await reach.holdings(sources):
        gather_steps(one, receiver, reach.market)


async def _swept(reach: Reach, found: Holdings, work: Sequence[Step], receiver: Pubkey) -> Moved:
    owner, cost = found.owner, reach.mover.cost
    if found.is_empty:
        return Moved(str(owner), note="holds nothing")
    if found.lamports <= cost:
        return Moved(
            str(owner), note=f"holds {shown_sol(found.lamports)} SOL, too little to pay for moving it"
        )
    atoms = found.tokens[reach.market.base_mint] or 0
    if found.open_orders is not None:
        atoms += found.open_orders.base_free
    if work:
        await reach.mover.move(work)
    left = Lamports(int((await reach.rpc.balance(owner)) - cost))
    if left <= Lamports(0):
        return Moved(str(owner), 0, atoms, note="what was left has paid for the move")
    signature = await reach.mover.move([Step.of(owner, transfer(owner, receiver, left), compute.TRANSFER)])
    return Moved(str(owner), int(left), atoms, signature)


def treasury_of(wallets: Sequence[Wallet]) -> Pubkey:
    """Return the treasury wallet; raise BadInput where there is none."""
    for wallet in wallets:
        if wallet.role is Role.TREASURY:
            return wallet.pubkey
    raise BadInput("KEYSTORE", "none", "a keystore with a treasury wallet (bmv wallets create)", "the file")


def _known(key: Pubkey, operators: Sequence[Pubkey]) -> Pubkey:
    if key not in operators:
        raise BadInput("--wallet", str(key), "an operator wallet of the keystore", "command line")
    return key


def shown_sol(lamports: int | Lamports) -> str:
    """Return lamports as SOL, for people."""
    return f"{Decimal(int(lamports)) / LAMPORTS_PER_SOL:f}"
