"""From a node's answer with a whole book side (64 KiB of account, in base64, in JSON) to the book.

The baseline is what a plain client does: ``json``, ``base64`` and a loop over the tree with ``struct``; it
checks nothing. Ours is the engine's own way, checks included: the account's text leaves the JSON before that
is parsed, is decoded, and goes through the decoder that proves the tree sound. Two answers by turns, so that
nothing is found decoded already.
"""

import base64
import json
import random
import struct
from collections.abc import Callable
from typing import cast

import aiohttp
import orjson
from solders.pubkey import Pubkey

from bmv.chain.payload import set_aside
from bmv.chain.rpc import Rpc
from bmv.venue.openbook_v1.codec import decode_book_side
from bmv.venue.openbook_v1.layouts import NODE_LEAF, NODE_SIZE, SLAB_NODES
from tests.bench._timing import best_times
from tests.bench.decode import ORDERS, full_side, rows, walk

ROUNDS, CALLS = 60, 10
KEY = Pubkey(bytes(31) + b"\1")


def run() -> dict[str, object]:
    """Time both ways by turns; return the best of each in microseconds."""
    full = full_side()
    answers = [answer(full), answer(one_lot_filled(full))]
    rpc = Rpc(cast("aiohttp.ClientSession", None), "http://localhost", rng=random.Random(1))

    def ours(body: bytes) -> object:
        rest, texts = set_aside(body)
        image = rpc._image(KEY, orjson.loads(rest)["result"]["value"][0], texts)
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


def one_lot_filled(data: bytes) -> bytes:
    """Return the side with one lot less in the order of the lowest node that holds more than one."""
    changed = bytearray(data)
    for at in range(SLAB_NODES, len(data) - NODE_SIZE, NODE_SIZE):
        tag, lots = struct.unpack_from("<I", data, at)[0], struct.unpack_from("<Q", data, at + 56)[0]
        if tag == NODE_LEAF and lots > 1:
            struct.pack_into("<Q", changed, at + 56, lots - 1)
            break
    return bytes(changed)


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
