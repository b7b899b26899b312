"""The Block Engine's front: bundles, their statuses, tip accounts, tip floor.

Rules
- Answered is not landed: a bundle that fails in its slot, or that a fault drops, was answered with its id all
  the same. What landed, only the chain says.
- Unknown bundles are ``Invalid``; nothing is known longer than five minutes.
- Shapes, quirks included (``confirmation_status``, ``{"Ok": null}``, id null on 429), as the real service's.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import orjson
from solders.pubkey import Pubkey

from bmv.sandbox.chain import Bundle, Chain, bundle_id
from bmv.sandbox.faults import Faults
from bmv.sandbox.genesis import TIP_ACCOUNTS
from bmv.sandbox.rpc_front import UNAVAILABLE, Answer, garbled
from bmv.sandbox.rpc_transactions import confirmation_status
from bmv.sandbox.transaction import Rejected, parse
from bmv.sandbox.wire import (
    INVALID_PARAMS,
    PARSE_ERROR,
    Json,
    Method,
    RpcError,
    argument,
    call,
    config,
    decode_bytes,
    failure,
)

MAX_STATUS_IDS = 5
OUTAGE_EVERY = 4
"""Each so many times that the service cannot be reached, it does not take the bundle either."""
LAMPORTS_PER_SOL = 1_000_000_000
CONGESTED = RpcError(-32097, "Network congested. Endpoint is globally rate limited.")
TOO_MANY = b"<html>Too Many Requests</html>"
QUIET_TIPS = (6_001, 10_000, 36_195, 1_447_905, 10_007_999)
"""Percentiles in lamports before any bundle has landed: those of the service's own documentation."""
PERCENTILES = (25, 50, 75, 95, 99)


@dataclass(slots=True)
class BundleAnswer:
    """One HTTP answer; ``lost`` means the connection is to be closed without it."""

    status: int
    content_type: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    lost: bool = False


