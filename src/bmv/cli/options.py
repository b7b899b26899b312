"""Command-line texts -> values, with errors that name the option, the value and what is allowed."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any

import typer

from bmv.app.world import WorldOptions
from bmv.config import Configuration, Settings, parse_duration, read
from bmv.errors import BadInput
from bmv.sandbox.faults import Faults
from bmv.sandbox.people.crowd import CrowdOptions
from bmv.sandbox.prices import PricePath, load_prices
from bmv.services.reload import SettingsFile
from bmv.units import Millis

SOURCE = "command line"
WHOLE = "INTEGER"
MAX_PORT = 65_535
SolUsd = Annotated[Path | None, typer.Option(help="Dollars per SOL: FILE.parquet or FILE.csv.")]
SolUsdFrom = Annotated[str | None, typer.Option(help="Where in --sol-usd to begin: 2022-11-01.")]
JsonFirst = Annotated[
    bool, typer.Option("--json/--no-json", help="Print JSON, or a line for each value in it.")
]
"""Of commands whose output is mostly for programs."""


def seconds(option: str, text: str | None) -> float | None:
    """Return a duration such as 30s, 24h or 30d in seconds; None for none."""
    if text is None:
        return None
    try:
        millis = parse_duration(text)
    except ValueError as error:
        raise BadInput(option, text, str(error), SOURCE) from error
    if millis <= 0:
        raise BadInput(option, text, "more than nothing", SOURCE)
    return millis / 1000


def whole(option: str, low: int, high: int | None = None) -> Callable[[str], int]:
    """Return a parser of whole numbers from ``low`` to ``high``, for ``typer.Option``."""
    allowed = f"a whole number from {low} to {high}" if high is not None else f"a whole number from {low} on"

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError as error:
            raise BadInput(option, text, allowed, SOURCE) from error
        if number < low or (high is not None and number > high):
            raise BadInput(option, number, allowed, SOURCE)
        return number

    return parse


def speed(text: str) -> float | None:
    """Return simulated seconds per real second; None for ``max`` (virtual time)."""
    if text == "max":
        return None
    return float(positive("--speed", text, "a number above 0 and up to 1000, or max", most=Decimal(1000)))


Seed = Annotated[
    int, typer.Option(help="Everything random follows from it.", parser=whole("--seed", 0), metavar=WHOLE)
]


def live_speed(text: str) -> float:
    """Return the pace of a process beside others, which never jumps."""
    pace = speed(text)
    if pace is None:
        raise BadInput("--speed", text, "a number: other processes live in real time", SOURCE)
    return pace


def positive(option: str, text: str, allowed: str, *, most: Decimal) -> Decimal:
    """Return a number above 0 and at most ``most``."""
    number = _number(option, text, allowed)
    if not 0 < number <= most:
        raise BadInput(option, text, allowed, SOURCE)
    return number


def amount(option: str, text: str) -> Decimal:
    """Return how much there is of something: 0 or more."""
    allowed = "a number from 0 to 1000000000000"
    number = _number(option, text, allowed)
    if not 0 <= number <= 10**12:
        raise BadInput(option, text, allowed, SOURCE)
    return number


def _number(option: str, text: str, allowed: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise BadInput(option, text, allowed, SOURCE) from error
    if not number.is_finite():
        raise BadInput(option, text, allowed, SOURCE)
    return number


def date(option: str, text: str) -> Millis:
    """Return the moment an ISO date or time names, UTC where it names no zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(option, text, "a date such as 2026-01-31", SOURCE) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return Millis(max(0, int(moment.timestamp() * 1000)))


def folder(option: str, path: Path | None) -> Path | None:
    """Make a folder if it is not there and return it."""
    if path is not None:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(
                option, str(path), f"a folder that can be made ({error.strerror})", SOURCE
            ) from error
    return path


