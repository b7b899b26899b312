"""The Jito block engine over HTTP: bundles, their statuses, and what a tip costs.

Rules of this file
- ``send_bundle`` raises only when no region can have taken the bundle. Whatever else happens is an outcome,
  and no outcome says that it landed: the chain does.
- A bundle that may have been received is not sent again here. Its id is known before sending.
- Per region: at most ``per_second`` requests, and none while it cools down after a refusal for load or
  a failure; the next bundle goes elsewhere.

Facts: Jito documentation (JSON-RPC, five transactions a bundle, base64 asked for explicitly); the id is the
SHA-256 of the base58 first signatures joined by commas, checked against the documentation's own example.
"""

import asyncio
import base64
import hashlib
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

import aiohttp
import orjson
from solders.pubkey import Pubkey

from bmv.chain.http import Endpoint, NotSent, exchange, json_value, rpc_result
from bmv.chain.shape import exactly, natural, read_shape, text
from bmv.chain.transaction import signature
from bmv.errors import OutsideError, RateLimited, Refused, Unreachable
from bmv.units import LAMPORTS_PER_SOL, Lamports, Slot

MAX_BUNDLE_TRANSACTIONS = 5
MAX_STATUS_IDS = 5
MIN_TIP = Lamports(1000)
TIP_FLOOR_URL = "https://bundles.jito.wtf/api/v1/bundles/tip_floor"
TIP_ACCOUNTS = tuple(
    Pubkey.from_string(account)
    for account in (
        "96gYZGLnJYVFmbjzopPSU6QiEV5fGqZNyN9nmNhvrZU5",
        "HFqU5x63VTqvQss8hp11i4wVV8bD44PvwucfZ2bU7gRe",
        "Cw8CFyM9FkoMi7K7Crf6HNQqf4uEMzpKw6QNghXLvLkY",
        "ADaUMid9yfUytqMBgopwjb2DTLSokTSzL1zt6iGPaS49",
        "DfXygSm4jCyNCybVYYK6DwvWqjKee8pbDmJGcLWNDXjh",
        "ADuUkR4vqLUMWXxW9gh6D6L8pMSawimctcNZ5pGwDcEt",
        "DttWaMuVvTiduZRnguLF7jNxTgiMBZ1hyAumKUiL2KRL",
        "3AVi9Tg9Uo68tJfuvoKvqKNWKkC5wPdSSdeBnizKZ6jT",
    )
)
"""Mainnet's; every bundle writes one of them."""

_COOL_S, _LONGEST_COOL_S = 1.0, 1.5
"""Unless a region asks for more it is tried again before a bundle has waited too long, jitter included."""
_ABSURD_TIP_SOL = 10

Outcome = Literal["accepted", "unknown", "already_processed"]
T = TypeVar("T")


class Hidden(Protocol):
    """A text that shows only on demand."""

    def reveal(self) -> str:
        """Return the text itself."""
        ...


@dataclass(frozen=True, slots=True)
class SendResult:
    """What a region said of a bundle: received, no telling, or one of its transactions has already run."""

    bundle_id: str
    region: str
    outcome: Outcome
    why: str = ""


@dataclass(frozen=True, slots=True)
class TipFloor:
    """Percentiles of the tips that landed lately, and the moving average of their median."""

    p25: Lamports
    p50: Lamports
    p75: Lamports
    p95: Lamports
    p99: Lamports
    ema_p50: Lamports


@dataclass(frozen=True, slots=True)
class Inflight:
    """What the block engine knows of a bundle; Invalid also means: just sent, or never forwarded."""

    bundle_id: str
    status: Literal["Invalid", "Pending", "Failed", "Landed"]
    landed_slot: Slot | None


@dataclass(frozen=True, slots=True)
class BundleStatus:
    """A bundle that reached the chain; ``err`` is None where it succeeded."""

    bundle_id: str
    signatures: tuple[str, ...]
    slot: Slot
    confirmation: str
    err: object


def bundle_id(signatures: Sequence[str]) -> str:
    """Return the id of the bundle whose transactions have these first signatures (base58), in order."""
    return hashlib.sha256(",".join(signatures).encode()).hexdigest()


