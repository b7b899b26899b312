"""The sandbox's market before anybody acts: mint, lots, market accounts, and what everybody holds.

Rules of this file
- The market's accounts are what InitializeMarket of the simulated program makes of zeroed ones; by default
  455 orders a side and 1,024 events, a common size.
- Every token of the supply is in some account of the genesis: holders, a locked account, and one outsider
  who never trades and holds the rest. ``Genesis.lamports`` is the sum over all accounts made here.
- Keys follow from the seed alone.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from solders.keypair import Keypair
from solders.pubkey import Pubkey

from bmv.errors import BadBytes, BadInput
from bmv.model import MarketSpec
from bmv.sandbox import ata_program, spl_token
from bmv.sandbox.account import Account, AccountRef, Invocation
from bmv.sandbox.genesis import RENT_SYSVAR, infrastructure
from bmv.sandbox.openbook import program as openbook
from bmv.sandbox.system_program import rent_exempt_lamports
from bmv.units import LAMPORTS_PER_SOL
from bmv.venue.openbook_v1.addresses import OPENBOOK_V1, open_orders_address, vault_signer_address
from bmv.venue.openbook_v1.bodies import InitializeMarket, InitOpenOrders, encode_body
from bmv.venue.openbook_v1.layouts import (
    ACCOUNT_OVERHEAD,
    EVENT_SIZE,
    MARKET_SIZE,
    OPEN_ORDERS_SIZE,
    book_side_capacity,
)

OPENBOOK = bytes(OPENBOOK_V1)
BOOK_SIDE_SIZE = 65_548
REQUEST_QUEUE_SIZE = 5_132
EVENT_CAPACITY = 1_024
SUPPLY_TOKENS = 1_000_000_000
LOCKED_PERCENT = 30
MIN_TICKS = 5_000
LOT_VALUE_LAMPORTS = LAMPORTS_PER_SOL // 50
TICK_LAMPORTS = 1_000
"""A tick is at most this many lamports per token (0.000001 SOL) where lamports allow it."""


@dataclass(frozen=True, slots=True)
class Lots:
    """The market's granularity: atoms per base lot, lamports per quote lot."""

    base: int
    quote: int


@dataclass(frozen=True, slots=True)
class Holder:
    """What one wallet starts with: plain lamports, wrapped lamports and atoms of the token.

    ``trades``: an OpenOrders account is open for it (address by the usual seed convention).
    """

    wallet: bytes
    lamports: int
    wrapped: int = 0
    atoms: int = 0
    trades: bool = False


@dataclass(frozen=True, slots=True)
class Genesis:
    """The accounts to start a chain with, and what there is to know about them."""

    accounts: dict[bytes, Account]
    market: bytes
    spec: MarketSpec
    locked_accounts: tuple[bytes, ...]
    lamports: int
    supply_atoms: int


def seeded_keypair(seed: int, role: str, index: int) -> Keypair:
    """Return the key pair of one person or account of the sandbox; not secret, never to be used elsewhere."""
    return Keypair.from_seed(hashlib.sha256(f"bmv sandbox {seed} {role} {index}".encode()).digest())


def engine_keypairs(seed: int, count: int) -> list[Keypair]:
    """Return the key pairs of the engine's operator wallets."""
    return [seeded_keypair(seed, "engine", index) for index in range(count)]


def engine_holders(
    wallets: Iterable[Pubkey], *, price: Decimal, decimals: int, sol: Decimal, tokens_worth: Decimal
) -> list[Holder]:
    """Return plain SOL and tokens for each operator wallet; ``sol`` and ``tokens_worth`` in SOL each."""
    lamports, atoms = int(sol * LAMPORTS_PER_SOL), atoms_worth(tokens_worth, price, decimals)
    return [Holder(bytes(wallet), lamports, atoms=atoms) for wallet in wallets]


