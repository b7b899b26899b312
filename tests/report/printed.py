"""What people read of a report, HTML and CSV, against the second working out: every cell, tile and point.

A figure is right where the true value rounds to it: the digits that are shown say how exact it has to be.
"""

import csv
import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

from tests.report.recomputed import BANDS, FINE, PARTS, SIDES, SOL, Recomputed

NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")
Figure = Fraction | float | int | None
Row = tuple[str, list[Figure]]


def tables_of(html: str) -> list[list[tuple[str, str]]]:
    """Return every table's rows without their head: the first cell, and the others as one text."""
    found = []
    for table in re.findall(r"<table>(.*?)</table>", html, re.DOTALL):
        rows = [re.findall(r"<td>(.*?)</td>", row) for row in table.split("</tr>")[1:-1]]
        found.append([(cells[0], " | ".join(cells[1:])) for cells in rows])
    return found


def tiles_of(html: str) -> list[tuple[str, str]]:
    return re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", html)


def plots_of(html: str) -> list[list[tuple[str, list[Any]]]]:
    """Return the name and the heights of every trace of every plot."""
    decoder, found = json.JSONDecoder(), []
    for begin in re.finditer(r'Plotly\.newPlot\(\s*"[\w-]+",\s*', html):
        traces, _ = decoder.raw_decode(html, begin.end())
        found.append([(trace["name"], trace["y"]) for trace in traces])
    return found


def wrong_rows(shown: list[tuple[str, str]], expected: list[Row]) -> list[str]:
    """Return what of a table is not what it has to be."""
    if [label for label, _ in shown] != [label for label, _ in expected]:
        return [f"{[label for label, _ in shown]} instead of {[label for label, _ in expected]}"]
    return [
        f"{label}: {text} instead of {[None if each is None else float(each) for each in figures]}"
        for (label, text), (_, figures) in zip(shown, expected, strict=True)
        if not _says(text, figures)
    ]


def _says(text: str, figures: list[Figure]) -> bool:
    numbers, true = NUMBER.findall(text), [Fraction(each) for each in figures if each is not None]
    return len(numbers) == len(true) and all(map(rounds_to, numbers, true))


def rounds_to(number: str, true: Fraction) -> bool:
    digits, _, power = number.replace(",", "").partition("e")
    unit = Fraction(10) ** (int(power or 0) - len(digits.partition(".")[2]))
    return abs(Fraction(number.replace(",", "")) - true) <= unit * Fraction(51, 100)


def percent(share: Fraction | None) -> Figure:
    return None if share is None else share * 100


def bps(value: Fraction | None) -> Figure:
    return None if value is None else value / 100


def tiles(r: dict[str, Any]) -> list[Row]:
    uptime, near = r["quotes"]["uptime"], r["quotes"]["depth"]["2%"]
    return [
        ("Change of equity, SOL", [Fraction(r["pnl"]["change_lamports"], SOL)]),
        ("Against holding, SOL", [r["benchmarks"]["ours_against_hold_sol"]]),
        ("Bids present", [percent(uptime["bid"])]),
        ("Asks present", [percent(uptime["ask"])]),
        ("Both at once", [percent(uptime["both"])]),
        ("Mean spread", [bps(r["quotes"]["spread_bps"])]),
        ("Own bids within 2 %, SOL", [near["bid"]["own_sol"]]),
        ("Own asks within 2 %, SOL", [near["ask"]["own_sol"]]),
        ("Own part of volume", [percent(r["fills"]["share_of_market"])]),
        ("Fills", [r["fills"]["count"]]),
        ("Self-trades", [r["fills"]["self_trades"]]),
    ]


def tables(r: dict[str, Any]) -> list[list[Row]]:
    return [
        _profit(r),
        _against(r),
        _presence(r),
        _depth(r),
        _trading(r),
        _ended(r),
        _later(r),
        _rest(r),
        _days(r),
    ]


def _profit(r: dict[str, Any]) -> list[Row]:
    pnl = r["pnl"]
    lamports = [pnl["parts_lamports"][name] for name in PARTS]
    lamports += [
        sum(lamports),
        pnl["change_lamports"],
        pnl["residual_lamports"],
        pnl["between_runs_lamports"],
    ]
    names = [name.replace("_", " ") for name in PARTS]
    names += [
        "sum of the parts",
        "change of equity, by the accounts",
        "difference",
        "changed while no engine ran",
    ]
    rows: list[Row] = [(name, [Fraction(each, SOL)]) for name, each in zip(names, lamports, strict=True)]
    return [
        *rows,
        ("equity at the start", [pnl["equity_start_sol"]]),
        ("equity at the end", [pnl["equity_end_sol"]]),
    ]


