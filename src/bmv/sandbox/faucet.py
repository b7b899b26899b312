"""Free SOL for whoever asks: ``requestAirdrop``, a real transfer from an account of the genesis."""

import itertools

from solders.compute_budget import set_compute_unit_limit
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from bmv.sandbox.account import Account
from bmv.sandbox.chain import Chain
from bmv.sandbox.wire import INVALID_PARAMS, Json, Method, RpcError, argument, public_key
from bmv.units import LAMPORTS_PER_SOL

STOCK_LAMPORTS = 1_000_000 * LAMPORTS_PER_SOL
MOST_LAMPORTS = 10_000 * LAMPORTS_PER_SOL
_UNITS = 1_000


class Faucet:
    """Send lamports of ``keypair`` to whoever asks; ``accounts`` is what the genesis needs for that."""

    def __init__(self, chain: Chain, keypair: Keypair) -> None:
        self._chain, self._keypair = chain, keypair
        self._numbers = itertools.count(_UNITS)
        self.accounts = {bytes(keypair.pubkey()): Account(STOCK_LAMPORTS)}
        self.methods: dict[str, Method] = {"requestAirdrop": self._airdrop}

    def _airdrop(self, params: list[Json]) -> Json:
        receiver = Pubkey(public_key(argument(params, 0, str)))
        lamports = argument(params, 1, int)
        if not 0 < lamports <= MOST_LAMPORTS:
            raise RpcError(INVALID_PARAMS, f"Invalid params: 1 to {MOST_LAMPORTS} lamports")
        payer = self._keypair.pubkey()
        instructions = [
            # Another limit each time: the same wish twice is two transactions.
            set_compute_unit_limit(next(self._numbers)),
            transfer(TransferParams(from_pubkey=payer, to_pubkey=receiver, lamports=lamports)),
        ]
        blockhash = Hash.from_string(self._chain.latest_blockhash()[0])
        message = MessageV0.try_compile(payer, instructions, [], blockhash)
        return self._chain.submit_transaction(bytes(VersionedTransaction(message, [self._keypair])))
