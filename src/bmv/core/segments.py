"""Re-shape segments where the plain way leaves levels waiting for funds (SPEC 3.5).

``assign`` shares the ladder out from the inside outwards; the wallets that come first may spend their seats
on small orders, while their money is wanted further out. Money is then where no seat is.

Rules of this file
- Where nothing waits for funds, what ``assign`` says holds to the last lot.
- A ladder of which nothing stands yet is cut into other segments first (``recut.py``).
- Of what stands little changes: for each level that waits, one other order moves to a wallet that has a seat
  and money for it (``_moved``). That stands from then on, so the next rebuild finds nothing to move. Only
  where more than REBUILD_MIN_CHANGE_% of a side still waits is the whole ladder cut anew.
- Only homes are chosen here; ``assign`` places, with all its limits. It is taken if less waits.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bmv.config import Settings
from bmv.core.allocation import Waiting, assign, spent
from bmv.core.decay import BPS
from bmv.core.plan import close_enough
from bmv.core.recut import Burden, Room, burdens, cut, rooms_of
from bmv.model import SIDES, Clip, Level, MarketSpec, Placement, Quote, WalletView

Shared = tuple[tuple[Quote, ...], tuple[Waiting, ...]]


class _Asked(NamedTuple):
    """What ``assign`` is asked."""

    levels: Sequence[Level]
    views: Sequence[WalletView]
    spec: MarketSpec
    settings: Settings
    flying: Sequence[Placement]


def fitted(
    levels: Sequence[Level],
    views: Sequence[WalletView],
    spec: MarketSpec,
    settings: Settings,
    flying: Sequence[Placement] = (),
    *,
    reshape: bool = False,
) -> Shared:
    """Give every level a wallet as ``assign`` does; re-shape where that leaves levels waiting for funds."""
    shared = assign(levels, views, spec, settings, flying, reshape=reshape)
    if not _lacking(shared[1]):
        return shared
    asked = _Asked(levels, views, spec, settings, flying)
    wanted = burdens(*asked)
    if not (flying or any(view.orders for view in views)):
        return _moved(asked, wanted, _recut(asked, wanted, shared))
    shared = _moved(asked, wanted, shared)
    return _recut(asked, wanted, shared) if _lacks_much(asked, shared) else shared


def _recut(asked: _Asked, wanted: Sequence[Burden], shared: Shared) -> Shared:
    """Return the ladder cut into new segments, or ``shared`` where that is no better."""
    homes = cut(wanted, list(rooms_of(asked.views, asked.spec, asked.settings).values()))
    return _better_of(shared, assign(*asked, homes=homes)) if homes else shared


def _moved(asked: _Asked, wanted: Sequence[Burden], shared: Shared) -> Shared:
    """Return ``shared`` with one order moved for each level that waits for funds, where one can be.

    What lacks no more than SIZE_TOLERANCE_% of a level is not worth an order's move.
    """
    if not _lacking(shared[1]):
        return shared
    rooms = rooms_of(asked.views, asked.spec, asked.settings)
    given = {(quote.side, quote.price): quote for quote in shared[0]}
    short: list[Burden] = []
    for burden in wanted:
        quote = given.get(burden.key)
        if quote and (quote.size >= burden.size or close_enough(quote.size, burden.size, asked.settings)):
            rooms[quote.wallet].take(burden)
        else:
            short.append(burden)
    short.sort(key=lambda each: -each.worth)
    still = [burden for burden in short if not _make_room(burden, list(rooms.values()))]
    if len(still) == len(short):
        return shared
    for burden in still:
        quote = given.get(burden.key)
        if quote and rooms[quote.wallet].seats > 0:
            rooms[quote.wallet].take(burden.of(quote.size))
    homes = {burden.key: room.wallet for room in rooms.values() for burden in room.served}
    return _better_of(shared, assign(*asked, homes=homes))


def _make_room(burden: Burden, rooms: Sequence[Room]) -> bool:
    """Give ``burden`` to the richest wallet that can place it, if need be once another order has moved."""
    side = burden.side
    seated = [room for room in rooms if room.seats > 0]
    takers = [sorted(seated, key=lambda room: -room.left[each]) for each in SIDES]
    room = _first_to_pay(burden, takers[side])
    if room is not None:
        room.take(burden)
        return True
    for giver in sorted(rooms, key=lambda room: -room.left[side]) if seated else ():
        # What does not stand moves for nothing, and small orders find a place more easily.
        for other in sorted(giver.served, key=lambda each: (each.holder == giver.wallet, each.need)):
            if not giver.pays(burden, without=other):
                continue
            taker = _first_to_pay(other, takers[other.side], giver)
            if taker is not None:
                giver.drop(other)
                taker.take(other)
                giver.take(burden)
                return True
    return False


def _first_to_pay(burden: Burden, richest: Sequence[Room], but: Room | None = None) -> Room | None:
    for room in richest:
        if room.left[burden.side] < burden.need:
            return None
        if room is not but and room.pays(burden):
            return room
    return None


def _better_of(old: Shared, new: Shared) -> Shared:
    """Return ``new`` where less of a side waits for funds and on none more for that or for anything."""
    less = False
    for side in SIDES:
        before, after = ([each for each in shared[1] if each.side is side] for shared in (old, new))
        more = sum(each.amount for each in after) - sum(each.amount for each in before)
        if more > 0 or _lacking(after) > _lacking(before):
            return old
        less = less or _lacking(after) < _lacking(before)
    return new if less else old


def _lacking(waiting: Iterable[Waiting]) -> int:
    return sum(each.amount for each in waiting if each.clip is Clip.FUNDS)


def _lacks_much(asked: _Asked, shared: Shared) -> bool:
    """Say whether what waits for funds is worth it to write the ladder anew."""
    for side in SIDES:
        worth = spent(side, [level for level in asked.levels if level.side is side], asked.spec)
        lacking = _lacking(each for each in shared[1] if each.side is side)
        if lacking * BPS > worth * int(asked.settings.rebuild_min_change):
            return True
    return False
