"""What goes wrong on purpose: a seeded plan of named faults, each counted when it strikes.

Rules
- A rate is the probability per occasion, 0 to 1; the table ``RATES`` says what the occasion is.
- A fault that a client can notice has the name under which the engine counts it; a dropped bundle and a
  reordered notification pass unnoticed.
- Each kind draws from its own generator, so one kind's rate does not move another's strikes.
- A plan is ``none``, ``standard``, or a TOML or JSON file of rates; what a file does not name stays 0.
- With ``until_s`` in it a plan ends so many seconds after the start: from then on nothing strikes.
"""

import json
import random
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

from bmv.errors import BadInput

RATES = {
    "bundle_dropped": "per bundle: an id is answered, nobody ever sees the bundle",
    "bundle_late": "per bundle: it lands late, at a slot drawn up to the last its blockhash allows",
    "jito_unreachable": "per bundle: it is taken, and the connection closes without an answer; each fourth"
    " time it is not taken, and 503 with HTML is answered",
    "jito_refused": "per bundle: it is taken and lands, and is answered with an error as if it were refused",
    "jito_garbled": "per bundle: it is taken, and the answer is cut off, or HTML",
    "jito_rate_limited": "per request: 429 with the Block Engine's own body, or HTML",
    "rpc_rate_limited": "per request: 429",
    "rpc_unreachable": "per request: 503 with HTML",
    "rpc_garbled": "per request: 200 with an answer that is cut off, or HTML",
    "rpc_stale": "per read: answered from lag_slots earlier",
    "rpc_forked": "per question about signatures: answered by a node on a fork that dies, which knows none",
    "ws_lost": "per notification: never sent",
    "ws_reordered": "per notification: sent after the next one",
    "ws_disconnected": "per notification: the connection breaks instead",
    "pyth_late": "per update of Pyth's account: it does not come",
    "pyth_unsure": "per update: it is certain to five percent only",
    "pyth_partial": "per update: it is verified in part only",
    "price_unreachable": "per request to a price service: 503 with HTML",
    "price_rate_limited": "per request: 429",
    "price_garbled": "per request: 200 with an answer that is cut off, or HTML",
    "jupiter_unreachable": "per swap asked for: 503 with HTML",
    "jupiter_rate_limited": "per swap asked for: 429",
    "jupiter_garbled": "per swap asked for: 200 with an answer that is cut off, or HTML",
    "jupiter_no_route": "per swap asked for: 400, there is no route",
    "jupiter_stale": "per swap asked for: quoted at a price that is gone",
    "jupiter_hostile": "per swap asked for: one thing in the answer would cost money",
    "price_off": "per request: a price ten percent too high",
}
LAG_SLOTS_RANGE = (1, 16)
DEFAULT_LAG_SLOTS = 4
STANDARD = {
    "bundle_dropped": 0.05,
    "jito_unreachable": 0.01,
    "jito_rate_limited": 0.02,
    "rpc_rate_limited": 0.01,
    "rpc_unreachable": 0.005,
    "rpc_stale": 0.02,
    "ws_lost": 0.02,
    "ws_reordered": 0.02,
    "ws_disconnected": 0.0005,
}


class Faults:
    """Decide, fault by fault, whether it strikes now; ``injected`` counts strikes by kind."""

    def __init__(
        self,
        rates: Mapping[str, float],
        seed: int,
        lag_slots: int = DEFAULT_LAG_SLOTS,
        until_s: int | None = None,
    ) -> None:
        self.rates = dict(rates)
        self.lag_slots, self.until_s = lag_slots, until_s
        self.elapsed_s: Callable[[], float] = _no_time
        self.injected: dict[str, int] = dict.fromkeys(RATES, 0)
        self._draws = {kind: random.Random(f"{seed} {kind}") for kind in RATES}

    @classmethod
    def load(cls, plan: str, seed: int) -> "Faults":
        """Make the faults of ``plan``: ``none``, ``standard`` or a file's path; raises ``BadInput``."""
        if plan == "none":
            return cls({}, seed)
        if plan == "standard":
            return cls(STANDARD, seed)
        settings = _read(Path(plan))
        lag_slots = settings.pop("lag_slots", DEFAULT_LAG_SLOTS)
        low, high = LAG_SLOTS_RANGE
        if type(lag_slots) is not int or not low <= lag_slots <= high:
            raise BadInput("lag_slots", lag_slots, f"a whole number from {low} to {high}", plan)
        until_s = settings.pop("until_s", None)
        if until_s is not None and (type(until_s) is not int or until_s < 0):
            raise BadInput("until_s", until_s, "a whole number of seconds, 0 or more", plan)
        rates = {kind: _rate(kind, value, plan) for kind, value in settings.items()}
        return cls(rates, seed, lag_slots, until_s)

    def strikes(self, kind: str) -> bool:
        """Say whether ``kind`` happens on this occasion, and count it when it does."""
        rate = self.rates.get(kind, 0)
        if self.until_s is not None and self.elapsed_s() >= self.until_s:
            return False
        if not rate or self._draws[kind].random() >= rate:
            return False
        self.injected[kind] += 1
        return True


def _no_time() -> float:
    """Stand in for the clock of a world that has none."""
    return 0.0


def _read(path: Path) -> dict[str, object]:
    try:
        text = path.read_text(encoding="utf-8")
        settings = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (OSError, ValueError) as wrong:
        allowed = "none, standard, or a readable TOML or JSON file of rates"
        raise BadInput("faults", str(path), f"{allowed} ({wrong})", "the fault plan") from wrong
    if not isinstance(settings, dict):
        raise BadInput("faults", settings, "a table of rates", str(path))
    return settings


def _rate(kind: str, value: object, source: str) -> float:
    if kind not in RATES:
        raise BadInput(kind, value, f"known names are {', '.join(RATES)}, lag_slots, until_s", source)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise BadInput(kind, value, "a probability from 0 to 1", source)
    return float(value)