class JitoFront:
    """Answer the Block Engine's HTTP methods for one chain."""

    def __init__(self, chain: Chain, faults: Faults) -> None:
        self._chain, self._faults = chain, faults
        self._lost = self._away = self._cut = False
        self._methods: dict[str, Method] = {
            "sendBundle": self._send_bundle,
            "getTipAccounts": lambda _: [str(Pubkey(key)) for key in TIP_ACCOUNTS],
            "getBundleStatuses": self._bundle_statuses,
            "getInflightBundleStatuses": self._inflight,
        }

    def answer(self, body: bytes) -> BundleAnswer:
        """Return the answer to a POST on ``/bundles`` or one of the status paths."""
        limited = self._rate_limit()
        if limited is not None:
            return limited
        return self._answer(body, self._methods)

    def answer_transaction(self, body: bytes, *, bundle_only: bool) -> BundleAnswer:
        """Return the answer to a POST on ``/transactions``; ``bundle_only`` makes it a bundle of one."""
        limited = self._rate_limit()
        if limited is not None:
            return limited
        headers: dict[str, str] = {}

        def send(params: list[Json]) -> Json:
            raw = decode_bytes(argument(params, 0, str), config(params, 1).get("encoding"))
            try:
                signature = parse(raw).signature
                if bundle_only:
                    headers["x-bundle-id"] = self._submit([raw])
                else:
                    self._chain.submit_transaction(raw)
                    headers["x-bundle-id"] = bundle_id([signature])
            except Rejected as refusal:
                raise RpcError(INVALID_PARAMS, refusal.message) from refusal
            return signature

        answer = self._answer(body, {"sendTransaction": send})
        answer.headers = headers
        return answer

    def tip_floor(self) -> Answer:
        """Return the percentiles of recently landed tips, in SOL as floats."""
        tips = sorted(self._chain.landed_tips)
        levels = [tips[len(tips) * level // 100] for level in PERCENTILES] if tips else list(QUIET_TIPS)
        now = datetime.fromtimestamp(self._chain.now() / 1000, UTC)
        floor: dict[str, Json] = {"time": now.strftime("%Y-%m-%dT%H:%M:%SZ")}
        for level, lamports in zip(PERCENTILES, levels, strict=True):
            floor[f"landed_tips_{level}th_percentile"] = lamports / LAMPORTS_PER_SOL
        floor["ema_landed_tips_50th_percentile"] = levels[1] / LAMPORTS_PER_SOL
        return 200, "application/json", orjson.dumps([floor])

    def _rate_limit(self) -> BundleAnswer | None:
        if not self._faults.strikes("jito_rate_limited"):
            return None
        if self._faults.injected["jito_rate_limited"] % 4 == 0:
            return BundleAnswer(429, "text/html", TOO_MANY)
        answer = failure(CONGESTED, None)
        answer["error"]["data"] = None
        return BundleAnswer(429, "application/json", orjson.dumps(answer))

    def _answer(self, body: bytes, methods: dict[str, Method]) -> BundleAnswer:
        """Run one request; a refusal is HTTP 400 and carries ``data: null``."""
        self._chain.run_due()
        self._lost = self._away = self._cut = False
        try:
            answer = call(orjson.loads(body), methods)
        except orjson.JSONDecodeError:
            answer = failure(RpcError(PARSE_ERROR, "Parse error"), None)
        status = 400 if "error" in answer else 200
        if status == 400:
            answer["error"].setdefault("data", None)
        if self._away:
            return BundleAnswer(*UNAVAILABLE)
        body = orjson.dumps(answer)
        if self._cut:
            status, kind, body = garbled(body, self._faults.injected["jito_garbled"])
            return BundleAnswer(status, kind, body)
        return BundleAnswer(status, "application/json", body, lost=self._lost)

    def _send_bundle(self, params: list[Json]) -> Json:
        texts, encoding = argument(params, 0, list), config(params, 1).get("encoding")
        raws = [decode_bytes(argument(texts, index, str), encoding) for index in range(len(texts))]
        try:
            return self._submit(raws)
        except Rejected as refusal:
            raise RpcError(INVALID_PARAMS, refusal.message) from refusal

    def _submit(self, raws: list[bytes]) -> str:
        if self._faults.strikes("bundle_dropped"):
            return self._chain.check_bundle(raws).id
        if self._faults.strikes("jito_unreachable"):
            self._lost = self._faults.injected["jito_unreachable"] % OUTAGE_EVERY != 0
            self._away = not self._lost
        if self._away:
            return self._chain.check_bundle(raws).id
        taken = self._chain.submit_bundle(raws, late=self._faults.strikes("bundle_late"))
        self._cut = self._faults.strikes("jito_garbled")
        if self._faults.strikes("jito_refused"):
            raise RpcError(INVALID_PARAMS, "Bundle simulation failed")
        return taken

    def _known(self, params: list[Json]) -> list[tuple[str, Bundle | None]]:
        ids = argument(params, 0, list)
        if len(ids) > MAX_STATUS_IDS:
            raise RpcError(INVALID_PARAMS, f"maximum of {MAX_STATUS_IDS} bundle ids per request")
        return [(str(name), self._chain.bundle(str(name))) for name in ids]

    def _inflight(self, params: list[Json]) -> Json:
        value = [
            {
                "bundle_id": name,
                "status": bundle.state if bundle else "Invalid",
                "landed_slot": bundle.slot if bundle else None,
            }
            for name, bundle in self._known(params)
        ]
        return {"context": {"slot": self._chain.slot}, "value": value}

    def _bundle_statuses(self, params: list[Json]) -> Json:
        slot = self._chain.slot
        value: list[Json] = []
        for name, bundle in self._known(params):
            if bundle is None or bundle.slot is None:
                value.append(None)
                continue
            status = {
                "bundle_id": name,
                "transactions": [tx.signature for tx in bundle.transactions],
                "slot": bundle.slot,
                "confirmation_status": confirmation_status(slot - bundle.slot),
                "err": {"Ok": None},
            }
            value.append(status)
        return {"context": {"slot": slot}, "value": value}
