"""How the OpenBook program fails: its error codes, its assertions and its panics.

An assertion reports ``source file << 24 | line`` as a custom error; the lines below are those of the
compiled program, so that a simulated failure reads like a real one. A panic has no number.
"""

from enum import IntEnum
from types import TracebackType
from typing import Self

from bmv.sandbox.account import ProgramError

U64 = 2**64 - 1

_STATE_RS = 1


class Code(IntEnum):
    """The error codes an instruction of the program can end with."""

    INVALID_MARKET_FLAGS = 0
    WRONG_BASE_VAULT = 6
    WRONG_QUOTE_VAULT = 7
    WRONG_BASE_MINT = 8
    WRONG_QUOTE_MINT = 9
    REQUEST_QUEUE_EMPTY = 30
    EVENT_QUEUE_TOO_SMALL = 31
    SLAB_TOO_SMALL = 32
    INSUFFICIENT_FUNDS = 34
    CLIENT_ID_NOT_FOUND = 41
    TOO_MANY_OPEN_ORDERS = 42
    WRONG_ORDERS_ACCOUNT = 45
    WRONG_REQUEST_QUEUE = 48
    WRONG_EVENT_QUEUE = 49
    EVENT_QUEUE_FULL = 51
    RENT_NOT_PROVIDED = 57
    ORDERS_NOT_RENT_EXEMPT = 58
    ORDER_NOT_FOUND = 59
    ORDER_NOT_YOURS = 60
    WOULD_SELF_TRADE = 61
    INVALID_OPEN_ORDERS_AUTHORITY = 62
    ORDER_MAX_TIMESTAMP_EXCEEDED = 63


def refused(code: Code) -> ProgramError:
    """Return the program's own error ``code``, to be raised."""
    return ProgramError("code", code, code.name)


def asserted(line: int, why: str) -> ProgramError:
    """Return the failed assertion at ``line`` of the program's state.rs, to be raised."""
    return ProgramError("aborted", _STATE_RS << 24 | line, why)


def panicked(why: str) -> ProgramError:
    """Return a panic, to be raised."""
    return ProgramError("aborted", 0, why)


def invalid(why: str) -> ProgramError:
    """Return a rejected argument, to be raised."""
    return ProgramError("invalid", 0, why)


class AssertedAs:
    """Report whatever fails in a ``with`` block as the assertion at ``line``; panics stay."""

    __slots__ = ("line",)

    def __init__(self, line: int) -> None:
        self.line = line

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, ProgramError) and (error.kind != "aborted" or error.code):
            raise asserted(self.line, str(error)) from error
