"""The system, token and associated token programs against the real ones (solders' LiteSVM), step by step."""

import random
import struct
from collections.abc import Callable
from typing import Any

import pytest
from solders.account import Account as RealAccount
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata

from bmv.sandbox import ata_program, spl_token, system_program
from bmv.sandbox.account import Account
from tests.sandbox.little_world import World, keypair

SYSTEM, TOKEN, ATA = Pubkey(bytes(32)), Pubkey(spl_token.PROGRAM_ID), Pubkey(ata_program.PROGRAM_ID)
NATIVE = Pubkey(spl_token.NATIVE_MINT)
STEPS = 350


class Twins:
    """The same wallets on both chains; ``step`` runs one transaction on each and compares."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.world = World()
        self.svm = LiteSVM().with_transaction_history(0)
        self.wallets = [self.world.alice, self.world.bob, self.world.carol]
        self.fresh = 1000
        self.mints = [NATIVE]
        self.holdings: list[Pubkey] = []
        self.known: set[Pubkey] = {NATIVE, *(wallet.pubkey() for wallet in self.wallets)}
        for key in self.known:
            self._copy_over(key)
        self.landed = self.failed = 0

    def _copy_over(self, key: Pubkey) -> None:
        account = self.world.chain.account(bytes(key))
        assert account is not None
        self.svm.set_account(key, RealAccount(account.lamports, bytes(account.data), Pubkey(account.owner)))

    def new_key(self) -> Keypair:
        self.fresh += 1
        made = keypair(self.fresh)
        self.known.add(made.pubkey())
        return made

    def step(self, instructions: list[Instruction], signers: list[Keypair]) -> None:
        ours = self.world.run(*instructions, signers=signers)
        self.svm.expire_blockhash()
        message = MessageV0.try_compile(signers[0].pubkey(), instructions, [], self.svm.latest_blockhash())
        theirs = self.svm.send_transaction(VersionedTransaction(message, signers))
        what = (ours, theirs, [bytes(one.data)[:9].hex() for one in instructions])
        if isinstance(theirs, FailedTransactionMetadata):
            self.failed += 1
            assert ours is not None, what
            assert _custom(ours) == _real_custom(theirs), what
        else:
            self.landed += 1
            assert ours is None, what
        for key in sorted(self.known, key=bytes):
            assert self._ours(key) == self._theirs(key), (str(key), what)

    def _ours(self, key: Pubkey) -> Any:
        account = self.world.chain.account(bytes(key))
        return _facts(account) if account else None

    def _theirs(self, key: Pubkey) -> Any:
        account = self.svm.get_account(key)
        if account is None or not account.lamports:
            return None
        return _facts(Account(account.lamports, account.data, bytes(account.owner)))


def _facts(account: Account) -> Any:
    """Return what must agree; what an absent option's bytes hold is nobody's business."""
    data: Any = bytes(account.data)
    if account.owner == spl_token.PROGRAM_ID and len(data) == spl_token.ACCOUNT.size:
        data = list(spl_token.ACCOUNT.unpack(data))
        if not data[3]:
            data[4], data[8] = b"", 0
        if not data[9]:
            data[10] = b""
    elif account.owner == spl_token.PROGRAM_ID and len(data) == spl_token.MINT.size:
        data = list(spl_token.MINT.unpack(data))
        data[1] = data[1] if data[0] else b""
        data[6] = data[6] if data[5] else b""
    return account.lamports, account.owner, data


def _custom(error: Any) -> Any:
    inner = error["InstructionError"][1] if "InstructionError" in error else None
    return inner["Custom"] if isinstance(inner, dict) else None


def _real_custom(failed: FailedTransactionMetadata) -> Any:
    inner = getattr(failed.err(), "err", None)
    return getattr(inner, "code", None)


def _token(tag: int, body: bytes, *metas: tuple[Pubkey, bool, bool]) -> Instruction:
    return Instruction(TOKEN, bytes([tag]) + body, [AccountMeta(*meta) for meta in metas])


def _create(payer: Pubkey, made: Pubkey, lamports: int, space: int, owner: Pubkey) -> Instruction:
    data = struct.pack("<IQQ32s", 0, lamports, space, bytes(owner))
    return Instruction(SYSTEM, data, [AccountMeta(payer, True, True), AccountMeta(made, True, True)])


class Steps:
    """One method per kind of step: returns instructions and the signers they name.

    Three steps in four name accounts that fit together, the others whatever comes.
    """

    def __init__(self, twins: Twins) -> None:
        self.twins, self.draw = twins, twins.draw

    def kinds(self) -> list[Callable[[], tuple[list[Instruction], list[Keypair]]]]:
        rare = [self.make_mint, self.make_account, self.make_seeded, self.make_associated, self.pay]
        often = [self.make_holding, self.mint_to, self.move, self.move_checked, self.approve, self.sync]
        return rare + often * 2 + [self.burn, self.set_authority, self.close]

    def fits(self) -> bool:
        return self.draw.random() < 0.75

    def wallet(self, key: bytes | None = None) -> Keypair:
        """Return the wallet of ``key``, or any."""
        named = [wallet for wallet in self.twins.wallets if bytes(wallet.pubkey()) == key and self.fits()]
        return named[0] if named else self.draw.choice(self.twins.wallets)

    def holding(self, mint: bytes | None = None) -> Pubkey:
        """Return an account, of ``mint`` where that is asked and fits."""
        alike = [key for key in self.twins.holdings if (found := self.read(key)) and found.mint == mint]
        return self.draw.choice(alike if alike and self.fits() else self.twins.holdings)

    def read(self, key: Pubkey) -> spl_token.Holding | None:
        account = self.twins.world.chain.account(bytes(key))
        if account is None or len(account.data) != spl_token.ACCOUNT.size or not account.data[108]:
            return None
        return spl_token.Holding.read(account)

    def owned(self) -> tuple[Pubkey, Keypair, bytes | None]:
        """Return an account, who may spend from it, and its mint."""
        key = self.holding()
        holding = self.read(key)
        if holding is None:
            return key, self.wallet(), None
        spender = holding.delegate if holding.has_delegate and self.draw.random() < 0.5 else holding.owner
        return key, self.wallet(spender), holding.mint

    def amount(self) -> int:
        return self.draw.choice((0, 1, self.draw.randrange(1000), self.draw.randrange(10**6), 2**64 - 1))

    def pay(self) -> tuple[list[Instruction], list[Keypair]]:
        source = self.wallet()
        target = self.draw.choice([*sorted(self.twins.known, key=bytes), self.twins.new_key().pubkey()])
        amount = self.draw.choice((1, 890_879, 890_880, self.draw.randrange(10**9), 10**12))
        data = struct.pack("<IQ", 2, amount)
        metas = [AccountMeta(source.pubkey(), True, True), AccountMeta(target, False, True)]
        return [Instruction(SYSTEM, data, metas)], [source]

    def make_account(self) -> tuple[list[Instruction], list[Keypair]]:
        payer, made, space = self.wallet(), self.twins.new_key(), self.draw.choice((0, 82, 165, 3228))
        lamports = system_program.rent_exempt_lamports(space) + self.draw.choice((-1, 0, 5))
        owner = self.draw.choice((SYSTEM, TOKEN))
        again = [_create(payer.pubkey(), made.pubkey(), lamports, space, owner)] * self.draw.choice((1, 1, 2))
        return again, [payer, made]

    def make_seeded(self) -> tuple[list[Instruction], list[Keypair]]:
        payer, seed = self.wallet(), f"seed{self.draw.randrange(6)}"
        made = Pubkey.create_with_seed(payer.pubkey(), seed, TOKEN)
        self.twins.known.add(made)
        right = self.draw.random() < 0.8
        tail = struct.pack("<QQ32s", 1_461_600 + 10**6, 82, bytes(TOKEN if right else SYSTEM))
        data = struct.pack("<I32sQ", 3, bytes(payer.pubkey()), len(seed)) + seed.encode() + tail
        metas = [AccountMeta(payer.pubkey(), True, True), AccountMeta(made, False, True)]
        return [Instruction(SYSTEM, data, metas)], [payer]

    def make_mint(self) -> tuple[list[Instruction], list[Keypair]]:
        payer, made = self.wallet(), self.twins.new_key()
        freezer = b"\1" + bytes(payer.pubkey()) if self.draw.random() < 0.5 else b"\0"
        body = bytes([self.draw.randrange(10)]) + bytes(self.wallet().pubkey()) + freezer
        self.twins.mints = [*self.twins.mints[:3], made.pubkey()]
        return [
            _create(payer.pubkey(), made.pubkey(), 1_461_600, 82, TOKEN),
            _token(20, body, (made.pubkey(), False, True)),
        ], [payer, made]

    def make_holding(self) -> tuple[list[Instruction], list[Keypair]]:
        payer, made, mint = self.wallet(), self.twins.new_key(), self.draw.choice(self.twins.mints)
        body = bytes(self.wallet().pubkey())
        lamports = 2_039_280 + self.draw.choice((0, 0, 777, -1))
        self.twins.holdings.append(made.pubkey())
        return [
            _create(payer.pubkey(), made.pubkey(), lamports, 165, TOKEN),
            _token(18, body, (made.pubkey(), False, True), (mint, False, False)),
        ], [payer, made]

    def make_associated(self) -> tuple[list[Instruction], list[Keypair]]:
        payer, wallet, mint = self.wallet(), self.wallet().pubkey(), self.draw.choice(self.twins.mints)
        made = Pubkey(ata_program.address(bytes(wallet), bytes(mint if self.draw.random() < 0.9 else NATIVE)))
        self.twins.known.add(made)
        self.twins.holdings.append(made)
        metas = [AccountMeta(payer.pubkey(), True, True), AccountMeta(made, False, True)]
        metas += [AccountMeta(key, False, False) for key in (wallet, mint, SYSTEM, TOKEN)]
        return [Instruction(ATA, bytes([self.draw.randrange(2)]), metas)], [payer]

    def mint_to(self) -> tuple[list[Instruction], list[Keypair]]:
        mint = self.draw.choice(self.twins.mints)
        account = self.twins.world.chain.account(bytes(mint))
        who = self.wallet(bytes(account.data[4:36]) if account else None)
        metas = (mint, False, True), (self.holding(bytes(mint)), False, True), _signs(who)
        return [_token(7, struct.pack("<Q", self.amount()), *metas)], [who]

    def burn(self) -> tuple[list[Instruction], list[Keypair]]:
        source, who, mint = self.owned()
        target = Pubkey(mint) if mint and self.fits() else self.draw.choice(self.twins.mints)
        metas = (source, False, True), (target, False, True), _signs(who)
        return [_token(8, struct.pack("<Q", self.amount()), *metas)], [who]

    def move(self) -> tuple[list[Instruction], list[Keypair]]:
        source, who, mint = self.owned()
        metas = (source, False, True), (self.holding(mint), False, True), _signs(who)
        moved = [_token(3, struct.pack("<Q", self.amount()), *metas)]
        return moved * self.draw.choice((1, 1, 3)), [who]

    def move_checked(self) -> tuple[list[Instruction], list[Keypair]]:
        source, who, mint = self.owned()
        named = Pubkey(mint) if mint and self.fits() else self.draw.choice(self.twins.mints)
        account = self.twins.world.chain.account(bytes(named))
        decimals = account.data[44] if account and self.fits() else self.draw.randrange(10)
        body = struct.pack("<QB", self.amount(), decimals)
        target = (self.holding(mint), False, True)
        return [_token(12, body, (source, False, True), (named, False, False), target, _signs(who))], [who]

    def approve(self) -> tuple[list[Instruction], list[Keypair]]:
        source, who, _ = self.owned()
        delegate = (self.wallet().pubkey(), False, False)
        body = struct.pack("<Q", self.amount())
        return [_token(4, body, (source, False, True), delegate, _signs(who))], [who]

    def set_authority(self) -> tuple[list[Instruction], list[Keypair]]:
        target, who, _ = self.owned()
        kinds = (2, 3) if self.fits() else (0, 1)
        if self.draw.random() < 0.3:
            target, kinds = self.draw.choice(self.twins.mints), (0, 1)
        new = b"\1" + bytes(self.wallet().pubkey()) if self.draw.random() < 0.9 else b"\0"
        body = bytes([self.draw.choice(kinds)]) + new
        return [_token(6, body, (target, False, True), _signs(who))], [who]

    def close(self) -> tuple[list[Instruction], list[Keypair]]:
        source, who, _ = self.owned()
        return [_token(9, b"", (source, False, True), (self.wallet().pubkey(), False, True), _signs(who))], [
            who
        ]

    def sync(self) -> tuple[list[Instruction], list[Keypair]]:
        who, target = self.wallet(), self.holding(bytes(NATIVE))
        data = struct.pack("<IQ", 2, self.draw.randrange(10**7))
        metas = [AccountMeta(who.pubkey(), True, True), AccountMeta(target, False, True)]
        return [Instruction(SYSTEM, data, metas), _token(17, b"", (target, False, True))], [who]


def _signs(who: Keypair) -> tuple[Pubkey, bool, bool]:
    return who.pubkey(), True, False


@pytest.mark.parametrize("seed", [1, 2])
def test_random_steps_do_on_both_chains_the_same(seed: int) -> None:
    twins = Twins(seed)
    steps = Steps(twins)
    kinds = steps.kinds()
    for make in (steps.make_mint, steps.make_holding, steps.make_holding):
        twins.step(*make())
    for _ in range(STEPS):
        instructions, signers = twins.draw.choice(kinds)()
        twins.step(instructions, signers)
    assert twins.landed > STEPS // 5
    assert twins.failed > STEPS // 5
    assert twins.world.is_balanced()
