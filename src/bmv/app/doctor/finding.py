"""What a check has found, and how it is made: bounded in time, and none keeps the others from going on."""

import asyncio
from collections.abc import Awaitable, Sequence
from enum import StrEnum

import msgspec

from bmv.errors import BmvError

PATIENCE_S = 30.0


class Status(StrEnum):
    """How a check ended; a start is possible unless one has failed."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


class Finding(msgspec.Struct, frozen=True):
    """One check: what was found, and what to do about it ('' where nothing is to be done)."""

    check: str
    status: Status
    found: str
    advice: str = ""


def ok(check: str, found: str) -> Finding:
    """Return that a check found what it should."""
    return Finding(check, Status.OK, found)


def warning(check: str, found: str, advice: str) -> Finding:
    """Return that a start is possible, and worse than it need be."""
    return Finding(check, Status.WARNING, found, advice)


def failed(check: str, found: str, advice: str) -> Finding:
    """Return that a start would fail or do harm."""
    return Finding(check, Status.FAILED, found, advice)


async def looked(check: str, look: Awaitable[Sequence[Finding]], advice: str) -> list[Finding]:
    """Return what a look finds; whatever it raises on purpose is a failed check with ``advice``."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return list(await look)
    except TimeoutError:
        return [failed(check, f"no answer within {PATIENCE_S:g} s", advice)]
    except BmvError as error:
        return [failed(check, str(error), advice)]
