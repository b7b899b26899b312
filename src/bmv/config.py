"""One frozen settings object, from a flat TOML file and the environment.

Rules of this file
- A key may spell ``%`` as ``PCT``; unknown keys are errors that name the nearest known one.
- Environment variables (prefix ``BMV_``) win over the file.
- Keys that would make the engine fake activity are refused, see docs/integrity.md.
- Inside, percentages are basis points, durations milliseconds, SOL amounts lamports.
"""

import difflib
import os
import re
import tomllib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from bmv.errors import BadInput
from bmv.units import LAMPORTS_PER_SOL, Bps, Lamports, Millis

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d)")
_UNIT_MS = {"ms": 1, "s": 1_000, "min": 60_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
ENV_PREFIX = "BMV_"
NO_SETTINGS = frozenset({"BMV_OPENBOOK_V1_SO"})
"""Environment variables with the prefix that name something else: the compiled program, for a test."""
_OUT_OF_RANGE = ("Input should be greater", "Input should be less")


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
    return int(Decimal(match[1]) * _UNIT_MS[match[2]])


def _decimal(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueError("a number")
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation as error:
        raise ValueError("a number") from error
    if not number.is_finite():
        raise ValueError("a finite number")
    return number


def _scaled(value: object, scale: int) -> int:
    exact = _decimal(value) * scale
    if exact != int(exact):
        raise ValueError(f"at most {len(str(scale)) - 1} decimals" if scale > 1 else "a whole number")
    return int(exact)


def _whole_or_auto(value: object) -> int | None:
    return None if value == "auto" else _scaled(value, 1)


def _duration_text(value: int) -> str:
    unit = next(unit for unit in ("d", "h", "min", "s", "ms") if value % _UNIT_MS[unit] == 0)
    return f"{value // _UNIT_MS[unit]}{unit}"


@dataclass(frozen=True, slots=True)
class Shown:
    """How a person writes a value of a key."""

    text: Callable[[int], str]


def _per(scale: int, unit: str = "") -> Shown:
    return Shown(lambda value: f"{(Decimal(value) / scale).normalize():f}{unit}")


def _timed(unit: str = "") -> tuple[BeforeValidator, Shown]:
    return BeforeValidator(lambda value: parse_duration(value, unit)), Shown(_duration_text)


Percent = Annotated[Bps, BeforeValidator(lambda v: _scaled(v, 100)), _per(100, " %")]
Sol = Annotated[Lamports, BeforeValidator(lambda v: _scaled(v, LAMPORTS_PER_SOL)), _per(LAMPORTS_PER_SOL)]
Whole = Annotated[int, BeforeValidator(lambda v: _scaled(v, 1))]
Ratio = Annotated[Bps, BeforeValidator(lambda v: _scaled(v, 10_000)), _per(10_000)]
Duration = Annotated[Millis, *_timed()]
Seconds = Annotated[Millis, *_timed("s")]
Minutes = Annotated[Millis, *_timed("min")]
Hours = Annotated[Millis, *_timed("h")]
Days = Annotated[Millis, *_timed("d")]
HOUR_MS, DAY_MS = _UNIT_MS["h"], _UNIT_MS["d"]


def _key(alias: str, default: int, low: int, high: int) -> Any:
    return Field(default=default, alias=alias, ge=low, le=high)


class Settings(BaseSettings):
    """Every parameter of the product that this version reads; see SPEC sections 3 and 6 for their meaning."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=False, validate_default=False)  # type: ignore[assignment]

    ref_notional: Sol = _key("REF_NOTIONAL_SOL", 5 * LAMPORTS_PER_SOL, 1, 10**6 * LAMPORTS_PER_SOL)
    price_max_age: Duration = _key("PRICE_MAX_AGE", 6 * HOUR_MS, 60_000, 30 * DAY_MS)
    max_foreign_spread: Percent = _key("MAX_FOREIGN_SPREAD_PCT", 300, 1, 5_000)
    foreign_min: Sol = _key("FOREIGN_MIN_SOL", LAMPORTS_PER_SOL, 0, 10**6 * LAMPORTS_PER_SOL)
    price_drift_per_h: Percent = _key("PRICE_DRIFT_PCT_PER_H", 100, 0, 1_000)
    max_price_jump: Percent = _key("MAX_PRICE_JUMP_PCT", 2_000, 100, 10_000)
    price_confirm: Seconds = _key("PRICE_CONFIRM_S", 30_000, 0, HOUR_MS)
    history_window: Days = _key("HISTORY_WINDOW_DAYS", 365 * DAY_MS, DAY_MS, 3_650 * DAY_MS)
    pivot_mode: Literal["seeded", "pure"] = Field(default="seeded", alias="PIVOT_MODE")
    pivot_max_daily_move: Percent = _key("PIVOT_MAX_DAILY_MOVE_PCT", 500, 1, 10_000)
    seed_price: Annotated[Decimal, BeforeValidator(_decimal)] = Field(
        default=Decimal(0), alias="SEED_PRICE", ge=0
    )
    seed_daily_volume: Annotated[Decimal, BeforeValidator(_decimal)] = Field(
        default=Decimal(0), alias="SEED_DAILY_VOLUME", ge=0
    )
    buy_channel_width: Percent = _key("BUY_CHANNEL_WIDTH_PCT", 1_500, 50, 9_000)
    sell_channel_width: Percent = _key("SELL_CHANNEL_WIDTH_PCT", 3_000, 50, 50_000)
    channel_inertia: Hours = _key("CHANNEL_INERTIA_HOURS", 24 * HOUR_MS, 60_000, 365 * DAY_MS)
    anchor_band: Percent = _key("ANCHOR_BAND_PCT", 500, 1, 5_000)
    sell_gap_max: Percent = _key("SELL_GAP_MAX_PCT", 300, 0, 5_000)
    inside_spread: Percent = _key("INSIDE_SPREAD_PCT", 100, 1, 2_000)
    min_spread: Percent = _key("MIN_SPREAD_PCT", 50, 1, 2_000)
    idle_interval: Minutes = _key("IDLE_INTERVAL_MIN", 15 * 60_000, 60_000, DAY_MS)
    grid_levels: Annotated[int | None, BeforeValidator(_whole_or_auto)] = Field(
        default=None, alias="GRID_LEVELS", ge=4, le=6_400
    )
    orders_per_wallet: Whole = _key("ORDERS_PER_WALLET", 32, 2, 96)
    book_headroom: Percent = _key("BOOK_HEADROOM", 2_000, 0, 9_000)
    buy_density: Ratio = _key("BUY_DENSITY", 20_000, 2_500, 40_000)
    buy_size_ratio: Ratio = _key("BUY_SIZE_RATIO", 80_000, 10_000, 1_000_000)
    sell_size_ratio: Ratio = _key("SELL_SIZE_RATIO", 10_000, 10_000, 1_000_000)
    reanchor: Percent = _key("REANCHOR_PCT", 3_000, 100, 10_000)
    buy_pace: Percent = _key("BUY_PACE_PCT", 1_000, 100, 10_000)
    min_base_share: Percent = _key("MIN_BASE_SHARE_PCT", 2_000, 0, 10_000)
    max_base_share: Percent = _key("MAX_BASE_SHARE_PCT", 8_000, 0, 10_000)
    max_order_of_wallet: Percent = _key("MAX_ORDER_PCT_OF_WALLET", 2_500, 100, 10_000)
    gas_floor: Sol = _key("GAS_FLOOR_SOL", LAMPORTS_PER_SOL, LAMPORTS_PER_SOL // 10, 100 * LAMPORTS_PER_SOL)
    rebalance_threshold: Percent = _key("REBALANCE_THRESHOLD_PCT", 100, 1, 5_000)
    forced_sync: Duration = _key("FORCED_SYNC", HOUR_MS, 60_000, 7 * DAY_MS)
    rebuild_min_change: Percent = _key("REBUILD_MIN_CHANGE_PCT", 500, 0, 10_000)
    topup_min_interval: Duration = _key("TOPUP_MIN_INTERVAL", 15 * 60_000, 1_000, DAY_MS)
    size_tolerance: Percent = _key("SIZE_TOLERANCE_PCT", 2_500, 0, 10_000)
    max_order_age: Duration = _key("MAX_ORDER_AGE", 20_000, 2_000, 45_000)
    evict_backoff: Duration = _key("EVICT_BACKOFF", 600_000, 1_000, DAY_MS)
    jito_tip: Sol = _key("JITO_TIP_AMOUNT_SOL", LAMPORTS_PER_SOL // 200, 1_000, LAMPORTS_PER_SOL)
    jito_tip_mode: Literal["floor", "fixed"] = Field(default="floor", alias="JITO_TIP_MODE")
    daily_cost_budget: Sol = _key(
        "DAILY_COST_BUDGET_SOL", 5 * LAMPORTS_PER_SOL, 1_000, 10**4 * LAMPORTS_PER_SOL
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        *_: Any,
        **__: Any,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read nothing but what ``load`` collected, so that every value's source is known."""
        return (init_settings,)


KNOWN_KEYS = tuple(str(field.alias) for field in Settings.model_fields.values())
_FIELDS = {str(field.alias): field for field in Settings.model_fields.values()}


class _Given(NamedTuple):
    """What the user wrote: the value, the key as spelled, and where."""

    value: Any
    spelled: str
    source: str

    def refused(self, allowed: str) -> BadInput:
        value = str(self.value) if isinstance(self.value, Decimal) else self.value
        return BadInput(self.spelled, value, allowed, self.source)


def load(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read settings from a TOML file (if any) and the environment; raise BadInput for the first bad key."""
    given = _from_file(path) if path else {}
    for name, text in sorted((os.environ if environ is None else environ).items()):
        if name.startswith(ENV_PREFIX) and name not in NO_SETTINGS:
            key = name.removeprefix(ENV_PREFIX)
            given[key] = _Given(text, key, f"environment variable {name}")
    _refuse_fake_activity(given)
    for key, entry in given.items():
        if key not in KNOWN_KEYS:
            near = difflib.get_close_matches(key, KNOWN_KEYS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise entry.refused(
                "known keys only" + (hint.replace("PCT", "%") if "%" in entry.spelled else hint)
            )
    try:
        settings = Settings(**{key: entry.value for key, entry in given.items()})
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        raise given[key].refused(_allowed(key, first["msg"])) from error
    _refuse_contradictions(settings, given)
    return settings


def _allowed(key: str, message: str) -> str:
    """Return what a key takes: its range in the user's units, or pydantic's words without their preamble."""
    if not message.startswith(_OUT_OF_RANGE):
        return message.removeprefix("Value error, ").removeprefix("Input should be ")
    bounds = {
        words: getattr(each, bound)
        for each in _FIELDS[key].metadata
        for bound, words in (("ge", "at least"), ("le", "at most"))
        if hasattr(each, bound)
    }
    return " and ".join(f"{words} {_shown(key, value)}" for words, value in bounds.items())


def _shown(key: str, value: int) -> str:
    return next((each.text for each in _FIELDS[key].metadata if isinstance(each, Shown)), str)(value)


TIPS_IN_THE_GAS_FLOOR = 20
"""A wallet starts with at least this many of the largest tips, or it could soon not pay for its cancels."""


def _refuse_contradictions(settings: Settings, given: Mapping[str, _Given]) -> None:
    """Refuse values each of which is allowed but which cannot be meant together."""
    pairs = (
        ("MIN_SPREAD_PCT", settings.min_spread, "INSIDE_SPREAD_PCT", settings.inside_spread),
        ("MIN_BASE_SHARE_PCT", settings.min_base_share, "MAX_BASE_SHARE_PCT", settings.max_base_share),
    )
    for low_key, low, high_key, high in pairs:
        if low > high and low_key in given:
            raise given[low_key].refused(f"at most {high_key}, {_shown(high_key, int(high))}")
        if low > high:
            raise given[high_key].refused(f"at least {low_key}, {_shown(low_key, int(low))}")
    enough = settings.jito_tip * TIPS_IN_THE_GAS_FLOOR
    if settings.gas_floor < enough:
        key = "GAS_FLOOR_SOL" if "GAS_FLOOR_SOL" in given else "JITO_TIP_AMOUNT_SOL"
        least = f"a gas floor of {TIPS_IN_THE_GAS_FLOOR} tips or more (GAS_FLOOR_SOL, JITO_TIP_AMOUNT_SOL)"
        raise given[key].refused(least)
    for key, other in (("SEED_PRICE", "SEED_DAILY_VOLUME"), ("SEED_DAILY_VOLUME", "SEED_PRICE")):
        if getattr(settings, key.lower()) and not getattr(settings, other.lower()):
            raise given[key].refused(f"0 unless {other} is set too: a seed is a price and a volume")


def _from_file(path: Path) -> dict[str, _Given]:
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        raise BadInput(
            "--config", str(path), f"a readable file ({error.strerror})", "command line"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput("--config", str(path), f"valid TOML ({error})", "command line") from error
    given: dict[str, _Given] = {}
    for spelled, value in raw.items():
        entry, key = _Given(value, spelled, str(path)), spelled.replace("%", "PCT")
        if key in given and given[key].value != value:
            raise entry.refused(f"one spelling, or the same value as {given[key].spelled} in both")
        given[key] = entry
    return given


def _refuse_fake_activity(given: dict[str, _Given]) -> None:
    """Refuse NOISE_* and FLASH_VOLUME_* in one message; a disabled FLASH_VOLUME block is dropped."""
    flash = [key for key in given if key.startswith("FLASH_VOLUME_")]
    enabled = given.get("FLASH_VOLUME_ENABLED")
    disabled = enabled is not None and str(enabled.value).strip().lower() == "false"
    refused = [key for key in given if key.startswith("NOISE_")] + ([] if disabled else flash)
    if refused:
        raise BadInput(
            ", ".join(sorted(given[key].spelled for key in refused)),
            "set",
            "bmv never trades with itself or fakes activity, see docs/integrity.md",
            ", ".join(sorted({given[key].source for key in refused})),
        )
    if flash:
        names = ", ".join(sorted(given[key].spelled for key in flash))
        warnings.warn(f"ignored, as there is no such module any more: {names}", stacklevel=3)
    for key in flash:
        del given[key]
