"""Keys of what is measured and told."""

from bmv.config.parsing import Sol, key
from bmv.config.strategy import Keys
from bmv.units import LAMPORTS_PER_SOL


class Observing(Keys):
    """8 Observability"""

    min_quote: Sol = key("MIN_QUOTE_SOL", LAMPORTS_PER_SOL, 1_000, 10**5 * LAMPORTS_PER_SOL)
    """A side counts as quoted while so much of it stands within 2 % of the price."""
