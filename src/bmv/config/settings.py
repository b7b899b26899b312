"""The settings of one run: every key this version reads, one frozen object.

The keys are declared in ``places``, ``strategy``, ``treasury``, ``oracle``, ``operation``, ``safety``,
``signing`` and ``observing``, one class for each part of the product definition: its docstring is the part's
title, the string below a key its meaning.
"""

from typing import Any, Literal

from bmv.config.observing import Observing
from bmv.config.operation import Execution, Rebuilds, Swarm
from bmv.config.oracle import Oracle
from bmv.config.parsing import Shown, key
from bmv.config.places import Places
from bmv.config.safety import Safety
from bmv.config.signing import Signing
from bmv.config.strategy import Channel, Keys, Ladder, Pivot, Price
from bmv.config.treasury import TargetControl, Treasury

PresetName = Literal["growth", "literal", "sla", "accumulate"]


class Preset(Keys):
    """Preset"""

    preset: PresetName = key("PRESET", "growth")
    """Values to begin with (`bmv config preset NAME` shows them); what else is set stands over them."""


PARTS: tuple[type[Keys], ...] = (
    Preset,
    Places,
    Price,
    Pivot,
    Channel,
    Ladder,
    Swarm,
    Rebuilds,
    Treasury,
    Oracle,
    TargetControl,
    Execution,
    Safety,
    Signing,
    Observing,
)
"""The parts in the order they are shown in."""


class Settings(
    Observing,
    Signing,
    Safety,
    Execution,
    TargetControl,
    Oracle,
    Treasury,
    Rebuilds,
    Swarm,
    Ladder,
    Channel,
    Pivot,
    Price,
    Places,
    Preset,
):
    """Every parameter of the product that this version reads."""

    def written(self) -> dict[str, str | int]:
        """Return all keys as a file would say them; ``Settings(**written)`` is the same settings."""
        return self.model_dump(mode="json", by_alias=True)

    def by_key(self) -> dict[str, Any]:
        """Return all values, in the units used inside."""
        return {str(field.alias): getattr(self, name) for name, field in Settings.model_fields.items()}


FIELDS = {str(field.alias): field for field in Settings.model_fields.values()}
"""Key to what is known of it: default, range, meaning."""
KNOWN_KEYS = tuple(FIELDS)
_COLD = frozenset(
    (
        *(
            "MARKET",
            "RPC_URL",
            "RPC_WS_URL",
            "JITO_URLS",
            "JITO_AUTH_UUID",
            "JITO_TIP_FLOOR_URL",
            "JUPITER_URL",
            "JUPITER_API_KEY",
            "METRICS_PORT",
            "PAGE_PORT",
            "METRICS_HOST",
            "ALERT_WEBHOOK_URL",
        ),
        *("DATABASE_URL", "REDIS_URL", "KEYSTORE", "LOCKED_ACCOUNTS", "WALLETS"),
    )
)


def is_cold(name: str) -> bool:
    """Say whether a key can only change with a restart (SPEC 6 names them)."""
    return name in _COLD or name.startswith(("ORACLE_", "SIGNER_", "ALERT_TELEGRAM_"))


def said(name: str, value: Any) -> str:
    """Return a value of a key as a person says it, with its unit."""
    shown = next((each for each in FIELDS[name].metadata if isinstance(each, Shown)), Shown(str))
    return shown.unset if value is None else shown.text(value)


def bounds(name: str) -> dict[str, int]:
    """Return the range of a key: ``at least`` and ``at most``, each where there is one."""
    return {
        words: getattr(each, bound)
        for each in FIELDS[name].metadata
        for bound, words in (("ge", "at least"), ("le", "at most"))
        if hasattr(each, bound)
    }
