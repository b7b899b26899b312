"""The shell around ``decide``: one inbox, one decision at a time, one journal.

Ticks are conflated in the inbox; readings, outcomes and commands never are. Whatever goes wrong inside, in a
service, in a decision or in the journal, ends in the one supervisor here: it is logged and counted, and the
engine halts (cancels everything) instead of going on.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Protocol

from bmv.config import Settings
from bmv.core.decide import decide
from bmv.core.limits import leased
from bmv.core.reconfiguring import settings_for
from bmv.core.remembering import belief_of
from bmv.core.state import Phase, State
from bmv.errors import OutsideError
from bmv.events import AnyAction, AnyEvent, BundleResolved, Finish, HaltRequested, Report, Tick
from bmv.observe.catalogue import level_of
from bmv.observe.journal import Journal
from bmv.observe.log import get_logger
from bmv.ports import Clock
from bmv.services.dispatch import Dispatcher
from bmv.services.feed import Feed
from bmv.services.outcomes import Sent
from bmv.services.record import Record
from bmv.services.rehearsal import Rehearsal
from bmv.services.reload import Reload
from bmv.services.speaking import spoken
from bmv.units import Millis, Slot

CRASH_PAUSE_S = 1.0
BELIEF_EVERY_MS = Millis(60_000)
HALT_LOOK_S = 0.4
Service = Callable[[], Awaitable[None]]
"""What runs until it is cancelled."""


class Listener(Protocol):
    """Who wants to know what was decided and what is sent."""

    def saw(self, event: AnyEvent, actions: Sequence[AnyAction], state: State) -> None:
        """Take note of a decision; ``state`` is the belief after it."""
        ...

    def sending(self, sent: Sent) -> None:
        """Take note of a bundle."""
        ...


class Engine:
    """Run the engine from ``state`` until it has finished; ``run`` returns how it ended."""

    def __init__(
        self, state: State, settings: Settings, journal: Journal, record: Record, clock: Clock
    ) -> None:
        self.state, self.settings, self.record = state, settings, record
        self._journal, self._clock = journal, clock
        self._inbox: deque[AnyEvent] = deque()
        self._arrived, self._halted = asyncio.Event(), asyncio.Event()
        self._crashes = 0
        self._kept = clock.now()
        self.followers: list[Callable[[State], None]] = []
        """Called with the belief after every decision."""
        self.listeners: list[Listener] = []
        """Told of every decision whole, and of every bundle before it is sent."""
        self._log = get_logger("engine")

    def emit(self, event: AnyEvent) -> None:
        """Put an event into the inbox."""
        if isinstance(event, Tick) and self._inbox and isinstance(self._inbox[-1], Tick):
            self._inbox[-1] = event
        else:
            self._inbox.append(event)
        self._arrived.set()

    def sending(self, sent: Sent) -> None:
        """Journal a bundle, and count it; to be called before it is sent."""
        fields = {
            "id": sent.bundle_id,
            "tickets": sent.tickets,
            "signatures": sent.signatures,
            "last_valid": int(sent.last_valid),
            "until": sent.until,
            "tip": int(sent.cost.tip),
            "fees": int(sent.cost.fees),
            "at": int(sent.sent_at),
        }
        self._journalled(partial(self._journal.bundle, fields))
        self.record.sent()
        for listener in self.listeners:
            listener.sending(sent)

    def halt(self, reason: str) -> None:
        """Ask the engine to cancel everything, verify and end."""
        self.emit(HaltRequested(at=self._clock.now(), reason=reason))

    def may_place(self) -> bool:
        """Say whether what was decided a moment ago may still come to stand."""
        quoting = self.state.phase is Phase.QUOTING
        return quoting and leased(self.state, self._clock.now(), self.settings)

    async def run(
        self,
        feed: Feed,
        dispatcher: Dispatcher | Rehearsal,
        reload: Reload | None = None,
        beside: Mapping[str, Service] = MappingProxyType({}),
    ) -> Finish:
        """Run until done; a failing service is a halt, and is started again to carry the halt out.

        ``reload`` watches the settings file, where there is one to watch; ``beside`` are further services.
        """
        services = [
            asyncio.create_task(self._supervised("feed", feed.run)),
            asyncio.create_task(self._supervised("dispatch", dispatcher.run)),
        ]
        services.append(asyncio.create_task(self._supervised("halting", partial(self._watch_halt, feed))))
        services += [asyncio.create_task(self._supervised(name, service)) for name, service in beside.items()]
        if reload is not None:
            services.append(asyncio.create_task(self._supervised("reload", reload.run)))
        try:
            return await self._decide_on(feed, dispatcher)
        finally:
            for service in services:
                service.cancel()
            await asyncio.gather(*services, return_exceptions=True)
            self._keep()
            self._journalled(self._journal.flush)

    async def _watch_halt(self, feed: Feed) -> None:
        """In a halt, look at the chain in every slot, whatever the stream tells."""
        await self._halted.wait()
        while True:
            feed.refresh(Slot(0))
            await asyncio.sleep(HALT_LOOK_S)

    async def _decide_on(self, feed: Feed, dispatcher: Dispatcher | Rehearsal) -> Finish:
        while True:
            while self._inbox:
                event = self._inbox.popleft()
                finish = self._step(event, dispatcher)
                if isinstance(event, BundleResolved) and event.slot:
                    # What landed must be seen soon, even if its notification is lost; or that nothing did.
                    feed.refresh(event.slot)
                if finish is not None:
                    return finish
            self._arrived.clear()
            await self._arrived.wait()

    def _step(self, event: AnyEvent, dispatcher: Dispatcher | Rehearsal) -> Finish | None:
        finish: Finish | None = None
        with self._guarded("decide"):
            self._journalled(partial(self._journal.event, event))
            self.settings = settings_for(event, self.settings)
            self.state, approved = decide(self.state, event, self.settings)
            halts_now = self.state.phase is Phase.HALTING and not self._halted.is_set()
            if halts_now:
                self._halted.set()
            # First what cannot be repaired later: a ticket nobody sends, an end nobody hears of.
            dispatcher.dispatch(approved)
            finish = next((action for action in approved.actions if isinstance(action, Finish)), None)
            self.record.saw(event, self.state)
            self.record.economics.saw(event, self.state, self.settings.min_quote)
            for follow in self.followers:
                follow(self.state)
            for listener in self.listeners:
                listener.saw(event, approved.actions, self.state)
            for action in approved.actions:
                self._journalled(partial(self._journal.action, action))
                self.record.did(action, event.at)
                if isinstance(action, Report):
                    tell = self._log.warning if level_of(action.name) == "warning" else self._log.info
                    tell(action.name, **spoken(action, self.state.spec))
            for refusal in approved.refusals:
                self._log.debug("REFUSED", reason=refusal.reason, price=int(refusal.place.price))
            if halts_now or self.state.now - self._kept >= BELIEF_EVERY_MS:
                self._keep()
        return finish

    def _keep(self) -> None:
        """Journal what outlives the process; before the first reading there is nothing of it."""
        if self.state.mark is not None:
            self._kept = self.state.now
            self._journalled(partial(self._journal.belief, belief_of(self.state)))
            self._journalled(self._journal.flush)

    def _journalled(self, write: Callable[[], None]) -> None:
        """Write to the journal; one that cannot be written is a halt, and must not stop the cancelling."""
        try:
            write()
        except OSError as error:
            self._journal.give_up()
            self._crash("journal", error)

    async def _supervised(self, name: str, service: Service) -> None:
        """Keep a service running."""
        while True:
            with self._guarded(name):
                await service()
            await asyncio.sleep(CRASH_PAUSE_S)

    @contextlib.contextmanager
    def _guarded(self, where: str) -> Iterator[None]:
        """Turn a failure into a halt; the one place that catches everything."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - the supervisor: log, halt, keep the lights on to cancel
            self._crash(where, error)

    def _crash(self, where: str, error: BaseException) -> None:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        self._crashes += 1
        if not isinstance(error, OutsideError):
            self.record.errors[f"{where}_{type(error).__name__}"] += 1
        self._log.error("crash", where=where, error=repr(error))
        # A halt that fails itself is asked for again, but never in the same instant.
        pause = 0.0 if self._crashes == 1 else CRASH_PAUSE_S
        reason = f"{where} failed: {type(error).__name__}"
        asyncio.get_running_loop().call_later(pause, self.halt, reason)
