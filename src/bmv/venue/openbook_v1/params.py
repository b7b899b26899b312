"""Plain JSON parameters -> typed values; every complaint names the parameter, its value and what is allowed.

Integers may be JSON numbers or strings of digits (JSON readers lose bits above 2^53).
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import TypeVar

from solders.pubkey import Pubkey

from bmv.errors import BadInput

Choice = TypeVar("Choice")

_DIGITS = 40
"""No integer of the program has that many."""


class Params:
    """The parameters of one request, read by name; every complaint names the parameter and its source."""

    def __init__(self, values: Mapping[str, object], where: str, source: str) -> None:
        self._values, self._where, self._source = values, where, source

    @classmethod
    def read(cls, values: object, where: str, source: str) -> "Params":
        """Take an object for reading; ``where`` is the path to it, empty for the whole request."""
        if not isinstance(values, dict):
            raise BadInput(where or "request", values, "an object", source)
        return cls(values, where, source)

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def fail(self, name: str, allowed: str) -> BadInput:
        """Return the complaint about one parameter."""
        return BadInput(self._path(name), self._values.get(name), allowed, self._source)

    def integer(self, name: str, bits: int, default: int | None = None, low: int = 0) -> int:
        """Return an unsigned integer of ``bits`` bits, at least ``low``."""
        value = self._values.get(name)
        if value is None and default is not None:
            return default
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < _DIGITS:
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value < 1 << bits:
            raise self.fail(name, f"an integer from {low} to 2^{bits} - 1")
        return value

    def number(self, name: str) -> Decimal:
        """Return a positive decimal number."""
        value = self._values.get(name)
        try:
            number = Decimal("nan" if isinstance(value, bool) else str(value))
        except InvalidOperation:
            number = Decimal("nan")
        if not number.is_finite() or not 0 < number < Decimal(2**64):
            raise self.fail(name, "a positive number")
        return number

    def text(self, name: str) -> str:
        """Return a text."""
        value = self._values.get(name)
        if not isinstance(value, str):
            raise self.fail(name, "a text")
        return value

    def hex(self, name: str) -> bytes:
        """Return bytes written in hex."""
        try:
            return bytes.fromhex(self.text(name))
        except ValueError as error:
            raise self.fail(name, "bytes in hex") from error

    def address(self, name: str) -> Pubkey:
        """Return an address."""
        try:
            return Pubkey.from_string(str(self._values.get(name)))
        except ValueError as error:
            raise self.fail(name, "a base58 address of 32 bytes") from error

    def addresses(self, name: str) -> tuple[Pubkey, ...]:
        """Return a list of addresses."""
        return tuple(item.address(index) for item, index in self._items(name))

    def integers(self, name: str, bits: int) -> tuple[int, ...]:
        """Return a list of unsigned integers."""
        return tuple(item.integer(index, bits) for item, index in self._items(name))

    def objects(self, name: str) -> list["Params"]:
        """Return a list of objects."""
        return [item.inner(index) for item, index in self._items(name)]

    def inner(self, name: str) -> "Params":
        """Return an object among the parameters."""
        return Params.read(self._values.get(name), self._path(name), self._source)

    def choice(self, name: str, choices: Mapping[str, Choice]) -> Choice:
        """Return the meaning of one of a few words."""
        value = self._values.get(name)
        if not isinstance(value, str) or value not in choices:
            raise self.fail(name, "one of " + ", ".join(choices))
        return choices[value]

    def flag(self, name: str) -> bool:
        """Return a truth value, false where it is missing."""
        value = self._values.get(name, False)
        if not isinstance(value, bool):
            raise self.fail(name, "true or false")
        return value

    def _items(self, name: str) -> Iterator[tuple["Params", str]]:
        values = self._values.get(name)
        if not isinstance(values, list):
            raise self.fail(name, "a list")
        items = Params(
            {str(index): value for index, value in enumerate(values)}, self._path(name), self._source
        )
        return ((items, str(index)) for index in range(len(values)))

    def _path(self, name: str) -> str:
        return f"{self._where}.{name}" if self._where else name
