"""What random trading seldom reaches: full memory, big prunes, and markets that must not be opened."""

from collections.abc import Sequence
from random import Random
from struct import Struct

from bmv.sandbox import spl_token
from bmv.sandbox.account import Account
from tests.conformance.arena import OK, Arena, Step
from tests.conformance.chaos import NEVER, Chaos, Habits
from tests.conformance.conftest import StepCounter

_ORDER = Struct("<IQQQIIQHq")
CHUNK = 8
FILLS = 16


def order(side: int, price: int, lots: int, client_id: int, habits: Habits) -> bytes:
    quote = 2 * price * lots * habits.quote_lot
    return _ORDER.pack(side, price, lots, quote, 0, 0, client_id, 65535, NEVER)


def place(chaos: Chaos, wallet: str, side: int, orders: Sequence[bytes]) -> None:
    """Send orders in full replaces; their client ids must not be in use."""
    for at in range(0, len(orders), CHUNK):
        chunk = orders[at : at + CHUNK]
        data = b"\0\x14\0\0\0" + len(chunk).to_bytes(8, "little") + b"".join(chunk)
        assert chaos.arena.run(Step(plain_accounts(chaos, wallet, side), data)) == OK


def plain_accounts(chaos: Chaos, wallet: str, side: int) -> list[tuple[str, str]]:
    return chaos.order_accounts(wallet, side)[:12]


def make_fills(chaos: Chaos, first_id: int) -> None:
    """Let w0 sell into FILLS bids of w1, so that the queue holds FILLS maker and FILLS taker fills."""
    habits = chaos.habits
    bids = [order(0, 100, 1, first_id + at if first_id else 0, habits) for at in range(FILLS)]
    place(chaos, "w1", 0, bids)
    place(chaos, "w0", 1, [order(1, 100, FILLS, first_id, habits)])


def consume(wallets: list[str], spares: tuple[str, str], limit: int) -> Step:
    accounts = [(wallet, "w") for wallet in wallets] + [("market", "w"), ("event_queue", "w")]
    return Step(
        [*accounts, *((spare, "") for spare in spares)], b"\0\x03\0\0\0" + limit.to_bytes(2, "little")
    )


def test_the_crank_runs_out_of_memory_at_the_same_fill(compiled_program: bytes, counter: StepCounter) -> None:
    arena = Arena(compiled_program, Random(1))
    chaos = Chaos(arena, Habits(wallets=30, poor=0)).open()
    for at in range(30):
        chaos.make_ready(f"w{at}")
    names = sorted((f"w{at}.oo" for at in range(30)), key=lambda name: Struct("<4Q").unpack(arena.keys[name]))
    others = [name for name in names if name not in {"w0.oo", "w1.oo"}]
    ends = []
    for others_named in range(29):
        named = [name for name in names if name not in others[others_named:]]
        for doubled in (0, 9):
            make_fills(chaos, first_id=others_named if others_named % 2 else 0)
            wallets = named + [named[-1]] * doubled
            limits = range(1 + 3 * FILLS, 0, -1)
            ends.append(
                next(n for n in limits if arena.run(consume(wallets, ("event_queue", "rent"), n)) == OK)
            )
            while any(Struct("<Q").unpack_from(arena.accounts["event_queue"].data, 21)):
                assert arena.run(consume(named, ("rent", "rent"), 10)) == OK
    assert len(set(ends)) > 1
    counter.add(arena.steps)


def test_big_prunes_end_the_same(compiled_program: bytes, counter: StepCounter) -> None:
    arena = Arena(compiled_program, Random(2))
    habits = Habits(permissioned=2, wallets=2, events=600, orders=200, poor=0)
    for bids, asks in (
        (128, 0),
        (0, 128),
        (65, 63),
        (64, 64),
        (63, 65),
        (100, 28),
        (40, 40),
        (65, 33),
        (65, 32),
    ):
        chaos = Chaos(arena, habits).open()
        place(chaos, "w0", 0, [order(0, 100 + at % 50, 1, 1 + at, habits) for at in range(bids)])
        place(chaos, "w0", 1, [order(1, 200 + at % 50, 1, 201 + at, habits) for at in range(asks)])
        accounts = [("market", "w"), ("bids", "w"), ("asks", "w"), ("prune_authority", "s")]
        accounts += [("w0.oo", "w"), ("w0", ""), ("event_queue", "w")]
        arena.run(Step(accounts, b"\0\x10\0\0\0\xff\xff"))
    counter.add(arena.steps)


def spoil_account(chaos: Chaos, name: str) -> None:
    """Change one thing about an account a market is about to be made of."""
    rng, account = chaos.rng, chaos.arena.accounts[name]
    data, lamports, owner = bytearray(account.data), account.lamports + 10**9, account.owner
    kind = rng.randrange(6)
    if kind == 0:
        lamports = account.lamports - 1
    elif kind == 1:
        owner = rng.choice((bytes(32), spl_token.PROGRAM_ID))
    elif kind == 2:
        data = bytearray(rng.choice((0, 4, 12, 20, 28, 36, 44, 52, 60, 116, 124, 388, 1476, 14_000, 14_004)))
    elif kind == 3:
        data = data[: max(0, len(data) - rng.choice((1, 7, 8, 72, 80, 88)))]
    elif data:
        at = rng.choice(
            (0, 4, 5, 12, 13, 30, 33, 45, 70, 72, 75, 108, 129, 131, len(data) - 7, len(data) - 1)
        )
        data[min(at, len(data) - 1)] ^= rng.randrange(1, 256)
    chaos.arena.put(name, Account(lamports, data, owner))


def test_unfit_markets_are_refused_the_same(compiled_program: bytes, counter: StepCounter) -> None:
    arena = Arena(compiled_program, Random(3))
    outcomes = set()
    for _ in range(1_200):
        chaos = Chaos(arena, Habits(permissioned=arena.rng.choice((0, 0, 1, 2, 3))))
        chaos.make_tokens()
        chaos.make_market_accounts()
        step = chaos.initialize()
        kind = arena.rng.randrange(8)
        if kind == 0:
            chaos.nonce += 1
            step = chaos.initialize()
        elif kind == 1:
            step = Step(arena.rng.sample(step.accounts, arena.rng.randint(8, len(step.accounts))), step.data)
        elif kind == 2:
            accounts = list(step.accounts)
            accounts[arena.rng.randrange(9)] = accounts[arena.rng.randrange(9)]
            step = Step(accounts, step.data)
        elif kind < 7:
            spoil_account(chaos, arena.rng.choice(step.accounts[:9])[0])
        outcomes.add(arena.run(step))
    counter.add(arena.steps)
    assert len(outcomes) > 15
