"""What of a running engine Prometheus may see: metrics, the noise of the live tape, the loop's lag."""

from dataclasses import dataclass

from bmv.app.assembly import Assembly
from bmv.integrity.live import LiveTape
from bmv.observe.metrics import Exposition
from bmv.services.lag import Lag
from bmv.services.measuring import Measuring


@dataclass(frozen=True, slots=True)
class Observed:
    """``exposition`` is what /metrics answers; ``lag`` runs beside the engine where time is real."""

    exposition: Exposition
    lag: Lag


def observe(assembly: Assembly) -> Observed:
    """Begin to listen to an engine."""
    engine, lag = assembly.engine, Lag()
    tape = LiveTape(frozenset(str(wallet.open_orders) for wallet in assembly.wallets))
    engine.record.economics.followers.append(tape.traded)
    measuring = Measuring(engine, assembly.spec, tape.noise, lag.worst)
    return Observed(Exposition(measuring.values), lag)
