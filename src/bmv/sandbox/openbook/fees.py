"""Fees in exact integers: the rates are 64.64 fixed-point fractions, as in the program's fees.rs."""

from solders.pubkey import Pubkey

BASE_TIER = 0
STABLE_TIER = 7
_STABLE_MARKET = bytes(Pubkey.from_string("B2na8Awyd7cpC59iEU43FagJAPLigr3AP3s38KM982bu"))
_ONE = 1 << 64
_BASE_MAKER_RATE = 20 * _ONE // 100_000
_STABLE_MAKER_RATE = 5 * _ONE // 100_000


def fee_tier(market: bytes) -> int:
    """Return the only fee tier of the market at this address: one hard-coded stable pair, else base."""
    return STABLE_TIER if market == _STABLE_MARKET else BASE_TIER


def _maker_rate(tier: int) -> int:
    return _STABLE_MAKER_RATE if tier == STABLE_TIER else _BASE_MAKER_RATE


def maker_rebate(tier: int, quote: int) -> int:
    """Return what the maker of a fill of ``quote`` atoms gets on top, rounded down."""
    return _maker_rate(tier) * quote >> 64


def taker_fee(tier: int, quote: int) -> int:
    """Return what the taker of a fill of ``quote`` atoms pays, rounded up."""
    return -(-2 * _maker_rate(tier) * quote >> 64)


def without_taker_fee(tier: int, quote: int) -> int:
    """Return how many of ``quote`` atoms can be traded when the taker fee comes out of them too."""
    return (quote << 64) // (_ONE + 2 * _maker_rate(tier))


def referrer_rebate(fee: int) -> int:
    """Return the referrer's part of a taker fee."""
    return fee // 2
