"""What an operator tells the public: who quotes, by which rules, and what is never done.

Everything that decides what stands on the book is told; addresses of servers, secrets, the signer's caps and
the safety limits are not (a stop that is known can be aimed at).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from bmv import __version__
from bmv.config import Settings
from bmv.config.operation import Rebuilds, Swarm
from bmv.config.settings import said
from bmv.config.strategy import Channel, Ladder, Pivot, Price
from bmv.config.treasury import TargetControl, Treasury
from bmv.keys.store import Wallet
from bmv.units import Millis

DISCLOSED = (Price, Pivot, Channel, Ladder, Swarm, Rebuilds, Treasury, TargetControl)
STATEMENT = (
    "All orders of this programme are placed by the wallets listed here. They are post-only: the programme "
    "makes, it never takes, and it never trades with itself: its highest bid is below its lowest ask over "
    "all of its wallets, and a trade between two of them, should it ever happen, stops it and is reported. "
    "It makes no volume for its own sake. Several wallets serve capacity and safety, not concealment."
)


def disclosure(settings: Settings, wallets: Sequence[Wallet], at: Millis) -> dict[str, Any]:
    """Return the disclosure as plain values; ``at`` is its date."""
    rules: dict[str, dict[str, str]] = {}
    for part in DISCLOSED:
        fields = [(str(part.model_fields[name].alias), name) for name in part.__annotations__]
        title = str(part.__doc__).partition(" ")[2]
        rules[title] = {key: said(key, getattr(settings, name)) for key, name in fields}
    return {
        "programme": "BMV market maker",
        "version": __version__,
        "date": datetime.fromtimestamp(int(at) / 1000, UTC).date().isoformat(),
        "market": settings.market,
        "statement": STATEMENT,
        "wallets": [{"address": str(one.pubkey), "role": one.role.value} for one in wallets],
        "rules": rules,
    }


def in_words(told: dict[str, Any]) -> str:
    """Return a disclosure as Markdown."""
    lines = [f"# {told['programme']}: who quotes, and how", ""]
    lines += [
        f"Market `{told['market']}`, {told['date']}, version {told['version']}.",
        "",
        told["statement"],
        "",
    ]
    lines += ["## Wallets", "", "| address | role |", "|---|---|"]
    lines += [f"| `{wallet['address']}` | {wallet['role']} |" for wallet in told["wallets"]]
    for title, keys in told["rules"].items():
        lines += ["", f"## {title}", "", "| parameter | value |", "|---|---|"]
        lines += [f"| `{key}` | {value} |" for key, value in keys.items()]
    return "\n".join(lines)
