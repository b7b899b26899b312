"""What the world outside the chain says a SOL costs: Hermes, Coinbase, Kraken, Binance, Jupiter's price.

Rules of this file
- One path of SOL/USD stands behind all of them; each service strays from it by up to four basis points, by a
  hash of its name and the second, so that equal runs see equal prices.
- Shapes are those of the real services, errors included; Kraken answers 200 whatever happens.
- EUR/USD stands still.
"""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import orjson

from bmv.sandbox.chain import Chain
from bmv.sandbox.faults import Faults
from bmv.sandbox.people.publisher import DOLLARS_PER_EURO
from bmv.sandbox.people.reference import Reference
from bmv.sandbox.rpc_front import UNAVAILABLE, Answer, garbled
from bmv.sandbox.wire import Json
from bmv.venue.pyth import EUR_USD, SOL_USD
from bmv.venue.token import WRAPPED_SOL

STRAY_BPS = 4
HOUR_S, MOST_CANDLES = 3_600, 300
HALF_SPREAD = Decimal("0.0002")
OFF = Decimal("1.10")
CENT = Decimal("0.0001")
UNKNOWN: dict[str, Answer] = {
    "hermes": (404, "text/plain", b"Price ids not found"),
    "kraken": (200, "application/json", b'{"error":["EQuery:Unknown asset pair"]}'),
}
"""What services answer to a pair they do not have."""
FEEDS = {SOL_USD.hex(): "SOL", EUR_USD.hex(): "EUR"}


class PriceFront:
    """Answer the price services' GET requests for one world."""

    def __init__(self, chain: Chain, sol_usd: Reference, faults: Faults) -> None:
        self._chain, self._sol_usd, self._faults = chain, sol_usd, faults
        self.routes: dict[str, Callable[[dict[str, str]], Answer]] = {
            "/hermes/v2/updates/price/latest": lambda query: self._answer("hermes", query),
            "/coinbase/products/SOL-USD/ticker": lambda query: self._answer("coinbase", query),
            "/coinbase/products/SOL-USD/candles": lambda query: self._answer("candles", query),
            "/kraken/0/public/Ticker": lambda query: self._answer("kraken", query),
            "/binance/api/v3/ticker/bookTicker": lambda query: self._answer("binance", query),
            "/jup/price/v3": lambda query: self._answer("jupiter", query),
        }
        self._bodies: dict[str, Callable[[dict[str, str]], Json]] = {
            "hermes": self._hermes,
            "coinbase": self._coinbase,
            "candles": self._candles,
            "kraken": self._kraken,
            "binance": self._binance,
            "jupiter": self._jupiter,
        }

    def price(self, service: str, asset: str) -> Decimal:
        """Return what a service says an asset costs now, in dollars."""
        now = self._chain.now()
        price = DOLLARS_PER_EURO if asset == "EUR" else self._sol_usd.price_at(now)
        stray = _drawn(service, now // 1000, 2 * STRAY_BPS + 1) - STRAY_BPS
        price *= 1 + Decimal(stray) / 10_000
        return price * OFF if self._faults.strikes("price_off") else price

    def _answer(self, service: str, query: dict[str, str]) -> Answer:
        if self._faults.strikes("price_unreachable"):
            return UNAVAILABLE
        if self._faults.strikes("price_rate_limited"):
            return 429, "application/json", b'{"message":"Too many requests"}'
        try:
            body = orjson.dumps(self._bodies[service](query))
        except KeyError:
            return UNKNOWN.get(service, (400, "application/json", b'{"code":-1121,"msg":"Invalid symbol."}'))
        if self._faults.strikes("price_garbled"):
            return garbled(body, self._faults.injected["price_garbled"])
        return 200, "application/json", body

    def _sides(self, service: str, asset: str) -> tuple[str, str, str]:
        """Return bid, ask and a size, as text."""
        price = self.price(service, asset)
        bid, ask = ((price * (1 + sign * HALF_SPREAD)).quantize(CENT) for sign in (-1, 1))
        return f"{bid:f}", f"{ask:f}", f"{_drawn(service + ' size', self._chain.now(), 900) + 100}.0"

    def _hermes(self, query: dict[str, str]) -> Json:
        feed = query["ids[]"].removeprefix("0x")
        price, seconds = self.price("hermes", FEEDS[feed]), self._chain.now() // 1000
        value = {
            "price": str(int(price * 10**8)),
            "conf": str(int(price * 10**8 / 2_000)),
            "expo": -8,
            "publish_time": seconds,
        }
        times = {"slot": self._chain.slot, "proof_available_time": seconds, "prev_publish_time": seconds - 1}
        parsed = {"id": feed, "price": value, "ema_price": value, "metadata": times}
        return {"binary": {"encoding": "base64", "data": ["UE5BVQ=="]}, "parsed": [parsed]}

    def _coinbase(self, _query: dict[str, str]) -> Json:
        bid, ask, size = self._sides("coinbase", "SOL")
        at = datetime.fromtimestamp(self._chain.now() / 1000, UTC)
        when = at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {
            "ask": ask,
            "bid": bid,
            "volume": size,
            "trade_id": self._chain.slot,
            "price": bid,
            "size": "0.25",
            "time": when,
        }

    def _candles(self, query: dict[str, str]) -> Json:
        """Return the hours asked for that have begun, newest first; before the world began nothing moved."""
        length = int(query["granularity"])
        start, end = (int(datetime.fromisoformat(query[name]).timestamp()) for name in ("start", "end"))
        if length != HOUR_S or (end - start) // length >= MOST_CANDLES:
            raise KeyError("granularity")
        last = min(end, self._chain.now() // 1_000) // length * length
        return [self._candle(second) for second in range(last, start - 1, -length)]

    def _candle(self, second: int) -> Json:
        moments = [second * 1_000 + minute * 60_000 for minute in range(60)]
        prices = [float(self._sol_usd.price_at(min(at, self._chain.now()))) for at in moments]
        return [second, min(prices), max(prices), prices[0], prices[-1], 1_000.0]

    def _kraken(self, query: dict[str, str]) -> Json:
        pair = query["pair"]
        bid, ask, size = self._sides("kraken", {"SOLUSD": "SOL", "EURUSD": "EUR"}[pair])
        ticker = {
            "a": [ask, "10", size],
            "b": [bid, "5", size],
            "c": [bid, "0.25"],
            "v": [size, size],
            "p": [bid, bid],
            "t": [10, 20],
            "l": [bid, bid],
            "h": [ask, ask],
            "o": bid,
        }
        return {"error": [], "result": {pair: ticker}}

    def _binance(self, query: dict[str, str]) -> Json:
        symbol = query["symbol"]
        bid, ask, size = self._sides("binance", {"SOLUSDT": "SOL", "EURUSDT": "EUR"}[symbol])
        return {"symbol": symbol, "bidPrice": bid, "bidQty": size, "askPrice": ask, "askQty": size}

    def _jupiter(self, query: dict[str, str]) -> Json:
        mint = str(WRAPPED_SOL)
        if mint not in query["ids"].split(","):
            return {}
        return {
            mint: {
                "createdAt": "2024-06-05T08:55:25.527Z",
                "liquidity": 621679197.67,
                "usdPrice": float(self.price("jupiter", "SOL")),
                "blockId": self._chain.slot,
                "decimals": 9,
                "priceChange24h": 0.0,
            }
        }


def _drawn(what: str, moment: int, below: int) -> int:
    digest = hashlib.blake2b(f"{what} {moment}".encode(), digest_size=4).digest()
    return int.from_bytes(digest) % below
