"""The public feed's routes: anybody may read, from any page; nothing can be changed.

It listens on this machine alone, as everything here does: what the world sees of it is for a reverse proxy to
say. While the chain cannot be read the answer is 503, never an old book.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bmv.web.guard import json_answer

MOST = 1_000
HEADERS = {
    "access-control-allow-origin": "*",
    "x-content-type-options": "nosniff",
    "cache-control": "max-age=2",
}


class Ticker(Protocol):
    """A market as ``services`` tells of it."""

    ticker_id: str

    def pairs(self) -> list[dict[str, Any]]:
        """Return the pairs."""
        ...

    def tickers(self) -> list[dict[str, Any]]:
        """Return the day's figures."""
        ...

    def order_book(self, depth: int) -> dict[str, Any]:
        """Return so many levels."""
        ...

    def trades(self, limit: int, kind: str | None = None) -> dict[str, list[dict[str, Any]]]:
        """Return the newest trades."""
        ...


class _Wrong(Exception):
    """A query that cannot be answered; the text says what could."""


def create_feed(ticker: Ticker, fresh: Callable[[], bool]) -> Starlette:
    """Return the app over a market; ``fresh`` says whether the chain was read of late."""

    def answering(tell: Callable[[Mapping[str, str]], Any]) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            if not fresh():
                told = json_answer({"error": "the chain cannot be read at the moment"}, 503)
            else:
                try:
                    told = json_answer(tell(request.query_params))
                except _Wrong as error:
                    told = json_answer({"error": str(error)}, 400)
            told.headers.update(HEADERS)
            return told

        return answer

    def order_book(query: Mapping[str, str]) -> dict[str, Any]:
        _asked(query, ticker)
        return ticker.order_book(_number(query, "depth", 100))

    def trades(query: Mapping[str, str]) -> dict[str, Any]:
        _asked(query, ticker)
        kind = query.get("type")
        if kind not in (None, "buy", "sell"):
            raise _Wrong("type: buy or sell")
        return ticker.trades(_number(query, "limit", 100), kind)

    return Starlette(
        routes=[
            Route("/pairs", answering(lambda _: ticker.pairs())),
            Route("/tickers", answering(lambda _: ticker.tickers())),
            Route("/orderbook", answering(order_book)),
            Route("/historical_trades", answering(trades)),
        ]
    )


def _asked(query: Mapping[str, str], ticker: Ticker) -> None:
    if query.get("ticker_id", ticker.ticker_id) != ticker.ticker_id:
        raise _Wrong(f"ticker_id: {ticker.ticker_id}")


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) < 5 and int(text) <= MOST):
        raise _Wrong(f"{name}: a whole number up to {MOST}")
    return int(text)
