"""Values as people write them: percentages, SOL, ratios, durations.

Rules of this file
- Inside, percentages and ratios are basis points, durations milliseconds, SOL amounts lamports.
- A parser takes what TOML and the environment give (numbers, text); it raises ValueError with what would do.
- The way back: ``Shown`` for sentences (with a unit), serializers for files (what the parser takes again).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, PlainSerializer
from solders.pubkey import Pubkey

from bmv.units import LAMPORTS_PER_SOL, MICROS_PER_USD, Bps, Lamports, MicroUsd, Millis

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|min|m|h|d)")
_UNIT_MS = {"ms": 1, "s": 1_000, "min": 60_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_MOST_DIGITS = 30
HOUR_MS, DAY_MS = _UNIT_MS["h"], _UNIT_MS["d"]


_NUMBER = re.compile(r"[+-]?[0-9]*\.?[0-9]+([eE][+-]?[0-9]{1,9})?")


def parse_duration(value: object, unit: str = "") -> int:
    """Return milliseconds from ``1h``, ``90s``, ``15min``; a bare number takes ``unit``; else ValueError."""
    text = (
        f"{value}{unit}"
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool)
        else value
    )
    match = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None and unit and isinstance(value, str):
        match = _DURATION.fullmatch(value.strip() + unit)
    if match is None:
        raise ValueError("a duration such as 30s, 15min, 1h or 30d")
    millis = Fraction(match[1]) * _UNIT_MS[match[2]]
    if millis.denominator != 1:
        raise ValueError("a duration of whole milliseconds")
    return millis.numerator


def _decimal(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueError("a number")
    if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()):
        raise ValueError("a number")
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation as error:
        raise ValueError("a number") from error
    if not number.is_finite():
        raise ValueError("a finite number")
    if number and abs(number.adjusted()) > _MOST_DIGITS:
        raise ValueError(f"a number of at most {_MOST_DIGITS} digits")
    return number


def _scaled(value: object, scale: int) -> int:
    exact = Fraction(_decimal(value)) * scale
    if exact.denominator != 1:
        raise ValueError(f"at most {len(str(scale)) - 1} decimals" if scale > 1 else "a whole number")
    return exact.numerator


def _whole_or_auto(value: object) -> int | None:
    return None if value == "auto" else _scaled(value, 1)


def _sol_or_auto(value: object) -> int | None:
    return None if value == "auto" else _scaled(value, LAMPORTS_PER_SOL)


def _scaled_or_dynamic(value: object) -> int | None:
    return None if value == "dynamic" else _scaled(value, 100)


def parse_words(value: object, what: str = "name") -> tuple[str, ...]:
    """Return words from a list, or from text with commas between; ValueError where one is there twice."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        raise ValueError(f"a list: {what} by {what}")
    if len(set(value)) < len(value):
        raise ValueError(f"each {what} once")
    return tuple(value)


def _addresses(value: object) -> tuple[str, ...]:
    """Return addresses from a list, or from text with commas between them."""
    words = parse_words(value, "address")
    for each in words:
        try:
            Pubkey.from_string(each)
        except ValueError as error:
            raise ValueError(f"addresses in base58; {each!r} is none") from error
    return words


def _url(value: object) -> str:
    parts = urlsplit(value.strip()) if isinstance(value, str) else None
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("a URL that begins with https:// or http://")
    return parts.geturl().rstrip("/")


def _duration_text(value: int) -> str:
    units = ("d", "h", "min", "s", "ms") if value else ("s",)
    unit = next(unit for unit in units if value % _UNIT_MS[unit] == 0)
    return f"{value // _UNIT_MS[unit]}{unit}"


def _written_in(value: int, unit: str) -> int | str:
    """Return a duration as a bare number of ``unit`` where it is one, else with its own unit."""
    whole, rest = divmod(value, _UNIT_MS[unit])
    return _duration_text(value) if rest else whole


def _unscaled(value: int, scale: int) -> Decimal:
    return Decimal(f"{(Decimal(value) / scale).normalize():f}")


@dataclass(frozen=True, slots=True)
class Shown:
    """How a person says a value of a key; ``unset`` is the word for no value."""

    text: Callable[[Any], str]
    unset: str = "auto"


Markers = tuple[BeforeValidator, PlainSerializer, Shown]


def _per(scale: int, unit: str = "") -> Markers:
    """Return how a number with decimals is read, written and said."""
    return (
        BeforeValidator(lambda value: _scaled(value, scale)),
        PlainSerializer(lambda value: _unscaled(value, scale), return_type=Decimal),
        Shown(lambda value: f"{_unscaled(value, scale):f}{unit}"),
    )


def _timed(unit: str = "") -> Markers:
    """Return how a duration is read, written and said; ``unit`` is what a bare number means."""
    write = PlainSerializer(partial(_written_in, unit=unit) if unit else _duration_text)
    return BeforeValidator(lambda value: parse_duration(value, unit)), write, Shown(_duration_text)


Percent = Annotated[Bps, *_per(100, " %")]
Sol = Annotated[Lamports, *_per(LAMPORTS_PER_SOL)]
Ratio = Annotated[Bps, *_per(10_000)]
Whole = Annotated[int, BeforeValidator(lambda value: _scaled(value, 1))]
WholeOrAuto = Annotated[
    int | None,
    BeforeValidator(_whole_or_auto),
    PlainSerializer(lambda value: "auto" if value is None else value),
    Shown(str),
]
SolOrAuto = Annotated[
    Lamports | None,
    BeforeValidator(_sol_or_auto),
    PlainSerializer(lambda value: "auto" if value is None else _unscaled(value, LAMPORTS_PER_SOL)),
    Shown(lambda value: f"{_unscaled(value, LAMPORTS_PER_SOL):f}"),
]
PercentOrDynamic = Annotated[
    Bps | None,
    BeforeValidator(_scaled_or_dynamic),
    PlainSerializer(lambda value: "dynamic" if value is None else _unscaled(value, 100)),
    Shown(lambda value: f"{_unscaled(value, 100):f} %", "dynamic"),
]
BasisPoints = Annotated[Bps, *_per(1)]
Usd = Annotated[MicroUsd, *_per(MICROS_PER_USD)]
Addresses = Annotated[
    tuple[str, ...],
    BeforeValidator(_addresses),
    PlainSerializer(", ".join, return_type=str),
    Shown(lambda value: ", ".join(value) or "none"),
]
Url = Annotated[str, BeforeValidator(_url)]
Number = Annotated[Decimal, BeforeValidator(_decimal)]
Duration = Annotated[Millis, *_timed()]
Seconds = Annotated[Millis, *_timed("s")]
Minutes = Annotated[Millis, *_timed("min")]
Hours = Annotated[Millis, *_timed("h")]
Days = Annotated[Millis, *_timed("d")]


def key(name: str, default: Any, low: int | None = None, high: int | None = None) -> Any:
    """Declare a key: its name in a file, default and allowed range, both in the unit used inside."""
    return Field(default=default, alias=name, ge=low, le=high)
