"""JSON-RPC as the fronts speak it: requests, answers, errors, and accounts as JSON.

Rules
- An account's JSON is made once per version and encoding: committed account objects never change, so the
  cache asks only whether it is still the same object.
"""

import binascii
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson
from solders.pubkey import Pubkey

from bmv.sandbox.account import Account

API_VERSION = "4.0.2"
INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, PARSE_ERROR = -32600, -32601, -32602, -32700
MAX_BASE58_DATA = 128
CACHE_ENTRIES = 1024
ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

Json = Any
Method = Callable[[list[Json]], Json]


class RpcError(Exception):
    """An error answer; ``data`` is left out of the answer where it is None."""

    def __init__(self, code: int, message: str, data: Json = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data


def call(request: Json, methods: dict[str, Method]) -> dict[str, Json]:
    """Answer one parsed request."""
    request_id = request.get("id") if isinstance(request, dict) else None
    try:
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            raise RpcError(INVALID_REQUEST, "Invalid request")
        method = methods.get(request["method"])
        if method is None:
            raise RpcError(METHOD_NOT_FOUND, "Method not found")
        params = request.get("params") or []
        if not isinstance(params, list):
            raise RpcError(INVALID_PARAMS, "Invalid params: expected an array")
        return {"jsonrpc": "2.0", "result": method(params), "id": request_id}
    except RpcError as refusal:
        return failure(refusal, request_id)


def failure(refusal: RpcError, request_id: Json) -> dict[str, Json]:
    """Return the error answer of ``refusal``."""
    error: dict[str, Json] = {"code": refusal.code, "message": refusal.message}
    if refusal.data is not None:
        error["data"] = refusal.data
    return {"jsonrpc": "2.0", "error": error, "id": request_id}


def argument(params: list[Json], index: int, kind: type) -> Json:
    """Return a required argument of the given JSON type; raises ``RpcError``."""
    if len(params) <= index or not isinstance(params[index], kind) or isinstance(params[index], bool):
        raise RpcError(INVALID_PARAMS, f"Invalid params: argument {index} must be {kind.__name__}")
    return params[index]


def config(params: list[Json], index: int) -> dict[str, Json]:
    """Return the optional configuration object at ``index``; raises ``RpcError``."""
    if len(params) <= index or params[index] is None:
        return {}
    options: dict[str, Json] = argument(params, index, dict)
    return options


def public_key(text: Json) -> bytes:
    """Return the 32 bytes of a base58 key; raises ``RpcError``."""
    try:
        return bytes(Pubkey.from_string(text))
    except (ValueError, TypeError) as wrong:
        raise RpcError(INVALID_PARAMS, "Invalid param: WrongSize") from wrong


def decode_bytes(text: str, encoding: Json) -> bytes:
    """Return the bytes of ``text`` in base64 or base58; raises ``RpcError``."""
    try:
        if encoding == "base64":
            return binascii.a2b_base64(text, strict_mode=True)
        if encoding in (None, "base58"):
            return base58_decode(text)
    except ValueError as wrong:
        raise RpcError(INVALID_PARAMS, f"invalid {encoding or 'base58'} encoding: {wrong}") from wrong
    raise RpcError(INVALID_PARAMS, f"unsupported encoding: {encoding}. Supported encodings: base58, base64")


def base58_decode(text: str) -> bytes:
    """Decode Bitcoin's base58; raises ``ValueError``."""
    number = 0
    for letter in text:
        number = number * 58 + ALPHABET.index(letter)
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def base58_encode(data: bytes) -> str:
    """Encode in Bitcoin's base58."""
    number, letters = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        letters = ALPHABET[digit] + letters
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + letters


def token_amount(amount: int, decimals: int) -> dict[str, Json]:
    """Return an amount of atoms as answers show it."""
    value = Decimal(amount).scaleb(-decimals)
    text = f"{value:f}"
    shown = text.rstrip("0").rstrip(".") if "." in text else text
    return {"amount": str(amount), "decimals": decimals, "uiAmount": float(value), "uiAmountString": shown}


class AccountEncoder:
    """Turn accounts into JSON fragments, each version once."""

    def __init__(self) -> None:
        self._cache: dict[tuple[bytes, str, int, int], tuple[Account, orjson.Fragment]] = {}

    def encode(self, key: bytes, account: Account, options: dict[str, Json]) -> orjson.Fragment:
        """Return ``account`` as JSON; ``options`` are ``encoding`` and ``dataSlice``; raises ``RpcError``."""
        encoding = options.get("encoding", "base58")
        if encoding not in ("base58", "base64"):
            raise RpcError(INVALID_PARAMS, f"encoding {encoding!r} is not simulated; use base64")
        start, length = _data_slice(options.get("dataSlice"), len(account.data))
        name = (key, encoding, start, length)
        known = self._cache.get(name)
        if known is not None and known[0] is account:
            return known[1]
        fragment = _fragment(account, encoding, start, length)
        self._cache.pop(name, None)
        self._cache[name] = (account, fragment)
        if len(self._cache) > CACHE_ENTRIES:
            del self._cache[next(iter(self._cache))]
        return fragment


def _data_slice(wanted: Json, size: int) -> tuple[int, int]:
    if wanted is None:
        return 0, size
    try:
        start, length = int(wanted["offset"]), int(wanted["length"])
    except (KeyError, TypeError, ValueError) as wrong:
        raise RpcError(INVALID_PARAMS, "Invalid params: dataSlice needs offset and length") from wrong
    if start < 0 or length < 0:
        raise RpcError(INVALID_PARAMS, "Invalid params: dataSlice must not be negative")
    return start, length


def _fragment(account: Account, encoding: str, start: int, length: int) -> orjson.Fragment:
    data = account.data[start : start + length]
    if encoding == "base58":
        if len(data) > MAX_BASE58_DATA:
            raise RpcError(
                INVALID_REQUEST,
                "Encoded binary (base 58) data should be less than 128 bytes, please use Base64 encoding.",
            )
        text = base58_encode(bytes(data)).encode()
    else:
        text = binascii.b2a_base64(data, newline=False)
    facts = (
        f'","{encoding}"],"executable":{"true" if account.executable else "false"},'
        f'"lamports":{account.lamports},"owner":"{Pubkey(account.owner)}",'
        f'"rentEpoch":18446744073709551615,"space":{len(account.data)}}}'
    )
    return orjson.Fragment(b'{"data":["' + text + facts.encode())