def _against(r: dict[str, Any]) -> list[Row]:
    told = r["benchmarks"]
    return [
        ("what we did", [told["ours_sol"], percent(told["drawdown_ours"])]),
        ("holding what there was", [told["hold_sol"], percent(told["drawdown_hold"])]),
        ("all in SOL", [0]),
        ("all in tokens", [told["tokens_sol"]]),
    ]


def _presence(r: dict[str, Any]) -> list[Row]:
    told = r["quotes"]
    rows: list[Row] = [
        (name, [percent(told["uptime"][which]), percent(told["uptime_of_all"][which])])
        for name, which in (("bids", "bid"), ("asks", "ask"), ("both at once", "both"))
    ]
    return [*rows, ("engine quoting", [percent(told["quoting_share"])])]


def _depth(r: dict[str, Any]) -> list[Row]:
    found: list[Row] = []
    for band in BANDS:
        for side in SIDES:
            of = r["quotes"]["depth"][band][side]
            found.append((f"{band} {side}s", [of["own_sol"], of["all_sol"], percent(of["own_share"])]))
    return found


def _trading(r: dict[str, Any]) -> list[Row]:
    told = r["fills"]
    return [
        ("fills", [told["count"], told["bids"], told["asks"]]),
        ("bought / sold, SOL", [told["bought_sol"], told["sold_sol"]]),
        ("different counterparties", [told["counterparties"]]),
        ("trades with ourselves", [told["self_trades"]]),
        ("all trades of the market", [told["market_trades"], told["market_sol"]]),
        ("our part of the volume", [percent(told["share_of_market"])]),
        ("rebates / fees, SOL", [told["rebates_sol"], told["fees_sol"]]),
    ]


def _ended(r: dict[str, Any]) -> list[Row]:
    return [
        (f"{side}s", [told["orders"], *told["endings"].values(), percent(told["filled_share"])])
        for side, told in r["fill_ratio"].items()
    ]


def _later(r: dict[str, Any]) -> list[Row]:
    """Return markouts by side and group of levels, groups from the inside."""
    found: list[Row] = []
    for side in SIDES:
        groups = r["markouts"]["by_level"][side]
        for level in sorted(
            groups, key=lambda name: (name == "unknown", int(name.split("-")[0]) if name != "unknown" else 0)
        ):
            curve = groups[level]
            if any(one["fills"] for one in curve.values()):
                worth = [one["bps"] for one in curve.values()]
                found.append((f"{side}s, level {level}", [curve["1s"]["fills"], *worth]))
    return found


def _rest(r: dict[str, Any]) -> list[Row]:
    held, turned, costs, rent = r["inventory"], r["conversions"], r["costs"], r["rent"]
    share = held["share_of_equity"]
    return [
        ("tokens at the start / end", [held["start_tokens"], held["end_tokens"]]),
        ("tokens&#x27; part of equity: mean", [percent(share["mean"])]),
        ("tokens&#x27; part of equity: least / most", [percent(share["least"]), percent(share["most"])]),
        ("turnover, SOL", [held["turnover_sol"]]),
        ("turnover of equity a day", [held["turnover_of_equity_per_day"]]),
        ("conversions", [turned["count"]]),
        ("SOL bought / sold in them", [turned["bought_sol"], turned["sold_sol"]]),
        ("their cost against the oracle&#x27;s price, SOL", [turned["cost_against_oracle_sol"]]),
        ("their tips and network fees, SOL", [turned["network_cost_sol"]]),
        ("USDC held at the end", [turned["usdc_held"]]),
        ("rent locked / recovered, SOL", [rent["locked_sol"], rent["recovered_sol"]]),
        ("bundles", list(costs["bundles"].values())),
        ("tips / network fees, SOL", [costs["tips_sol"], costs["network_fees_sol"]]),
        ("spread that pays for them", [bps(costs["breakeven_spread_bps"])]),
    ]


def _days(r: dict[str, Any]) -> list[Row]:
    return [
        (
            day["day"],
            [
                day["equity_sol"],
                Fraction(day["change_lamports"], SOL),
                *(percent(day[f"uptime_{which}"]) for which in (*SIDES, "both")),
                bps(day["spread_bps"]),
                *(day[f"depth_2pct_{side}_own_sol"] for side in SIDES),
                *(day["fills"], day["own_sol"], day["market_sol"]),
            ],
        )
        for day in r["days"]
    ]


