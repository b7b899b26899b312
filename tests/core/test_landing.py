"""Bundles that are accepted and never land are told, once for every few."""

from bmv.config import Settings
from bmv.core.absorb import absorb
from bmv.core.landing import NEVER_LANDED
from bmv.core.state import new_state
from bmv.events import BundleResolved, Report
from bmv.model import Outcome
from bmv.units import Millis, Slot
from tests.core.belongings import market


def alerts(outcomes: list[Outcome]) -> list[int]:
    """Return after which outcomes there was an alert."""
    state, told = new_state(market(), 2, Millis(1)), []
    for number, outcome in enumerate(outcomes, 1):
        event = BundleResolved(
            at=Millis(number), bundle_id=str(number), tickets=(), outcome=outcome, slot=Slot(number)
        )
        reports = [one.name for one in absorb(state, event, Settings()) if isinstance(one, Report)]
        told += [number] if "BUNDLE_NEVER_LANDS" in reports else []
    return told


def test_one_that_lands_between_them_begins_the_count_anew() -> None:
    lost, landed, failed = Outcome.EXPIRED, Outcome.LANDED, Outcome.FAILED
    assert NEVER_LANDED == 3
    assert alerts([lost] * 7) == [3, 6]
    assert alerts([lost, lost, landed, lost, lost, lost]) == [6]
    assert alerts([lost, failed, lost, failed, failed, lost]) == [6]
    assert alerts([failed] * 9) == []
