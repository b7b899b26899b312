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
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from bmv.errors import BadInput
from bmv.units import LAMPORTS_PER_SOL, Bps, Lamports, Millis

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d)")
_UNIT_MS = {"ms": 1, "s": 1_000, "min": 60_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
ENV_PREFIX = "BMV_"


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
        raise ValueError(f"at most {len(str(scale)) - 1} decimals")
    return int(exact)


def _optional_auto(value: object) -> object:
    return None if value == "auto" else value


Percent = Annotated[Bps, BeforeValidator(lambda v: _scaled(v, 100))]
Sol = Annotated[Lamports, BeforeValidator(lambda v: _scaled(v, LAMPORTS_PER_SOL))]
Ratio = Annotated[Bps, BeforeValidator(lambda v: _scaled(v, 10_000))]
Duration = Annotated[Millis, BeforeValidator(parse_duration)]
Minutes = Annotated[Millis, BeforeValidator(lambda v: parse_duration(v, "min"))]
Hours = Annotated[Millis, BeforeValidator(lambda v: parse_duration(v, "h"))]
Days = Annotated[Millis, BeforeValidator(lambda v: parse_duration(v, "d"))]
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
    price_confirm: Annotated[Millis, BeforeValidator(lambda v: parse_duration(v, "s"))] = _key(
        "PRICE_CONFIRM_S", 30_000, 0, HOUR_MS
    )
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
    grid_levels: Annotated[int | None, BeforeValidator(_optional_auto)] = Field(
        default=None, alias="GRID_LEVELS", ge=4, le=6_400
    )
    orders_per_wallet: int = Field(default=32, alias="ORDERS_PER_WALLET", ge=2, le=96)
    book_headroom: Percent = _key("BOOK_HEADROOM", 2_000, 0, 9_000)
    buy_density: Ratio = _key("BUY_DENSITY", 20_000, 2_500, 40_000)
    buy_size_ratio: Ratio = _key("BUY_SIZE_RATIO", 80_000, 10_000, 1_000_000)
    sell_size_ratio: Ratio = _key("SELL_SIZE_RATIO", 10_000, 10_000, 1_000_000)
    reanchor: Percent = _key("REANCHOR_PCT", 3_000, 100, 10_000)
    buy_pace: Percent = _key("BUY_PACE_PCT", 1_000, 100, 10_000)
    min_base_share: Percent = _key("MIN_BASE_SHARE_PCT", 2_000, 0, 10_000)
    max_base_share: Percent = _key("MAX_BASE_SHARE_PCT", 8_000, 0, 10_000)
    max_order_of_wallet: Percent = _key("MAX_ORDER_PCT_OF_WALLET", 2_500, 100, 10_000)
    gas_floor: Sol = _key(
        "GAS_FLOOR_SOL", LAMPORTS_PER_SOL // 10, LAMPORTS_PER_SOL // 100, 100 * LAMPORTS_PER_SOL
    )
    rebalance_threshold: Percent = _key("REBALANCE_THRESHOLD_PCT", 100, 1, 5_000)
    forced_sync: Duration = _key("FORCED_SYNC", HOUR_MS, 60_000, 7 * DAY_MS)
    rebuild_min_change: Percent = _key("REBUILD_MIN_CHANGE_PCT", 500, 0, 10_000)
    topup_min_interval: Duration = _key("TOPUP_MIN_INTERVAL", 15 * 60_000, 1_000, DAY_MS)
    size_tolerance: Percent = _key("SIZE_TOLERANCE_PCT", 2_500, 0, 10_000)
    max_order_age: Duration = _key("MAX_ORDER_AGE", 20_000, 2_000, 120_000)
    evict_backoff: Duration = _key("EVICT_BACKOFF", 600_000, 1_000, DAY_MS)
    jito_tip: Sol = _key("JITO_TIP_AMOUNT_SOL", LAMPORTS_PER_SOL // 200, 1_000, LAMPORTS_PER_SOL)
    jito_tip_mode: Literal["floor", "fixed"] = Field(default="floor", alias="JITO_TIP_MODE")
    daily_cost_budget: Sol = _key(
        "DAILY_COST_BUDGET_SOL", 5 * LAMPORTS_PER_SOL, 1_000, 10**4 * LAMPORTS_PER_SOL
    )

    @model_validator(mode="after")
    def _spreads_nest(self) -> "Settings":
        if self.min_spread > self.inside_spread:
            raise ValueError("MIN_SPREAD_% must not exceed INSIDE_SPREAD_%")
        return self

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


def load(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read settings from a TOML file (if any) and the environment; raise BadInput for the first bad key."""
    values, sources = _from_file(path) if path else ({}, {})
    for name, text in sorted((os.environ if environ is None else environ).items()):
        if name.startswith(ENV_PREFIX) and name != ENV_PREFIX + "OPENBOOK_V1_SO":
            key = name.removeprefix(ENV_PREFIX)
            values[key], sources[key] = text, f"environment variable {name}"
    _refuse_fake_activity(values, sources)
    for key in values:
        if key not in KNOWN_KEYS:
            near = difflib.get_close_matches(key, KNOWN_KEYS, n=1)
            raise BadInput(
                key,
                values[key],
                f"known keys only{f'; did you mean {near[0]}?' if near else ''}",
                sources[key],
            )
    try:
        return Settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0]) if first["loc"] else "settings"
        raise BadInput(key, values.get(key), first["msg"], sources.get(key, "settings together")) from error


def _from_file(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    try:
        raw = tomllib.loads(path.read_text(), parse_float=Decimal)
    except OSError as error:
        raise BadInput(
            "--config", str(path), f"a readable file ({error.strerror})", "command line"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput("--config", str(path), f"valid TOML ({error})", "command line") from error
    values: dict[str, Any] = {}
    for spelled, value in raw.items():
        key = spelled.replace("%", "PCT")
        if key in values and values[key] != value:
            raise BadInput(spelled, value, "one spelling, or the same value in both", str(path))
        values[key] = value
    return values, dict.fromkeys(values, str(path))


def _refuse_fake_activity(values: dict[str, Any], sources: dict[str, str]) -> None:
    """Refuse NOISE_* and FLASH_VOLUME_* in one message; a disabled FLASH_VOLUME block is dropped."""
    flash = [key for key in values if key.startswith("FLASH_VOLUME_")]
    disabled = str(values.get("FLASH_VOLUME_ENABLED", "")).lower() == "false"
    refused = [key for key in values if key.startswith("NOISE_")] + ([] if disabled else flash)
    if refused:
        names = ", ".join(sorted(refused))
        raise BadInput(
            names,
            "set",
            "bmv never trades with itself or fakes activity, see docs/integrity.md",
            sources[refused[0]],
        )
    for key in flash:
        del values[key]