def atoms_worth(sol: Decimal, price: Decimal, decimals: int) -> int:
    """Return how many atoms ``sol`` buys at ``price`` (SOL per token), rounded down."""
    return int(sol / price * Decimal(10) ** decimals)


def lots_for(price: Decimal, decimals: int, lowest: Decimal | None = None) -> Lots:
    """Choose powers of ten: a lot of at most 0.02 SOL, 5,000 ticks a price, a tick of 0.000001 SOL or less.

    ``price`` and ``lowest`` (where the ticks are counted) in SOL per token. Where one lamport per lot is more
    than that tick, it is the tick. Raises BadInput where atoms or lamports are too coarse for the rest.
    """
    atom_lamports = price * LAMPORTS_PER_SOL / Decimal(10) ** decimals
    base = _power_of_ten(LOT_VALUE_LAMPORTS / atom_lamports)
    lot_share = Decimal(base) / Decimal(10) ** decimals
    lowest_lamports = (price if lowest is None else min(lowest, price)) * LAMPORTS_PER_SOL
    coarsest = max(Decimal(1), TICK_LAMPORTS * lot_share)
    quote = _power_of_ten(min(lowest_lamports * lot_share / MIN_TICKS, coarsest))
    if not base or not quote:
        allowed = f"a price at which {decimals} decimals leave {MIN_TICKS} ticks and lots below 0.02 SOL"
        raise BadInput("price", price if lowest is None else lowest, allowed, "the sandbox's market")
    return Lots(base, quote)


def _power_of_ten(most: Decimal) -> int:
    """Return the largest power of ten that is at most ``most``; 0 below 1."""
    return 0 if most < 1 else int(10 ** (len(str(int(most))) - 1))


