"""Money comes and goes while the engine quotes: the books call it transfers, and show their own mistakes."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import pytest
from solders.keypair import Keypair

from bmv.core.ledger import Part
from bmv.events import Report
from bmv.keys.signer import InProcessSigner
from bmv.model import BundleCost, Fill
from bmv.sandbox.clock import LoopClock
from bmv.sandbox.people.crowd import CrowdOptions
from bmv.services.building import Step
from bmv.services.feed import RESYNC_S
from bmv.services.moving import Mover, fund_steps
from bmv.units import Lamports
from bmv.venue.jupiter import USDC
from bmv.venue.system import transfer
from bmv.venue.token import associated_token_address, create_associated_token_account
from bmv.venue.token import transfer as token_transfer
from tests.services.living_world import Living, living, mover, virtually

STRANGER = Keypair.from_seed(bytes([78] * 32))
SOL = 10**9
TIP = 10_000
FEE = 5_000
BUSY = CrowdOptions(arrivals_per_day=20_000)
LOOK_S = RESYNC_S + 5
PENNY = SOL // 100


class Books:
    """What a running engine's books say, and what was told of transfers."""

    def __init__(self, it: Living) -> None:
        self._engine = it.assembly.engine
        self.told: list[tuple[str, dict[str, str | int]]] = []
        self.names: list[str] = []
        self._engine.record.listeners.append(lambda _, report: self._hear(report))

    def _hear(self, report: Report) -> None:
        self.names.append(report.name)
        if report.name in ("DEPOSIT", "WITHDRAWAL"):
            self.told.append((report.name, report.fields))

    def part(self, part: Part) -> int:
        """Return the sum of a part."""
        assert self._engine.record.ledger is not None
        return int(self._engine.record.ledger.totals()[part])

    def residual(self) -> int:
        """Return by how much the books and the accounts differ, in lamports."""
        record, state = self._engine.record, self._engine.state
        assert record.ledger is not None
        assert record.equity_start is not None
        booked = sum(int(amount) for amount in record.ledger.totals().values())
        return int(record.equity(list(state.views.values())) - record.equity_start) - booked

    async def quiet(self) -> None:
        """Wait until the engine has looked at everything again, and nothing of its own is in the air."""
        await asyncio.sleep(LOOK_S)
        while self._engine.state.in_flight:
            await asyncio.sleep(1)


def beside(
    scenario: Callable[[Living, Books, Mover], Awaitable[None]], crowd: CrowdOptions | None = None
) -> None:
    """Run a scenario beside an engine that quotes, and end it clean."""

    async def whole(clock: LoopClock) -> None:
        options: dict[str, Any] = {} if crowd is None else {"crowd": crowd}
        async with living(clock, treasury=True, **options) as it:
            books, engine = Books(it), it.assembly.engine
            running = asyncio.create_task(
                engine.run(it.assembly.feed, it.assembly.dispatcher, None, it.assembly.beside)
            )
            await asyncio.sleep(60)
            await books.quiet()
            assert (books.residual(), books.told) == (0, [])
            async with mover(it, TIP).running() as moving:
                await scenario(it, books, moving)
            engine.halt("the test is over")
            assert (await asyncio.wait_for(running, 600)).clean

    virtually(whole)


async def moved(books: Books, moving: Mover, *steps: Step) -> None:
    """Send steps once the engine rests, and wait until it has seen them."""
    await books.quiet()
    await moving.move(steps)
    await books.quiet()


def test_what_the_treasury_gives_to_a_wallet_is_a_transfer_and_so_is_what_that_cost() -> None:
    async def scenario(it: Living, books: Books, moving: Mover) -> None:
        treasury, wallet = it.world.treasury.pubkey(), it.world.keypairs[1].pubkey()
        await moved(books, moving, *fund_steps(treasury, [(wallet, Lamports(2 * SOL), 0)], None))
        cost = -(TIP + FEE)
        assert sorted(books.told, key=str) == [
            ("DEPOSIT", {"account": "1", "lamports": 2 * SOL}),
            ("WITHDRAWAL", {"account": "treasury", "lamports": cost - 2 * SOL}),
        ]
        assert (books.part(Part.TRANSFERS), books.residual()) == (cost, 0)

    beside(scenario)


