"""From a node's answer with a whole book side (64 KiB of account, in base64, in JSON) to the book.

The baseline is what a plain client does: ``json``, ``base64`` and a loop over the tree with ``struct``; it
checks nothing. Ours is the engine's own way, checks included: ``orjson``, the client's decoding of account
images, and the decoder that proves the tree sound. Two answers by turns, so that nothing is found decoded
already. Both spend the same time in ``binascii``, most of ours.
"""

import base64
import json
import random
from collections.abc import Callable
from typing import cast

import aiohttp
import orjson
from solders.pubkey import Pubkey

from bmv.chain.rpc import Rpc
from bmv.venue.openbook_v1.codec import decode_book_side
from tests.bench._timing import best_times
from tests.bench.decode import ORDERS, full_side, rows, walk

ROUNDS, CALLS = 60, 10
KEY = Pubkey(bytes(31) + b"\1")


def run() -> dict[str, object]:
    """Time both ways by turns; return the best of each in microseconds."""
    full = full_side()
    answers = [answer(full), answer(full[:-8] + bytes([full[-8] ^ 1]) + full[-7:])]
    rpc = Rpc(cast("aiohttp.ClientSession", None), "http://localhost", rng=random.Random(1))

    def ours(body: bytes) -> object:
        image = rpc._image(KEY, orjson.loads(body)["result"]["value"][0])
        assert image is not None
        return decode_book_side(image.data)

    if plain(answers[0]) != rows(decode_book_side(full)):
        raise AssertionError("the two ways disagree")
    ways: list[Callable[[], object]] = [
        lambda: [plain(body) for body in answers],
        lambda: [ours(body) for body in answers],
    ]
    baseline_us, ours_us = (seconds * 1e6 / len(answers) for seconds in best_times(ways, ROUNDS, CALLS))
    return {
        "bench": "notification_to_book",
        "n": ORDERS,
        "bytes": len(full),
        "baseline_us": round(baseline_us, 1),
        "ours_us": round(ours_us, 1),
        "ratio": round(baseline_us / ours_us, 2),
    }


def answer(data: bytes) -> bytes:
    """Return a node's answer that holds one account."""
    value = {
        "lamports": 457_104_960,
        "data": [base64.b64encode(data).decode(), "base64"],
        "owner": "srmqPvymJeFKQ4zGQed1GFppgkRHL9kaELCbyksJtPX",
        "executable": False,
        "rentEpoch": 0,
        "space": len(data),
    }
    result = {"context": {"slot": 300_000_000, "apiVersion": "4.0.0"}, "value": [value]}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}).encode()


def plain(body: bytes) -> object:
    """Return the orders of the book as a plain client reads them."""
    value = json.loads(body)["result"]["value"][0]
    return walk(base64.b64decode(value["data"][0]))
