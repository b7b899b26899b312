"""How a halt begins: once, for a reason, and never backwards."""

from bmv.core.state import Phase, State
from bmv.events import AnyAction, HaltRequested, Report
from bmv.units import Slot

ANOTHER_ENGINE = "another engine quotes this market with our wallets"


def on_request(state: State, event: HaltRequested) -> list[AnyAction]:
    """Take over what somebody asks for; a hand-over counts in the middle of a halt too."""
    state.halt.hand_over |= event.hand_over
    state.halt.alone |= event.alone
    return begin_halt(state, event.reason)


def begin_halt(state: State, reason: str) -> list[AnyAction]:
    """Let the engine halt from now on; say so once."""
    if state.phase in {Phase.HALTING, Phase.DONE}:
        return []
    state.phase = Phase.HALTING
    state.halt_reason = reason
    state.halt.since = state.slot
    prove_anew(state)
    return [Report("KILL_SWITCH", {"reason": reason})]


def prove_anew(state: State) -> None:
    """Let only a reading that is still to come show what stands."""
    state.halt.proof = state.seen + Slot(1)


def yield_to_another(state: State) -> list[AnyAction]:
    """Leave what stands to whoever places for our wallets after our lease has run out."""
    if state.lease_until is None or state.now < state.lease_until:
        return []
    state.halt.hand_over = True
    return begin_halt(state, ANOTHER_ENGINE)
