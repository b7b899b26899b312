"""Foreign JSON read strictly: a number is a number, a list has the length asked for, or it is Garbled.

Parsers are plain functions that index and check; ``read_shape`` turns whatever they trip over into one error.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from bmv.chain.http import Endpoint
from bmv.errors import Garbled
from bmv.units import Slot

T = TypeVar("T")


def read_shape(endpoint: Endpoint, what: str, value: Any, parse: Callable[[Any], T]) -> T:
    """Apply ``parse`` to foreign JSON; what does not have the shape it expects is Garbled."""
    try:
        return parse(value)
    except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
        raise Garbled(endpoint.where, f"{what}: {endpoint.scrub(repr(error))}") from error


def natural(value: object) -> int:
    """Return an integer that is one in JSON too, and not negative; TypeError otherwise."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError("not a natural number")
    return value


def text(value: object) -> str:
    """Return a string; TypeError otherwise."""
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def exactly(count: int, values: object) -> list[Any]:
    """Return a list of ``count`` items; TypeError otherwise."""
    if not isinstance(values, list) or len(values) != count:
        raise TypeError(f"not a list of {count}")
    return values


def slot_of(result: Any) -> Slot:
    """Return the slot a JSON-RPC result was read at."""
    return Slot(natural(result["context"]["slot"]))
