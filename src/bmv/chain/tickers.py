"""Prices over HTTP: Hermes, Coinbase, Kraken, Binance, and Jupiter's own as a check.

Rules of this file
- One question, one answer, no repetition: the next round asks again, and several are asked at once.
- A price is the middle between bid and ask, half of what lies between them its uncertainty; a crossed book is
  no answer.
- An answer without a time of its own is as old as its last change: a service that repeats itself goes stale.

Shapes: each service's public documentation.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

import aiohttp

from bmv.chain.http import Endpoint, exchange, json_value
from bmv.chain.shape import exactly, natural, read_shape, text
from bmv.core.feeds import Origin, Reading
from bmv.errors import Refused
from bmv.secret import Secret
from bmv.units import Millis, Slot
from bmv.venue.pyth import EUR_USD, SOL_USD, in_micros
from bmv.venue.token import WRAPPED_SOL

MICROS = Decimal(10**6)
HEADERS = {"User-Agent": "bmv", "Accept": "application/json"}


class Pair(StrEnum):
    """What is asked for."""

    SOL_USD = "SOL/USD"
    EUR_USD = "EUR/USD"


FEEDS = {Pair.SOL_USD: SOL_USD, Pair.EUR_USD: EUR_USD}


@dataclass(frozen=True, slots=True)
class Said:
    """A price in an answer, in micro-dollars; ``published`` is None where the answer has no time.

    ``slot`` is the chain's slot it was made in, where the answer says that instead.
    """

    micros: int
    uncertainty: int = 0
    published: Millis | None = None
    slot: Slot | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """One service: how it names the pairs it has (a path below its URL each), and how to read its answer."""

    name: str
    origin: Origin
    paths: Mapping[Pair, str]
    parse: Callable[[Any], Said]
    weight: int = 2
    key_header: tuple[str, str] = ("Authorization", "Bearer {}")


class Ticker:
    """Ask one service. ``slot_now`` returns the chain's newest slot known, for answers that name a slot."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        service: Service,
        url: str,
        *,
        slot_now: Callable[[], Slot],
        timeout_s: float = 5.0,
        key: Secret | None = None,
    ) -> None:
        self.name, self.pairs = service.name, frozenset(service.paths)
        self._session, self._service, self._timeout_s, self._slot_now = session, service, timeout_s, slot_now
        secret = key.reveal() if key else ""
        header, form = service.key_header
        self._headers = HEADERS | ({header: form.format(secret)} if secret else {})
        endpoint = Endpoint(service.name, url, [secret] if secret else [])
        self._endpoints = {pair: endpoint.at(path) for pair, path in service.paths.items()}
        self._changed: dict[Pair, tuple[object, Millis]] = {}

    async def read(self, pair: Pair, now: Millis) -> Reading:
        """Return the service's price; raise OutsideError where it has none."""
        endpoint, service = self._endpoints[pair], self._service
        answer = await exchange(self._session, endpoint, self._timeout_s, headers=self._headers)
        value = json_value(endpoint, answer)
        if isinstance(value, dict) and value.get("error"):
            raise Refused(endpoint.where, endpoint.scrub(str(value["error"])))
        said = read_shape(endpoint, "a price", value, service.parse)
        published = said.published if said.published is not None else self._since(pair, value, said, now)
        return Reading(service.name, service.origin, said.micros, said.uncertainty, published, service.weight)

    def _since(self, pair: Pair, value: object, said: Said, now: Millis) -> Millis:
        """Return since when the answer has been what it is; one that names an old slot is older than that."""
        known = self._changed.get(pair)
        if known is None or known[0] != value:
            known = self._changed[pair] = value, now
        if said.slot is None:
            return known[1]
        behind = max(0, int(self._slot_now()) - int(said.slot))
        return min(known[1], now - Millis(behind * 400))


def _coinbase(value: Any) -> Said:
    at = datetime.fromisoformat(text(value["time"]))
    if at.tzinfo is None:
        raise ValueError("a time without a zone")
    return _between(value["bid"], value["ask"], Millis(int(at.timestamp() * 1000)))


def _kraken(value: Any) -> Said:
    (ticker,) = value["result"].values()
    return _between(ticker["b"][0], ticker["a"][0])


def _binance(value: Any) -> Said:
    return _between(value["bidPrice"], value["askPrice"])


def _hermes(value: Any) -> Said:
    (parsed,) = exactly(1, value["parsed"])
    price, exponent = parsed["price"], parsed["price"]["expo"]
    if not isinstance(exponent, int) or not -18 <= exponent <= 0:
        raise ValueError("an absurd exponent")
    micros, uncertainty = (in_micros(int(text(price[name])), exponent) for name in ("price", "conf"))
    if micros <= 0:
        raise ValueError("a price that is not positive")
    return Said(micros, uncertainty, Millis(natural(price["publish_time"]) * 1000))


def _jupiter(value: Any) -> Said:
    price = value[str(WRAPPED_SOL)]
    number, block = price["usdPrice"], price["blockId"]
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise TypeError("not a number")
    return Said(micros(str(number)), 0, None, None if block is None else Slot(natural(block)))


def _between(bid: object, ask: object, published: Millis | None = None) -> Said:
    low, high = micros(text(bid)), micros(text(ask))
    if low > high:
        raise ValueError("the bid is above the ask")
    return Said((low + high) // 2, (high - low + 1) // 2, published)


def micros(number: str) -> int:
    """Return a price in dollars as micro-dollars; ValueError for what is no price."""
    try:
        value = Decimal(number)
    except InvalidOperation as error:
        raise ValueError("not a number") from error
    if not value.is_finite() or not 0 < value < 10**9:
        raise ValueError("not a price")
    return int(value * MICROS)


HERMES_PATH = "/v2/updates/price/latest?ids%5B%5D={}&parsed=true&encoding=base64"
SERVICES: dict[str, Service] = {
    service.name: service
    for service in (
        Service(
            "hermes",
            Origin.PYTH,
            {pair: HERMES_PATH.format(feed.hex()) for pair, feed in FEEDS.items()},
            _hermes,
        ),
        Service("coinbase", Origin.COINBASE, {Pair.SOL_USD: "/products/SOL-USD/ticker"}, _coinbase),
        Service(
            "kraken",
            Origin.KRAKEN,
            {
                Pair.SOL_USD: "/0/public/Ticker?pair=SOLUSD",
                Pair.EUR_USD: "/0/public/Ticker?pair=EURUSD",
            },
            _kraken,
        ),
        Service(
            "binance",
            Origin.BINANCE,
            {
                Pair.SOL_USD: "/api/v3/ticker/bookTicker?symbol=SOLUSDT",
                Pair.EUR_USD: "/api/v3/ticker/bookTicker?symbol=EURUSDT",
            },
            _binance,
            weight=1,
        ),
        Service(
            "jupiter",
            Origin.CHECK,
            {Pair.SOL_USD: f"/price/v3?ids={WRAPPED_SOL}"},
            _jupiter,
            key_header=("x-api-key", "{}"),
        ),
    )
}
"""Everybody that can be asked over HTTP, by the name ORACLE_SOURCES has for it."""
