"""Matches, from the event queue or from a crank's log -> trades of the market and fills of ours.

The program pushes a taker's fill right after the fill of the maker it met, and cranks consume in that order:
two halves in a row are one match, wherever they were read.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from solders.pubkey import Pubkey

from bmv.model import Fill, MarketSpec, Side, Trade, WalletIndex
from bmv.units import BaseLots, Lamports, Millis, Ticks
from bmv.venue.openbook_v1.logs import FillLog
from bmv.venue.openbook_v1.queues import QueueEvent

NOBODY = bytes(32)


class Half(NamedTuple):
    """One side of a match; ``owner`` is its OpenOrders address, ``base`` in atoms."""

    seq: int
    side: Side
    is_maker: bool
    owner: bytes
    order_id: int
    client_id: int
    base: int
    fee_or_rebate: int


def half_of_event(event: QueueEvent) -> Half:
    """Return the half a fill event tells of."""
    base = event.native_released if event.side is Side.BID else event.native_paid
    fee = event.native_fee_or_rebate
    return Half(
        event.seq, event.side, event.is_maker, event.owner, event.order_id, event.client_id, base, fee
    )


def half_of_log(log: FillLog, seq: int) -> Half:
    """Return the half a crank logged; the log does not say its number in the queue."""
    base = log.native_received if log.side is Side.BID else log.native_paid
    owner, client_id = bytes(log.open_orders), log.client_id or 0
    return Half(seq, log.side, log.maker, owner, log.order_id, client_id, base, log.native_fee_or_rebate)


class Matches:
    """Tell trades and fills of a market where ``owners`` (OpenOrders address to wallet) are ours.

    ``left_over`` says which other accounts are ours. What trades through them is our own and nobody else's;
    it is no fill, as nothing of them counts as a wallet's before it is reclaimed.
    """

    def __init__(
        self,
        spec: MarketSpec,
        owners: Mapping[bytes, WalletIndex],
        left_over: Callable[[bytes], bool] = lambda _: False,
    ) -> None:
        self._spec, self._owners, self._left_over = spec, owners, left_over

    def _is_ours(self, account: bytes) -> bool:
        return account in self._owners or self._left_over(account)

    def told(self, halves: Iterable[Half], at: Millis) -> tuple[list[Trade], list[Fill]]:
        """Return everybody's trades and our fills: as makers, and as takers (which must never be)."""
        trades: list[Trade] = []
        fills: list[Fill] = []
        makers: list[Half] = []
        for half in halves:
            if half.is_maker:
                makers.append(half)
                continue
            trades += self._matched(makers, half.owner, at)
            fills += self._met(makers, half.owner, at)
            if half.owner in self._owners:
                fills.append(self._fill(half, makers[-1].owner if makers else NOBODY, at))
            makers.clear()
        # The taker's half may be missing at the edge of what could be read; ours was filled all the same.
        trades += self._matched(makers, None, at)
        return trades, fills + self._met(makers, NOBODY, at)

    def _matched(self, makers: Sequence[Half], taker: bytes | None, at: Millis) -> list[Trade]:
        named = "" if taker is None else str(Pubkey.from_bytes(taker))
        return [self._trade(maker, named, at) for maker in makers]

    def _met(self, makers: Sequence[Half], taker: bytes, at: Millis) -> list[Fill]:
        return [self._fill(maker, taker, at) for maker in makers if maker.owner in self._owners]

    def _trade(self, half: Half, taker: str, at: Millis) -> Trade:
        return Trade(
            seq=half.seq,
            at=at,
            price=Ticks(half.order_id >> 64),
            size=self._size(half),
            taker_side=half.side.opposite,
            own=self._is_ours(half.owner),
            maker=str(Pubkey.from_bytes(half.owner)),
            taker=taker,
        )

    def _fill(self, half: Half, other: bytes, at: Millis) -> Fill:
        fee_or_rebate = Lamports(half.fee_or_rebate)
        return Fill(
            seq=half.seq,
            at=at,
            wallet=self._owners[half.owner],
            side=half.side,
            price=Ticks(half.order_id >> 64),
            size=self._size(half),
            maker=half.is_maker,
            rebate=fee_or_rebate if half.is_maker else Lamports(0),
            fee=Lamports(0) if half.is_maker else fee_or_rebate,
            order_id=half.order_id,
            client_id=half.client_id,
            counterparty=str(Pubkey.from_bytes(other)),
            self_trade=self._is_ours(other),
        )

    def _size(self, half: Half) -> BaseLots:
        return BaseLots(half.base // self._spec.base_lot_size)
