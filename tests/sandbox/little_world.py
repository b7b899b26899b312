"""A chain with a hand on its clock, three funded wallets, and a client for its server."""

import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from bmv.sandbox.account import Account
from bmv.sandbox.chain import Chain
from bmv.sandbox.faults import Faults
from bmv.sandbox.genesis import TIP_ACCOUNTS
from bmv.sandbox.server import SandboxServer

START_MS = 1_700_000_000_000
SOL = 1_000_000_000


def keypair(number: int) -> Keypair:
    """Return a fixed key pair for each number."""
    return Keypair.from_seed(number.to_bytes(32, "big"))


def pay(source: Keypair, destination: Pubkey, lamports: int) -> Instruction:
    """Return a system transfer."""
    return transfer(TransferParams(from_pubkey=source.pubkey(), to_pubkey=destination, lamports=lamports))


def tip(source: Keypair, lamports: int = 1000) -> Instruction:
    """Return a transfer to a tip account."""
    return pay(source, Pubkey(TIP_ACCOUNTS[3]), lamports)


class World:
    """A chain whose time moves only when a test says so."""

    def __init__(self, seed: int = 7, **settings: Any) -> None:
        self.now_ms = START_MS
        self.chain = Chain(start_ms=START_MS, seed=seed, now=lambda: self.now_ms, **settings)
        self.alice, self.bob, self.carol = keypair(1), keypair(2), keypair(3)
        wallets = (self.alice, self.bob, self.carol)
        self.chain.genesis({bytes(wallet.pubkey()): Account(100 * SOL) for wallet in wallets})
        self.genesis_lamports = self.chain.total_lamports()

    def sign(
        self,
        instructions: Sequence[Instruction],
        *signers: Keypair,
        blockhash: str | None = None,
        legacy: bool = False,
    ) -> bytes:
        """Return the wire bytes of a transaction paid by the first signer (alice where none is named)."""
        keys = list(signers) or [self.alice]
        recent = Hash.from_string(blockhash or self.chain.latest_blockhash()[0])
        message = (
            Message.new_with_blockhash(list(instructions), keys[0].pubkey(), recent)
            if legacy
            else MessageV0.try_compile(keys[0].pubkey(), list(instructions), [], recent)
        )
        return bytes(VersionedTransaction(message, keys))

    def pass_slots(self, count: int = 1) -> None:
        """Let ``count`` slots go by and run what is due."""
        self.now_ms += count * self.chain.clock.slot_ms
        self.chain.run_due()

    def run(self, *instructions: Instruction, signers: Sequence[Keypair] = ()) -> Any:
        """Send one transaction, let it land, and return its error (None where it succeeded)."""
        signature = self.chain.submit_transaction(self.sign(instructions, *signers))
        self.pass_slots(2)
        landed = self.chain.ledger.get(signature)
        assert landed is not None
        return landed.outcome.err

    def lamports(self, who: Keypair | Pubkey | bytes) -> int:
        """Return a balance, 0 where there is no account."""
        key = bytes(who.pubkey()) if isinstance(who, Keypair) else bytes(who)
        account = self.chain.account(key)
        return account.lamports if account else 0

    def is_balanced(self) -> bool:
        """Say whether no lamport appeared or vanished."""
        return self.chain.total_lamports() + self.chain.burnt_lamports == self.genesis_lamports


class Client:
    """Plain HTTP calls against a server of the sandbox."""

    def __init__(self, session: aiohttp.ClientSession, server: SandboxServer) -> None:
        self.session, self.server = session, server

    async def post(self, path: str, body: Any) -> tuple[int, Any]:
        """Post JSON and return status and parsed answer (or text)."""
        async with self.session.post(self.server.http_url + path, json=body) as response:
            is_json = response.content_type == "application/json"
            return response.status, await (response.json() if is_json else response.text())

    async def rpc(self, method: str, *params: Any) -> Any:
        """Return the result, or the error object, of one call."""
        _, answer = await self.post("/", {"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        return answer.get("result", answer.get("error"))

    async def jito(self, method: str, *params: Any) -> Any:
        """Return the result, or the error object, of one Block Engine call."""
        path = "bundles" if method == "sendBundle" else method
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        _, answer = await self.post(f"/api/v1/{path}", body)
        return answer.get("result", answer.get("error"))


@asynccontextmanager
async def served(
    world: World, faults: Faults | None = None, unix_path: Path | None = None
) -> AsyncIterator[Client]:
    """Serve the world's chain and yield a client of it."""
    server = SandboxServer(world.chain, faults or Faults({}, 0))
    await server.start(unix_path=unix_path)
    connector = aiohttp.UnixConnector(str(unix_path)) if unix_path else aiohttp.TCPConnector()
    try:
        async with aiohttp.ClientSession(connector=connector) as session:
            yield Client(session, server)
    finally:
        await server.stop()


def b64(raw: bytes) -> str:
    """Return bytes as base64 text."""
    return base64.b64encode(raw).decode()
