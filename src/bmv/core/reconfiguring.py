"""What other settings do to belief that was built under the old ones (SPEC 3.6, trigger 3, and 6).

Rules of this file
- Most keys are read anew at every decision and need nothing here.
- What was bound once is bound again where it no longer fits: the lattices, the shape of sizes. A lattice that
  still fits stays, and with it the orders that stand on it.
- Any change of a key is a signal: the whole ladder is built anew.
"""

from bmv.config import Settings
from bmv.core.rebuilding import drop_unfit_lattices
from bmv.core.state import State
from bmv.core.triggers import OTHER_SETTINGS
from bmv.events import AnyAction, AnyEvent, ConfigChanged, Report


def settings_for(event: AnyEvent, settings: Settings) -> Settings:
    """Return the settings that hold from ``event`` on; engine and replay ask before they decide."""
    return Settings.model_validate(event.settings) if isinstance(event, ConfigChanged) else settings


def reconfigure(state: State, event: ConfigChanged, settings: Settings) -> list[AnyAction]:
    """Bring belief in line with ``settings``, the new ones; return what people should be told."""
    if event.changed:
        market = state.market
        drop_unfit_lattices(state, settings)
        market.weights.clear()
        state.signal = OTHER_SETTINGS
    fields: dict[str, str | int] = {"changed": ", ".join(event.changed) or "nothing"}
    if event.without_effect:
        fields["without_effect"] = ", ".join(event.without_effect)
    return [Report("CONFIG_RELOADED", fields)]
