"""The engine on the compiled program, on the smallest market there is, among people who make it hard.

A price that swings, takers, nobody but the engine cranking, a stranger who fills a side with one-lot orders,
another who fills the event queue, and bundles that vanish.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from solders.instruction import Instruction

from bmv.app import reporting
from bmv.events import AnyAction, Report
from bmv.model import Side
from bmv.observe.log import configure
from bmv.sandbox.clock import LoopClock
from bmv.sandbox.market_genesis import seeded_keypair
from bmv.sandbox.people.crowd import CrowdOptions
from bmv.sandbox.people.floor import Floor, Trader
from bmv.sandbox.prices import PricePath
from bmv.units import Millis
from bmv.venue.openbook_v1.logs import FillLog, decode_log
from bmv.venue.openbook_v1.queues import decode_event_queue
from tests.conformance.real_bank import RealBank, Run, install
from tests.services.living_world import START_MS, Living, living, settings_with, virtually

MIN_BOOK_SIDE, MIN_EVENTS = 14_524, 128
SWING_MINUTES = 20
MINUTE_MS = 60_000
CHUNK = 8
FLOOD_IDS = range(1_000, 1_104)
CROWD = CrowdOptions(quoters=3, dusters=3, walls=1, arbitrageurs=2, crankers=0, arrivals_per_day=4_800)


@dataclass
class Ended:
    """What a run left to look at."""

    clean: bool
    rebuilds: int
    orders: dict[str, int]
    bundles: dict[str, int]
    fills: int
    self_trades: int
    identity_residual: int | None
    chain_residual: dict[str, int]
    left: dict[str, int]
    own_runs: list[Run]
    disagreements: list[Any]
    reports: Counter[str]
    fill_times: dict[str, list[int]]
    matches: list[tuple[FillLog, FillLog]]
    own: set[str]
    fullest_side: int
    fullest_queue: int
    errors: dict[str, int] = field(default_factory=dict)


def run_engine(program: bytes, minutes: int, faults: str, settings: Mapping[str, object]) -> Ended:
    """Run the engine for so many simulated minutes on the compiled program, then let it stop."""
    return virtually(lambda clock: _run(clock, program, minutes, faults, settings))


def swinging(minutes: int) -> PricePath:
    """Return a price that goes up and down by five per cent every twenty minutes, a row a minute."""
    times, prices = [], []
    for minute in range(minutes + SWING_MINUTES):
        phase = minute % SWING_MINUTES
        height = min(phase, SWING_MINUTES - phase) - SWING_MINUTES // 4
        times.append(START_MS + minute * MINUTE_MS)
        prices.append(Decimal("0.012") * (1000 + 10 * height) / 1000)
    return PricePath("swinging", tuple(times), tuple(prices), MINUTE_MS)


class Nuisance:
    """Two strangers: one floods a side with one-lot orders, one fills the event queue."""

    def __init__(self, living: Living) -> None:
        world = living.world
        self.floor = Floor(world.chain, world.spec, world.reference)
        wallets = [seeded_keypair(world.options.seed, "duster", index) for index in (1, 2)]
        self._flooder, self._stuffer = (Trader(self.floor, wallet) for wallet in wallets)
        self._chain = world.chain
        self.fullest_side = self.fullest_queue = 0

    async def act(self) -> None:
        """Flood for five minutes of every thirty, and fill the queue every seven."""
        minute = 0
        while True:
            await asyncio.sleep(60)
            minute += 1
            if minute % 30 in (5, 6, 7, 8, 9):
                self._flood(Side.BID if minute // 30 % 2 else Side.ASK)
            elif minute % 30 == 10:
                self._withdraw()
            elif minute % 7 == 0:
                self._stuff()
            await asyncio.sleep(3)
            self._look()

    def _look(self) -> None:
        for side in Side:
            self.fullest_side = max(self.fullest_side, len(self.floor.side(side).orders))

    def on_slot(self, _: object) -> None:
        """Remember how full the queue became."""
        self.fullest_queue = max(
            self.fullest_queue, decode_event_queue(bytes(self.floor.event_queue())).count
        )

    def _flood(self, side: Side) -> None:
        best = self.floor.best(side) or self.floor.fair(self._chain.now())
        price = best * (99 if side is Side.BID else 101) // 100
        for chunk in _chunks(FLOOD_IDS):
            orders = [self._flooder.post(side, number, price, 1) for number in chunk]
            self._flooder.send(self._flooder.place(side, orders))

    def _withdraw(self) -> None:
        for chunk in _chunks(FLOOD_IDS):
            self._flooder.send([self._flooder.withdraw(chunk)])

    def _stuff(self) -> None:
        """Place and cancel bids far away until the queue can hold no more.

        Eight at a time while eight have room. The bids that fill the last places one by one stand there
        before: where the queue is nearly full, nothing is placed any more.
        """
        price = max(MIN_EVENTS, self.floor.fair(self._chain.now()) // 2)
        many, ones = FLOOD_IDS[:CHUNK], FLOOD_IDS[CHUNK : 3 * CHUNK]
        for chunk in _chunks(ones):
            self._stuffer.send(self._place_one_lot_bids(chunk, price))
        for turn in range(MIN_EVENTS // CHUNK):
            # A price of its own for each turn: the same transaction twice is one transaction.
            self._stuffer.send([*self._place_one_lot_bids(many, price - turn), self._stuffer.withdraw(many)])
        for number in ones:
            self._stuffer.send([self._stuffer.withdraw([number])])

    def _place_one_lot_bids(self, numbers: range, price: int) -> list[Instruction]:
        return self._stuffer.place(
            Side.BID, [self._stuffer.post(Side.BID, number, price, 1) for number in numbers]
        )


def _chunks(numbers: range) -> Iterator[range]:
    return (numbers[start : start + CHUNK] for start in range(0, len(numbers), CHUNK))


async def _run(
    clock: LoopClock, program: bytes, minutes: int, faults: str, changes: Mapping[str, object]
) -> Ended:
    configure(clock.now, quiet=True)
    async with living(
        clock,
        settings=settings_with(**changes),
        wallets=4,
        book_side_size=MIN_BOOK_SIDE,
        event_capacity=MIN_EVENTS,
        path=swinging(minutes),
        crowd=CROWD,
        faults=faults,
    ) as there:
        # Every match is read from the logs at the end, however long it ran.
        there.world.chain.ledger.keep_slots = 10**9
        bank = install(there.world, program)
        reports = _listen(there)
        nuisance = Nuisance(there)
        there.world.chain.listeners.append(nuisance.on_slot)
        acting = asyncio.create_task(nuisance.act())
        clean = await there.run_engine(minutes * 60)
        acting.cancel()
        return _ended(there, bank, nuisance, clean, reports)


def _listen(there: Living) -> list[tuple[Millis, Report]]:
    """Keep what the engine tells people, with its time."""
    reports: list[tuple[Millis, Report]] = []
    record = there.assembly.engine.record
    did = record.did

    def keeping(action: AnyAction, at: Millis) -> None:
        if isinstance(action, Report):
            reports.append((at, action))
        did(action, at)

    record.did = keeping  # type: ignore[method-assign]
    return reports


def _ended(
    there: Living, bank: RealBank, nuisance: Nuisance, clean: bool, reports: list[tuple[Millis, Report]]
) -> Ended:
    world, assembly = there.world, there.assembly
    record = assembly.engine.record
    ours = {str(wallet.owner) for wallet in assembly.wallets}
    books = reporting.books(assembly)
    return Ended(
        clean=clean,
        rebuilds=sum(record.rebuilds.values()),
        orders=dict(record.orders),
        bundles=dict(record.bundles),
        fills=record.fills,
        self_trades=record.self_trades,
        identity_residual=books["identity_residual_lamports"],
        chain_residual=reporting.chain_residual(world),
        left=reporting.after_drain(world, assembly),
        own_runs=[run for run in bank.runs if run.payer in ours],
        disagreements=bank.disagreements,
        reports=Counter(report.name for _, report in reports),
        fill_times=_fill_times(there, reports),
        matches=list(_matches(there, nuisance)),
        own={str(wallet.open_orders) for wallet in assembly.wallets},
        fullest_side=nuisance.fullest_side,
        fullest_queue=nuisance.fullest_queue,
        errors=dict(record.errors),
    )


def _fill_times(there: Living, reports: list[tuple[Millis, Report]]) -> dict[str, list[int]]:
    """Return when the engine heard of fills, in seconds since 1970, by the wallet's address."""
    times: dict[str, list[int]] = {}
    for at, report in reports:
        if report.name == "ORDER_FILL":
            owner = str(there.assembly.wallets[int(report.fields["wallet"])].owner)
            times.setdefault(owner, []).append(int(at) // 1000)
    return times


def _matches(there: Living, nuisance: Nuisance) -> Iterator[tuple[FillLog, FillLog]]:
    """Yield each match the program logged while it cranked: the maker's fill and the taker's."""
    makers: list[FillLog] = []
    landed = [one for one in there.world.chain.ledger.since(0) if one.outcome.err is None]
    for one in reversed(landed):
        for line in one.outcome.logs:
            record = decode_log(line)
            if isinstance(record, FillLog) and record.maker:
                makers.append(record)
            elif isinstance(record, FillLog):
                yield makers.pop(), record
    # The last crank may have ended between the two: then the taker's fill is the first that waits.
    waiting = decode_event_queue(bytes(nuisance.floor.event_queue())).unconsumed(1)
    assert len(makers) == sum(event.is_fill and not event.is_maker for event in waiting)
