"""The exceptions of bmv: whose fault each one is, and whether trying again can help.

    BmvError
    |-- BadInput             the user's: a file, flag or value; never retried            exit 2
    |   `-- BadSettings          several settings at once, each with its own complaint
    |-- UnsafeState          ours to stop at: going on could lose money                  exit 3
    |   |-- OwnCross             a plan would let two of our orders meet
    |   `-- InvariantBroken      belief and books cannot both be true
    |-- BadBytes             the chain account does not decode; never a partial value
    |-- OutsideError         the outside world's                                         exit 4
        |-- Unreachable          no connection, timeout, 5xx: retry with back-off
        |-- RateLimited          429 and kin: retry after ``retry_after``
        |-- Refused              our request is wrong or not allowed: do not retry
        |-- Stale                the node is behind what we know: another node, or wait
        `-- Garbled              the answer is not what the interface promises

Foreign exceptions are mapped at the border of ``chain`` and keep their cause (``raise ... from``).
"""

from collections.abc import Sequence


class BmvError(Exception):
    """Root of every error this product raises on purpose."""

    exit_code = 1


class BadInput(BmvError):
    """Report a value the user gave: which field, what it was, what is allowed, where it came from."""

    exit_code = 2

    def __init__(self, field: str, value: object, allowed: str, source: str) -> None:
        super().__init__(f"{field}: {value!r} is not allowed; {allowed} (from {source})")
        self.field, self.value, self.allowed, self.source = field, value, allowed, source

    @property
    def problems(self) -> "tuple[BadInput, ...]":
        """Return everything that is wrong, each by itself."""
        return (self,)


class BadSettings(BadInput):
    """Report everything that is wrong with the settings, one complaint a line."""

    def __init__(self, problems: Sequence[BadInput]) -> None:
        super().__init__(", ".join(problem.field for problem in problems), "", "", problems[0].source)
        self.args = ("\n  ".join([f"{len(problems)} settings are not allowed", *map(str, problems)]),)
        self._problems = tuple(problems)

    @property
    def problems(self) -> tuple[BadInput, ...]:
        """Return everything that is wrong, each by itself."""
        return self._problems


class UnsafeState(BmvError):
    """Stop because going on could lose money."""

    exit_code = 3


class OwnCross(UnsafeState):
    """Refuse a plan that would let two of our own orders meet."""


class InvariantBroken(UnsafeState):
    """Report that belief and books cannot both be true."""


class BadBytes(BmvError):
    """Report account bytes that do not decode; carries what was being read and why it failed."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}: {why}")
        self.what, self.why = what, why


class OutsideError(BmvError):
    """Something outside of us failed; ``where`` names the service."""

    exit_code = 4

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where}: {why}")
        self.where, self.why = where, why


class Unreachable(OutsideError):
    """No connection, a timeout, or a 5xx: trying again later may help."""


class RateLimited(OutsideError):
    """Too many requests; ``retry_after`` is in seconds where the service said so."""

    def __init__(self, where: str, why: str, retry_after: float | None = None) -> None:
        super().__init__(where, why)
        self.retry_after = retry_after


class Refused(OutsideError):
    """The service understood and said no; ``code`` is its own number where it gave one."""

    def __init__(self, where: str, why: str, code: int | None = None) -> None:
        super().__init__(where, why)
        self.code = code


class Stale(OutsideError):
    """The node is behind the slot we asked for."""


class Garbled(OutsideError):
    """The answer is not what the interface promises (not JSON, wrong shape, wrong id)."""
