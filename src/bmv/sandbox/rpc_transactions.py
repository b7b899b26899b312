"""The RPC methods that send, simulate and find transactions.

Rules
- sendTransaction runs a preflight unless told not to; what fails there is answered with -32002 and not sent.
- getTransaction and getSignaturesForAddress know only what is confirmed or finalized, as asked.
"""

import binascii
from typing import cast

from solders.pubkey import Pubkey

from bmv.sandbox import spl_token
from bmv.sandbox.bank import Balances, Outcome
from bmv.sandbox.chain import LAG_SLOTS, Chain
from bmv.sandbox.ledger import Landed, UnknownCursor
from bmv.sandbox.rpc_accounts import AccountReads, commitment_of, context
from bmv.sandbox.transaction import Call, Rejected, Transaction, TxError, Undecodable, parse
from bmv.sandbox.wire import (
    INVALID_PARAMS,
    AccountEncoder,
    Json,
    Method,
    RpcError,
    argument,
    base58_encode,
    config,
    decode_bytes,
    public_key,
    token_amount,
)

PREFLIGHT_FAILURE, SIGNATURE_FAILURE, VERSION_UNSUPPORTED, FILTER_NOT_FOUND = -32002, -32003, -32015, -32020
MAX_STATUSES = 256
MAX_HISTORY = 1000
COST_UNITS_OVERHEAD = 1050


