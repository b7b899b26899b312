"""Every way the outside can fail, seeded: soon after it heals the book is as wanted, nothing lost or doubled.

T0 is the end of the faults. By T0 + 10 slots every wallet without an undecided bundle stands as wanted; by
the expiry of the last undecided placement + 10 slots all do, and of what was undecided at T0 everything is
known. In no slot does an order stand twice.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from decimal import Decimal

import pytest
from msgspec.structs import replace

from bmv.app import reporting
from bmv.app.truth import standing_orders
from bmv.core.decay import BPS, FINE
from bmv.events import AnyAction, Execute, Report
from bmv.model import Side
from bmv.sandbox.chain import Bundle, Chain
from bmv.sandbox.clock import LoopClock
from bmv.sandbox.people.crowd import CrowdOptions
from bmv.sandbox.transaction import Transaction
from bmv.services.outcomes import Sent
from bmv.units import Millis, Ticks
from bmv.venue.openbook_v1.logs import FillLog, decode_log
from tests.services.living_world import Living, living, settings_with, virtually

SLOT_S = 0.4
SLOTS_TO_HEAL = 10
FAULTS_AT_S, QUIET_S = 120, 8
SEEDS = 4
"""The first of them for long and left to itself, the others briefly, while the ladder moves a lot."""
STIRRED_EVERY_S = 7
HALF_AN_HOUR_S, SHORT_S, LONG_S = 1_800, 200, 3_600
BUSY = CrowdOptions(arrivals_per_day=14_400)
SETTINGS = {"grid_levels": 48, "seed_price": Decimal("0.012"), "seed_daily_volume": Decimal(20_000)}
EVERYWHERE = {
    "jito_unreachable": 0.2, "jito_rate_limited": 0.2, "jito_garbled": 0.2, "jito_refused": 0.2,
    "rpc_unreachable": 0.2, "rpc_rate_limited": 0.2, "rpc_garbled": 0.2,
    "ws_lost": 0.2, "ws_disconnected": 0.05,
}  # fmt: skip
LASTS_S = {"every endpoint answers 429, 5xx, HTML or half": LONG_S, "all at once": LONG_S}
"""Where everything is slow, little is sent."""
FAR_BEHIND, AT_ONCE = 50, 3
"""Slots that a node lags behind, and that a bundle takes which is not late."""
SCENARIOS: dict[str, dict[str, float]] = {
    "30 % of bundles dropped": {"bundle_dropped": 0.3},
    "landed but reported failed": {"jito_refused": 1.0},
    "accepted, then never": {"bundle_dropped": 1.0},
    "late landing": {"bundle_late": 0.7},
    "reordered and lost notifications": {"ws_reordered": 0.5, "ws_lost": 0.5},
    "a lagging node": {"rpc_stale": 0.5},
    "one node on a dead fork, others far behind": {
        "rpc_forked": 0.8,
        "rpc_stale": 0.8,
        "ws_lost": 1.0,
        "bundle_late": 0.9,
    },
    "every endpoint answers 429, 5xx, HTML or half": EVERYWHERE,
    "all at once": EVERYWHERE
    | {"bundle_dropped": 0.2, "bundle_late": 0.2, "rpc_stale": 0.2, "ws_reordered": 0.2},
}


def wanted(it: Living) -> dict[int, Counter[tuple[Side, int]]]:
    """Return what each wallet should hold: the target, less what P has passed since it was built.

    That waits for the next rebuild, which P must not be far enough away for.
    """
    state, threshold = it.assembly.engine.state, int(it.settings.rebalance_threshold)
    assert state.market.reading is not None
    price = state.market.reading.price_fine
    assert all(abs(price - built) * BPS <= built * threshold for built in state.target.prices.values())
    quotes: dict[int, Counter[tuple[Side, int]]] = {wallet: Counter() for wallet in state.views}
    for quote in state.target.quotes:
        fine = int(quote.price) * FINE
        passed = fine >= price if quote.side is Side.BID else fine <= price
        if not passed:
            quotes[quote.wallet][quote.side, int(quote.price)] += 1
    return quotes


def standing(it: Living) -> dict[int, Counter[tuple[Side, int]]]:
    """Return what each wallet really holds on the simulated chain."""
    found: dict[int, Counter[tuple[Side, int]]] = {
        wallet: Counter() for wallet in range(len(it.assembly.wallets))
    }
    for order in standing_orders(it.world.chain, it.assembly.market, it.assembly.wallets):
        if order.wallet is not None:
            found[order.wallet][order.side, order.price] += 1
    return found


def amiss(it: Living, wallets: set[int]) -> dict[int, tuple[object, object]]:
    """Return, for those wallets that do not stand as wanted, what is missing and what is too much."""
    want, have = wanted(it), standing(it)
    return {
        wallet: (dict(want[wallet] - have[wallet]), dict(have[wallet] - want[wallet]))
        for wallet in sorted(wallets)
        if want[wallet] != have[wallet]
    }


def sizes_amiss(it: Living) -> list[tuple[int, int]]:
    """Return size and wanted size of every order that is off by more than SIZE_TOLERANCE."""
    quotes = {(q.wallet, q.side, int(q.price)): int(q.size) for q in it.assembly.engine.state.target.quotes}
    orders = standing_orders(it.world.chain, it.assembly.market, it.assembly.wallets)
    sizes = [(o.size, quotes[o.wallet, o.side, o.price]) for o in orders if o.wallet is not None]
    tolerance = int(it.settings.size_tolerance)
    return [(have, want) for have, want in sizes if abs(have - want) * BPS > want * tolerance]


def undecided(it: Living) -> dict[int, int]:
    """Return the tickets of changes whose end nobody knows, each with its wallet."""
    flights = it.assembly.engine.state.in_flight.items()
    return {
        ticket: flight.wallet
        for ticket, flight in flights
        if flight.wallet is not None and flight.landed is None
    }


def last_expiry_s(it: Living, chain: Chain) -> float:
    """Return in how many seconds no undecided placement can land any more, by max_ts or blockhash."""
    watched = it.assembly.dispatcher._outcomes._pending.values()
    last = [(sent.until, int(sent.last_valid)) for sent in watched if sent.until is not None]
    slot = chain.slot
    while any(chain.block_time(slot) <= until and chain.clock.height(slot) <= valid for until, valid in last):
        slot += 1
    return (slot - chain.slot) * SLOT_S


def own_fills(it: Living) -> int:
    """Count the fills of ours that cranks logged on the chain."""
    ours = {str(wallet.open_orders) for wallet in it.assembly.wallets}
    logs = [line for landed in it.world.chain.ledger.since(0) for line in landed.outcome.logs]
    records = [record for record in map(decode_log, logs) if isinstance(record, FillLog)]
    return sum(str(record.open_orders) in ours for record in records)


@pytest.mark.parametrize("again", range(SEEDS))
@pytest.mark.parametrize("name", SCENARIOS)
def test_soon_after_the_faults_everything_stands_as_wanted(name: str, again: int) -> None:
    async def scenario(clock: LoopClock) -> None:
        seed = list(SCENARIOS).index(name) + 3 + 100 * again
        async with living(clock, settings=settings_with(**SETTINGS), seed=seed, wallets=4, crowd=BUSY) as it:
            engine = it.assembly.engine
            it.world.chain.listeners.append(never_twice(it))
            land_at_the_last_moment(it)
            told = listen(it)
            running = asyncio.create_task(engine.run(it.assembly.feed, it.assembly.dispatcher))
            try:
                lasts = SHORT_S if again else LASTS_S.get(name, HALF_AN_HOUR_S)
                stirring = asyncio.create_task(stir(it, running)) if again else None
                await suffer(it, SCENARIOS[name], lasts)
                if stirring is not None:
                    stirring.cancel()
                await check_healing(it)
                engine.halt("the test is over")
                assert (await running).clean
            finally:
                running.cancel()
            assert again or engine.record.fills > 0
            check_end(it, name)
            # Whatever lands, however late: who sent it still knows of it when it is seen.
            assert not told["WALLET_ORDER_UNKNOWN"]

    virtually(scenario)


def listen(it: Living) -> Counter[str]:
    """Count what the engine tells people."""
    record, told = it.assembly.engine.record, Counter[str]()
    did = record.did

    def counting(action: AnyAction, at: Millis) -> None:
        if isinstance(action, Report):
            told[action.name] += 1
        did(action, at)

    record.did = counting  # type: ignore[method-assign]
    return told


def land_at_the_last_moment(it: Living) -> None:
    """Let every other late bundle land in one of the last two slots in which its orders may be placed."""
    chain, dispatcher = it.world.chain, it.assembly.dispatcher
    sending, enqueue = dispatcher._on_sending, chain._enqueue
    until: dict[str, int | None] = {}

    def noting(sent: Sent) -> None:
        until[sent.bundle_id] = sent.until
        sending(sent)

    def late(delay: int, transactions: tuple[Transaction, ...], bundle: Bundle | None) -> None:
        last = until.get(bundle.id) if bundle is not None else None
        if last is not None and delay > AT_ONCE and len(until) % 2:
            slot = chain.slot
            while chain.block_time(slot + 1) <= last:
                slot += 1
            delay = max(1, slot - chain.slot - delay % 2)
        enqueue(delay, transactions, bundle)

    dispatcher._on_sending = noting
    chain._enqueue = late  # type: ignore[method-assign]


async def stir(it: Living, running: asyncio.Task[object]) -> None:
    """Want every order a tick further out, and then back again, so that much is under way all the time."""
    state, way = it.assembly.engine.state, 1
    while not running.done():
        await asyncio.sleep(STIRRED_EVERY_S)
        state.target.quotes = tuple(
            replace(quote, price=quote.price + Ticks(way if quote.side is Side.ASK else -way))
            for quote in state.target.quotes
        )
        state.stirred, way = True, -way


async def suffer(it: Living, rates: dict[str, float], seconds: int) -> None:
    """Let the faults strike for a while; shortly before they end nobody else acts any more."""
    await asyncio.sleep(FAULTS_AT_S)
    it.world.faults.rates.update(rates)
    if "rpc_forked" in rates:
        it.world.faults.lag_slots = FAR_BEHIND
    await asyncio.sleep(seconds - QUIET_S)
    crowd = it.world._driver
    assert crowd is not None
    crowd.cancel()
    await asyncio.sleep(QUIET_S)
    it.world.faults.rates.clear()


async def check_healing(it: Living) -> None:
    """Check both deadlines after the faults have ended now."""
    everybody = set(range(len(it.assembly.wallets)))
    in_doubt = undecided(it)
    expiry = last_expiry_s(it, it.world.chain)
    await asyncio.sleep(SLOTS_TO_HEAL * SLOT_S)
    assert amiss(it, everybody - set((in_doubt | undecided(it)).values())) == {}
    await asyncio.sleep(expiry)
    assert amiss(it, everybody) == {}
    assert sizes_amiss(it) == []
    assert not in_doubt.keys() & undecided(it).keys()


def never_twice(it: Living) -> Callable[[object], None]:
    """Return who sees in every slot that no price of a side is ours twice."""

    def look(_: object) -> None:
        everything = [place for orders in standing(it).values() for place in orders.elements()]
        assert len(set(everything)) == len(everything), "an order is doubled"

    return look


def check_end(it: Living, name: str) -> None:
    """Check what must hold after the engine has ended: books, fills, and that the faults did strike."""
    engine = it.assembly.engine
    assert all(it.world.faults.injected[kind] for kind in SCENARIOS[name])
    assert own_fills(it) == engine.record.fills
    assert engine.record.self_trades == 0
    assert reporting.after_drain(it.world, it.assembly) == {"orders_live": 0, "locked": 0}
    assert reporting.chain_residual(it.world) == {"lamports": 0, "tokens": 0}
    assert reporting.books(it.assembly)["identity_residual_lamports"] == 0
    assert not any(isinstance(flight.action, Execute) for flight in engine.state.in_flight.values())
