"""The reference of all keys, made from their declarations; docs/configuration.md is its text."""

from typing import Any, Literal, get_args, get_origin

import msgspec

from bmv.config.settings import PARTS, bounds, is_cold, said

_HEAD = """# Every key

Made by `bmv config reference --markdown` from the declarations in `src/bmv/config/`; do not edit.

PCT in a name is a percentage; a file may also write it with `%`, in quotes (`"MIN_SPREAD_%" = 0.5`).
Durations: `30s`, `15min`, `6h`, `30d`. Environment variables (`BMV_MIN_SPREAD_PCT=0.4`) are read at the start
and win over the file. Hot keys may change while the engine runs; cold ones need a restart. `bmv config check
FILE` shows what a file comes to.
The `SIGNER_` caps are cold on purpose: the signer keeps those it was started with, so that an engine that was
taken over cannot raise them.
"""


_TEXTS = {
    "MARKET": "an address",
    "JITO_AUTH_UUID": "text",
    "JUPITER_API_KEY": "text, or none",
    "ORACLE_HERMES_KEY": "text, or none",
    "KEYSTORE": "a path",
    "ALERT_TELEGRAM_TOKEN": "text",
    "METRICS_HOST": "an IP address",
    "ALERT_TELEGRAM_CHAT": "a number, or @channel",
}


class Entry(msgspec.Struct, frozen=True):
    """What is known of one key; ``default`` and ``range`` as a person says them."""

    section: str
    key: str
    default: str
    range: str
    hot: bool
    meaning: str


def reference() -> list[Entry]:
    """Return every key, in the order and under the titles of the product definition."""
    entries = []
    for part in PARTS:
        for field in part.__annotations__:
            known = part.model_fields[field]
            name = str(known.alias)
            entries.append(
                Entry(
                    section=str(part.__doc__),
                    key=name,
                    default=said(name, known.default),
                    range=_range(name, known.annotation),
                    hot=not is_cold(name),
                    meaning=str(known.description),
                )
            )
    return entries


def _range(name: str, kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(get_args(kind))
    if name in _TEXTS or name.endswith(("_URL", "_URLS")):
        return _TEXTS.get(name, "a URL" if name.endswith("_URL") else "URLs")
    if get_origin(kind) is tuple:
        words = get_args(kind)[0]
        if get_origin(words) is Literal:
            return f"some of {', '.join(get_args(words))}"
        return "addresses"
    limits = {words: said(name, value) for words, value in bounds(name).items()}
    span = (
        f"{limits['at least']} to {limits['at most']}"
        if len(limits) == 2
        else " and ".join(f"{words} {limit}" for words, limit in limits.items())
    )
    return f"{span}, or {said(name, None)}" if type(None) in get_args(kind) else span


def markdown() -> str:
    """Return the reference as the text of docs/configuration.md."""
    lines, section = [_HEAD], ""
    for entry in reference():
        if entry.section != section:
            section = entry.section
            lines += [
                "",
                f"## {section}",
                "",
                "| key | default | range | change | meaning |",
                "|---|---|---|---|---|",
            ]
        change = "hot" if entry.hot else "cold"
        lines.append(f"| `{entry.key}` | {entry.default} | {entry.range} | {change} | {entry.meaning} |")
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"
