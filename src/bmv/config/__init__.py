"""One frozen settings object, from a flat TOML file and the environment.

``strategy`` and ``operation`` hold the keys, ``settings`` puts them together, ``parsing`` reads what people
write, ``loading`` collects and checks, ``refusals`` and ``rules`` say no.
"""

from bmv.config.loading import Configuration, load, read
from bmv.config.parsing import DAY_MS, HOUR_MS, parse_duration
from bmv.config.settings import KNOWN_KEYS, Settings
from bmv.config.sources import ENV_PREFIX, NO_SETTINGS

__all__ = [
    "DAY_MS",
    "ENV_PREFIX",
    "HOUR_MS",
    "KNOWN_KEYS",
    "NO_SETTINGS",
    "Configuration",
    "Settings",
    "load",
    "parse_duration",
    "read",
]
