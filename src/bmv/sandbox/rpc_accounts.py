"""The RPC methods that read accounts.

Rules
- A read answers the state at its commitment (default finalized) and says which slot that was.
- The clock sysvar is made when it is read; nothing writes it at every slot.
- A lagging read (a fault) answers from some slots earlier, as a node behind its peers does.
- Error codes and shapes are those of Agave's RPC.
"""

from collections.abc import Iterator

import orjson
from solders.pubkey import Pubkey

from bmv.sandbox import spl_token
from bmv.sandbox.account import Account
from bmv.sandbox.chain import LAG_SLOTS, Chain, Commitment
from bmv.sandbox.faults import Faults
from bmv.sandbox.genesis import CLOCK_SYSVAR, clock_data
from bmv.sandbox.system_program import rent_exempt_lamports
from bmv.sandbox.wire import (
    API_VERSION,
    INVALID_PARAMS,
    AccountEncoder,
    Json,
    Method,
    RpcError,
    argument,
    base58_decode,
    config,
    decode_bytes,
    public_key,
    token_amount,
)

MAX_MULTIPLE = 100
MAX_FILTERS = 4
SLOTS_PER_EPOCH = 432_000
MIN_CONTEXT_SLOT_NOT_REACHED = -32016


def commitment_of(options: dict[str, Json]) -> Commitment:
    """Return the commitment asked for, finalized where none is; raises ``RpcError``."""
    name = options.get("commitment", "finalized")
    if name not in LAG_SLOTS:
        raise RpcError(INVALID_PARAMS, f"Invalid params: unknown commitment {name!r}")
    commitment: Commitment = name
    return commitment


def context(slot: int, value: Json) -> dict[str, Json]:
    """Wrap ``value`` with the slot it is from."""
    return {"context": {"apiVersion": API_VERSION, "slot": slot}, "value": value}


