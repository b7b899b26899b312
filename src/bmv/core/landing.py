"""The alert for bundles that the block engine takes and the chain never sees."""

from bmv.core.state import State
from bmv.events import BundleResolved, Report
from bmv.model import Outcome

NEVER_LANDED = 3
"""So many bundles in a row, and again so many, are worth an alert: one alone is bad luck."""
WHY = "accepted, never landed: check JITO_AUTH_UUID, the tip, and whether the changes can succeed"


def never_lands(state: State, event: BundleResolved) -> list[Report]:
    """Count bundles that expired with none landing between them; tell when there are too many."""
    if event.outcome is not Outcome.EXPIRED:
        return []
    state.never_landed += 1
    if state.never_landed % NEVER_LANDED:
        return []
    return [Report("BUNDLE_NEVER_LANDS", {"bundles": state.never_landed, "reason": WHY})]
