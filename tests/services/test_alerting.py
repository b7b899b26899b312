"""Alerts to a person over real HTTP: a webhook and Telegram's interface, slow, refusing and failing."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from bmv.chain.http import Patience
from bmv.chain.messengers import Telegram, Webhook
from bmv.config import load
from bmv.errors import OutsideError, Refused, Unreachable
from bmv.events import Report
from bmv.observe.alerts import Alert
from bmv.secret import Secret
from bmv.services.alerting import MOST_WAITING, Alerting
from bmv.units import Millis

TOKEN = "123456:very-secret-token"
ALERT = Alert(Millis(1_000), "FEED_LOST", {"reason": "no connection"}, "MARKET")


@dataclass
class Desk:
    """A server that takes messages and answers with ``statuses``, the last one for ever."""

    statuses: list[int] = field(default_factory=lambda: [200])
    ok: bool = True
    taken: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    url: str = ""

    async def take(self, request: web.Request) -> web.Response:
        self.taken.append((request.path, await request.json()))
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return web.json_response({"ok": self.ok, "description": f"about {TOKEN}"}, status=status)


@asynccontextmanager
async def desk(**how: object) -> AsyncIterator[tuple[Desk, aiohttp.ClientSession]]:
    it = Desk(**how)  # type: ignore[arg-type]
    app = web.Application()
    app.router.add_post("/{rest:.*}", it.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    it.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with aiohttp.ClientSession() as session:
            yield it, session
    finally:
        await runner.cleanup()


def patience(attempts: int = 3) -> Patience:
    return Patience(random.Random(1), attempts, 5.0)


def webhook(it: Desk, session: aiohttp.ClientSession) -> Webhook:
    return Webhook(session, Secret(f"{it.url}/hooks/{TOKEN}"), patience())


def telegram(it: Desk, session: aiohttp.ClientSession) -> Telegram:
    return Telegram(session, Secret(TOKEN), "-100200", patience(), it.url)


def played(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 20))


def test_a_webhook_gets_text_and_fields() -> None:
    async def scenario() -> None:
        async with desk(statuses=[204]) as (it, session):
            await webhook(it, session).tell(ALERT)
            ((path, said),) = it.taken
            assert path == f"/hooks/{TOKEN}"
            assert said["text"] == said["content"] == ALERT.text
            assert (said["event"], said["at"], said["market"]) == ("FEED_LOST", 1_000, "MARKET")
            assert said["fields"] == {"reason": "no connection"}

    played(scenario)


def test_telegram_gets_the_text_for_the_chat() -> None:
    async def scenario() -> None:
        async with desk() as (it, session):
            await telegram(it, session).tell(ALERT)
            assert it.taken == [(f"/bot{TOKEN}/sendMessage", {"chat_id": "-100200", "text": ALERT.text})]

    played(scenario)


@pytest.mark.parametrize("make", [webhook, telegram])
def test_what_heals_is_tried_again_and_what_was_refused_is_not(
    make: Callable[[Desk, aiohttp.ClientSession], Webhook | Telegram],
) -> None:
    async def scenario() -> None:
        async with desk(statuses=[503, 429, 200]) as (it, session):
            await make(it, session).tell(ALERT)
            assert len(it.taken) == 3
        async with desk(statuses=[404]) as (it, session):
            with pytest.raises(Refused) as refused:
                await make(it, session).tell(ALERT)
            assert len(it.taken) == 1
            assert TOKEN not in str(refused.value)
        async with desk(statuses=[500]) as (it, session):
            with pytest.raises(Unreachable) as failed:
                await make(it, session).tell(ALERT)
            assert len(it.taken) == 3
            assert TOKEN not in f"{failed.value!r} {failed.value} {failed.value.__cause__!r}"

    played(scenario)


def alerting(messengers: list[Webhook], errors: Counter[str]) -> Alerting:
    def count(error: OutsideError) -> None:
        errors[type(error).__name__] += 1

    settings = load(None, {})
    return Alerting(messengers, lambda: settings, "MARKET", count)


def test_reports_that_matter_arrive_once_and_a_dead_messenger_holds_up_none() -> None:
    async def scenario() -> None:
        errors = Counter[str]()
        async with desk(statuses=[500]) as (dead, session), desk() as (alive, _):
            it = alerting([webhook(dead, session), webhook(alive, session)], errors)
            running = asyncio.create_task(it.run())
            for name in ("FEED_LOST", "ORDER_FILL", "FEED_LOST", "KILL_SWITCH"):
                it.heard(Millis(1), Report(name, {"slot": 1}))
            while len(alive.taken) < 2 or errors["Unreachable"] < 2:
                await asyncio.sleep(0.01)
            assert [said["event"] for _, said in alive.taken] == ["FEED_LOST", "KILL_SWITCH"]
            running.cancel()

    played(scenario)


def test_the_last_words_are_sent_after_the_service_has_ended() -> None:
    async def scenario() -> None:
        async with desk() as (there, session):
            it = alerting([webhook(there, session)], Counter())
            it.heard(Millis(1), Report("KILL_SWITCH", {"reason": "the end"}))
            await it.finish(5.0)
            assert [said["fields"] for _, said in there.taken] == [{"reason": "the end"}]

    played(scenario)


def test_what_waits_is_bounded() -> None:
    async def scenario() -> None:
        async with desk() as (there, session):
            it = alerting([webhook(there, session)], Counter())
            for number in range(MOST_WAITING + 20):
                it.heard(Millis(number), Report("KILL_SWITCH", {"number": number}))
            await it.finish(10.0)
            assert len(there.taken) == MOST_WAITING
            assert json.dumps(there.taken[0][1]["fields"]) == '{"number": 20}'

    played(scenario)