class AccountReads:
    """Answer reads of accounts from a chain's bank."""

    def __init__(self, chain: Chain, faults: Faults, encoder: AccountEncoder) -> None:
        self._chain, self._faults, self._encoder = chain, faults, encoder
        self.methods: dict[str, Method] = {
            "getAccountInfo": self._account_info,
            "getMultipleAccounts": self._multiple,
            "getBalance": self._balance,
            "getProgramAccounts": self._program_accounts,
            "getMinimumBalanceForRentExemption": self._rent,
            "getTokenAccountBalance": self._token_balance,
            "getTokenAccountsByOwner": self._token_accounts,
            "getTokenSupply": self._token_supply,
        }

    def is_forked(self) -> bool:
        """Say whether who answers now follows a fork that dies."""
        return self._faults.strikes("rpc_forked")

    def read_slot(self, options: dict[str, Json]) -> int:
        """Return the slot to answer from; raises ``RpcError`` -32016 below ``minContextSlot``."""
        slot = self._chain.slot_at(commitment_of(options))
        if self._faults.strikes("rpc_stale"):
            slot = self._chain.clock.at_or_before(slot - self._faults.lag_slots)
        wanted = options.get("minContextSlot") or 0
        if not isinstance(wanted, int):
            raise RpcError(INVALID_PARAMS, "Invalid params: minContextSlot must be a number")
        if slot < wanted:
            message = "Minimum context slot has not been reached"
            raise RpcError(MIN_CONTEXT_SLOT_NOT_REACHED, message, {"contextSlot": slot})
        return slot

    def _encoded(self, key: bytes, slot: int, options: dict[str, Json]) -> orjson.Fragment | None:
        account = self._chain.bank.account(key, slot)
        if account is not None and key == CLOCK_SYSVAR:
            data = clock_data(slot, slot // SLOTS_PER_EPOCH, self._chain.block_time(slot))
            account = Account(account.lamports, data, account.owner)
        return None if account is None else self._encoder.encode(key, account, options)

    def _account_info(self, params: list[Json]) -> Json:
        key, options = public_key(argument(params, 0, str)), config(params, 1)
        slot = self.read_slot(options)
        return context(slot, self._encoded(key, slot, options))

    def _multiple(self, params: list[Json]) -> Json:
        texts, options = argument(params, 0, list), config(params, 1)
        if len(texts) > MAX_MULTIPLE:
            raise RpcError(INVALID_PARAMS, f"Too many inputs provided; max {MAX_MULTIPLE}")
        options = {"encoding": "base64"} | options
        keys = [public_key(text) for text in texts]
        slot = self.read_slot(options)
        return context(slot, [self._encoded(key, slot, options) for key in keys])

    def _balance(self, params: list[Json]) -> Json:
        key, slot = public_key(argument(params, 0, str)), self.read_slot(config(params, 1))
        account = self._chain.bank.account(key, slot)
        return context(slot, account.lamports if account else 0)

    def _rent(self, params: list[Json]) -> Json:
        return rent_exempt_lamports(argument(params, 0, int))

    def _program_accounts(self, params: list[Json]) -> Json:
        program, options = public_key(argument(params, 0, str)), config(params, 1)
        filters = options.get("filters") or []
        if len(filters) > MAX_FILTERS:
            raise RpcError(INVALID_PARAMS, f"Too many filters provided; max {MAX_FILTERS}")
        checks = [_filter(wanted) for wanted in filters]
        slot = self.read_slot(options)
        found = [
            {"pubkey": str(Pubkey(key)), "account": self._encoder.encode(key, account, options)}
            for key, account in self._owned(program, slot)
            if all(_matches(account, *check) for check in checks)
        ]
        return context(slot, found) if options.get("withContext") else found

    def _owned(self, program: bytes, slot: int) -> Iterator[tuple[bytes, Account]]:
        """Yield the accounts of ``program`` in the order of their keys."""
        for key in self._chain.bank.known_keys():
            account = self._chain.bank.account(key, slot)
            if account is not None and account.owner == program:
                yield key, account

    def _token_balance(self, params: list[Json]) -> Json:
        key, slot = public_key(argument(params, 0, str)), self.read_slot(config(params, 1))
        account = self._chain.bank.account(key, slot)
        if account is None:
            raise RpcError(INVALID_PARAMS, "Invalid param: could not find account")
        holding = _holding(account)
        if holding is None:
            raise RpcError(INVALID_PARAMS, "Invalid param: not a Token account")
        return context(slot, token_amount(holding.amount, self.decimals(holding.mint)))

    def _token_accounts(self, params: list[Json]) -> Json:
        owner, wanted, options = public_key(argument(params, 0, str)), config(params, 1), config(params, 2)
        if "mint" not in wanted and "programId" not in wanted:
            raise RpcError(INVALID_PARAMS, "Invalid params: mint or programId is needed")
        mint = public_key(wanted["mint"]) if "mint" in wanted else None
        program = public_key(wanted["programId"]) if mint is None else spl_token.PROGRAM_ID
        slot = self.read_slot(options)
        found = []
        for key, account in self._owned(program, slot):
            holding = _holding(account)
            if holding and holding.owner == owner and mint in (None, holding.mint):
                encoded = self._encoder.encode(key, account, options)
                found.append({"pubkey": str(Pubkey(key)), "account": encoded})
        return context(slot, found)

    def _token_supply(self, params: list[Json]) -> Json:
        key, slot = public_key(argument(params, 0, str)), self.read_slot(config(params, 1))
        account = self._chain.bank.account(key, slot)
        if account is None or len(account.data) != spl_token.MINT.size:
            raise RpcError(INVALID_PARAMS, "Invalid param: not a Token mint")
        mint = spl_token.Mint.read(account)
        return context(slot, token_amount(mint.supply, mint.decimals))

    def decimals(self, mint: bytes) -> int:
        """Return the decimals of a mint, 0 where it does not exist."""
        account = self._chain.bank.account(mint)
        return account.data[44] if account and len(account.data) == spl_token.MINT.size else 0


def _holding(account: Account) -> spl_token.Holding | None:
    if account.owner != spl_token.PROGRAM_ID or len(account.data) != spl_token.ACCOUNT.size:
        return None
    return spl_token.Holding(*spl_token.ACCOUNT.unpack(account.data)) if account.data[108] else None


def _filter(wanted: Json) -> tuple[int, bytes | None]:
    """Return (offset, bytes) of a memcmp filter, or (size, None) of a dataSize one."""
    try:
        if "dataSize" in wanted:
            return int(wanted["dataSize"]), None
        memcmp = wanted["memcmp"]
        if memcmp.get("encoding", "base58") == "base58":
            return int(memcmp["offset"]), base58_decode(memcmp["bytes"])
        return int(memcmp["offset"]), decode_bytes(memcmp["bytes"], memcmp["encoding"])
    except (KeyError, TypeError, ValueError, AttributeError) as wrong:
        raise RpcError(INVALID_PARAMS, f"Invalid params: bad filter {wanted!r}") from wrong


def _matches(account: Account, number: int, sample: bytes | None) -> bool:
    if sample is None:
        return len(account.data) == number
    return account.data[number : number + len(sample)] == sample
