"""SettleFunds and SweepFees: pay out of the vaults.

Rules of this file
- The vault signer is the address derived from the market and its nonce; it alone moves vault tokens.
- Without a referrer account, what accrued for a referrer goes to the protocol.
- Nobody checks to whom the receiving accounts belong, only their mint.
Source: the program's state.rs (process_settle_funds, process_sweep_fees).
"""

from functools import lru_cache
from hashlib import sha256

from solders.pubkey import Pubkey

from bmv.sandbox import spl_token
from bmv.sandbox.account import AccountRef, Invocation
from bmv.sandbox.openbook.failure import AssertedAs, asserted, invalid, panicked
from bmv.sandbox.openbook.market import Market, check_signer, check_token_program, load_market
from bmv.sandbox.openbook.open_orders import OpenOrders, load_open_orders

AUTHORITY = bytes(Pubkey.from_string("GTgd6NaobHDLSFAh2kG5DTNsL4SBJH42Qq11jpjWCfXA"))
"""The one address that may sweep fees and disable markets."""


@lru_cache(maxsize=64)
def vault_signer(market: bytes, nonce: int, program_id: bytes) -> bytes:
    """Return the address that owns a market's vaults; raises ``ProgramError`` for a nonce without one."""
    seeds = market + nonce.to_bytes(8, "little") + program_id
    derived = Pubkey.from_bytes(sha256(seeds + b"ProgramDerivedAddress").digest())
    if derived.is_on_curve():
        raise invalid("InvalidSeeds")
    return bytes(derived)


def settle_funds(invocation: Invocation, _body: bytes) -> None:
    """Run SettleFunds."""
    refs = invocation.accounts
    if len(refs) not in (9, 10):
        raise asserted(2279, "number of accounts")
    check_token_program(refs[8])
    market = load_market(refs[0], invocation.program_id, allow_disabled=True)
    with AssertedAs(2294):
        check_signer(refs[2])
    with AssertedAs(2297):
        base_vault = market.base_vault(refs[3])
    with AssertedAs(2298):
        quote_vault = market.quote_vault(refs[4])
    with AssertedAs(2300):
        base_wallet = market.base_wallet(refs[5])
    with AssertedAs(2302):
        quote_wallet = market.quote_wallet(refs[6])
    with AssertedAs(2307):
        referrer = market.quote_wallet(refs[9]) if len(refs) == 10 else None
    signer = _check_vault_signer(market, refs[7])
    open_orders = load_open_orders(refs[1], market, refs[2])
    base, quote, rebates = _take_free(market, open_orders)
    spl_token.transfer(base_vault, base_wallet, signer, base)
    spl_token.transfer(quote_vault, quote_wallet, signer, quote)
    if referrer is not None and rebates:
        spl_token.transfer(quote_vault, referrer, signer, rebates)
    else:
        market.quote_fees += rebates
    market.store()


def _check_vault_signer(market: Market, ref: AccountRef) -> bytes:
    if ref.key != vault_signer(market.own_address, market.vault_nonce, market.program_id):
        raise asserted(1607, "not the vault signer")
    return ref.key


def _take_free(market: Market, open_orders: OpenOrders) -> tuple[int, int, int]:
    """Take what is free, and the referrer's rebates, off the books; return base, quote, rebates in atoms."""
    base, quote, rebates = open_orders.base_free, open_orders.quote_free, open_orders.rebates
    market.base_deposits -= base
    market.quote_deposits -= quote
    market.rebates -= rebates
    if open_orders.base_total < base or open_orders.quote_total < quote:
        raise panicked("more free than there is")
    open_orders.base_total -= base
    open_orders.quote_total -= quote
    open_orders.base_free = open_orders.quote_free = open_orders.rebates = 0
    open_orders.store()
    return base, quote, rebates


def sweep_fees(invocation: Invocation, _body: bytes) -> None:
    """Run SweepFees: pay the protocol's fees to its authority's account."""
    refs = invocation.accounts
    if len(refs) != 6:
        raise asserted(2374, "number of accounts")
    market = load_market(refs[0], invocation.program_id)
    quote_vault = market.quote_vault(refs[1])
    receiver = market.quote_wallet(refs[3])
    signer = _check_vault_signer(market, refs[4])
    check_token_program(refs[5])
    if not refs[2].is_signer:
        raise asserted(1567, "signature missing")
    if refs[2].key != AUTHORITY:
        raise asserted(1568, "not the fee sweeper")
    spl_token.transfer(quote_vault, receiver, signer, market.quote_fees)
    market.quote_fees = 0
    market.store()
