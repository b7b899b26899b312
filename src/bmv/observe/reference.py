"""The reference of events: the text of docs/events.md, and one JSON Schema for each."""

from typing import Any

from bmv.observe.catalogue import EVENTS, Told

_HEAD = """# Every event

Made by `bmv events --markdown` from `src/bmv/observe/catalogue.py`; do not edit. `bmv events --json` prints
a JSON Schema of each.

What the engine tells is an action like any other: it is in the journal, in the table `event` of the
database, on the page, in the counter `bmv_reports_total`, and a JSON line of the log (with `--verbose`; those
marked *warning* also without it). Journal and database hold whole numbers in the units named here. Log and
page say the same for people: prices in SOL per token, `size` as `volume` in tokens, `lamports` as `sol`,
dollars, and names without `_fine`. A field in brackets is there only when there is something to say.

| event | fields |
|---|---|"""
_UNITS = {
    "text": "text",
    "count": "number",
    "wallet": "number",
    "ticks": "ticks",
    "fine": "2^-24 ticks",
    "lots": "base lots",
    "atoms": "atoms of the token",
    "lamports": "lamports",
    "microdollars": "millionths of a dollar",
    "bps": "basis points",
    "ms": "milliseconds",
    "slot": "slot",
}


def schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of an event's fields."""
    fields = EVENTS[name].fields
    return {
        "title": name,
        "description": EVENTS[name].says,
        "type": "object",
        "properties": {key: _property(told) for key, told in fields.items()},
        "required": [key for key, told in fields.items() if not told.given],
        "additionalProperties": False,
    }


def _property(told: Told) -> dict[str, str]:
    kind = "string" if told.kind is str else "integer"
    return {"type": kind, "description": told.says, "unit": _UNITS[told.unit]}


def markdown() -> str:
    """Return the reference as the text of docs/events.md."""
    lines = [_HEAD]
    for name, known in EVENTS.items():
        loud = " *(warning)*" if known.level == "warning" else ""
        fields = "; ".join(_field(key, told) for key, told in known.fields.items())
        lines.append(f"| `{name}`{loud}: {known.says} | {fields} |")
    return "\n".join(lines) + "\n"


def _field(key: str, told: Told) -> str:
    name = f"[`{key}`]" if told.given else f"`{key}`"
    unit = "" if told.unit in {"text", "count", "wallet"} else f" ({_UNITS[told.unit]})"
    return f"{name} {told.says}{unit}"
