"""Accounts of ours that nothing uses: looked for now and then, kept in view, turned into steps.

An OpenOrders account of our market that is not its wallet's own, and a token account that is empty and none
the engine works with. The search only says which addresses to read; what they hold comes with every reading,
so that what is closed is seen in the same reading as the lamports that came back. How many those were says
the transaction that closed it (see ``closing.py``).
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec.structs import replace
from solders.pubkey import Pubkey

from bmv.chain.rpc import AccountImage, Rpc
from bmv.config import Settings
from bmv.errors import BadBytes, OutsideError, Refused
from bmv.events import CloseAccounts, RentAction, Withdraw
from bmv.model import Leftover, LiveOrder, Side, WalletIndex
from bmv.observe.log import get_logger
from bmv.services import compute
from bmv.services.accounts import WalletAccounts
from bmv.services.building import Step, settle_steps
from bmv.services.closing import NOTHING, Brought
from bmv.units import BaseAtoms, BaseLots, Lamports, Ticks
from bmv.venue.jupiter import USDC
from bmv.venue.openbook_v1.codec import decode_open_orders
from bmv.venue.openbook_v1.instructions import MarketKeys, cancel_order, close_open_orders
from bmv.venue.openbook_v1.layouts import OPEN_ORDERS_MARKET
from bmv.venue.openbook_v1.slab import BookOrder
from bmv.venue.token import (
    TOKEN_PROGRAM,
    TokenAccountState,
    associated_token_address,
    close_account,
    decode_token_account,
)


class LeftoverBook:
    """The left-over accounts in view; ``keys`` is what to read of them."""

    def __init__(self, market: MarketKeys, wallets: Sequence[WalletAccounts]) -> None:
        self._market, self._wallets = market, wallets
        self._owners: dict[Pubkey, WalletIndex] = {}
        self._ours: set[bytes] = set()
        self._seen: dict[Pubkey, Leftover] = {}
        self._told: tuple[Leftover, ...] = ()

    @property
    def keys(self) -> list[Pubkey]:
        """Return the addresses to read."""
        return list(self._owners)

    def watch(self, found: Mapping[Pubkey, WalletIndex]) -> None:
        """Keep these accounts of ours in view as well."""
        self._owners.update(found)
        self._ours.update(map(bytes, found))

    def owns(self, account: bytes) -> bool:
        """Say whether an OpenOrders account is a left-over one of ours, or was one until it was closed."""
        return account in self._ours

    def closed(self, shown: Mapping[Pubkey, AccountImage | None]) -> list[Pubkey]:
        """Return the accounts that were there, and are gone in what a reading shows of ``keys``."""
        return [key for key, image in shown.items() if image is None and key in self._seen]

    def see(
        self,
        shown: Mapping[Pubkey, AccountImage | None],
        orders: Mapping[Side, Sequence[BookOrder]],
        brought: Brought = NOTHING,
    ) -> tuple[tuple[Leftover, ...] | None, tuple[Leftover, ...]]:
        """Take in what a reading shows of ``keys`` as they were then, and the orders of the whole book.

        Return all left-over accounts where they changed, else None, and those that are gone, with the
        lamports their closing ``brought``: what they held when last seen, where that is not known.
        """
        gone = tuple(
            replace(self._seen[key], lamports=brought.get(key, self._seen[key].lamports))
            for key in self.closed(shown)
        )
        for key in [key for key, image in shown.items() if image is None]:
            del self._owners[key]
        seen = ((key, self._read(key, image, orders)) for key, image in shown.items() if image is not None)
        self._seen = {key: one for key, one in seen if one is not None}
        now = tuple(self._seen.values())
        news, self._told = now if now != self._told else None, now
        return news, gone

    def steps(self, action: RentAction) -> list[Step]:
        """Return what carries an action out; the crank of what it cancels comes with its bundle."""
        wallet = self._wallets[action.wallet]
        if isinstance(action, Withdraw):
            return [self._cancel(order, Pubkey.from_string(action.account)) for order in action.orders]
        if isinstance(action, CloseAccounts):
            closed = [self._close_orders(wallet.open_orders, wallet), _close_tokens(wallet.quote, wallet)]
            return [*closed, _close_tokens(wallet.base, wallet)] if action.base else closed
        return [step for one in action.accounts for step in self._reclaiming(one, wallet)]

    def _read(
        self, key: Pubkey, image: AccountImage, orders: Mapping[Side, Sequence[BookOrder]]
    ) -> Leftover | None:
        """Return what an account holds; None where it is in use, or nothing we can read."""
        wallet = self._owners[key]
        if image.owner == TOKEN_PROGRAM:
            return Leftover(str(key), wallet, image.lamports, token=True) if _is_idle(image) else None
        try:
            account = decode_open_orders(image.data)
        except BadBytes:
            return None
        mine, standing = bytes(key), list[LiveOrder]()
        for side, resting in orders.items():
            standing += [_live(order, side, wallet) for order in resting if order.owner == mine]
        return Leftover(
            str(key),
            wallet,
            image.lamports,
            quote=Lamports(account.quote_total + account.referrer_rebates),
            base=BaseAtoms(account.base_total),
            idle=not account.orders() and not account.quote_locked and not account.base_locked,
            orders=tuple(standing),
        )

    def _cancel(self, order: LiveOrder, account: Pubkey) -> Step:
        owner = self._wallets[order.wallet].owner
        instruction = cancel_order(self._market, account, owner, order.side, order.order_id)
        return Step.of(owner, instruction, compute.cancels(1))

    def _reclaiming(self, one: Leftover, wallet: WalletAccounts) -> Iterator[Step]:
        key = Pubkey.from_string(one.address)
        if one.token:
            yield _close_tokens(key, wallet)
            return
        if one.quote or one.base:
            yield from settle_steps(wallet, self._market, key)
        yield self._close_orders(key, wallet)

    def _close_orders(self, key: Pubkey, wallet: WalletAccounts) -> Step:
        instruction = close_open_orders(self._market, key, wallet.owner, wallet.owner)
        return Step.of(wallet.owner, instruction, compute.CLOSE_OPEN_ORDERS)


class LeftoverSearch:
    """Look for left-over accounts at the start, and every RENT_RECOVERY_TIME."""

    def __init__(
        self,
        rpc: Rpc,
        market: MarketKeys,
        wallets: Sequence[WalletAccounts],
        book: LeftoverBook,
        settings: Callable[[], Settings],
        changed: Callable[[], None],
    ) -> None:
        self._rpc, self._market, self._wallets = rpc, market, wallets
        self._book, self._settings, self._changed = book, settings, changed
        self._log = get_logger("leftovers")

    async def run(self) -> None:
        """Search until cancelled; ``changed`` is called when there is something new to read."""
        while True:
            found = await self.search()
            if found.keys() - set(self._book.keys):
                self._book.watch(found)
                self._changed()
            await asyncio.sleep(int(self._settings().rent_recovery_time) / 1000)

    async def search(self) -> dict[Pubkey, WalletIndex]:
        """Return the left-over accounts there are, and whose; fewer where a node lists none."""
        found: dict[Pubkey, WalletIndex] = {}
        for index, wallet in enumerate(tuple(self._wallets)):
            try:
                listed = await self._listed(wallet.owner)
            except OutsideError as error:
                self._log.warning("leftovers_unknown", wallet=index, reason=str(error))
                if isinstance(error, Refused):
                    break
                continue
            used = wallet.open_orders, wallet.base, wallet.quote, associated_token_address(wallet.owner, USDC)
            found |= {key: index for key in listed if key not in used}
        return found

    async def _listed(self, owner: Pubkey) -> list[Pubkey]:
        market, program = self._market.market, self._market.program
        sample = bytes(market) + bytes(owner)
        orders = await self._rpc.program_accounts(program, at=OPEN_ORDERS_MARKET, sample=sample)
        tokens = await self._rpc.token_accounts(owner, TOKEN_PROGRAM)
        return [*(key for key, _ in orders), *(key for key, image in tokens if _is_idle(image))]


def _is_idle(image: AccountImage) -> bool:
    """Say whether this is a token account that is empty and may be closed by its owner."""
    try:
        account = decode_token_account(image.data)
    except BadBytes:
        return False
    closer = account.close_authority
    return (
        account.amount == 0
        and account.state is TokenAccountState.INITIALIZED
        and closer in (None, account.owner)
    )


def _close_tokens(key: Pubkey, wallet: WalletAccounts) -> Step:
    return Step.of(wallet.owner, close_account(key, wallet.owner, wallet.owner), compute.CLOSE_TOKEN_ACCOUNT)


def _live(order: BookOrder, side: Side, wallet: WalletIndex) -> LiveOrder:
    return LiveOrder(
        wallet,
        side,
        Ticks(order.price_ticks),
        BaseLots(order.size_lots),
        order.order_id,
        order.client_id,
    )
