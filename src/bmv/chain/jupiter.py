"""Jupiter's build endpoint: a swap as instructions, for a bundle of ours.

Rules of this file
- The answer is read strictly into a ``Build``; whether it may be signed is judged in ``venue/jupiter.py``.
- Asking costs nothing and binds nobody, so it is repeated once; an answer grows stale within seconds.
- We ask for venues that work in bundles, wrap SOL ourselves, and leave the service's own tip out.

Shapes: Jupiter's documentation of ``/swap/v2/build`` (exact-in only; 400 where there is no route).
"""

import base64
import random
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import aiohttp
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from bmv.chain.http import Endpoint, Patience, exchange, json_value
from bmv.chain.shape import exactly, natural, read_shape, text
from bmv.errors import OutsideError
from bmv.secret import Secret
from bmv.units import BlockHeight
from bmv.venue.jupiter import MAX_ACCOUNTS, Build, SwapOrder

MAX_INSTRUCTIONS = 16
MAX_TABLES = 16
MAX_TABLE_ADDRESSES = 256
MAX_METAS = 256
_U64 = 2**64


class Jupiter:
    """Ask for swaps; every failure is an OutsideError."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        *,
        rng: random.Random,
        key: Secret | None = None,
        timeout_s: float = 5.0,
        on_error: Callable[[OutsideError], None] | None = None,
    ) -> None:
        secret = key.reveal() if key else ""
        self._session = session
        self._headers = {"x-api-key": secret} if secret else {}
        self._endpoint = Endpoint("jupiter", url, [secret] if secret else [])
        self._patience = Patience(rng, 2, timeout_s, on_error)

    async def build(self, order: SwapOrder, max_accounts: int = MAX_ACCOUNTS) -> Build:
        """Return a route for ``order`` that names at most ``max_accounts``; Refused: there is none."""
        query = {
            "inputMint": order.input_mint,
            "outputMint": order.output_mint,
            "amount": order.amount,
            "taker": order.taker,
            "slippageBps": int(order.max_slippage),
            "maxAccounts": max_accounts,
            "forJitoBundle": "true",
            "wrapAndUnwrapSol": "false",
            "destinationTokenAccount": order.destination,
        }
        endpoint = self._endpoint.at("/swap/v2/build?" + urlencode({k: str(v) for k, v in query.items()}))

        async def attempt(timeout_s: float) -> Build:
            answer = await exchange(self._session, endpoint, timeout_s, headers=self._headers)
            return read_shape(endpoint, "a swap", json_value(endpoint, answer), parse_build)

        return await self._patience.read(attempt)


def parse_build(value: Any) -> Build:
    """Return an answer as values; KeyError, TypeError or ValueError where it has another shape."""
    expiry = value["blockhashWithMetadata"]
    bytes(exactly(32, expiry["blockhash"]))
    if value["swapMode"] != "ExactIn":
        raise ValueError("not an exact-in swap")
    tables = value["addressesByLookupTableAddress"] or {}
    if len(tables) > MAX_TABLES or any(len(held) > MAX_TABLE_ADDRESSES for held in tables.values()):
        raise ValueError("too many lookup tables, or too large ones")
    return Build(
        input_mint=_key(value["inputMint"]),
        output_mint=_key(value["outputMint"]),
        spends=_amount(value["inAmount"]),
        brings=_amount(value["outAmount"]),
        at_least=_amount(value["otherAmountThreshold"]),
        slippage_bps=natural(value["slippageBps"]),
        budget=_instructions(value["computeBudgetInstructions"]),
        setup=_instructions(value["setupInstructions"]),
        swap=_instruction(value["swapInstruction"]),
        cleanup=_optional(value["cleanupInstruction"]),
        others=_instructions(value["otherInstructions"]),
        tip=_optional(value["tipInstruction"]),
        tables={_key(table): tuple(_key(held) for held in addresses) for table, addresses in tables.items()},
        last_valid=BlockHeight(natural(expiry["lastValidBlockHeight"])),
        fetched_at=natural(expiry["fetchedAt"]["secs_since_epoch"]),
    )


def _instructions(values: Any) -> tuple[Instruction, ...]:
    if not isinstance(values, list) or len(values) > MAX_INSTRUCTIONS:
        raise ValueError("no list of a few instructions")
    return tuple(_instruction(value) for value in values)


def _optional(value: Any) -> Instruction | None:
    return None if value is None else _instruction(value)


def _instruction(value: Any) -> Instruction:
    accounts = value["accounts"]
    if not isinstance(accounts, list) or len(accounts) > MAX_METAS:
        raise ValueError("no list of accounts")
    metas = [
        AccountMeta(_key(meta["pubkey"]), _flag(meta["isSigner"]), _flag(meta["isWritable"]))
        for meta in accounts
    ]
    data = base64.b64decode(text(value["data"]), validate=True)
    return Instruction(_key(value["programId"]), data, metas)


def _key(value: object) -> Pubkey:
    return Pubkey.from_string(text(value))


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("neither true nor false")
    return value


def _amount(value: object) -> int:
    digits = text(value)
    if not digits.isascii() or not digits.isdigit() or len(digits) > 20 or int(digits) >= _U64:
        raise ValueError("not an amount")
    return int(digits)
