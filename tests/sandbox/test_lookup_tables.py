"""Lookup tables of the simulated chain against the real program and runtime (solders' LiteSVM)."""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from solders.account import Account as RealAccount
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata

from bmv.sandbox.account import Account
from bmv.sandbox.lookup_table_program import META, PROGRAM_ID
from bmv.sandbox.transaction import Rejected, parse
from bmv.units import Slot
from bmv.venue.lookup_table import (
    close_lookup_table,
    create_lookup_table,
    deactivate_lookup_table,
    decode_lookup_table,
    extend_lookup_table,
    table_address,
)
from tests.sandbox.little_world import World, b64, keypair, pay, served, tip

STEPS = 400
FREEZE = (1).to_bytes(4, "little")
PLACES = [keypair(500 + number).pubkey() for number in range(90)]


class Twins:
    """The same wallets and tables on both chains; ``step`` runs one transaction on each and compares."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.world = World()
        self.world.pass_slots(600)
        self.svm = LiteSVM().with_transaction_history(0)
        self.wallets = [self.world.alice, self.world.bob]
        self.known: set[Pubkey] = {wallet.pubkey() for wallet in self.wallets}
        for wallet in self.wallets:
            account = self.world.chain.account(bytes(wallet.pubkey()))
            assert account is not None
            self.svm.set_account(wallet.pubkey(), RealAccount(account.lamports, b"", Pubkey(bytes(32))))
        self.tables: list[Pubkey] = []
        self.landed = self.failed = self.refused = 0

    def step(self, instructions: list[Instruction], signer: Keypair, tables: Sequence[Any] = ()) -> None:
        ours = self._ours_does(instructions, signer, tables)
        slot = self.world.chain.slot
        self._move_to(slot)
        self.svm.expire_blockhash()
        blockhash = self.svm.latest_blockhash()
        message = MessageV0.try_compile(signer.pubkey(), instructions, list(tables), blockhash)
        theirs = self.svm.send_transaction(VersionedTransaction(message, [signer]))
        what = (ours, theirs, [bytes(one.data)[:20].hex() for one in instructions])
        if isinstance(theirs, FailedTransactionMetadata):
            assert ours is not None, what
            words = str(theirs.err())
            if isinstance(ours, str):
                self.refused += 1
                assert ours == words.removeprefix("TransactionErrorFieldless."), what
            else:
                self.failed += 1
        else:
            self.landed += 1
            assert ours is None, what
        for key in sorted(self.known, key=bytes):
            assert self._ours(key) == self._theirs(key), (str(key), what)

    def _ours_does(self, instructions: list[Instruction], signer: Keypair, tables: Sequence[Any]) -> Any:
        """Run it at once in the present slot, and return its error."""
        chain = self.world.chain
        self.world.pass_slots(1)
        blockhash = Hash.from_string(chain.latest_blockhash()[0])
        message = MessageV0.try_compile(signer.pubkey(), instructions, list(tables), blockhash)
        raw = bytes(VersionedTransaction(message, [signer]))
        before = chain.slot
        signature = chain.submit_transaction(raw)
        while chain.slot == before:
            self.world.pass_slots(1)
        landed = chain.ledger.get(signature)
        return landed.outcome.err if landed else _refusal(chain, raw)

    def _move_to(self, slot: int) -> None:
        clock = self.world.chain.clock
        recent = [one for one in range(slot - 1, slot - 600, -1) if not clock.is_skipped(one)][:512]
        self.svm.warp_to_slot(slot)
        self.svm.set_slot_hashes([(one, Hash.default()) for one in recent])

    def _ours(self, key: Pubkey) -> Any:
        account = self.world.chain.account(bytes(key))
        return _facts(account) if account else None

    def _theirs(self, key: Pubkey) -> Any:
        account = self.svm.get_account(key)
        if account is None or not account.lamports:
            return None
        return _facts(Account(account.lamports, account.data, bytes(account.owner)))


def _refusal(chain: Any, raw: bytes) -> str:
    """Return why a transaction cannot land."""
    try:
        chain.simulate(parse(raw))
    except Rejected as refusal:
        return str(refusal.error)
    raise AssertionError("it neither landed nor can it not")


def _facts(account: Account) -> Any:
    return account.lamports, bytes(account.owner), bytes(account.data)


class Steps:
    """One method per kind of step: instructions, who signs, tables."""

    def __init__(self, twins: Twins) -> None:
        self.twins, self.draw = twins, twins.draw

    def kinds(self) -> list[Callable[[], tuple[list[Instruction], Keypair, Sequence[Any]]]]:
        rare = [self.freeze, self.deactivate, self.close, self.wait]
        return rare + [self.create, self.extend, self.use] * 3

    def table(self) -> Pubkey:
        return self.draw.choice(self.twins.tables)

    def who(self) -> Keypair:
        return self.twins.wallets[self.draw.random() < 0.15]

    def create(self) -> tuple[list[Instruction], Keypair, Sequence[Any]]:
        who = self.who()
        slot = Slot(self.twins.world.chain.slot - self.draw.choice((-1, 0, 1, 2, 3, 30, 500, 537, 560)))
        address = table_address(who.pubkey(), slot)
        self.twins.tables = [*self.twins.tables[-5:], address]
        self.twins.known.add(address)
        steps = [create_lookup_table(who.pubkey(), slot)]
        if self.draw.random() < 0.5:
            steps.append(extend_lookup_table(address, who.pubkey(), self.places()))
        return steps, who, ()

    def places(self) -> list[Pubkey]:
        return self.draw.choices(PLACES, k=self.draw.choice((0, 1, 2, 20, 29)))

    def extend(self) -> tuple[list[Instruction], Keypair, Sequence[Any]]:
        who = self.who()
        return [extend_lookup_table(self.table(), who.pubkey(), self.places())], who, ()

    def freeze(self) -> tuple[list[Instruction], Keypair, Sequence[Any]]:
        who = self.who()
        metas = [AccountMeta(self.table(), False, True), AccountMeta(who.pubkey(), True, False)]
        return [Instruction(Pubkey(PROGRAM_ID), FREEZE, metas)] if self.draw.random() < 0.3 else [], who, ()

    def deactivate(self) -> tuple[list[Instruction], Keypair, Sequence[Any]]:
        who = self.who()
        return [deactivate_lookup_table(self.table(), who.pubkey())], who, ()

    def close(self) -> tuple[list[Instruction], Keypair, Sequence[Any]]:
        who = self.who()
        return [close_lookup_table(self.table(), who.pubkey(), who.pubkey())], who, ()

    def wait(self) -> tuple[list[Instruction], Keypair, Sequence[Any]]:
        self.twins.world.pass_slots(self.draw.choice((5, 100, 300, 531)))
        return [], self.who(), ()

    def use(self) -> tuple[list[Instruction], Keypair, Sequence[Any]]:
        """Pay to places named through a table, now and then through one that was never so long."""
        who, table = self.who(), self.table()
        account = self.twins.world.chain.account(bytes(table))
        held = list(decode_lookup_table(bytes(account.data)).addresses) if account else []
        said = held if self.draw.random() < 0.8 else [*held, *self.draw.sample(PLACES, 3)]
        if not said:
            said = PLACES[:2]
        places = self.draw.sample(said, min(len(said), 3))
        self.twins.known |= set(places)
        paid = [pay(who, place, 1_000_000 + self.draw.randrange(9)) for place in places]
        return paid, who, [AddressLookupTableAccount(table, said)]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_steps_with_tables_do_on_both_chains_the_same(seed: int) -> None:
    twins = Twins(seed)
    steps = Steps(twins)
    for _ in range(3):
        twins.step(*steps.create())
    kinds = steps.kinds()
    for _ in range(STEPS):
        twins.step(*twins.draw.choice(kinds)())
    assert min(twins.landed, twins.failed, twins.refused) > STEPS // 20
    assert twins.world.is_balanced()


def opened(world: World, places: Sequence[Pubkey]) -> Pubkey:
    """Open a table of alice's that holds ``places``."""
    owner = world.alice.pubkey()
    slot = Slot(world.chain.slot)
    address = table_address(owner, slot)
    world.pass_slots(1)
    made = world.run(create_lookup_table(owner, slot), extend_lookup_table(address, owner, places))
    assert made is None
    return address


