"""Tell the world what the engine believes: a packed snapshot in Redis and in ``run/status``.

It follows the engine and never holds it up: a decision only marks that there is something new, and a task of
its own packs and writes a few times a second, a heartbeat included when nothing is new. Redis that is away or
slow costs the world its view and the engine nothing; the file is written all the same.
"""

import asyncio
import socket
from collections.abc import Callable
from os import getpid
from pathlib import Path

from bmv import __version__
from bmv.core.state import InFlight, State
from bmv.errors import OutsideError
from bmv.events import Execute
from bmv.model import WalletIndex, WalletView
from bmv.observe.log import get_logger
from bmv.observe.metrics import Values
from bmv.ports import Clock
from bmv.state.folder import StateFolder
from bmv.state.hot import HotState
from bmv.state.snapshot import (
    VERSION,
    Author,
    Flying,
    Prices,
    Purse,
    Snapshot,
    Standing,
    Wanted,
    packed,
    sequence_of,
)
from bmv.units import Slot

STATUS_NAME = "status"
WRITE_APART_S = 0.3
BEAT_S = 1.0


class Picture:
    """Turn belief into snapshots; what has not changed since the last one is taken from it.

    ``address_of`` says the address of a wallet; more of them may come.
    """

    def __init__(self, address_of: Callable[[WalletIndex], str]) -> None:
        self._address_of = address_of
        self._purses: dict[int, tuple[WalletView, str, Purse]] = {}
        self._ladder: tuple[object, tuple[Wanted, ...]] = (None, ())

    def of(self, state: State, author: Author) -> Snapshot:
        """Return the snapshot of now."""
        return Snapshot(
            version=VERSION,
            at=state.now,
            author=author,
            spec=state.spec,
            phase=state.phase.value,
            slot=state.slot,
            seen=state.seen,
            feed_up=state.feed_up,
            halt_reason=state.halt_reason,
            clean=state.halt.clean,
            prices=_prices(state),
            purses=self.purses(state),
            flying=tuple(_flying(flight) for flight in state.in_flight.values()),
            ladder=self._wanted(state),
        )

    def purses(self, state: State) -> tuple[Purse, ...]:
        """Return the wallets, with what they hold and what stands for them."""
        return tuple(self._purse(view, state) for _, view in sorted(state.views.items()))

    def _purse(self, view: WalletView, state: State) -> Purse:
        aside = state.guards.aside.get(view.wallet, "")
        known = self._purses.get(view.wallet)
        if known is not None and known[0] is view and known[1] == aside:
            return known[2]
        purse = Purse(
            wallet=view.wallet,
            address=self._address_of(view.wallet),
            gas=view.gas,
            quote_held=view.quote_held,
            quote_free=view.quote_free,
            quote_locked=view.quote_locked,
            base_held=view.base_held,
            base_free=view.base_free,
            base_locked=view.base_locked,
            rent=view.rent,
            ready=view.ready,
            aside=aside,
            orders=tuple(
                Standing(each.side, each.price, each.size, sequence_of(each.order_id), each.client_id)
                for each in view.orders
            ),
        )
        self._purses[view.wallet] = view, aside, purse
        return purse

    def _wanted(self, state: State) -> tuple[Wanted, ...]:
        quotes = state.target.quotes
        if self._ladder[0] is not quotes:
            levels = (Wanted(q.wallet, q.side, q.point, q.price, q.size) for q in quotes)
            self._ladder = quotes, tuple(levels)
        return self._ladder[1]


def _prices(state: State) -> Prices:
    market, book = state.market, state.book
    reading, zones = market.reading, market.channel
    return Prices(
        price=reading.price_fine if reading else None,
        source=reading.source if reading else "",
        pivot=market.capped_pivot.value_fine,
        zones=(zones.buy_low, zones.buy_high, zones.sell_low, zones.sell_high) if zones else None,
        foreign_bid=book.best_bid,
        foreign_ask=book.best_ask,
        sol_usd=state.oracle.sol_usd,
        eur_usd=state.oracle.eur_usd,
        rated_at=state.oracle.seen_at,
    )


def _flying(flight: InFlight) -> Flying:
    action = flight.action
    cancels, places = (len(action.cancels), len(action.places)) if isinstance(action, Execute) else (0, 0)
    return Flying(
        ticket=flight.ticket,
        kind=type(action).__name__,
        wallet=flight.wallet,
        sent_at=flight.sent_at,
        landed=flight.landed or Slot(0),
        cancels=cancels,
        places=places,
    )


class SnapshotWriter:
    """Write snapshots of what ``follow`` was last shown; ``hot`` None writes only the file.

    The loop's seconds pass ``haste`` times as fast as real ones.
    """

    def __init__(
        self,
        hot: HotState | None,
        folder: StateFolder,
        picture: Picture,
        clock: Clock,
        *,
        fence: int,
        beat_s: float = BEAT_S,
        haste: float = 1.0,
    ) -> None:
        self._hot, self._picture, self._clock = hot, picture, clock
        self._beat_s, self._apart_s = beat_s * haste, WRITE_APART_S * haste
        self._path = folder.run / STATUS_NAME
        self._author = Author(__version__, socket.gethostname(), getpid(), clock.now(), fence)
        self._state: State | None = None
        self._fresh = asyncio.Event()
        self._reachable = True
        self._log = get_logger("hot")

    def follow(self, state: State) -> None:
        """Note that there is something new to tell."""
        self._state = state
        self._fresh.set()

    def measure(self, values: Values) -> None:
        """Tell the metrics whether Redis takes what is written."""
        if self._hot is not None:
            values.put("bmv_hot_state_up", int(self._reachable))

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            try:
                async with asyncio.timeout(self._beat_s):
                    await self._fresh.wait()
            except TimeoutError:
                await self._tell(None)
            else:
                await self.write()
            await asyncio.sleep(self._apart_s)

    async def write(self) -> None:
        """Write what there is to tell now; the last word of an engine that has ended."""
        self._fresh.clear()
        if self._state is not None:
            await self._tell(packed(self._picture.of(self._state, self._author)))

    async def _tell(self, snapshot: bytes | None) -> None:
        with self._clock.hold():
            await asyncio.to_thread(put_status, self._path, snapshot)
        if self._hot is None:
            return
        try:
            await self._hot.write(snapshot, self._author.fence)
        except OutsideError as error:
            if self._reachable:
                self._log.warning("hot_state_lost", reason=str(error))
            self._reachable = False
        else:
            if not self._reachable:
                self._log.info("hot_state_back")
            self._reachable = True


def put_status(path: Path, snapshot: bytes | None) -> None:
    """Write the file whole or not at all, or touch it; a full or read-only disk leaves it to grow old."""
    try:
        if snapshot is None:
            path.touch()
            return
        partial = path.with_name(path.name + ".partial")
        partial.write_bytes(snapshot)
        partial.replace(path)
    except OSError as error:
        get_logger("hot").warning("status_not_written", reason=error.strerror)
