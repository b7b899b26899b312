"""An event as people and logs get it: prices and amounts as decimals, in the product's words."""

from collections.abc import Mapping
from decimal import Decimal

from bmv.core.decay import FINE
from bmv.events import Report
from bmv.model import MarketSpec
from bmv.observe.catalogue import EVENTS
from bmv.units import LAMPORTS_PER_SOL, MICROS_PER_USD, BaseLots, Ticks

_RENAMED = {"size": "volume", "lamports": "sol", "base_atoms": "tokens"}


def spoken(report: Report, spec: MarketSpec) -> dict[str, str | int]:
    """Return an event's fields: prices in SOL per token, volumes in tokens, amounts in SOL and dollars."""
    known = EVENTS.get(report.name)
    units = {key: told.unit for key, told in known.fields.items()} if known else {}
    return {
        _RENAMED.get(key, key.removesuffix("_fine")): _said(value, units.get(key, ""), spec)
        for key, value in report.fields.items()
    }


def described(fields: Mapping[str, str | int]) -> str:
    """Return spoken fields as one line."""
    return ", ".join(f"{key} {value}" for key, value in fields.items())


def _said(value: str | int, unit: str, spec: MarketSpec) -> str | int:
    if not isinstance(value, int):
        return value
    match unit:
        case "ticks":
            found = spec.price(Ticks(value))
        case "fine":
            found = spec.price(Ticks(value // FINE))
        case "lots":
            found = spec.size(BaseLots(value))
        case "atoms":
            found = Decimal(value).scaleb(-spec.base_decimals)
        case "lamports":
            found = Decimal(value) / LAMPORTS_PER_SOL
        case "microdollars":
            found = Decimal(value) / MICROS_PER_USD
        case _:
            return value
    return f"{found:f}"