def looking_up(world: World, table: Pubkey, places: Sequence[Pubkey], *asked: Instruction) -> bytes:
    """Sign a transaction of alice's that names ``places`` through a table."""
    named = [AddressLookupTableAccount(table, list(places))]
    blockhash = Hash.from_string(world.chain.latest_blockhash()[0])
    message = MessageV0.try_compile(world.alice.pubkey(), list(asked), named, blockhash)
    return bytes(VersionedTransaction(message, [world.alice]))


def test_a_tip_whose_account_comes_out_of_a_table_is_none() -> None:
    world = World()
    paid = tip(world.alice)
    account = paid.accounts[1].pubkey
    raw = looking_up(world, opened(world, [account]), [account], paid)
    with pytest.raises(Rejected, match="write lock at least one tip account"):
        world.chain.submit_bundle([raw])


def test_a_node_tells_which_accounts_a_transaction_looked_up() -> None:
    world = World()
    places = PLACES[:2]
    table = opened(world, places)
    world.pass_slots(2)
    raw = looking_up(world, table, places, pay(world.alice, places[1], 2_000_000))

    async def asked() -> tuple[Any, Any, Any]:
        confirmed = {"commitment": "confirmed"}
        async with served(world) as client:
            signature = await client.rpc("sendTransaction", b64(raw), {"encoding": "base64"})
            world.pass_slots(3)
            options = {"maxSupportedTransactionVersion": 0, **confirmed}
            found = await client.rpc("getTransaction", signature, options)
            return signature, found, await client.rpc("getSignaturesForAddress", str(places[1]), confirmed)

    signature, found, history = asyncio.run(asked())
    message = found["transaction"]["message"]
    assert message["addressTableLookups"] == [
        {"accountKey": str(table), "writableIndexes": [1], "readonlyIndexes": []}
    ]
    assert found["meta"]["loadedAddresses"] == {"writable": [str(places[1])], "readonly": []}
    assert str(places[1]) not in message["accountKeys"]
    assert len(found["meta"]["postBalances"]) == len(message["accountKeys"]) + 1
    assert found["meta"]["postBalances"][-1] == 2_000_000
    assert [one["signature"] for one in history] == [signature]


def test_a_table_is_found_by_its_authority() -> None:
    world = World()
    table = opened(world, PLACES[:3])
    other = table_address(world.bob.pubkey(), Slot(world.chain.slot))
    slot = Slot(world.chain.slot)
    world.pass_slots(1)
    assert world.run(create_lookup_table(world.bob.pubkey(), slot), signers=[world.bob]) is None
    world.pass_slots(2)
    wanted = {"memcmp": {"offset": 22, "bytes": str(world.alice.pubkey())}}

    async def asked() -> Any:
        async with served(world) as client:
            options = {"encoding": "base64", "filters": [wanted], "commitment": "confirmed"}
            return await client.rpc("getProgramAccounts", str(Pubkey(PROGRAM_ID)), options)

    found = asyncio.run(asked())
    assert [one["pubkey"] for one in found] == [str(table)]
    assert str(other) not in [one["pubkey"] for one in found]
    assert found[0]["account"]["space"] == META.size + 3 * 32