class TransactionCalls:
    """Answer calls about transactions from a chain and its ledger."""

    def __init__(self, chain: Chain, reads: AccountReads, encoder: AccountEncoder) -> None:
        self._chain, self._reads, self._encoder = chain, reads, encoder
        self.methods: dict[str, Method] = {
            "sendTransaction": self._send,
            "simulateTransaction": self._simulate,
            "getSignatureStatuses": self._statuses,
            "getSignaturesForAddress": self._history,
            "getTransaction": self._transaction,
        }

    def _send(self, params: list[Json]) -> Json:
        options = config(params, 1)
        raw = decode_bytes(argument(params, 0, str), options.get("encoding"))
        tx = _parsed(raw, verify=True)
        if not options.get("skipPreflight"):
            self._preflight(tx)
        return self._chain.submit_transaction(raw)

    def _preflight(self, tx: Transaction) -> None:
        try:
            outcome = self._chain.simulate(tx)
        except Rejected as refusal:
            outcome, words = Outcome(0, err=refusal.error), refusal.message
        else:
            if outcome.err is None:
                return
            words = error_words(outcome.err)
        message = f"Transaction simulation failed: {words}"
        raise RpcError(PREFLIGHT_FAILURE, message, _simulated(outcome, None, None))

    def _simulate(self, params: list[Json]) -> Json:
        options = config(params, 1)
        raw = decode_bytes(argument(params, 0, str), options.get("encoding"))
        replaced = bool(options.get("replaceRecentBlockhash"))
        slot = self._chain.slot_at(commitment_of(options))
        tx = _parsed(raw, verify=bool(options.get("sigVerify")))
        try:
            outcome = self._chain.simulate(tx, any_blockhash=replaced)
        except Rejected as refusal:
            outcome = Outcome(0, err=refusal.error)
        blockhash = None
        if replaced:
            text, last_height = self._chain.latest_blockhash()
            blockhash = {"blockhash": text, "lastValidBlockHeight": last_height}
        accounts = self._accounts_after(outcome, options.get("accounts"))
        return context(slot, _simulated(outcome, accounts, blockhash))

    def _accounts_after(self, outcome: Outcome, wanted: Json) -> Json:
        if wanted is None:
            return None
        options = {"encoding": wanted.get("encoding", "base64")}
        shown: list[Json] = []
        for text in wanted.get("addresses", []):
            key = public_key(text)
            account = outcome.writes.get(key) or self._chain.account(key)
            exists = account is not None and account.lamports
            shown.append(self._encoder.encode(key, account, options) if account and exists else None)
        return shown

    def _statuses(self, params: list[Json]) -> Json:
        signatures, options = argument(params, 0, list), config(params, 1)
        if len(signatures) > MAX_STATUSES:
            raise RpcError(INVALID_PARAMS, f"Too many inputs provided; max {MAX_STATUSES}")
        slot = self._reads.read_slot({"commitment": "processed"} | options)
        if self._reads.is_forked():
            return context(slot, [None] * len(signatures))
        return context(slot, [self._status(signature, slot) for signature in signatures])

    def _status(self, signature: Json, slot: int) -> Json:
        landed = self._chain.ledger.get(signature) if isinstance(signature, str) else None
        if landed is None or landed.slot > slot:
            return None
        age = slot - landed.slot
        return {
            "slot": landed.slot,
            "confirmations": None if age >= LAG_SLOTS["finalized"] else age,
            "err": landed.outcome.err,
            "status": _result(landed.outcome.err),
            "confirmationStatus": confirmation_status(age),
        }

    def _history(self, params: list[Json]) -> Json:
        address, options = public_key(argument(params, 0, str)), config(params, 1)
        limit = options.get("limit", MAX_HISTORY)
        if not isinstance(limit, int) or not 1 <= limit <= MAX_HISTORY:
            raise RpcError(INVALID_PARAMS, f"Invalid limit; max {MAX_HISTORY}")
        up_to = self._chain.slot_at(commitment_of(options))
        try:
            found = self._chain.ledger.of_address(
                address, up_to, limit, options.get("before"), options.get("until")
            )
        except UnknownCursor as unknown:
            raise RpcError(FILTER_NOT_FOUND, "Filter transaction not found") from unknown
        slot = self._chain.slot
        return [
            {
                "err": landed.outcome.err,
                "memo": None,
                "signature": landed.tx.signature,
                "slot": landed.slot,
                "blockTime": landed.block_time,
                "confirmationStatus": confirmation_status(slot - landed.slot),
                "transactionIndex": landed.index,
            }
            for landed in found
        ]

    def _transaction(self, params: list[Json]) -> Json:
        signature = argument(params, 0, str)
        named = len(params) > 1 and isinstance(params[1], str)
        options = {"encoding": params[1]} if named else config(params, 1)
        landed = self._chain.ledger.get(signature)
        if landed is None or landed.slot > self._chain.slot_at(commitment_of(options)):
            return None
        if landed.tx.version is not None and options.get("maxSupportedTransactionVersion") is None:
            raise RpcError(
                VERSION_UNSUPPORTED,
                "Transaction version (0) is not supported by the requesting client. Please try the request "
                'again with the following configuration parameter: "maxSupportedTransactionVersion": 0',
            )
        return {
            "slot": landed.slot,
            "blockTime": landed.block_time,
            "transactionIndex": landed.index,
            "version": "legacy" if landed.tx.version is None else landed.tx.version,
            "meta": self._meta(landed),
            "transaction": _shown(landed.tx, options.get("encoding", "json")),
        }

    def _meta(self, landed: Landed) -> Json:
        outcome = landed.outcome
        return {
            "err": outcome.err,
            "status": _result(outcome.err),
            "fee": outcome.fee,
            "preBalances": list(outcome.before.lamports),
            "postBalances": list(outcome.after.lamports),
            "innerInstructions": [],
            "logMessages": outcome.logs,
            "preTokenBalances": self._tokens(outcome.before),
            "postTokenBalances": self._tokens(outcome.after),
            "rewards": [],
            "loadedAddresses": _loaded(landed.tx),
            "returnData": None,
            "computeUnitsConsumed": outcome.units,
            "costUnits": outcome.units + COST_UNITS_OVERHEAD,
        }

    def _tokens(self, balances: Balances) -> Json:
        return [
            {
                "accountIndex": token.index,
                "mint": str(Pubkey(token.mint)),
                "owner": str(Pubkey(token.owner)),
                "programId": str(Pubkey(spl_token.PROGRAM_ID)),
                "uiTokenAmount": token_amount(token.amount, self._reads.decimals(token.mint)),
            }
            for token in balances.tokens
        ]