def plots(rows: Recomputed, r: dict[str, Any]) -> list[dict[str, list[Figure]]]:
    """Return the heights of every trace by its name, plot by plot."""
    days, curves, depth = r["days"], r["markouts"]["by_side"], r["quotes"]["depth"]
    tick = Fraction(rows.lot * 10 ** rows.market["base_decimals"], SOL * rows.market["base_lot_size"] * FINE)
    priced = _thinned([one for one in rows.samples if one["price_fine"] is not None])
    settled = _thinned(rows.settled)
    by_part = {name: [Fraction(day[f"{name}_lamports"], SOL) for day in days] for name in PARTS}
    return [
        {
            "ours": [Fraction(rows.earned(one), SOL) for one in settled],
            "holding": [Fraction(rows.worth(rows.runs[one["run"]][0], one), SOL) for one in settled],
        },
        {name.replace("_", " "): list(amounts) for name, amounts in by_part.items() if any(amounts)},
        {f"{side}s": [day[f"uptime_{side}"] for day in days] for side in SIDES},
        {
            f"{side}s, {name}": [depth[band][side][key] or 0 for band in BANDS]
            for side in SIDES
            for name, key in (("ours", "own_sol"), ("everybody", "all_sol"))
        },
        {
            name: [None if one[key] is None else one[key] * tick for one in priced]
            for name, key in (("price", "price_fine"), ("Pivot", "pivot_fine"))
        },
        {f"{side}s": [told["bps"] for told in curves[side].values()] for side in SIDES},
    ]


def _thinned(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return every so many-th sample: a plot of a month has some 2,000 points."""
    return samples[:: max(1, len(samples) // 2_000)]


def wrong_plot(shown: list[tuple[str, list[Any]]], expected: dict[str, list[Figure]]) -> list[str]:
    """Return the traces that do not run where they have to."""
    if dict(shown).keys() != expected.keys():
        return [f"{sorted(dict(shown))} instead of {sorted(expected)}"]
    return [name for name, heights in shown if not _runs(heights, expected[name])]


def _runs(heights: list[Any], true: list[Figure]) -> bool:
    def at(height: float | None, value: Figure) -> bool:
        if height is None or value is None:
            return height is value
        return abs(Fraction(height) - Fraction(value)) <= max(
            Fraction(1, 10**6), abs(Fraction(value)) / 10**9
        )

    return len(heights) == len(true) and all(map(at, heights, true))


def spreadsheets(r: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of every CSV file."""
    curves = [(side, "all", curve) for side, curve in r["markouts"]["by_side"].items()]
    filled = []
    for side in SIDES:
        curves += [(side, level, curve) for level, curve in r["markouts"]["by_level"][side].items()]
        ratio = r["fill_ratio"][side]
        for level, share in {"all": ratio["filled_share"], **ratio["filled_share_by_level"]}.items():
            filled.append({"side": side, "level": level, "filled_share": share})
    return {
        "days.csv": r["days"],
        "parts.csv": [{"part": name, "lamports": r["pnl"]["parts_lamports"][name]} for name in PARTS],
        "depth.csv": [
            {"band": band, "side": side, **r["quotes"]["depth"][band][side]}
            for band in BANDS
            for side in SIDES
        ],
        "markouts.csv": [
            {"side": side, "level": level, "horizon": horizon, **told}
            for side, level, curve in curves
            for horizon, told in curve.items()
        ],
        "fill_ratio.csv": filled,
    }


def wrong_lines(file: Path, expected: list[dict[str, Any]]) -> list[str]:
    """Return the cells of a CSV file that are not what they have to be; the order of its lines is free."""
    with file.open(encoding="utf-8") as lines:
        shown = list(csv.DictReader(lines))
    keys = [name for name in ("day", "part", "band", "side", "level", "horizon") if name in shown[0]]

    def by_key(rows: list[dict[str, Any]]) -> dict[tuple[str, ...], dict[str, Any]]:
        return {tuple(str(row[name]) for name in keys): row for row in rows}

    there, wanted = by_key(shown), by_key(expected)
    if len(shown) != len(expected) or there.keys() != wanted.keys():
        return [f"{file.name}: {sorted(there)} instead of {sorted(wanted)}"]
    return [
        f"{file.name} {key} {name}: {there[key].get(name)} instead of {value}"
        for key, row in wanted.items()
        for name, value in row.items()
        if name not in keys and not _is(there[key].get(name), value)
    ]


def _is(text: str | None, value: Figure) -> bool:
    if value is None or not text:
        return value is None and text == ""
    return abs(Fraction(text) - Fraction(value)) <= (Fraction(1, 10**6) if isinstance(value, Fraction) else 0)
