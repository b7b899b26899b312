"""One frozen settings object, from a flat TOML file and the environment.

``strategy`` and ``operation`` hold the keys, ``settings`` puts them together, ``parsing`` reads what people
write, ``loading`` collects, checks and refuses.
"""

from bmv.config.loading import ENV_PREFIX, NO_SETTINGS, load
from bmv.config.parsing import DAY_MS, HOUR_MS, parse_duration
from bmv.config.settings import KNOWN_KEYS, Settings

__all__ = [
    "DAY_MS",
    "ENV_PREFIX",
    "HOUR_MS",
    "KNOWN_KEYS",
    "NO_SETTINGS",
    "Settings",
    "load",
    "parse_duration",
]