def confirmation_status(age_slots: int) -> str:
    """Return how settled something is that landed ``age_slots`` ago."""
    if age_slots >= LAG_SLOTS["finalized"]:
        return "finalized"
    return "confirmed" if age_slots >= LAG_SLOTS["confirmed"] else "processed"


def error_words(error: TxError) -> str:
    """Return a transaction error in the words of Agave's messages."""
    if isinstance(error, dict) and "InstructionError" in error:
        index, inner = cast(tuple[int, TxError], error["InstructionError"])
        what = f"custom program error: {inner['Custom']:#x}" if isinstance(inner, dict) else inner
        return f"Error processing Instruction {index}: {what}"
    if isinstance(error, dict) and "InsufficientFundsForRent" in error:
        return "Transaction results in an account with insufficient funds for rent"
    return str(error)


def _parsed(raw: bytes, *, verify: bool) -> Transaction:
    try:
        return parse(raw, verify=verify)
    except Undecodable as wrong:
        raise RpcError(INVALID_PARAMS, wrong.message) from wrong
    except Rejected as refusal:
        code = SIGNATURE_FAILURE if refusal.error == "SignatureFailure" else PREFLIGHT_FAILURE
        raise RpcError(code, refusal.message) from refusal


def _result(error: TxError | None) -> Json:
    return {"Ok": None} if error is None else {"Err": error}


def _simulated(outcome: Outcome, accounts: Json, blockhash: Json) -> dict[str, Json]:
    return {
        "accounts": accounts,
        "err": outcome.err,
        "fee": outcome.fee,
        "logs": outcome.logs,
        "returnData": None,
        "unitsConsumed": outcome.units,
        "innerInstructions": None,
        "replacementBlockhash": blockhash,
        "loadedAccountsDataSize": outcome.data_size,
    }


def _shown(tx: Transaction, encoding: Json) -> Json:
    if encoding in ("base64", "base58"):
        return [_encoded(tx.raw, encoding), encoding]
    if encoding != "json":
        raise RpcError(INVALID_PARAMS, f"encoding {encoding!r} is not simulated; use json or base64")
    places = {key: index for index, key in enumerate(tx.keys)}
    message: dict[str, Json] = {
        "header": {
            "numRequiredSignatures": tx.signer_count,
            "numReadonlySignedAccounts": tx.readonly_counts[0],
            "numReadonlyUnsignedAccounts": tx.readonly_counts[1],
        },
        "accountKeys": [str(Pubkey(key)) for key in tx.keys[: tx.static_count]],
        "recentBlockhash": tx.blockhash,
        "instructions": [_instruction(call, places) for call in tx.calls],
    }
    if tx.version is not None:
        message["addressTableLookups"] = [
            {
                "accountKey": str(Pubkey(one.table)),
                "writableIndexes": list(one.writable),
                "readonlyIndexes": list(one.readonly),
            }
            for one in tx.message_lookups
        ]
    return {"signatures": list(tx.signatures), "message": message}


def _loaded(tx: Transaction) -> Json:
    """Return the accounts a landed transaction took from tables."""
    taken = list(zip(tx.keys, tx.writable, strict=True))[tx.static_count :]
    return {
        "writable": [str(Pubkey(key)) for key, writable in taken if writable],
        "readonly": [str(Pubkey(key)) for key, writable in taken if not writable],
    }


def _instruction(call: Call, places: dict[bytes, int]) -> Json:
    return {
        "programIdIndex": places[call.program],
        "accounts": list(call.accounts),
        "data": base58_encode(call.data),
        "stackHeight": 1,
    }


def _encoded(raw: bytes, encoding: str) -> str:
    return base58_encode(raw) if encoding == "base58" else binascii.b2a_base64(raw, newline=False).decode()
