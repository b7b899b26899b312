"""Wallets join, rest and leave while the engine runs: orders, money and journal follow, to the lamport."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from solders.pubkey import Pubkey

from bmv.app.assembly import Assembly, assemble
from bmv.app.signing import policy_of
from bmv.app.truth import standing_orders
from bmv.config import Settings
from bmv.core.ledger import Part
from bmv.core.state import State
from bmv.errors import UnsafeState
from bmv.events import AnyAction, AnyEvent
from bmv.keys.policy import GuardedSigner
from bmv.keys.signer import InProcessSigner
from bmv.keys.store import Role, Wallet
from bmv.model import MarketSpec
from bmv.observe.journal import Journal
from bmv.report.money import equity
from bmv.sandbox.clock import LoopClock
from bmv.services.accounts import WalletAccounts
from bmv.services.outcomes import Sent
from bmv.services.recollection import recollect
from bmv.services.record import Record
from bmv.services.replay import replay
from bmv.services.sampling import Sampling
from bmv.services.swarm import Swarm
from bmv.state.rows import Batch
from bmv.units import Millis
from bmv.venue.openbook_v1.instructions import MarketKeys
from tests.services.living_world import Living, StillClock, living, virtually


@dataclass
class Household:
    """An engine on a living world, and the keys' list of wallets that the test changes."""

    it: Living
    assembly: Assembly
    swarm: Swarm
    known: list[Wallet]
    journal: Journal
    told: list[str] = field(default_factory=list)

    def become(self, owner: Pubkey, role: Role) -> None:
        """Change what the keys say of a wallet."""
        self.known[:] = [Wallet(one.pubkey, role) if one.pubkey == owner else one for one in self.known]

    def orders(self, wallet: int) -> int:
        """Count a wallet's orders on the simulated chain."""
        book = standing_orders(self.it.world.chain, self.assembly.market, self.assembly.wallets)
        return sum(order.wallet == wallet for order in book)

    def lamports(self, *keys: Pubkey) -> list[int]:
        """Return what accounts hold on the simulated chain."""
        found = [self.it.world.chain.account(bytes(key)) for key in keys]
        return [account.lamports if account is not None else 0 for account in found]

    def residual(self) -> int:
        """Return by how much the books and the chain differ, in lamports."""
        record, state = self.assembly.engine.record, self.assembly.engine.state
        assert record.ledger is not None
        assert record.equity_start is not None
        booked = sum(int(amount) for amount in record.ledger.totals().values())
        return int(record.equity(list(state.views.values())) - record.equity_start) - booked

    async def until(self, what: str, seconds: float) -> None:
        """Wait until a report of this name was told."""
        for _ in range(int(seconds)):
            if what in self.told:
                return
            await asyncio.sleep(1)
        raise AssertionError(f"{what} was not told: {self.told}")


class Kept:
    """What the history keeps of a run: rows of the ledger, and samples."""

    def __init__(self, record: Record) -> None:
        self._sampling = Sampling(record, Millis(0))
        self.batch = Batch()

    def saw(self, event: AnyEvent, actions: Sequence[AnyAction], state: State) -> None:
        told = self._sampling.told(event, actions, state)
        self.batch.books += told.books
        self.batch.samples += [sample for sample in told.samples if sample.settled]

    def sending(self, sent: Sent) -> None:
        """Bundles do not matter here."""

    def unexplained(self, spec: MarketSpec) -> tuple[int, int]:
        """Return what a report has no line for, and what it says wallets have brought."""
        first, last = self.batch.samples[0], self.batch.samples[-1]
        rows = [row for row in self.batch.books if first.booked < row.number <= last.booked]
        change = equity(last, spec) - equity(first, spec)
        brought = sum(row.lamports for row in rows if row.part == Part.TRANSFERS)
        return change - sum(row.lamports for row in rows), brought


async def household(it: Living, clock: LoopClock, settings: Settings, folder: Path) -> Household:
    """Put an engine together that knows two of the world's three wallets."""
    roles = [Role.OPERATOR, Role.OPERATOR, Role.RETIRED]
    known = [Wallet(key.pubkey(), role) for key, role in zip(it.world.keypairs, roles, strict=True)]
    known.append(Wallet(it.world.treasury.pubkey(), Role.TREASURY))
    keys = InProcessSigner([*it.world.keypairs, it.world.treasury])
    signer = GuardedSigner(keys, policy_of(known, settings), known)
    journal = Journal(folder)
    assembly = await assemble(
        it.outside,
        it.session,
        it.world.market,
        signer,
        settings,
        clock=clock,
        seconds=asyncio.get_running_loop().time,
        journal=journal,
        seed=1,
        treasury=signer.treasury(),
    )
    signer.serve(assembly.market)
    swarm = Swarm(
        assembly.wallets, assembly.market, lambda: known, assembly.joined, assembly.engine.emit, clock
    )
    house = Household(it, assembly, swarm, known, journal)
    assembly.engine.record.listeners.append(lambda _, report: house.told.append(report.name))
    return house


