"""Which accounts the engine reads and writes: the market's, four for each wallet, the treasury's."""

from dataclasses import dataclass

from solders.pubkey import Pubkey

from bmv.model import MarketSpec
from bmv.venue.jupiter import USDC
from bmv.venue.openbook_v1.codec import MarketAccount
from bmv.venue.openbook_v1.instructions import MarketKeys, open_orders_address, vault_signer_address
from bmv.venue.openbook_v1.layouts import book_side_capacity, event_queue_capacity
from bmv.venue.token import WRAPPED_SOL, associated_token_address


@dataclass(frozen=True, slots=True)
class WalletAccounts:
    """The addresses of one operator wallet."""

    owner: Pubkey
    open_orders: Pubkey
    base: Pubkey
    quote: Pubkey

    def __hash__(self) -> int:
        # No two wallets share the account, and whole plans are looked up by it.
        return hash(self.open_orders)

    @property
    def all(self) -> tuple[Pubkey, ...]:
        """Return all four."""
        return self.owner, self.open_orders, self.base, self.quote

    @classmethod
    def of(cls, owner: Pubkey, market: MarketKeys) -> "WalletAccounts":
        """Derive a wallet's accounts; OpenOrders follows the seed convention, so it is found again."""
        return cls(
            owner,
            open_orders_address(owner, market.market, market.program),
            associated_token_address(owner, market.base_mint),
            associated_token_address(owner, market.quote_mint),
        )


@dataclass(frozen=True, slots=True)
class TreasuryAccounts:
    """The addresses of the treasury's wallet: itself, its USDC, and wrapped SOL while it converts."""

    owner: Pubkey
    usdc: Pubkey
    wrapped: Pubkey

    @classmethod
    def of(cls, owner: Pubkey) -> "TreasuryAccounts":
        """Derive the wallet's accounts."""
        return cls(owner, associated_token_address(owner, USDC), associated_token_address(owner, WRAPPED_SOL))


def market_keys(address: Pubkey, program: Pubkey, market: MarketAccount) -> MarketKeys:
    """Return the addresses an instruction needs, as the market's account names them."""
    return MarketKeys(
        program=program,
        market=address,
        request_queue=market.request_queue,
        event_queue=market.event_queue,
        bids=market.bids,
        asks=market.asks,
        base_vault=market.base_vault,
        quote_vault=market.quote_vault,
        base_mint=market.base_mint,
        quote_mint=market.quote_mint,
        vault_signer=vault_signer_address(address, market.vault_signer_nonce, program),
    )


def market_spec(
    address: Pubkey, market: MarketAccount, decimals: tuple[int, int], sizes: tuple[int, int, int]
) -> MarketSpec:
    """Return the market's numbers; ``sizes`` are the byte lengths of bids, asks and event queue."""
    bids, asks, events = sizes
    return MarketSpec(
        address=str(address),
        base_mint=str(market.base_mint),
        base_decimals=decimals[0],
        quote_decimals=decimals[1],
        base_lot_size=market.base_lot_size,
        quote_lot_size=market.quote_lot_size,
        bid_capacity=book_side_capacity(bids),
        ask_capacity=book_side_capacity(asks),
        event_capacity=event_queue_capacity(events),
    )
