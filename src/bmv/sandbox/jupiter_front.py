"""Jupiter's build endpoint for the simulated chain's one pool.

Rules of this file
- The answer has the real service's shape: amounts as text, instructions around and in the swap, lookup tables
  with what they hold, a blockhash as numbers. Token accounts are always set up, a unit price is asked for.
- What goes wrong on purpose: no answer, too many requests, a cut answer, no route, a quote of some time ago
  (the price has gone on: too little guaranteed, or more than the pool gives), an answer of somebody hostile.
"""

import base64
from decimal import Decimal

import orjson
from solders.hash import Hash
from solders.pubkey import Pubkey

from bmv.sandbox import ata_program, spl_token, system_program
from bmv.sandbox.chain import Chain
from bmv.sandbox.dollar_genesis import swap_accounts, table_addresses, table_key
from bmv.sandbox.faults import Faults
from bmv.sandbox.jupiter_hostile import COMPUTE_BUDGET, HOSTILE
from bmv.sandbox.jupiter_program import AMOUNTS, BPS, PROGRAM_ID, ROUTE_V2, USDC_MINT, brings
from bmv.sandbox.people.reference import Reference
from bmv.sandbox.rpc_front import UNAVAILABLE, Answer, garbled
from bmv.sandbox.wire import Json

PATH = "/jup/swap/v2/build"
UNIT_PRICE = 20_000
STALE_BY = (Decimal("1.008"), Decimal("0.992"))
"""A stale quote is this much above or below the price, by turns."""
ROUTE_PLAN = bytes.fromhex("01000000") + bytes((1, 100, 0, 1))
LABEL = "Sandbox pool"
TOO_MANY = b'{"code":429,"message":"[API Gateway] Too many requests"}'


class JupiterFront:
    """Answer requests for swaps; ``sol_usd`` is the price outside."""

    def __init__(self, chain: Chain, sol_usd: Reference, faults: Faults, seed: int) -> None:
        self._chain, self._sol_usd, self._faults = chain, sol_usd, faults
        self._table = table_key(seed)

    def answer(self, query: dict[str, str]) -> Answer:
        """Return the HTTP answer to one request."""
        failure = self._failure()
        if failure is not None:
            return failure
        try:
            answer = self._build(query)
        except (KeyError, ValueError) as wrong:
            return 400, "application/json", orjson.dumps({"error": f"Invalid query: {wrong}"})
        if self._faults.strikes("jupiter_hostile"):
            HOSTILE[(self._faults.injected["jupiter_hostile"] - 1) % len(HOSTILE)](answer)
        body = orjson.dumps(answer)
        if self._faults.strikes("jupiter_garbled"):
            return garbled(body, self._faults.injected["jupiter_garbled"])
        return 200, "application/json", body

    def _failure(self) -> Answer | None:
        if self._faults.strikes("jupiter_unreachable"):
            return UNAVAILABLE
        if self._faults.strikes("jupiter_rate_limited"):
            return 429, "application/json", TOO_MANY
        if self._faults.strikes("jupiter_no_route"):
            return 400, "application/json", b'{"error":"No routes found"}'
        return None

    def _build(self, query: dict[str, str]) -> Json:
        taker, input_mint, output_mint = (
            bytes(Pubkey.from_string(query[name])) for name in ("taker", "inputMint", "outputMint")
        )
        if {input_mint, output_mint} != {spl_token.NATIVE_MINT, USDC_MINT}:
            raise ValueError("the token is not tradable")
        amount, slippage = int(query["amount"]), int(query.get("slippageBps", "50"))
        price = self._sol_usd.price_at(self._chain.now())
        out = brings(amount, input_mint, price)
        if self._faults.strikes("jupiter_stale"):
            out = int(out * STALE_BY[self._faults.injected["jupiter_stale"] % 2])
        data = ROUTE_V2 + AMOUNTS.pack(amount, out, slippage, 0, 0) + ROUTE_PLAN
        accounts = swap_accounts(taker, input_mint)
        return {
            "inputMint": query["inputMint"],
            "outputMint": query["outputMint"],
            "inAmount": str(amount),
            "outAmount": str(out),
            "otherAmountThreshold": str(out * (BPS - slippage) // BPS),
            "swapMode": "ExactIn",
            "slippageBps": slippage,
            "priceImpactPct": "0.0004",
            "routePlan": [_hop(query, amount, out, accounts[-1][0])],
            "computeBudgetInstructions": [
                _call(Pubkey.from_string(COMPUTE_BUDGET), [], b"\x03" + UNIT_PRICE.to_bytes(8, "little"))
            ],
            "setupInstructions": [_opening(taker, mint) for mint in (input_mint, output_mint)],
            "swapInstruction": _call(Pubkey(PROGRAM_ID), accounts, data),
            "cleanupInstruction": None,
            "otherInstructions": [],
            "tipInstruction": None,
            "addressesByLookupTableAddress": {
                str(Pubkey(self._table)): [str(Pubkey(key)) for key in table_addresses()]
            },
            "blockhashWithMetadata": self._blockhash(),
        }

    def _blockhash(self) -> Json:
        text, last_valid = self._chain.latest_blockhash()
        seconds, rest = divmod(self._chain.now(), 1000)
        return {
            "blockhash": list(bytes(Hash.from_string(text))),
            "lastValidBlockHeight": last_valid,
            "fetchedAt": {"secs_since_epoch": seconds, "nanos_since_epoch": rest * 10**6},
        }


def _hop(query: dict[str, str], amount: int, out: int, vault: bytes) -> Json:
    swap = {
        "ammKey": str(Pubkey(vault)),
        "label": LABEL,
        "inputMint": query["inputMint"],
        "outputMint": query["outputMint"],
        "inAmount": str(amount),
        "outAmount": str(out),
    }
    return {"swapInfo": swap, "percent": 100, "bps": BPS}


def _opening(taker: bytes, mint: bytes) -> Json:
    """Return the instruction that opens a token account where it is not open yet."""
    account = ata_program.address(taker, mint)
    accounts = [(taker, True, True), (account, False, True), (taker, False, False), (mint, False, False)]
    accounts += [(system_program.PROGRAM_ID, False, False), (spl_token.PROGRAM_ID, False, False)]
    return _call(Pubkey(ata_program.PROGRAM_ID), accounts, bytes([ata_program.CREATE_IDEMPOTENT]))


def _call(program: Pubkey, accounts: list[tuple[bytes, bool, bool]], data: bytes) -> Json:
    metas = [
        {"pubkey": str(Pubkey(key)), "isSigner": signs, "isWritable": writes}
        for key, signs, writes in accounts
    ]
    return {"programId": str(program), "accounts": metas, "data": base64.b64encode(data).decode()}
