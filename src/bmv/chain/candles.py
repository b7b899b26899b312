"""What a SOL cost in the past, by the hour: Coinbase's candles.

Shape: its public documentation. A candle is [unix second, low, high, open, close, volume], newest first, at
most 300 an answer; hours without a trade are absent.
"""

import random
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import aiohttp

from bmv.chain.http import Endpoint, Patience, exchange, json_value
from bmv.chain.shape import natural, read_shape
from bmv.chain.tickers import HEADERS, micros

HOUR_S = 3_600
HOURS = 300
PATH = "/products/SOL-USD/candles"


class Candles:
    """Ask Coinbase for hours; every read raises OutsideError kinds only."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, *, rng: random.Random, timeout_s: float = 20.0
    ) -> None:
        self._session, self._endpoint = session, Endpoint("coinbase", url)
        self._patience = Patience(rng, 4, timeout_s)

    async def opened(self, first: int, last: int) -> dict[int, int]:
        """Return hour (since 1970) -> micro-dollars at its beginning, from ``first`` to ``last`` at most."""
        found: dict[int, int] = {}
        for start in range(first, last + 1, HOURS):
            end = min(last, start + HOURS - 1)
            span = {"start": _iso(start), "end": _iso(end)}
            asked = self._endpoint.at(f"{PATH}?{urlencode({'granularity': HOUR_S, **span})}")

            async def attempt(timeout_s: float, endpoint: Endpoint = asked) -> dict[int, int]:
                answer = await exchange(self._session, endpoint, timeout_s, headers=HEADERS)
                return read_shape(endpoint, "candles", json_value(endpoint, answer), _parsed)

            part = await self._patience.read(attempt)
            found |= {hour: price for hour, price in part.items() if start <= hour <= end}
        return found


def _parsed(value: Any) -> dict[int, int]:
    if not isinstance(value, list):
        raise TypeError("not a list")
    return {natural(candle[0]) // HOUR_S: micros(str(_number(candle[3]))) for candle in value}


def _number(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("not a number")
    return Decimal(str(value))


def _iso(hour: int) -> str:
    return datetime.fromtimestamp(hour * HOUR_S, UTC).isoformat()
