"""Propose what to move between wallets where the money for a level lies where no seat is left (SPEC 3.5).

Segments are fitted to what each wallet holds first (``allocation.py``). What still waits for want of funds
waits because wallets with free seats are poor and rich ones have no seat left. Nothing here moves anything.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import msgspec

from bmv.config import Settings
from bmv.core.allocation import Waiting, cost, spendable
from bmv.core.decay import BPS
from bmv.model import Clip, MarketSpec, Quote, Side, WalletIndex, WalletView

ASSETS: dict[Side, Literal["SOL", "TOKEN"]] = {Side.BID: "SOL", Side.ASK: "TOKEN"}
WORTH_MOVING_BPS = 100
"""Less than this part of what the side's orders are worth is not worth a transfer."""


class Transfer(msgspec.Struct, frozen=True):
    """Money that would help more in another wallet: lamports (SOL) or base lots (TOKEN)."""

    source: WalletIndex
    target: WalletIndex
    asset: Literal["SOL", "TOKEN"]
    amount: int
    reason: str


def proposals(
    quotes: Sequence[Quote],
    waiting: Sequence[Waiting],
    views: Sequence[WalletView],
    spec: MarketSpec,
    settings: Settings,
) -> tuple[Transfer, ...]:
    """Return transfers from wallets with idle money and no seat to those with seats and no money."""
    if not any(each.clip is Clip.FUNDS for each in waiting):
        return ()
    taken = Counter(quote.wallet for quote in quotes)
    seats = {view.wallet: settings.orders_per_wallet - taken[view.wallet] for view in views}
    found: list[Transfer] = []
    for side in Side:
        lacking = sum(each.amount for each in waiting if each.side is side and each.clip is Clip.FUNDS)
        spent = Counter[WalletIndex]()
        for quote in quotes:
            if quote.side is side:
                spent[quote.wallet] += cost(side, quote.price, quote.size, spec)
        idle = {view.wallet: spendable(view, side, spec) - spent[view.wallet] for view in views}
        least = max(1, spent.total() * WORTH_MOVING_BPS // BPS)
        found += _moves(side, lacking, idle, seats, least)
    return tuple(found)


def _moves(
    side: Side, lacking: int, idle: dict[WalletIndex, int], seats: dict[WalletIndex, int], least: int
) -> list[Transfer]:
    """Pair the richest without a seat with those that have most seats, until nothing is lacking."""
    givers = sorted((wallet for wallet in idle if seats[wallet] <= 0), key=lambda each: (-idle[each], each))
    takers = sorted((wallet for wallet in seats if seats[wallet] > 0), key=lambda each: (-seats[each], each))
    moves: list[Transfer] = []
    for number, giver in enumerate(givers if takers else ()):
        amount = min(lacking, idle[giver])
        if amount < least:
            break
        taker = takers[number % len(takers)]
        reason = f"wallet {taker} has {seats[taker]} seats and no funds for them, wallet {giver} the reverse"
        moves.append(Transfer(giver, taker, ASSETS[side], amount, reason))
        lacking -= amount
    return moves
