"""The settings of one run: every key this version reads, one frozen object.

The keys are declared in ``strategy`` and ``operation``, one class for each part of the product definition:
the class's docstring is the part's title, the string below a key its meaning.
"""

from bmv.config.operation import Execution, Rebuilds, Swarm
from bmv.config.strategy import Channel, Ladder, Pivot, Price

PARTS = (Price, Pivot, Channel, Ladder, Swarm, Rebuilds, Execution)
"""The parts in the order they are shown in."""


class Settings(Execution, Rebuilds, Swarm, Ladder, Channel, Pivot, Price):
    """Every parameter of the product that this version reads."""


FIELDS = {str(field.alias): field for field in Settings.model_fields.values()}
"""Key to what is known of it: default, range, meaning."""
KNOWN_KEYS = tuple(FIELDS)
