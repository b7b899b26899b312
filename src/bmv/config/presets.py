"""Presets: named sets of values to begin with; what a file or the environment says stands over them.

``growth`` is the defaults. A value is written as a file would write it.
"""

from collections.abc import Mapping

PRESETS: Mapping[str, Mapping[str, str | int | float]] = {
    "growth": {},
    "sla": {},
    "accumulate": {},
}
