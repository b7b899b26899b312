"""Solana JSON-RPC over HTTP: reads that heal, sends that never repeat.

Rules of this file
- Reads are repeated with back-off inside one deadline; ``send_transaction`` is sent once.
- Every number of an answer is checked to be one; anything unexpected is Garbled, never a partial value.
- Account images of several calls are tied together: none is older than the slot the result names.

Shapes and limits: Solana JSON-RPC, agave ``rpc-client-types`` (100 accounts, 256 statuses a call).
"""

import base64
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

import aiohttp
import orjson
from solders.pubkey import Pubkey

from bmv.chain.http import Answer, Endpoint, Patience, exchange, rpc_result
from bmv.chain.payload import Payloads, set_aside
from bmv.chain.shape import exactly, natural, read_shape, slot_of, text
from bmv.chain.transaction import signature
from bmv.errors import OutsideError, Stale
from bmv.units import BlockHeight, Lamports, Slot

ACCOUNTS_PER_CALL = 100
STATUSES_PER_CALL = 256

Commitment = Literal["processed", "confirmed", "finalized"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Blockhash:
    """A recent blockhash in base58, the last block height at which it is valid, and the slot of reading."""

    hash: str
    last_valid_block_height: BlockHeight
    slot: Slot

    @property
    def raw(self) -> bytes:
        """The 32 bytes that go into a message."""
        return bytes(Pubkey.from_string(self.hash))


@dataclass(frozen=True, slots=True)
class HeightAt:
    """The block height, by which blockhashes expire, at ``slot``."""

    slot: Slot
    height: BlockHeight


@dataclass(frozen=True, slots=True)
class AccountImage:
    """What one account holds."""

    lamports: Lamports
    owner: Pubkey
    data: bytes


@dataclass(frozen=True, slots=True)
class AccountsAt:
    """Images in the order asked for, each of ``slot`` or later; None where there is no account.

    ``newest`` is the latest slot among the calls it took; it equals ``slot`` where all are of one moment.
    """

    slot: Slot
    accounts: list[AccountImage | None]
    newest: Slot = Slot(0)


@dataclass(frozen=True, slots=True)
class SignatureStatus:
    """What became of a signature; ``err`` is None where it succeeded, else the chain's JSON value."""

    slot: Slot
    err: object
    confirmation: Commitment


@dataclass(frozen=True, slots=True)
class StatusesAt:
    """Statuses in the order asked for, as of ``slot`` or later; None where the signature is not known."""

    slot: Slot
    statuses: list[SignatureStatus | None]


@dataclass(frozen=True, slots=True)
class SignatureRecord:
    """One entry of an address's history; ``index`` is its place in the block where the node says so.

    ``block_time`` is in unix seconds, where it is known.
    """

    signature: str
    slot: Slot
    err: object
    index: int | None
    block_time: int | None = None


@dataclass(frozen=True, slots=True)
class Simulation:
    """What a transaction would do at ``slot``; ``err`` is None where it would succeed.

    ``accounts`` are those asked for as they would be then.
    """

    slot: Slot
    err: object
    logs: list[str]
    units_consumed: int
    accounts: list[AccountImage | None] = field(default_factory=list)


class Rpc:
    """One Solana node. Every read raises OutsideError kinds only, after ``attempts`` within ``timeout_s``."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        *,
        rng: random.Random,
        timeout_s: float = 10,
        attempts: int = 4,
        on_error: Callable[[OutsideError], None] | None = None,
    ) -> None:
        self._session = session
        self._endpoint = Endpoint("rpc", url)
        self._patience = Patience(rng, attempts, timeout_s, on_error)
        self._once = Patience(rng, 1, timeout_s, on_error)
        self._ids = itertools.count(1)
        self._payloads = Payloads()

    async def latest_blockhash(self, commitment: Commitment = "confirmed") -> Blockhash:
        """Read the newest blockhash of a commitment."""

        def parse(result: Any) -> Blockhash:
            value = result["value"]
            height = BlockHeight(natural(value["lastValidBlockHeight"]))
            return Blockhash(str(Pubkey.from_string(value["blockhash"])), height, slot_of(result))

        return await self._read("getLatestBlockhash", [{"commitment": commitment}], parse)

    async def slot(self, commitment: Commitment = "processed") -> Slot:
        """Read the node's slot."""
        return Slot(await self._read("getSlot", [{"commitment": commitment}], natural))

    async def block_height(self, commitment: Commitment = "confirmed") -> HeightAt:
        """Read the node's block height, and the slot that has it."""

        def parse(result: Any) -> HeightAt:
            return HeightAt(
                Slot(natural(result["absoluteSlot"])), BlockHeight(natural(result["blockHeight"]))
            )

        return await self._read("getEpochInfo", [{"commitment": commitment}], parse)

    async def genesis_hash(self) -> str:
        """Return the hash of the chain's first block: which chain this is."""
        return await self._read("getGenesisHash", [], text)

    async def accounts(
        self,
        keys: Sequence[Pubkey],
        *,
        min_slot: Slot | None = None,
        commitment: Literal["processed", "confirmed"] = "confirmed",
    ) -> AccountsAt:
        """Read accounts, a hundred a call; none may be older than ``min_slot`` or the first call's slot.

        Raises Stale where the node does not get there in time.
        """
        images: list[AccountImage | None] = []
        first, newest, floor = Slot(0), Slot(0), min_slot
        for start in range(0, max(1, len(keys)), ACCOUNTS_PER_CALL):
            part = await self._accounts(keys[start : start + ACCOUNTS_PER_CALL], floor, commitment)
            if not start:
                first = floor = part.slot
            newest = max(newest, part.slot)
            images += part.accounts
        return AccountsAt(first, images, newest)

    async def _accounts(
        self, keys: Sequence[Pubkey], min_slot: Slot | None, commitment: Commitment
    ) -> AccountsAt:
        options: dict[str, object] = {"encoding": "base64", "commitment": commitment}
        if min_slot is not None:
            options["minContextSlot"] = int(min_slot)

        def parse(result: Any, texts: Sequence[str]) -> AccountsAt:
            at = slot_of(result)
            if min_slot is not None and at < min_slot:
                raise Stale(self._endpoint.where, f"answered from slot {at}, before {min_slot}")
            values = exactly(len(keys), result["value"])
            pairs = zip(keys, values, strict=True)
            return AccountsAt(at, [self._image(key, value, texts) for key, value in pairs])

        return await self._read_images("getMultipleAccounts", [[str(key) for key in keys], options], parse)

    def _image(self, key: Pubkey, value: Any, texts: Sequence[str]) -> AccountImage | None:
        if value is None or natural(value["lamports"]) == 0:
            return None
        coded, encoding = value["data"]
        if encoding != "base64":
            raise ValueError("data in another encoding")
        data = self._payloads.data(key, coded, texts)
        return AccountImage(Lamports(value["lamports"]), Pubkey.from_string(value["owner"]), data)

    async def program_accounts(
        self, program: Pubkey, *, at: int, sample: bytes
    ) -> list[tuple[Pubkey, AccountImage]]:
        """Read the accounts of ``program`` whose data hold ``sample`` at byte ``at``, in any order.

        Many nodes refuse this for some programs: Refused.
        """
        matching = {"memcmp": {"offset": at, "bytes": _base64(sample), "encoding": "base64"}}
        options = {"encoding": "base64", "commitment": "confirmed", "filters": [matching]}

        return await self._read_images("getProgramAccounts", [str(program), options], self._listed)

    async def token_accounts(self, owner: Pubkey, program: Pubkey) -> list[tuple[Pubkey, AccountImage]]:
        """Read the accounts that a token program keeps for ``owner``, in any order."""
        options = {"encoding": "base64", "commitment": "confirmed"}

        def parse(result: Any, texts: Sequence[str]) -> list[tuple[Pubkey, AccountImage]]:
            return self._listed(result["value"], texts)

        params = [str(owner), {"programId": str(program)}, options]
        return await self._read_images("getTokenAccountsByOwner", params, parse)

    def _listed(self, listed: Any, texts: Sequence[str]) -> list[tuple[Pubkey, AccountImage]]:
        found = [(Pubkey.from_string(one["pubkey"]), one["account"]) for one in listed]
        images = [(key, self._image(key, account, texts)) for key, account in found]
        return [(key, image) for key, image in images if image is not None]

    async def signature_statuses(self, signatures: Sequence[str], search_history: bool = False) -> StatusesAt:
        """Ask what became of signatures, 256 a call; the oldest answer's slot counts."""
        slots: list[Slot] = []
        statuses: list[SignatureStatus | None] = []
        for start in range(0, max(1, len(signatures)), STATUSES_PER_CALL):
            batch = list(signatures[start : start + STATUSES_PER_CALL])

            def parse(result: Any, asked: int = len(batch)) -> StatusesAt:
                values = exactly(asked, result["value"])
                return StatusesAt(slot_of(result), [_status(value) for value in values])

            params = [batch, {"searchTransactionHistory": search_history}]
            part = await self._read("getSignatureStatuses", params, parse)
            slots.append(part.slot)
            statuses += part.statuses
        return StatusesAt(min(slots), statuses)

    async def rent_exempt(self, size: int) -> Lamports:
        """Read what an account of ``size`` bytes must hold to be kept."""
        return Lamports(await self._read("getMinimumBalanceForRentExemption", [size], natural))

    async def balance(self, key: Pubkey, commitment: Commitment = "confirmed") -> Lamports:
        """Read the lamports of one account, 0 where there is none."""
        params = [str(key), {"commitment": commitment}]
        return Lamports(await self._read("getBalance", params, lambda result: natural(result["value"])))

    async def signatures_for_address(
        self, key: Pubkey, *, before: str | None = None, until: str | None = None, limit: int = 1000
    ) -> list[SignatureRecord]:
        """List confirmed transactions that name ``key``, newest first, between two cursors.

        Raises Refused with code -32020 where a cursor is not on the node's chain.
        """
        options = {"before": before, "until": until, "limit": limit, "commitment": "confirmed"}
        asked = {name: value for name, value in options.items() if value is not None}
        return await self._read(
            "getSignaturesForAddress", [str(key), asked], lambda result: [_record(one) for one in result]
        )

    async def transaction(self, signature: str) -> dict[str, Any] | None:
        """Read one confirmed transaction as the node's JSON (``slot``, ``transaction``, ``meta``).

        None means not yet, or pruned.
        """
        options = {"encoding": "json", "commitment": "confirmed", "maxSupportedTransactionVersion": 0}
        return await self._read("getTransaction", [signature, options], _transaction)

    async def simulate(self, raw: bytes, watched: Sequence[Pubkey] = ()) -> Simulation:
        """Try a wire transaction on the node's newest state; signatures and blockhash are not checked.

        ``watched`` are accounts to be told as they would be after it.
        """
        options: dict[str, object] = {
            "encoding": "base64",
            "commitment": "processed",
            "sigVerify": False,
            "replaceRecentBlockhash": True,
        }
        if not watched:
            return await self._read("simulateTransaction", [_base64(raw), options], _simulation)
        options["accounts"] = {"encoding": "base64", "addresses": [str(key) for key in watched]}

        def parse(result: Any, texts: Sequence[str]) -> Simulation:
            shown = exactly(len(watched), result["value"]["accounts"])
            images = [self._image(key, value, texts) for key, value in zip(watched, shown, strict=True)]
            return replace(_simulation(result), accounts=images)

        return await self._read_images("simulateTransaction", [_base64(raw), options], parse)

    async def version(self) -> str:
        """Read the node's software version."""
        return await self._read("getVersion", [], lambda result: text(result["solana-core"]))

    async def send_transaction(self, raw: bytes, skip_preflight: bool = False) -> str:
        """Hand a signed transaction to the node, once, and return its signature.

        NotSent, RateLimited, Refused and Stale mean it was not taken; after any other Unreachable or Garbled
        the outcome is unknown until the chain says so.
        """
        options = {"encoding": "base64", "skipPreflight": skip_preflight, "preflightCommitment": "confirmed"}
        own = signature(raw)

        def parse(result: Any) -> str:
            if result != own:
                raise ValueError("another signature than the transaction's own")
            return own

        return await self._once.read(
            lambda timeout_s: self._call("sendTransaction", [_base64(raw), options], parse, timeout_s)
        )

    async def _read(self, method: str, params: list[Any], parse: Callable[[Any], T]) -> T:
        return await self._patience.read(lambda timeout_s: self._call(method, params, parse, timeout_s))

    async def _read_images(
        self, method: str, params: list[Any], parse: Callable[[Any, Sequence[str]], T]
    ) -> T:
        """Read as ``_read`` does what holds account data; ``parse`` also gets what was set aside."""

        async def attempt(timeout_s: float) -> T:
            answer, request_id = await self._ask(method, params, timeout_s)
            body, texts = set_aside(answer.body) if answer.status == 200 else (answer.body, list[str]())
            result = rpc_result(self._endpoint, Answer(answer.status, answer.headers, body), request_id)
            return read_shape(self._endpoint, method, result, lambda value: parse(value, texts))

        return await self._patience.read(attempt)

    async def _call(self, method: str, params: list[Any], parse: Callable[[Any], T], timeout_s: float) -> T:
        answer, request_id = await self._ask(method, params, timeout_s)
        return read_shape(self._endpoint, method, rpc_result(self._endpoint, answer, request_id), parse)

    async def _ask(self, method: str, params: list[Any], timeout_s: float) -> tuple[Answer, int]:
        request_id = next(self._ids)
        request = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
        answer = await exchange(self._session, self._endpoint, timeout_s, body=orjson.dumps(request))
        return answer, request_id


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _status(value: Any) -> SignatureStatus | None:
    if value is None:
        return None
    confirmation: Any = value["confirmationStatus"]
    if confirmation not in {"processed", "confirmed", "finalized"}:
        raise ValueError("an unknown confirmation status")
    return SignatureStatus(Slot(natural(value["slot"])), value["err"], confirmation)


def _record(value: Any) -> SignatureRecord:
    index, seconds = value.get("transactionIndex"), value.get("blockTime")
    return SignatureRecord(
        text(value["signature"]),
        Slot(natural(value["slot"])),
        value["err"],
        None if index is None else natural(index),
        None if seconds is None else natural(seconds),
    )


def _transaction(result: Any) -> dict[str, Any] | None:
    if result is None:
        return None
    natural(result["slot"])
    if not isinstance(result["meta"], dict) or not isinstance(result["transaction"], dict):
        raise TypeError("no transaction in it")
    return dict(result)


def _simulation(result: Any) -> Simulation:
    value = result["value"]
    logs = [text(line) for line in value["logs"] or ()]
    return Simulation(slot_of(result), value["err"], logs, natural(value.get("unitsConsumed") or 0))
