"""The public feed over HTTP: what aggregators ask, what is refused, and what a stale chain means."""

import asyncio
from typing import Any

import aiohttp
import pytest

from bmv.web.public import create_feed
from bmv.web.server import Server


class Sample:
    """A market with nothing but answers."""

    ticker_id = "BMV_SOL"

    def pairs(self) -> list[dict[str, Any]]:
        return [{"ticker_id": self.ticker_id}]

    def tickers(self) -> list[dict[str, Any]]:
        return [{"ticker_id": self.ticker_id, "last_price": "0.5"}]

    def order_book(self, depth: int) -> dict[str, Any]:
        return {"depth": depth}

    def trades(self, limit: int, kind: str | None = None) -> dict[str, list[dict[str, Any]]]:
        return {kind or "both": [{"limit": limit}]}


def asked(path: str, *, fresh: bool = True, method: str = "GET") -> tuple[int, Any, dict[str, str]]:
    async def ask() -> tuple[int, Any, dict[str, str]]:
        server = Server(create_feed(Sample(), lambda: fresh))
        url = await server.start(port=0)
        try:
            async with aiohttp.ClientSession() as session:
                # A reverse proxy passes on the name of the public site.
                headers = {"Host": "feed.example", "Origin": "https://aggregator.example"}
                async with session.request(method, url + path, headers=headers) as answer:
                    text = await answer.json() if "json" in answer.content_type else await answer.text()
                    return answer.status, text, dict(answer.headers)
        finally:
            await server.stop()

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("pairs", [{"ticker_id": "BMV_SOL"}]),
        ("tickers", [{"ticker_id": "BMV_SOL", "last_price": "0.5"}]),
        ("orderbook?ticker_id=BMV_SOL&depth=20", {"depth": 20}),
        ("historical_trades?ticker_id=BMV_SOL&type=buy&limit=7", {"buy": [{"limit": 7}]}),
        ("historical_trades", {"both": [{"limit": 100}]}),
    ],
)
def test_any_page_may_read(path: str, told: Any) -> None:
    status, found, headers = asked(path)
    assert (status, found) == (200, told)
    assert headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("orderbook?ticker_id=OTHER_SOL", "ticker_id: BMV_SOL"),
        ("orderbook?depth=-1", "depth: a whole number up to 1000"),
        ("orderbook?depth=1e9", "depth: a whole number up to 1000"),
        ("historical_trades?limit=5000", "limit: a whole number up to 1000"),
        ("historical_trades?type=gift", "type: buy or sell"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(path: str, said: str) -> None:
    status, found, _ = asked(path)
    assert (status, found) == (400, {"error": said})


def test_a_chain_that_cannot_be_read_is_no_old_book() -> None:
    status, found, _ = asked("orderbook", fresh=False)
    assert status == 503
    assert "error" in found


def test_nothing_can_be_posted() -> None:
    assert asked("pairs", method="POST")[0] == 405