def writable(option: str, path: Path | None) -> Path | None:
    """Check before a long run that its result can be written, leaving what is there (or is not) as it is."""
    if path is not None:
        try:
            is_new = not path.exists()
            with path.open("ab"):
                pass
            if is_new:
                path.unlink()
        except OSError as error:
            raise BadInput(
                option, str(path), f"a file that can be written ({error.strerror})", SOURCE
            ) from error
    return path


def tell(value: Any, as_json: bool) -> None:
    """Print a value as indented JSON, or for people a line for each thing in it: ``bundles.landed  12``."""
    typer.echo(json.dumps(value, indent=2) if as_json else "\n".join(_lines(value, "")))


def _lines(value: Any, name: str) -> Iterator[str]:
    if not isinstance(value, dict | list):
        yield f"{name:<40} {'-' if value is None else value}"
        return
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value, 1):
        yield from _lines(inner, f"{name}.{key}" if name else str(key))


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, whole or not at all (a pipe or device is written to directly)."""
    text = json.dumps(value, indent=2) + "\n"
    if path.exists() and not path.is_file():
        path.write_text(text)
        return
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text)
    partial.replace(path)


def world(
    seed: int,
    prices: Path | None,
    time_scale: str,
    faults: str,
    run_s: float | None,
    *,
    wallets: int,
    sole_maker: bool = False,
    dollars: tuple[Path | None, str | None] = (None, None),
) -> WorldOptions:
    """Return the world that the options shared by ``demo`` and ``sandbox`` describe; refuse bad ones now.

    ``dollars``: the file of dollars per SOL, and where in it to begin.
    """
    sol_usd, sol_usd_from = dollars
    scale = positive("--time-scale", time_scale, "a number above 0 and up to 100000", most=Decimal(100_000))
    if prices is None and sol_usd is None and scale != 1:
        raise BadInput("--time-scale", time_scale, "only together with --prices or --sol-usd", SOURCE)
    if sol_usd is None and sol_usd_from is not None:
        raise BadInput("--sol-usd-from", sol_usd_from, "only together with --sol-usd", SOURCE)
    run_ms = None if run_s is None else int(run_s * 1000)
    long_enough = None if run_ms is None else int(run_ms * scale)
    path, dollar_path = _played(prices, None, long_enough), _played(sol_usd, sol_usd_from, long_enough)
    Faults.load(faults, seed)
    # Beside a recorded path what one engine has found is compared with another, and with a backtest.
    crowd = CrowdOptions(same_takers=prices is not None)
    crowd = crowd.without_makers() if sole_maker else crowd
    return WorldOptions(
        seed=seed,
        wallets=wallets,
        path=path,
        sol_usd=dollar_path,
        time_scale=scale,
        run_ms=run_ms,
        faults=faults,
        crowd=crowd,
    )


def _played(file: Path | None, start: str | None, length_ms: int | None) -> PricePath | None:
    """Return a recorded path from ``start`` on; raise BadInput where it is not ``length_ms`` long."""
    if file is None:
        return None
    path = load_prices(file)
    if path.skipped:
        print(f"{file}: {path.skipped} rows without a price above 0 skipped", file=sys.stderr)
    if start is not None:
        path = path.since(_moment("--sol-usd-from", start))
    if length_ms is not None:
        path.require(length_ms)
    return path


def _moment(option: str, text: str) -> int:
    """Return an ISO 8601 date or time, UTC where it names no zone, in milliseconds since 1970."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(option, text, "a date or time, such as 2022-11-01", SOURCE) from error
    return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


def configured(
    path: Path | None, adjusted: Callable[[Configuration], Configuration] = lambda found: found
) -> tuple[Settings, SettingsFile | None]:
    """Return the settings, and their file if there is one to watch; say what in it has no effect."""
    environ = dict(os.environ)

    def again() -> Configuration:
        return adjusted(read(path, environ))

    configuration = again()
    for note in configuration.notes():
        print(f"bmv: {note}", file=sys.stderr)
    # A pipe can be read only once, so only a real file is watched.
    file = SettingsFile(path, configuration, again) if path and path.is_file() else None
    return configuration.settings, file
