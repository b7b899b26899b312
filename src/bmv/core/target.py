"""Target Control: the more of the token is in third hands, the denser the BUY zone (SPEC 3.8).

``TC = 1 - locked - owned``, as shares of the supply; owned is everything in the wallets: free, in open
orders, unsettled. ``density = min(4, BUY_DENSITY x (1 + GAIN x TC) x (1 + damper share))``, exact until it is
rounded down to a basis point.
"""

from fractions import Fraction

from bmv.config import Settings
from bmv.core.decay import BPS
from bmv.core.ladder import MAX_DENSITY, stepped_density
from bmv.core.state import State
from bmv.core.treasury import damper_share, sol_drop
from bmv.units import BaseAtoms, Bps


def in_third_hands(supply: BaseAtoms, locked: BaseAtoms, owned: BaseAtoms) -> Fraction:
    """Return TC of a supply; 0 where locked and owned are all of it, or counted twice more than that."""
    if supply <= BaseAtoms(0):
        return Fraction(0)
    return Fraction(max(0, int(supply - locked - owned)), int(supply))


def target_control(state: State, settings: Settings) -> Fraction:
    """Return TC as configured or as the chain shows it; 0 while the supply was never seen."""
    if settings.target_control is not None:
        return Fraction(int(settings.target_control), BPS)
    if state.supply is None:
        return Fraction(0)
    owned = sum((view.base_total for view in state.views.values()), BaseAtoms(0))
    return in_third_hands(state.supply.total, state.supply.locked, owned)


def wanted_density(state: State, settings: Settings) -> Bps:
    """Return the density of the BUY zone before it is rounded to a step."""
    drop = sol_drop(state.oracle, state.now, settings)
    control, damped = target_control(state, settings), damper_share(state.memory, drop, settings)
    # In whole numbers, as exact: this is asked at every look, and sums of fractions take their time.
    whole = BPS * control.denominator * damped.denominator
    gained = BPS * control.denominator + int(settings.target_control_gain) * control.numerator
    density = int(settings.buy_density) * gained * (damped.denominator + damped.numerator) // whole
    return Bps(min(int(MAX_DENSITY), density))


def dense_step(state: State, settings: Settings) -> Bps:
    """Return the density the BUY zone is built with: the step nearest to the wanted one, held a while."""
    return stepped_density(wanted_density(state, settings), settings.buy_density, state.market.density)
