"""What a signer knows of the world: whose wallets, which token accounts, which market, who gets tips."""

from collections.abc import Iterable

from solders.pubkey import Pubkey

from bmv.errors import UnsafeState
from bmv.venue.openbook_v1.instructions import MarketKeys
from bmv.venue.token import WRAPPED_SOL, associated_token_address

MAX_MINTS = 64


class Grounds:
    """Known keys, as raw bytes; ``treasury`` is None where there is no such wallet.

    A token account is known where it is the associated account of a wallet of ours for a mint named here:
    whatever the mint, it is our own, so mints may be added at any time. The market may be set once.
    """

    def __init__(
        self, wallets: Iterable[Pubkey], tip_accounts: Iterable[Pubkey], treasury: Pubkey | None = None
    ) -> None:
        self.tip_accounts = frozenset(map(bytes, tip_accounts))
        self.market: MarketKeys | None = None
        self.market_bytes: dict[str, bytes] = {}
        self._mints: set[Pubkey] = set()
        self.know(wallets, treasury)
        self.add_mints([WRAPPED_SOL])

    def know(self, wallets: Iterable[Pubkey], treasury: Pubkey | None) -> None:
        """Know these wallets and no others from now on."""
        self._owners = list(wallets)
        self.wallets = frozenset(map(bytes, self._owners))
        self.treasury = None if treasury is None else bytes(treasury)
        self.token_accounts: dict[bytes, tuple[bytes, bytes]] = {}
        for mint in self._mints:
            self._open(mint)

    def _open(self, mint: Pubkey) -> None:
        for owner in self._owners:
            account = associated_token_address(owner, mint)
            self.token_accounts[bytes(account)] = (bytes(owner), bytes(mint))

    def add_mints(self, mints: Iterable[Pubkey]) -> None:
        """Know our token accounts of these mints too; each is kept as (owner, mint)."""
        fresh = set(mints) - self._mints
        if len(self._mints) + len(fresh) > MAX_MINTS:
            raise UnsafeState(f"more than {MAX_MINTS} mints are not for one signer")
        for mint in fresh:
            self._open(mint)
        self._mints |= fresh

    def set_market(self, market: MarketKeys) -> None:
        """Trade on this market and on no other until the process ends; raise UnsafeState for another."""
        if self.market is not None and self.market != market:
            raise UnsafeState(f"this signer serves market {self.market.market} until it ends")
        if self.market is None:
            self.market = market
            self.market_bytes = {name: bytes(getattr(market, name)) for name in market.__struct_fields__}
            self.add_mints([market.base_mint, market.quote_mint])