def test_deposits_and_withdrawals_of_sol_tokens_and_dollars_are_transfers() -> None:
    async def scenario(it: Living, books: Books, moving: Mover) -> None:
        treasury, market = it.world.treasury.pubkey(), it.assembly.market
        owner, stranger = it.world.keypairs[0].pubkey(), STRANGER.pubkey()
        await moved(books, moving, Step.of(owner, transfer(owner, stranger, Lamports(PENNY)), 1_000))
        assert books.told.pop() == ("WITHDRAWAL", {"account": "0", "lamports": -PENNY - TIP - FEE})
        assert books.part(Part.TRANSFERS) == -PENNY - TIP - FEE
        assert books.residual() == 0

        for payer, mint, amount, account in (
            (owner, market.base_mint, 10**7 + 1, "0"),
            (treasury, USDC, 10**8, "treasury"),
        ):
            source, target = (associated_token_address(one, mint) for one in (payer, stranger))
            opened = Step.of(payer, create_associated_token_account(payer, stranger, mint), 30_000)
            away = Step.of(payer, token_transfer(source, target, payer, amount), 10_000)
            await moved(books, moving, opened, away)
            name, fields = books.told.pop()
            gone = fields["usdc"] if mint == USDC else fields["base_atoms"]
            assert (name, fields["account"], gone) == ("WITHDRAWAL", account, -amount)
            assert books.residual() == 0

        # A stranger sends it back, and pays for that.
        await moved(books, moving, Step.of(owner, transfer(owner, stranger, Lamports(PENNY)), 1_000))
        books.told.clear()
        before = books.part(Part.TRANSFERS)
        as_stranger = moving.signed_by(InProcessSigner([STRANGER]))
        source, target = (associated_token_address(one, market.base_mint) for one in (stranger, owner))
        back = Step.of(stranger, token_transfer(source, target, stranger, 10**7 + 1), 10_000)
        await moved(books, as_stranger, back)
        ((name, fields),) = books.told
        assert (name, fields["account"], fields["base_atoms"]) == ("DEPOSIT", "0", 10**7 + 1)
        assert books.part(Part.TRANSFERS) > before
        assert books.residual() == 0
        assert "FILLS_DISAGREE" not in books.names

    beside(scenario)


def test_a_fill_that_is_not_counted_still_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(it: Living, books: Books, moving: Mover) -> None:
        ledger = it.assembly.engine.record.ledger
        assert ledger is not None
        lost: list[Fill] = []
        count = ledger.record_market

        def miscount(at: Any, trades: Sequence[Any], fills: Iterable[Fill]) -> None:
            kept = list(fills)
            if not lost and kept:
                lost.append(kept.pop())
            count(at, trades, kept)

        monkeypatch.setattr(ledger, "record_market", miscount)
        while not lost:
            await asyncio.sleep(5)
        await books.quiet()
        treasury, wallet = it.world.treasury.pubkey(), it.world.keypairs[1].pubkey()
        await moved(books, moving, *fund_steps(treasury, [(wallet, Lamports(SOL), 0)], None))
        assert books.residual() != 0

    beside(scenario, BUSY)


def test_a_cost_that_is_not_booked_still_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(it: Living, books: Books, _moving: Mover) -> None:
        ledger = it.assembly.engine.record.ledger
        assert ledger is not None
        lost: list[int] = []

        def forget(_at: Any, _bundle: str, cost: BundleCost) -> None:
            lost.append(int(cost.fees + cost.tip))

        monkeypatch.setattr(ledger, "record_bundle", forget)
        while not lost:
            await asyncio.sleep(5)
        await books.quiet()
        assert books.told == []
        assert books.residual() == -sum(lost)

    beside(scenario, BUSY)