class _Region:
    """One block engine: where it is, when its rate allows the next request, until when it cools down."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.next_at = 0.0
        self.cool_until = 0.0
        self.failures = 0

    def free_at(self) -> float:
        """Return when it may be asked again."""
        return max(self.next_at, self.cool_until)


class BlockEngine:
    """All configured regions of the block engine; ``now`` is in seconds and never goes back."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        urls: Sequence[str],
        *,
        auth_uuid: Hidden | None,
        rng: random.Random,
        now: Callable[[], float],
        per_second: float = 1.0,
        timeout_s: float = 5.0,
        max_wait_s: float = 2.0,
        tip_floor_url: str = TIP_FLOOR_URL,
        on_error: Callable[[OutsideError], None] | None = None,
    ) -> None:
        if not urls or per_second <= 0:
            raise ValueError("a block engine needs a URL and a rate above 0")
        uuid = auth_uuid.reveal() if auth_uuid else ""
        self._headers = {"x-jito-auth": uuid} if uuid else {}
        self._regions = [_Region(Endpoint("jito", url, [uuid])) for url in urls]
        self._tip_floor = Endpoint("jito", tip_floor_url)
        self._session, self._rng, self._now, self._on_error = session, rng, now, on_error
        self._interval_s, self._timeout_s, self._max_wait_s = 1.0 / per_second, timeout_s, max_wait_s
        self._ids = itertools.count(1)
        self._turn = 0

    async def send_bundle(self, raws: Sequence[bytes]) -> SendResult:
        """Send signed transactions as one bundle; a region that is too busy or not there is passed over.

        Raises RateLimited or NotSent when every region was, for ``max_wait_s``; Refused when the bundle is
        wrong or not allowed; ValueError for none or more than five transactions.
        """
        if not 1 <= len(raws) <= MAX_BUNDLE_TRANSACTIONS:
            raise ValueError(f"a bundle of {len(raws)} transactions; 1 to {MAX_BUNDLE_TRANSACTIONS}")
        own = bundle_id([signature(raw) for raw in raws])
        params = [[base64.b64encode(raw).decode() for raw in raws], {"encoding": "base64"}]
        deadline = self._now() + self._max_wait_s
        while True:
            region = await self._reserve(deadline)
            name = region.endpoint.where
            try:
                answer = await self._ask(region, "bundles", "sendBundle", params)
            except (RateLimited, NotSent):
                if min(one.free_at() for one in self._regions) > deadline:
                    raise
            except Refused as error:
                if _has_landed(error):
                    return SendResult(own, name, "already_processed", error.why)
                raise
            except OutsideError as error:
                return SendResult(own, name, "unknown", error.why)
            else:
                if answer == own:
                    return SendResult(own, name, "accepted")
                return SendResult(own, name, "unknown", "answered with another bundle's id")

    async def tip_accounts(self) -> list[Pubkey]:
        """Ask which accounts a tip may go to; on mainnet ``TIP_ACCOUNTS``."""
        return await self._read(
            "getTipAccounts", [], lambda result: [Pubkey.from_string(account) for account in result]
        )

    async def inflight_statuses(self, ids: Sequence[str]) -> list[Inflight | None]:
        """Ask what the block engine knows of at most five bundles of the last five minutes, in order."""
        return await self._read(
            "getInflightBundleStatuses", _asked(ids), lambda got: _by_id(ids, got, _inflight)
        )

    async def statuses(self, ids: Sequence[str]) -> list[BundleStatus | None]:
        """Ask which of at most five bundles the recent chain holds, in order."""
        return await self._read("getBundleStatuses", _asked(ids), lambda got: _by_id(ids, got, _status))

    async def tip_floor(self) -> TipFloor | None:
        """Read what tips landed lately; None where the service has no figures.

        Raises Garbled for figures that are missing, not finite, negative, out of order or above 10 SOL.
        """
        try:
            answer = await exchange(self._session, self._tip_floor, self._timeout_s)
            value = json_value(self._tip_floor, answer)
            return read_shape(self._tip_floor, "tip_floor", value, _tip_floor)
        except OutsideError as error:
            self._report(error)
            raise

    async def _read(self, method: str, params: list[Any], parse: Callable[[Any], T]) -> T:
        region = await self._reserve(self._now() + self._max_wait_s)
        result = await self._ask(region, method, method, params)
        return read_shape(region.endpoint, method, result, parse)

    async def _ask(self, region: _Region, path: str, method: str, params: list[Any]) -> object:
        request_id = next(self._ids)
        request = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
        endpoint = region.endpoint.at(f"/api/v1/{path}")
        try:
            answer = await exchange(
                self._session, endpoint, self._timeout_s, body=orjson.dumps(request), headers=self._headers
            )
            result = rpc_result(endpoint, answer, request_id)
        except OutsideError as error:
            if isinstance(error, RateLimited | Unreachable):
                self._cool(region, error)
            # That a bundle has landed is an answer, not an error.
            if not _has_landed(error):
                self._report(error)
            raise
        region.failures = 0
        return result

    async def _reserve(self, deadline: float) -> _Region:
        """Wait for the first region that may be asked, in turn; callers are served in the order they came."""
        while True:
            moment = self._now()
            in_turn = self._regions[self._turn :] + self._regions[: self._turn]
            region = min(in_turn, key=lambda one: max(one.free_at(), moment))
            at = max(region.free_at(), moment)
            if at > deadline:
                wait = at - moment
                raise RateLimited("jito", f"no region may be asked for another {wait:.1f} s", wait)
            self._turn = (self._regions.index(region) + 1) % len(self._regions)
            region.next_at = at + self._interval_s
            if at > moment:
                await asyncio.sleep(at - moment)
            if region.cool_until <= self._now():
                return region

    def _cool(self, region: _Region, error: OutsideError) -> None:
        region.failures += 1
        asked = error.retry_after or 0.0 if isinstance(error, RateLimited) else 0.0
        grown = min(_COOL_S * 2.0 ** min(region.failures - 1, 16), _LONGEST_COOL_S)
        region.cool_until = self._now() + max(asked, grown) * self._rng.uniform(1.0, 1.25)

    def _report(self, error: OutsideError) -> None:
        if self._on_error is not None:
            self._on_error(error)