def found_market(
    *,
    seed: int,
    lots: Lots,
    holders: Iterable[Holder],
    decimals: int = 9,
    supply_tokens: int = SUPPLY_TOKENS,
    event_capacity: int = EVENT_CAPACITY,
    book_side_size: int = BOOK_SIDE_SIZE,
) -> Genesis:
    """Make the mint, the market and all holders' accounts; raises BadInput where the supply is too small."""
    accounts: dict[bytes, Account] = {}
    mint = _key(seed, "mint")
    supply = supply_tokens * 10**decimals
    image = spl_token.MINT.pack(0, bytes(32), supply, decimals, 1, 0, bytes(32))
    accounts[mint] = Account(rent_exempt_lamports(len(image)), image, spl_token.PROGRAM_ID)
    market = _found_accounts(accounts, seed, mint, lots, event_capacity, book_side_size)
    left = supply
    for holder in (*holders, Holder(_key(seed, "lock"), 0, atoms=supply * LOCKED_PERCENT // 100)):
        _endow(accounts, holder, mint, market)
        left -= holder.atoms
    if left < 0:
        held = Decimal(supply - left) / 10**decimals
        raise BadInput("supply", supply_tokens, f"at least {held:f} tokens for all holders", "the sandbox")
    _endow(accounts, Holder(_key(seed, "outsider"), 0, atoms=left), mint, market)
    capacity = book_side_capacity(book_side_size)
    spec = MarketSpec(
        address=str(Pubkey(market)),
        base_mint=str(Pubkey(mint)),
        base_decimals=decimals,
        quote_decimals=9,
        base_lot_size=lots.base,
        quote_lot_size=lots.quote,
        bid_capacity=capacity,
        ask_capacity=capacity,
        event_capacity=event_capacity,
    )
    lamports = sum(account.lamports for account in accounts.values())
    locked = (ata_program.address(_key(seed, "lock"), mint),)
    return Genesis(accounts, market, spec, locked, lamports, supply)


def _key(seed: int, role: str) -> bytes:
    return bytes(seeded_keypair(seed, role, 0).pubkey())


def _found_accounts(
    accounts: dict[bytes, Account], seed: int, mint: bytes, lots: Lots, events: int, side_size: int
) -> bytes:
    """Add the market's own accounts and run InitializeMarket on them; return the market's address."""
    market = _key(seed, "market")
    nonce, signer = _vault_signer(market)
    sizes = {
        "market": MARKET_SIZE,
        "requests": REQUEST_QUEUE_SIZE,
        "events": ACCOUNT_OVERHEAD + 32 + events * EVENT_SIZE,
        "bids": side_size,
        "asks": side_size,
    }
    keys = [_key(seed, role) for role in sizes]
    for key, size in zip(keys, sizes.values(), strict=True):
        accounts[key] = Account(rent_exempt_lamports(size), bytes(size), OPENBOOK)
    for vault_mint, role in ((mint, "base vault"), (spl_token.NATIVE_MINT, "quote vault")):
        vault = _key(seed, role)
        accounts[vault] = token_account(vault_mint, signer, 0)
        keys.append(vault)
    known = {mint: accounts[mint], **infrastructure(())}
    refs = [AccountRef(key, accounts[key], False, True) for key in keys]
    readers = (mint, spl_token.NATIVE_MINT, RENT_SYSVAR)
    refs += [AccountRef(key, known[key], False, False) for key in readers]
    terms = InitializeMarket(lots.base, lots.quote, 0, nonce, 0)
    openbook.process(Invocation(OPENBOOK, refs, encode_body(terms), 0))
    return market


def _vault_signer(market: bytes) -> tuple[int, bytes]:
    """Return the smallest nonce that gives the market a vault signer, and that signer."""
    for nonce in range(256):
        try:
            return nonce, bytes(vault_signer_address(Pubkey(market), nonce))
        except BadBytes:
            continue
    raise AssertionError("256 nonces without an address off the curve: chance 2 ** -256")


def token_account(mint: bytes, owner: bytes, amount: int) -> Account:
    """Return an initialized token account; a wrapped one holds its amount in lamports beside the rent."""
    native = mint == spl_token.NATIVE_MINT
    rent = rent_exempt_lamports(spl_token.ACCOUNT.size)
    ready, none = spl_token.STATE_INITIALIZED, spl_token.NONE
    holding = spl_token.Holding(mint, owner, amount, 0, none, ready, int(native), rent * native, 0, 0, none)
    account = Account(rent + amount * native, bytes(spl_token.ACCOUNT.size), spl_token.PROGRAM_ID)
    holding.write(account)
    return account


def _endow(accounts: dict[bytes, Account], holder: Holder, mint: bytes, market: bytes) -> None:
    if holder.lamports:
        accounts[holder.wallet] = Account(holder.lamports)
    accounts[ata_program.address(holder.wallet, mint)] = token_account(mint, holder.wallet, holder.atoms)
    if holder.wrapped:
        wrapped = token_account(spl_token.NATIVE_MINT, holder.wallet, holder.wrapped)
        accounts[ata_program.address(holder.wallet, spl_token.NATIVE_MINT)] = wrapped
    if holder.trades:
        key = bytes(open_orders_address(Pubkey(holder.wallet), Pubkey(market)))
        accounts[key] = _open_orders(key, holder.wallet, market, accounts[market])


def _open_orders(key: bytes, wallet: bytes, market: bytes, market_account: Account) -> Account:
    """Return what InitOpenOrders makes of a zeroed account."""
    account = Account(rent_exempt_lamports(OPEN_ORDERS_SIZE), bytes(OPEN_ORDERS_SIZE), OPENBOOK)
    refs = [
        AccountRef(key, account, is_signer=False, is_writable=True),
        AccountRef(wallet, Account(), is_signer=True, is_writable=False),
        AccountRef(market, market_account, is_signer=False, is_writable=False),
        AccountRef(RENT_SYSVAR, Account(), is_signer=False, is_writable=False),
    ]
    openbook.process(Invocation(OPENBOOK, refs, encode_body(InitOpenOrders()), 0))
    return account
