"""The report worked out a second time, from the raw tables and in other ways: whole numbers and fractions.

Nothing of ``bmv.report`` is used here. ``of`` takes every row of every table as PostgreSQL holds it.
"""

import datetime
import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from fractions import Fraction
from itertools import accumulate
from typing import Any

import asyncpg

from bmv.secret import Secret

TABLES = ("market", "trade", "fill", "own_order", "bundle", "event", "book", "sample", "markout")
PARTS = ["spread", "inventory", "fees", "rebates", "network_fees", "tips", "rent", "conversions", "dollars"]
PARTS += ["transfers"]
SIDES = ("bid", "ask")
HORIZONS = (1, 5, 30, 60, 300, 900, 3600)
BANDS = ("0.5%", "1%", "2%", "5%")
SOL = 10**9
FINE = 2**24
DAY = 86_400_000
Rows = dict[str, list[dict[str, Any]]]


async def rows_of(url: Secret) -> Rows:
    """Return every row of the tables the report is made of."""
    connection = await asyncpg.connect(url.reveal(), server_settings={"search_path": "bmv"})
    try:
        return {
            name: [
                json.loads(row[0]) for row in await connection.fetch(f"SELECT row_to_json(t) FROM {name} t")
            ]
            for name in TABLES
        }
    finally:
        await connection.close()