def _has_landed(error: OutsideError) -> bool:
    return isinstance(error, Refused) and "already" in error.why and "processed" in error.why


def _asked(ids: Sequence[str]) -> list[Any]:
    if not 1 <= len(ids) <= MAX_STATUS_IDS:
        raise ValueError(f"{len(ids)} bundle ids in one question; 1 to {MAX_STATUS_IDS}")
    return [list(ids)]


def _by_id(ids: Sequence[str], result: Any, parse: Callable[[Any], T]) -> list[T | None]:
    values = [value for value in (result["value"] or () if result else ()) if value is not None]
    known = {text(value["bundle_id"]): parse(value) for value in values}
    return [known.get(one) for one in ids]


def _inflight(value: Any) -> Inflight:
    status, landed = value["status"], value.get("landed_slot")
    if status not in {"Invalid", "Pending", "Failed", "Landed"}:
        raise ValueError("an unknown status")
    return Inflight(value["bundle_id"], status, None if landed is None else Slot(natural(landed)))


def _status(value: Any) -> BundleStatus:
    err = value["err"]
    return BundleStatus(
        value["bundle_id"],
        tuple(text(one) for one in value["transactions"]),
        Slot(natural(value["slot"])),
        text(value["confirmation_status"]),
        None if err == {"Ok": None} else err,
    )


def _tip_floor(value: Any) -> TipFloor | None:
    if not value:
        return None
    (figures,) = exactly(1, value)
    landed = [_lamports(figures[f"landed_tips_{rank}th_percentile"]) for rank in (25, 50, 75, 95, 99)]
    if landed != sorted(landed):
        raise ValueError("percentiles out of order")
    p25, p50, p75, p95, p99 = landed
    return TipFloor(p25, p50, p75, p95, p99, _lamports(figures["ema_landed_tips_50th_percentile"]))


def _lamports(sol: object) -> Lamports:
    if not isinstance(sol, int | float) or isinstance(sol, bool):
        raise TypeError("not a number of SOL")
    if not 0 <= sol <= _ABSURD_TIP_SOL:
        raise ValueError("an absurd tip")
    return Lamports(round(sol * LAMPORTS_PER_SOL))
