"""Logging: structlog, JSON lines on stderr, timestamps from the engine's own clock."""

import sys
from collections.abc import Callable

import structlog

from bmv.units import Millis

Logger = structlog.typing.FilteringBoundLogger


def configure(now: Callable[[], Millis], *, quiet: bool) -> None:
    """Send logs to stderr as JSON lines; ``quiet`` leaves only warnings and worse."""

    def stamp(_: object, __: str, entry: structlog.typing.EventDict) -> structlog.typing.EventDict:
        entry["at"] = int(now())
        return entry

    structlog.configure(
        processors=[structlog.processors.add_log_level, stamp, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(30 if quiet else 20),
        # Asked each time: what stderr was when logs were configured may be closed by now.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


def get_logger(name: str) -> Logger:
    """Return a logger that names its room."""
    logger: Logger = structlog.get_logger(room=name)
    return logger