class Recomputed:
    """One market's rows; ``told`` is what a report on them has to say."""

    def __init__(self, rows: Rows, market: int, start: int | None = None, end: int | None = None) -> None:
        self.market = next(row for row in rows["market"] if row["id"] == market)
        self.rows = {
            name: [row for row in of if row.get("market") == market]
            for name, of in rows.items()
            if name != "market"
        }
        samples = [
            one
            for one in self.rows["sample"]
            if (start is None or one["at"] >= start) and (end is None or one["at"] < end)
        ]
        self.samples = sorted(samples, key=lambda one: (one["run"], one["at"]))
        self.start = min(one["run"] for one in samples) if start is None else start
        self.end = max(one["at"] for one in samples) + 1 if end is None else end
        self.settled = [one for one in self.samples if one["settled"]]
        self.lot = self.market["quote_lot_size"]
        self.fills = [one for one in self.rows["fill"] if self.inside(one["at"])]
        self.trades = [one for one in self.rows["trade"] if self.inside(one["at"])]
        self.brought = [row for row in self.rows["book"] if row["part"] == "transfers"]
        self.runs: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for one in self.settled:
            self.runs[one["run"]].append(one)

    def inside(self, at: int | None) -> bool:
        return at is not None and self.start <= at < self.end

    def worth(self, held: dict[str, Any], at: dict[str, Any]) -> int:
        total: int = held["sol"] + held["base"] * at["mark"] * self.lot
        return total + (held["usdc"] * SOL // at["sol_usd"] if at["sol_usd"] else 0)

    def equity(self, sample: dict[str, Any]) -> int:
        return self.worth(sample, sample)

    def booked(self, run: int, after: int, until: int) -> dict[str, int]:
        parts = dict.fromkeys(PARTS, 0)
        for row in self.rows["book"]:
            if row["run"] == run and after < row["number"] <= until:
                parts[row["part"]] += row["lamports"]
        return parts

    def told(self) -> dict[str, Any]:
        """Return the whole report."""
        return {
            "market": self.market["address"],
            "world": self.market["world"],
            "period": self.period(),
            "pnl": self.pnl(),
            "benchmarks": self.benchmarks(),
            "quotes": self.quotes(self.samples, self.end - self.start),
            "fills": self.told_fills(),
            "fill_ratio": {side: self.ratio(number) for number, side in enumerate(SIDES)},
            "markouts": self.markouts(),
            "inventory": self.inventory(),
            "costs": self.costs(),
            "conversions": self.conversions(),
            "rent": self.rent(),
            "days": self.days(),
        }

    def period(self) -> dict[str, Any]:
        spans: dict[int, list[int]] = defaultdict(list)
        for one in self.samples:
            spans[one["run"]].append(one["at"])
        return {
            "from_ms": self.start,
            "to_ms": self.end,
            "from": iso(self.start),
            "to": iso(self.end),
            "market_trades_from": iso(max(self.start, self.market["kept_from"])),
            "covered_ms": sum(max(times) - min(times) for times in spans.values()),
            "runs": len(spans),
            "samples": len(self.samples),
            "settled": len(self.settled),
        }

    def totals(self) -> dict[str, int]:
        totals = dict.fromkeys(PARTS, 0)
        for run, of in self.runs.items():
            for part, amount in self.booked(run, of[0]["booked"], of[-1]["booked"]).items():
                totals[part] += amount
        return totals

    def pnl(self) -> dict[str, Any]:
        change = sum(self.equity(of[-1]) - self.equity(of[0]) for of in self.runs.values())
        first, last = self.equity(self.settled[0]), self.equity(self.settled[-1])
        numbers = {(row["run"], row["number"]) for row in self.rows["book"]}
        missing = [
            (run, number)
            for run, of in self.runs.items()
            for number in range(of[0]["booked"] + 1, of[-1]["booked"] + 1)
            if (run, number) not in numbers
        ]
        return {
            "equity_start_sol": sol(first),
            "equity_end_sol": sol(last),
            "parts_lamports": self.totals(),
            "change_lamports": change,
            "residual_lamports": change - sum(self.totals().values()),
            "between_runs_lamports": last - first - change,
            "ledger_rows_missing": len(missing),
        }

    def earned(self, sample: dict[str, Any]) -> int:
        """Return what was owned in a sample, less what wallets brought after the first one of its run."""
        begin = self.runs[sample["run"]][0]["booked"]
        rows = (row for row in self.brought if row["run"] == sample["run"])
        late = (int(row["lamports"]) for row in rows if begin < row["number"] <= sample["booked"])
        return self.equity(sample) - sum(late)

    def benchmarks(self) -> dict[str, Any]:
        ours = sum(self.earned(of[-1]) - self.earned(of[0]) for of in self.runs.values())
        hold = sum(self.worth(of[0], of[-1]) - self.equity(of[0]) for of in self.runs.values())
        tokens = sum(
            self.equity(of[0]) * of[-1]["mark"] // of[0]["mark"] - self.equity(of[0])
            for of in self.runs.values()
        )
        return {
            "ours_sol": sol(ours),
            "hold_sol": sol(hold),
            "sol_sol": sol(0),
            "tokens_sol": sol(tokens),
            "ours_against_hold_sol": sol(ours - hold),
            "drawdown_ours": fall([self.earned(one) for one in self.settled]),
            "drawdown_hold": fall([self.worth(self.runs[one["run"]][0], one) for one in self.settled]),
        }

    def quotes(self, samples: list[dict[str, Any]], millis: int) -> dict[str, Any]:
        def total(key: str) -> int:
            return sum(one[key] for one in samples)

        present: dict[str, int | None] = {side: total(f"present_{side}") for side in SIDES}
        unknown = any(one["present_both"] is None for one in samples)
        present["both"] = None if unknown else total("present_both")
        depth: dict[str, Any] = {band: {} for band in BANDS}
        for place, band in enumerate(BANDS):
            for half, side in enumerate(SIDES):
                own = sum(one["depth"][half * 4 + place] for one in samples)
                everybody = sum(one["depth"][8 + half * 4 + place] for one in samples)
                time = total("depth_millis")
                depth[band][side] = {
                    "own_sol": sol(own // time) if time else None,
                    "all_sol": sol(everybody // time) if time else None,
                    "own_share": part(own, everybody),
                }
        return {
            "quoting_share": part(total("quoting"), millis),
            "uptime": {name: part(present[name], total("quoting")) for name in present},
            "uptime_of_all": {name: part(present[name], millis) for name in present},
            "spread_bps": part(total("spread_weighted"), total("spread_millis")),
            "depth": depth,
        }

    def value(self, rows: Iterable[dict[str, Any]]) -> int:
        return sum(row["price"] * row["size"] * self.lot for row in rows)

    def told_fills(self) -> dict[str, Any]:
        bids, asks = ([one for one in self.fills if one["side"] == side] for side in (0, 1))
        own = [one for one in self.trades if one["own"]]
        return {
            "count": len(self.fills),
            "bids": len(bids),
            "asks": len(asks),
            "bought_sol": sol(self.value(bids)),
            "sold_sol": sol(self.value(asks)),
            "rebates_sol": sol(sum(one["rebate"] for one in self.fills)),
            "fees_sol": sol(sum(one["fee"] for one in self.fills)),
            "counterparties": len(Counter(one["counterparty"] for one in self.fills)),
            "self_trades": len([one for one in self.fills if one["self_trade"]]),
            "market_trades": len(self.trades),
            "market_sol": sol(self.value(self.trades)),
            "share_of_market": part(self.value(own), self.value(self.trades)),
        }

    def ratio(self, side: int) -> dict[str, Any]:
        ended = [
            one for one in self.rows["own_order"] if one["side"] == side and self.inside(one["ended_at"])
        ]
        groups = grouped(ended, [one["level"] for one in ended])
        return {
            "orders": len(ended),
            "endings": dict(sorted(Counter(one["ending"] for one in ended).items())),
            "filled_share": part(sum(o["filled"] for o in ended), sum(o["size"] for o in ended)),
            "filled_share_by_level": {
                level: part(sum(o["filled"] for o in of), sum(o["size"] for o in of))
                for level, of in groups.items()
            },
        }

    def markouts(self) -> dict[str, Any]:
        levels = {one["order_id"]: one["level"] for one in self.rows["own_order"]}
        groups = grouped(self.fills, [levels.get(one["order_id"]) for one in self.fills])
        return {
            "by_side": {
                name: self.curve([one for one in self.fills if one["side"] == side])
                for side, name in enumerate(SIDES)
            },
            "by_level": {
                name: {
                    level: self.curve([one for one in of if one["side"] == side])
                    for level, of in groups.items()
                }
                for side, name in enumerate(SIDES)
            },
        }

    def curve(self, fills: list[dict[str, Any]]) -> dict[str, Any]:
        later = {(one["seq"], one["horizon"]): int(one["price_fine"]) for one in self.rows["markout"]}
        told = {}
        for horizon in HORIZONS:
            known = [one for one in fills if (one["seq"], horizon) in later]
            gain = 0
            for one in known:
                moved = later[one["seq"], horizon] - one["price"] * FINE
                gain += one["size"] * (-moved if one["side"] else moved) * self.lot // FINE
            worth = self.value(known)
            told[f"{horizon}s"] = {
                "fills": len(known),
                "gain_sol": sol(gain),
                "bps": part(gain * 10_000, worth),
            }
        return told

    def inventory(self) -> dict[str, Any]:
        token = Fraction(self.market["base_lot_size"], 10 ** self.market["base_decimals"])
        shares = [Fraction(one["base"] * one["mark"] * self.lot, self.equity(one)) for one in self.settled]
        equity = Fraction(sum(self.equity(one) for one in self.settled), len(self.settled))
        days = Fraction(sum(of[-1]["at"] - of[0]["at"] for of in self.runs.values()), DAY)
        base = [one["base"] * token for one in self.settled]
        return {
            "start_tokens": base[0],
            "end_tokens": base[-1],
            "least_tokens": min(base),
            "most_tokens": max(base),
            "share_of_equity": {"mean": sum(shares) / len(shares), "least": min(shares), "most": max(shares)},
            "turnover_sol": sol(self.value(self.fills)),
            "turnover_of_equity_per_day": self.value(self.fills) / equity / days if days else None,
        }

    def costs(self) -> dict[str, Any]:
        ended = [one for one in self.rows["bundle"] if self.inside(one["ended_at"])]
        landed = [one for one in ended if one["outcome"] == "landed"]
        tips, fees = sum(one["tip"] for one in landed), sum(one["fees"] for one in landed)
        return {
            "bundles": dict(sorted(Counter(one["outcome"] for one in ended).items())),
            "landed_share": part(len(landed), len(ended)),
            "tips_sol": sol(tips),
            "network_fees_sol": sol(fees),
            "breakeven_spread_bps": part((tips + fees) * 10_000, self.value(self.fills)),
        }

    def conversions(self) -> dict[str, Any]:
        made = [
            one
            for one in self.rows["event"]
            if one["name"] in ("FIAT_INJECTION", "FIAT_RESERVE") and self.inside(one["at"])
        ]
        amounts = {
            name: sum(one["fields"]["sol"] for one in made if one["name"] == name)
            for name in ("FIAT_INJECTION", "FIAT_RESERVE")
        }
        booked = [
            (row["at"], int(row["cause"].removeprefix("conversion ")))
            for row in self.rows["book"]
            if row["cause"].startswith("conversion ")
        ]
        network = 0
        for bundle in self.rows["bundle"]:
            if bundle["outcome"] != "landed" or not self.inside(bundle["ended_at"]):
                continue
            near = range(bundle["sent_at"], bundle["sent_at"] + 3_600_000)
            if any(at in near and ticket in bundle["tickets"] for at, ticket in booked):
                network += bundle["tip"] + bundle["fees"]
        return {
            "count": len(made),
            "bought_sol": sol(amounts["FIAT_INJECTION"]),
            "sold_sol": sol(amounts["FIAT_RESERVE"]),
            "usdc": Fraction(sum(one["fields"]["usdc"] for one in made), 10**6),
            "cost_against_oracle_sol": sol(-self.totals()["conversions"]),
            "network_cost_sol": sol(network),
            "usdc_held": Fraction(self.settled[-1]["usdc"], 10**6),
        }

    def rent(self) -> dict[str, Any]:
        back = [one for one in self.rows["event"] if one["name"] == "RENT_RECLAIM" and self.inside(one["at"])]
        return {
            "locked_sol": sol(self.settled[-1]["rent"]),
            "recovered_sol": sol(sum(one["fields"]["lamports"] for one in back)),
            "accounts_closed": len(back),
        }

    def days(self) -> list[dict[str, Any]]:
        tick = Fraction(self.lot * 10 ** self.market["base_decimals"], SOL * self.market["base_lot_size"])
        found = []
        for day in sorted({one["at"] // DAY for one in self.settled}):
            samples = [one for one in self.samples if one["at"] // DAY == day]
            parts, change = dict.fromkeys(PARTS, 0), 0
            for run, of in self.runs.items():
                today = [one for one in of if one["at"] // DAY == day]
                before = [one for one in of if one["at"] // DAY < day]
                if today:
                    first, last = (before[-1] if before else today[0]), today[-1]
                    change += self.equity(last) - self.equity(first)
                    for name, amount in self.booked(run, first["booked"], last["booked"]).items():
                        parts[name] += amount
            begin, end = max(day * DAY, self.start), min(day * DAY + DAY, self.end)
            told = self.quotes(samples, end - begin)
            last = [one for one in samples if one["settled"]][-1]
            trades = [one for one in self.trades if one["at"] // DAY == day]
            row = {
                "day": iso(day * DAY)[:10],
                "equity_sol": sol(self.equity(last)),
                "price": last["mark"] * tick,
                "change_lamports": change,
                **{f"{name}_lamports": amount for name, amount in parts.items()},
                "quoting_share": told["quoting_share"],
                "uptime_bid": told["uptime"]["bid"],
                "uptime_ask": told["uptime"]["ask"],
                "uptime_both": told["uptime"]["both"],
                "spread_bps": told["spread_bps"],
                "fills": len([one for one in self.fills if one["at"] // DAY == day]),
                "own_sol": sol(self.value(one for one in trades if one["own"])),
                "market_sol": sol(self.value(trades)),
            }
            for band in BANDS:
                for side in SIDES:
                    for key in ("own_sol", "own_share"):
                        row[f"depth_{band[:-1]}pct_{side}_{key}"] = told["depth"][band][side][key]
            found.append(row)
        return found


def grouped(rows: list[dict[str, Any]], levels: list[int | None]) -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row, level in zip(rows, levels, strict=True):
        name, low = "unknown", 1
        while level is not None:
            if low <= level + 1 < 2 * low:
                name = "1" if low == 1 else f"{low}-{2 * low - 1}"
                break
            low *= 2
        groups[name].append(row)
    return groups


def fall(course: list[int]) -> Fraction:
    peaks = accumulate(course, max)
    return max(Fraction(peak - value, peak) for peak, value in zip(peaks, course, strict=True))


def sol(lamports: int) -> Fraction:
    return Fraction(lamports, SOL)


def part(of: int | None, whole: int) -> Fraction | None:
    return Fraction(of, whole) if whole and of is not None else None


def iso(millis: int) -> str:
    moment = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(milliseconds=millis)
    return moment.replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def differences(told: Any, expected: Any, where: str = "") -> list[str]:
    """Return every leaf of a report that is not what it has to be; floats are rounded to six places."""
    if isinstance(expected, dict):
        if not isinstance(told, dict) or set(told) != set(expected):
            return [f"{where}: keys {sorted(map(str, told))} instead of {sorted(expected)}"]
        return [each for key in expected for each in differences(told[key], expected[key], f"{where}.{key}")]
    if isinstance(expected, list):
        if len(told) != len(expected):
            return [f"{where}: {len(told)} instead of {len(expected)}"]
        pairs = enumerate(zip(told, expected, strict=True))
        return [each for n, (a, b) in pairs for each in differences(a, b, f"{where}[{n}]")]
    if isinstance(told, float) and expected is not None:
        same = abs(Fraction(told) - expected) <= Fraction(1, 10**6)
    elif isinstance(expected, Fraction):
        same = isinstance(told, str) and Fraction(told) == expected
    else:
        same = type(told) is type(expected) and told == expected
    return [] if same else [f"{where}: {told!r} instead of {expected!r}"]


def leaves(told: Any) -> int:
    """Return how many numbers and texts a report holds."""
    if isinstance(told, dict):
        return sum(map(leaves, told.values()))
    return sum(map(leaves, told)) if isinstance(told, list) else 1
