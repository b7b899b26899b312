"""A wallet's accounts -> what the core sees of it."""

from collections.abc import Sequence
from typing import NamedTuple

from bmv.chain.rpc import AccountImage
from bmv.model import LiveOrder, WalletIndex, WalletView
from bmv.units import BaseAtoms, Lamports
from bmv.venue.openbook_v1.codec import decode_open_orders
from bmv.venue.openbook_v1.layouts import ORDER_SLOTS
from bmv.venue.token import TokenAccountState, decode_token_account


class Pending(NamedTuple):
    """Atoms a wallet's totals gain (or lose) when waiting fills are cranked; rebates included."""

    base: int
    quote: int


def wallet_view(
    index: WalletIndex,
    images: Sequence[AccountImage | None],
    orders: tuple[LiveOrder, ...],
    pending: Pending,
) -> WalletView:
    """Combine a wallet's four accounts (OpenOrders, owner, base, quote) with its orders on the book.

    ``pending`` counts as locked: it is ours, and cannot be spent before the crank.
    """
    open_orders, owner, base, quote = images
    account = decode_open_orders(open_orders.data) if open_orders and open_orders.data else None
    held = [decode_token_account(image.data) if image and image.data else None for image in (base, quote)]
    reserve = [lamports_in(image) for image in (open_orders, base, quote)]
    quote_amount = held[1].amount if held[1] else 0
    return WalletView(
        wallet=index,
        gas=owner.lamports if owner else Lamports(0),
        quote_held=Lamports(quote_amount),
        quote_free=Lamports(account.quote_free if account else 0),
        quote_locked=Lamports((account.quote_locked if account else 0) + pending.quote),
        base_held=BaseAtoms(held[0].amount if held[0] else 0),
        base_free=BaseAtoms(account.base_free if account else 0),
        base_locked=BaseAtoms((account.base_locked if account else 0) + pending.base),
        rent=Lamports(sum(reserve) - quote_amount),
        rebates=Lamports(account.referrer_rebates if account else 0),
        order_slots=account.free_slots if account else ORDER_SLOTS,
        ready=account is not None and all(held),
        orders=orders,
        frozen=any(account is not None and account.state is TokenAccountState.FROZEN for account in held),
    )


def lamports_in(image: AccountImage | None) -> int:
    """Return what an account holds, 0 where there is none."""
    return int(image.lamports) if image else 0
