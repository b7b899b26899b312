"""What people see of a running engine: metrics, the noise of its live tape, the loop's lag, alerts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import aiohttp

from bmv.app.alerts import messengers_of
from bmv.app.assembly import Assembly
from bmv.integrity.live import LiveTape
from bmv.observe.metrics import Exposition
from bmv.services.alerting import Alerting
from bmv.services.engine import Service
from bmv.services.lag import Lag
from bmv.services.measuring import Measuring
from bmv.services.record import count_error
from bmv.web.server import MetricsServer

LAST_WORDS_S = 10.0


@dataclass(frozen=True, slots=True)
class Observed:
    """``exposition`` is what /metrics answers; ``lag`` runs beside the engine where time is real."""

    exposition: Exposition
    lag: Lag


def observe(assembly: Assembly) -> Observed:
    """Begin to listen to an engine."""
    engine, lag = assembly.engine, Lag()
    tape = LiveTape()
    engine.record.economics.followers.append(tape.traded)
    measuring = Measuring(engine, assembly.spec, tape.noise, lag.worst)
    return Observed(Exposition(measuring.values), lag)


@asynccontextmanager
async def watched(assembly: Assembly, session: aiohttp.ClientSession) -> AsyncIterator[dict[str, Service]]:
    """Answer Prometheus on METRICS_PORT while the block runs, and send what alerts are left after it.

    Yields the services that are to run beside the engine, by name.

    Raises BadInput where the port is taken or a messenger is half configured.
    """
    observed, settings = observe(assembly), assembly.engine.settings
    server = MetricsServer(observed.exposition.text, settings.metrics_host)
    if settings.metrics_port:
        await server.open(settings.metrics_port)
    try:
        async with alerted(assembly, session) as alerting:
            yield {"lag": observed.lag.run, "alerting": alerting}
    finally:
        await server.stop()


@asynccontextmanager
async def alerted(
    assembly: Assembly, session: aiohttp.ClientSession, haste: float = 1.0
) -> AsyncIterator[Service]:
    """Listen for what a person is to be told while the block runs, and send what is left after it.

    Yields the service that delivers; ``haste`` is how many seconds of the loop pass in a real one. Raises
    BadInput where a messenger is half configured.
    """
    engine = assembly.engine
    messengers = messengers_of(engine.settings, session, haste)
    count = partial(count_error, engine.record.errors)
    alerting = Alerting(messengers, lambda: engine.settings, assembly.spec.address, count)
    engine.record.listeners.append(alerting.heard)
    try:
        yield alerting.run
    finally:
        await alerting.finish(LAST_WORDS_S * haste)
