"""Token accounts and instructions against the real programs (solders' LiteSVM) and solders' own reader."""

import struct

import pytest
from solders.account import Account
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.token import state as reference
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import TransactionMetadata

from bmv.errors import BadBytes
from bmv.units import Lamports
from bmv.venue import system, token

OWNER, MINT, PLAIN = (Keypair.from_seed(bytes([number]) * 32) for number in (1, 2, 3))
OTHER = Keypair.from_seed(bytes([4]) * 32).pubkey()


class Chain:
    """A real virtual machine with one rich wallet."""

    def __init__(self) -> None:
        self.svm = LiteSVM()
        self.svm.airdrop(OWNER.pubkey(), 10**12)
        native = struct.pack("<36xQBB36x", 0, 9, 1)
        self.svm.set_account(token.WRAPPED_SOL, Account(10**9, native, token.TOKEN_PROGRAM))

    def run(self, *instructions: Instruction, signers: tuple[Keypair, ...] = (OWNER,)) -> None:
        message = MessageV0.try_compile(OWNER.pubkey(), instructions, [], self.svm.latest_blockhash())
        result = self.svm.send_transaction(VersionedTransaction(message, signers))
        assert isinstance(result, TransactionMetadata), result
        self.svm.expire_blockhash()

    def data(self, address: Pubkey) -> bytes:
        account = self.svm.get_account(address)
        assert account is not None
        return bytes(account.data)

    def create(self, new: Keypair, size: int) -> Instruction:
        rent = Lamports(self.svm.minimum_balance_for_rent_exemption(size))
        return system.create_account(OWNER.pubkey(), new.pubkey(), rent, size, token.TOKEN_PROGRAM)


@pytest.fixture(scope="module")
def chain() -> Chain:
    """Return a chain on which a mint, two accounts and some wrapped SOL were made by our instructions."""
    chain, owner, mint = Chain(), OWNER.pubkey(), MINT.pubkey()
    chain.run(
        system.compute_unit_limit(200_000),
        system.compute_unit_price(1),
        chain.create(MINT, token.MINT_SIZE),
        token.initialize_mint(mint, 6, owner, freeze_authority=OTHER),
        chain.create(PLAIN, token.TOKEN_ACCOUNT_SIZE),
        token.initialize_account(PLAIN.pubkey(), mint, owner),
        token.mint_to(mint, PLAIN.pubkey(), owner, 1_000),
        signers=(OWNER, MINT, PLAIN),
    )
    ours = token.associated_token_address(owner, mint)
    wrapped = token.associated_token_address(owner, token.WRAPPED_SOL)
    chain.run(
        token.create_associated_token_account(owner, owner, mint),
        token.create_associated_token_account(owner, owner, mint),
        token.transfer(PLAIN.pubkey(), ours, owner, 400),
        token.create_associated_token_account(owner, owner, token.WRAPPED_SOL),
        system.transfer(owner, wrapped, Lamports(5_000)),
        token.sync_native(wrapped),
    )
    return chain


def test_the_real_program_does_what_our_instructions_say(chain: Chain) -> None:
    owner, mint = OWNER.pubkey(), MINT.pubkey()
    ours = token.decode_token_account(chain.data(token.associated_token_address(owner, mint)))
    assert (ours.mint, ours.owner, ours.amount, ours.native_rent) == (mint, owner, 400, None)
    assert token.decode_token_account(chain.data(PLAIN.pubkey())).amount == 600
    wrapped = token.decode_token_account(chain.data(token.associated_token_address(owner, token.WRAPPED_SOL)))
    assert wrapped.amount == 5_000
    assert wrapped.native_rent == chain.svm.minimum_balance_for_rent_exemption(token.TOKEN_ACCOUNT_SIZE)
    decoded = token.decode_mint(chain.data(mint))
    assert decoded == token.Mint(1_000, 6, owner, OTHER)


def test_decoded_accounts_agree_with_an_independent_reader(chain: Chain) -> None:
    for address in (
        PLAIN.pubkey(),
        token.associated_token_address(OWNER.pubkey(), token.WRAPPED_SOL),
    ):
        data = chain.data(address)
        ours, theirs = token.decode_token_account(data), reference.TokenAccount.from_bytes(data)
        assert (ours.mint, ours.owner, ours.amount) == (theirs.mint, theirs.owner, theirs.amount)
        assert (ours.delegate, ours.close_authority) == (theirs.delegate, theirs.close_authority)
        assert (ours.native_rent, ours.delegated_amount) == (theirs.is_native, theirs.delegated_amount)
        assert ours.state == int(theirs.state)


def test_a_closed_account_gives_its_lamports_back(chain: Chain) -> None:
    owner = OWNER.pubkey()
    wrapped = token.associated_token_address(owner, token.WRAPPED_SOL)
    before = chain.svm.get_balance(OTHER) or 0
    held = chain.svm.get_balance(wrapped)
    chain.run(token.close_account(wrapped, OTHER, owner))
    assert (chain.svm.get_balance(OTHER) or 0) - before == held
    chain.run(token.create_associated_token_account(owner, owner, token.WRAPPED_SOL))


def test_a_seeded_account_appears_where_its_address_says() -> None:
    chain, owner = Chain(), OWNER.pubkey()
    address = Pubkey.create_with_seed(owner, "a seed", token.TOKEN_PROGRAM)
    rent = Lamports(chain.svm.minimum_balance_for_rent_exemption(100))
    chain.run(
        system.create_account_with_seed(owner, address, owner, "a seed", rent, 100, token.TOKEN_PROGRAM)
    )
    assert chain.data(address) == bytes(100)


def test_other_bytes_are_no_token_account_or_mint(chain: Chain) -> None:
    account, mint = chain.data(PLAIN.pubkey()), chain.data(MINT.pubkey())
    for data in (b"", bytes(165), account[:-1], account + b"\0", mint, account[:108] + b"\3" + account[109:]):
        with pytest.raises(BadBytes):
            token.decode_token_account(data)
    for data in (b"", bytes(82), mint[:-1], account, b"\2" + mint[1:]):
        with pytest.raises(BadBytes):
            token.decode_mint(data)
    for tag in (72, 109, 129):
        with pytest.raises(BadBytes, match="option tag"):
            token.decode_token_account(account[:tag] + b"\2" + account[tag + 1 :])