def test_a_wallet_joins_rests_and_leaves_and_the_books_close(tmp_path: Path) -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock, wallets=3, treasury=True) as it:
            house = await household(it, clock, it.settings, tmp_path)
            engine, assembly = house.assembly.engine, house.assembly
            first, second, third = (key.pubkey() for key in it.world.keypairs)
            services = {**assembly.beside, "swarm": house.swarm.run}
            kept = Kept(engine.record)
            engine.listeners.append(kept)
            running = asyncio.create_task(engine.run(assembly.feed, assembly.dispatcher, None, services))

            await asyncio.sleep(40)
            assert (house.orders(0) > 0, house.orders(1) > 0, len(assembly.wallets)) == (True, True, 2)
            house.become(third, Role.OPERATOR)
            await house.until("WALLET_ADDED", 5)
            await asyncio.sleep(30)
            assert (house.orders(2) > 0, engine.state.wallet_count) == (True, 3)
            assert house.residual() == 0
            assert engine.record.ledger is not None
            brought = engine.record.ledger.transfers()
            assert int(brought) > 10 * 10**9

            house.become(second, Role.ASIDE)
            await house.until("WALLET_SET_ASIDE", 5)
            await asyncio.sleep(30)
            assert (house.orders(1), house.orders(0) > 0, house.orders(2) > 0) == (0, True, True)
            house.become(second, Role.OPERATOR)
            await house.until("WALLET_RETURNED", 5)
            await asyncio.sleep(30)
            assert house.orders(1) > 0

            treasury = it.world.treasury.pubkey()
            (had,) = house.lamports(treasury)
            owned = sum(house.lamports(*assembly.wallets[1].all)[:1])
            house.become(second, Role.LEAVING)
            await house.until("WALLET_RETIRED", 120)
            assert house.lamports(*assembly.wallets[1].all) == [0, 0, 0, 0]
            assert house.lamports(treasury)[0] > had + owned
            assert (house.orders(0) > 0, house.orders(2) > 0) == (True, True)
            assert house.residual() == 0
            assert "FILLS_DISAGREE" not in house.told

            # The first wallet pays for the lookup tables: they are closed before it goes.
            house.become(first, Role.LEAVING)
            await house.until("WALLET_RETIRED", 30)
            house.told.remove("WALLET_RETIRED")
            await house.until("WALLET_RETIRED", 900)
            assert house.lamports(*assembly.wallets[0].all) == [0, 0, 0, 0]
            assert house.orders(2) > 0
            assert house.residual() == 0

            engine.halt("the test is over")
            assert (await asyncio.wait_for(running, 600)).clean
            assert it.world.chain.total_lamports() > 0
            assert kept.unexplained(assembly.spec) == (0, int(brought))
            house.journal.close()

    virtually(scenario)
    (run,) = replay(tmp_path)
    assert run.first_difference is None
    remembered = recollect(tmp_path)
    assert remembered is not None
    assert len(remembered.owners) == 3


@pytest.fixture
def market() -> MarketKeys:
    return MarketKeys(*(Pubkey(bytes([number]) * 32) for number in range(1, 12)))


def watching(market: MarketKeys, known: Sequence[Wallet]) -> tuple[Swarm, list[WalletAccounts], list[object]]:
    """Return who follows ``known``, the list of wallets it fills, and what it tells."""
    wallets: list[WalletAccounts] = []
    told: list[object] = []
    return Swarm(wallets, market, lambda: known, lambda _: None, told.append, StillClock()), wallets, told


def test_what_the_keys_say_is_told_once_and_no_wallet_is_taken_away(market: MarketKeys) -> None:
    a, b, c = (Pubkey(bytes([number]) * 32) for number in (101, 102, 103))
    known = [Wallet(a, Role.OPERATOR), Wallet(b, Role.TREASURY), Wallet(c, Role.RETIRED)]
    swarm, wallets, told = watching(market, known)
    swarm.look()
    swarm.look()
    assert [(each.wallet, each.duty) for each in told] == [(0, "quote")]  # type: ignore[attr-defined]
    known[0] = Wallet(a, Role.RETIRED)
    known[2] = Wallet(c, Role.ASIDE)
    swarm.look()
    del known[0]
    swarm.look()
    assert [(each.wallet, each.duty) for each in told[1:]] == [(0, "leave"), (1, "rest")]  # type: ignore[attr-defined]
    assert [one.owner for one in wallets] == [a, c]


def test_keys_that_cannot_be_asked_change_nothing(market: MarketKeys) -> None:
    asked = 0

    def gone() -> list[Wallet]:
        nonlocal asked
        asked += 1
        raise UnsafeState("the signer is away")

    async def scenario(clock: LoopClock) -> None:
        wallets: list[WalletAccounts] = []
        swarm = Swarm(wallets, market, gone, lambda _: None, lambda _: None, clock)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(swarm.run(), 7)
        assert (asked, wallets) == (3, [])

    virtually(scenario)
