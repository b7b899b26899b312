"""The JSON-RPC front of the simulated chain: one request or a batch in, bytes out.

Rules
- Every request first runs what is due, so an answer never shows a slot whose transactions have not run.
- Faults of the network (429, 503) strike here, before a method is looked at.
"""

from collections.abc import Mapping

import orjson

from bmv.sandbox.chain import Chain
from bmv.sandbox.faults import Faults
from bmv.sandbox.rpc_accounts import SLOTS_PER_EPOCH, AccountReads, commitment_of, context
from bmv.sandbox.rpc_transactions import TransactionCalls
from bmv.sandbox.wire import (
    API_VERSION,
    PARSE_ERROR,
    AccountEncoder,
    Json,
    Method,
    RpcError,
    argument,
    call,
    config,
    failure,
    public_key,
)

FEE_SLOTS = 150
SAMPLE_SECONDS = 60
MAX_SAMPLES = 720
UNAVAILABLE = (503, "text/html", b"<html><body><h1>503 Service Unavailable</h1></body></html>")

Answer = tuple[int, str, bytes]
"""HTTP status, content type, body."""


def garbled(body: bytes, number: int) -> Answer:
    """Return a broken answer: by turns ``body`` cut off in the middle, and HTML."""
    if number % 2:
        return 200, "application/json", body[: len(body) // 2]
    return 200, "text/html", b"<html><body>It works!</body></html>"


class RpcFront:
    """Answer JSON-RPC requests about one chain; ``further`` are methods that others answer."""

    def __init__(
        self, chain: Chain, faults: Faults, encoder: AccountEncoder, further: Mapping[str, Method]
    ) -> None:
        self._chain, self._faults = chain, faults
        reads = AccountReads(chain, faults, encoder)
        self._methods: dict[str, Method] = {
            "getHealth": lambda _: "ok",
            "getVersion": lambda _: {"feature-set": 0, "solana-core": API_VERSION},
            "getGenesisHash": lambda _: chain.genesis_hash,
            "getSlot": lambda params: chain.slot_at(commitment_of(config(params, 0))),
            "getBlockHeight": lambda params: chain.block_height(commitment_of(config(params, 0))),
            "getEpochInfo": self._epoch_info,
            "getLatestBlockhash": self._latest_blockhash,
            "isBlockhashValid": self._blockhash_valid,
            "getBlockTime": self._block_time,
            "getRecentPrioritizationFees": self._fees,
            "getRecentPerformanceSamples": self._samples,
            **reads.methods,
            **TransactionCalls(chain, reads, encoder).methods,
            **further,
        }

    def answer(self, body: bytes) -> Answer:
        """Return the HTTP answer to a request body."""
        if self._faults.strikes("rpc_unreachable"):
            return UNAVAILABLE
        if self._faults.strikes("rpc_rate_limited"):
            return 429, "application/json", orjson.dumps(failure(RpcError(-32429, "max usage reached"), None))
        self._chain.run_due()
        try:
            request = orjson.loads(body)
        except orjson.JSONDecodeError:
            return 200, "application/json", orjson.dumps(failure(RpcError(PARSE_ERROR, "Parse error"), None))
        if isinstance(request, list):
            answers: Json = [call(one, self._methods) for one in request]
        else:
            answers = call(request, self._methods)
        body = orjson.dumps(answers)
        if self._faults.strikes("rpc_garbled"):
            return garbled(body, self._faults.injected["rpc_garbled"])
        return 200, "application/json", body

    def _epoch_info(self, params: list[Json]) -> Json:
        commitment = commitment_of(config(params, 0))
        slot = self._chain.slot_at(commitment)
        return {
            "absoluteSlot": slot,
            "blockHeight": self._chain.clock.height(slot),
            "epoch": slot // SLOTS_PER_EPOCH,
            "slotIndex": slot % SLOTS_PER_EPOCH,
            "slotsInEpoch": SLOTS_PER_EPOCH,
            "transactionCount": self._chain.ledger.count,
        }

    def _latest_blockhash(self, params: list[Json]) -> Json:
        commitment = commitment_of(config(params, 0))
        blockhash, last_height = self._chain.latest_blockhash(commitment)
        value = {"blockhash": blockhash, "lastValidBlockHeight": last_height}
        return context(self._chain.slot_at(commitment), value)

    def _blockhash_valid(self, params: list[Json]) -> Json:
        slot = self._chain.slot_at(commitment_of(config(params, 1)))
        return context(slot, self._chain.is_blockhash_valid(argument(params, 0, str)))

    def _block_time(self, params: list[Json]) -> Json:
        slot = argument(params, 0, int)
        if slot > self._chain.slot or self._chain.clock.is_skipped(slot):
            raise RpcError(-32009, f"Slot {slot} was skipped, or missing in long-term storage")
        return self._chain.block_time(slot)

    def _fees(self, params: list[Json]) -> Json:
        """Return the lowest price paid per slot to write the accounts named; 0 where nobody paid."""
        keys = {public_key(text) for text in argument(params, 0, list)} if params else set()
        newest = self._chain.slot
        lowest: dict[int, int] = {}
        for landed in self._chain.ledger.since(newest - FEE_SLOTS + 1):
            tx = landed.tx
            written = {key for key, writable in zip(tx.keys, tx.writable, strict=True) if writable}
            if keys <= written:
                lowest[landed.slot] = min(tx.unit_price, lowest.get(landed.slot, tx.unit_price))
        return [
            {"slot": slot, "prioritizationFee": lowest.get(slot, 0)}
            for slot in range(newest - FEE_SLOTS + 1, newest + 1)
            if not self._chain.clock.is_skipped(slot)
        ]

    def _samples(self, params: list[Json]) -> Json:
        limit = argument(params, 0, int) if params else MAX_SAMPLES
        length = SAMPLE_SECONDS * 1000 // self._chain.clock.slot_ms
        newest = self._chain.slot
        samples: list[Json] = []
        while len(samples) < min(limit, MAX_SAMPLES) and newest - length >= self._chain.clock.start_slot:
            oldest = newest - length
            landed = sum(oldest < one.slot <= newest for one in self._chain.ledger.since(oldest))
            samples.append(
                {
                    "slot": newest,
                    "numSlots": self._chain.clock.height(newest) - self._chain.clock.height(oldest),
                    "numTransactions": landed,
                    "numNonVoteTransactions": landed,
                    "samplePeriodSecs": SAMPLE_SECONDS,
                }
            )
            newest = oldest
        return samples
