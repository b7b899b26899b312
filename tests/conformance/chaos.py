"""Random markets and random instructions for them."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from struct import Struct

from bmv.sandbox import spl_token
from bmv.sandbox.account import Account, ProgramError
from bmv.sandbox.openbook.settle import AUTHORITY, vault_signer
from bmv.sandbox.system_program import rent_exempt_lamports
from bmv.venue.openbook_v1 import layouts
from tests.conformance.arena import OK, PROGRAM, Arena, Meta, Outcome, Step

NATIVE = spl_token.NATIVE_MINT
NEVER = 2**63 - 1
U64 = 2**64 - 1
_ORDER = Struct("<IQQQIIQHq")
_SLOTS = Struct("<" + "QQ" * layouts.ORDER_SLOTS)


@dataclass(frozen=True)
class Habits:
    """What a market is like and what its people tend to do."""

    orders: int = 101
    events: int = 128
    wallets: int = 4
    decimals: int = 9
    base_lot: int = 10**9
    quote_lot: int = 1000
    spread: int = 40
    post_only: float = 0.3
    crank: float = 0.2
    replace: float = 0.1
    cancel: float = 0.15
    settle: float = 0.06
    odd: float = 0.05
    extreme: float = 0.01
    permissioned: int = 0
    spare: int = 0
    riches: int = 10**15
    poor: float = 0.2
    market: bytes | None = None
    disabled_after: int = 10**9


class Chaos:
    """A market in an arena and the people who trade on it."""

    def __init__(self, arena: Arena, habits: Habits) -> None:
        self.arena, self.habits, self.rng = arena, habits, arena.rng

    def open(self) -> "Chaos":
        """Make the market and its people; return the same object."""
        self.make_tokens()
        self.make_market_accounts()
        assert self.arena.run(self.initialize()) == OK
        for at in range(self.habits.wallets):
            self._make_wallet(at)
        return self

    # --- the world

    def make_tokens(self) -> None:
        self.arena.name("token_program", spl_token.PROGRAM_ID)
        self.arena.name("rent")
        self.arena.name("authority", AUTHORITY)
        for name in ("oo_authority", "prune_authority", "crank_authority", "nobody"):
            self.arena.name(name)
        for name, key, decimals in (("base_mint", None, self.habits.decimals), ("quote_mint", NATIVE, 9)):
            self.arena.name(name, key)
            data = spl_token.MINT.pack(0, bytes(32), 0, decimals, 1, 0, bytes(32))
            self.arena.put(name, Account(rent_exempt_lamports(len(data)), data, spl_token.PROGRAM_ID))

    def _put_program_account(self, name: str, size: int, extra_lamports: int = 0) -> None:
        lamports = rent_exempt_lamports(size) + extra_lamports
        self.arena.put(name, Account(lamports, bytes(size), PROGRAM))

    def make_market_accounts(self) -> None:
        key, self.nonce = self.arena.name("market", self.habits.market), 0
        while True:
            try:
                self.arena.name("vault_signer", vault_signer(key, self.nonce, PROGRAM))
                break
            except ProgramError:
                self.nonce += 1
        permissioned = self.habits.permissioned
        size = layouts.PERMISSIONED_MARKET_SIZE if permissioned else layouts.MARKET_SIZE
        self._put_program_account("market", size)
        self._put_program_account("request_queue", 12 + 32 + 80 * self.rng.randint(1, 3))
        self._put_program_account("event_queue", 12 + 32 + 88 * self.habits.events)
        for side in ("bids", "asks"):
            self._put_program_account(side, 12 + 40 + 72 * (2 * self.habits.orders - 1) + self.habits.spare)
        self.put_token_account("base_vault", "base_mint", "vault_signer", 0)
        self.put_token_account("quote_vault", "quote_mint", "vault_signer", 0)
        self.put_token_account("frozen", "base_mint", "nobody", 1, spl_token.STATE_FROZEN)

    def put_token_account(self, name: str, mint: str, owner: str, amount: int, state: int = 1) -> None:
        """Write a token account with a balance."""
        rent = rent_exempt_lamports(spl_token.ACCOUNT.size)
        native = int(mint == "quote_mint")
        keys = self.arena.keys
        data = spl_token.ACCOUNT.pack(
            keys[mint], keys[owner], amount, 0, bytes(32), state, native, rent * native, 0, 0, bytes(32)
        )
        self.arena.put(name, Account(rent + amount * native, data, spl_token.PROGRAM_ID))

    def _make_wallet(self, at: int) -> None:
        wallet = f"w{at}"
        self.arena.name(wallet)
        rich = self.habits.riches if self.rng.random() >= self.habits.poor else 50 * 10**9
        self.put_token_account(f"{wallet}.base", "base_mint", wallet, rich)
        self.put_token_account(f"{wallet}.quote", "quote_mint", wallet, rich // 1000)
        self._put_program_account(f"{wallet}.oo", layouts.OPEN_ORDERS_SIZE)
        if self.habits.permissioned:
            self.make_ready(wallet)

    def make_ready(self, wallet: str) -> None:
        """Have a wallet's OpenOrders account set up."""
        while self.arena.run(self.init(wallet)) != OK:
            pass

    def wallet(self) -> str:
        return f"w{self.rng.randrange(self.habits.wallets)}"

    # --- instructions

    def initialize(self) -> Step:
        names = ("market", "request_queue", "event_queue", "bids", "asks", "base_vault", "quote_vault")
        accounts: list[Meta] = [(name, "w") for name in names]
        accounts += [("base_mint", ""), ("quote_mint", ""), ("rent", "")]
        authorities = ("oo_authority", "prune_authority", "crank_authority")
        accounts += [(name, "") for name in authorities[: self.habits.permissioned]]
        lots = self.habits.base_lot, self.habits.quote_lot
        body = Struct("<QQHQQ").pack(*lots, self.rng.randrange(2**16), self.nonce, self.rng.randrange(500))
        return Step(accounts, bytes(5) + body)

    def order_body(self, side: int, client_id: int) -> bytes:
        rng, habits = self.rng, self.habits
        middle = 100 + (habits.spread if side and rng.random() < habits.post_only else 0)
        price = max(0, middle + rng.randint(-habits.spread, habits.spread))
        lots = rng.choice((1, 1, 2, 3, 5, 20, 0 if rng.random() < 0.05 else 7))
        quote = price * lots * habits.quote_lot
        quote = rng.choice((quote, quote, quote + quote // 1000, quote // 2, quote + 1, habits.quote_lot))
        if rng.random() < habits.extreme:
            extremes = (2**63, U64, rng.getrandbits(64), rng.getrandbits(40), rng.getrandbits(50))
            price, lots, quote = (rng.choice((n, n, *extremes)) for n in (price, lots, quote))
        kind = 2 if rng.random() < habits.post_only else rng.choice((0, 0, 0, 1, 2))
        limit = rng.choice((65535, 65535, 65535, 0, 1, 2, 3))
        expiry = rng.choice((NEVER, NEVER, NEVER, NEVER, self.arena.now, self.arena.now + 1))
        if rng.random() < 0.02:
            expiry = self.arena.now - 1
        self_trade = rng.choice((0, 0, 1, 1, 0, 1, 2))
        return _ORDER.pack(side, price, lots, quote, self_trade, kind, client_id, limit, expiry)

    def order_accounts(self, wallet: str, side: int) -> list[Meta]:
        before = ("market", f"{wallet}.oo", "request_queue", "event_queue", "bids", "asks")
        payer = f"{wallet}.{'base' if side else 'quote'}"
        accounts: list[Meta] = [(name, "w") for name in (*before, payer)]
        accounts += [(wallet, "s"), ("base_vault", "w"), ("quote_vault", "w")]
        accounts += [("token_program", ""), ("rent", "")]
        if self.rng.random() < 0.03:
            accounts.append((f"{self.wallet()}.base", ""))
        if self.rng.random() < 0.003:
            accounts.append(("nobody", ""))
        return accounts

    def new(self, wallet: str) -> Step:
        side = self.rng.randrange(2)
        body = self.order_body(side, self.rng.randrange(13))
        if self.rng.random() < 0.3:
            body = body[:46]
        return Step(self.order_accounts(wallet, side), b"\0\x0a\0\0\0" + body)

    def replace(self, wallet: str) -> Step:
        side, rng = self.rng.randrange(2), self.rng
        accounts = self.order_accounts(wallet, side)
        if rng.random() < 0.2:
            return Step(accounts, b"\0\x13\0\0\0" + self.order_body(side, rng.randrange(13)))
        count = rng.choice((0, 1, 2, 3, 8, 8, 8))
        first = rng.randrange(1, 40)
        bodies = [
            self.order_body(side if rng.random() < 0.995 else 1 - side, first + at) for at in range(count)
        ]
        return Step(accounts, b"\0\x14\0\0\0" + count.to_bytes(8, "little") + b"".join(bodies))

    def cancel_accounts(self, wallet: str) -> list[Meta]:
        return [
            ("market", self.rng.choice(("", "w"))),
            ("bids", "w"),
            ("asks", "w"),
            (f"{wallet}.oo", "w"),
            (wallet, "s"),
            ("event_queue", "w"),
        ]

    def cancel(self, wallet: str) -> Step:
        accounts, rng = self.cancel_accounts(wallet), self.rng
        kind = rng.randrange(3)
        if kind == 0:
            side, order_id = self._some_order(wallet if rng.random() < 0.9 else self.wallet())
            return Step(accounts, b"\0\x0b\0\0\0" + bytes((side, 0, 0, 0)) + order_id.to_bytes(16, "little"))
        if kind == 1:
            return Step(accounts, b"\0\x0c\0\0\0" + rng.randrange(13).to_bytes(8, "little"))
        ids = [rng.randrange(45) for _ in range(rng.randint(0, 8))]
        return Step(accounts, b"\0\x12\0\0\0" + b"".join(n.to_bytes(8, "little") for n in ids))

    def _some_order(self, wallet: str) -> tuple[int, int]:
        data = self.arena.accounts[f"{wallet}.oo"].data
        if not data:
            return 0, 0
        halves = _SLOTS.unpack_from(data, layouts.OPEN_ORDERS_ORDERS)
        ids = [high << 64 | low for low, high in zip(halves[::2], halves[1::2], strict=True) if high]
        order_id = self.rng.choice(ids) if ids else self.rng.getrandbits(128)
        is_ask = order_id & U64 < 2**63
        return int(is_ask if self.rng.random() < 0.95 else not is_ask), order_id

    def _all_open_orders(self) -> list[str]:
        return [f"w{at}.oo" for at in range(self.habits.wallets)]

    def consume(self, _wallet: str) -> Step:
        rng = self.rng
        names = sorted(self._all_open_orders(), key=lambda name: Struct("<4Q").unpack(self.arena.keys[name]))
        if rng.random() < 0.2:
            rng.shuffle(names)
        if rng.random() < 0.2:
            names = names[: rng.randint(0, len(names))]
        names += [rng.choice(names)] * rng.choice((0, 0, 0, 1, 6)) if names else []
        accounts: list[Meta] = [(name, "w") for name in names]
        limit = rng.choice((0, 1, 5, 12, 20, 20, 100, 65535)).to_bytes(2, "little")
        if self.habits.permissioned == 3 and rng.random() < 0.9:
            signer = "crank_authority" if rng.random() < 0.95 else "nobody"
            return Step(
                [*accounts, ("market", "w"), ("event_queue", "w"), (signer, "s")], b"\0\x11\0\0\0" + limit
            )
        spares = ("event_queue", "event_queue") if rng.random() < 0.7 else ("nobody", "rent")
        accounts += [("market", "w"), ("event_queue", "w"), *((name, "") for name in spares)]
        return Step(accounts, b"\0\x03\0\0\0" + limit)

    def settle(self, wallet: str) -> Step:
        receiver = wallet if self.rng.random() < 0.9 else self.wallet()
        accounts: list[Meta] = [("market", "w"), (f"{wallet}.oo", "w"), (wallet, "s")]
        accounts += [("base_vault", "w"), ("quote_vault", "w")]
        accounts += [(f"{receiver}.base", "w"), (f"{receiver}.quote", "w")]
        accounts += [("vault_signer", ""), ("token_program", "")]
        if self.rng.random() < 0.5:
            accounts.append((f"{self.wallet()}.quote", "w"))
        return Step(accounts, b"\0\x05\0\0\0")

    def init(self, wallet: str) -> Step:
        accounts: list[Meta] = [(f"{wallet}.oo", "w"), (wallet, "s"), ("market", ""), ("rent", "")]
        if bool(self.habits.permissioned) != (self.rng.random() < 0.05):
            accounts.append(("oo_authority", "s"))
        return Step(accounts, b"\0\x0f\0\0\0")

    def close(self, wallet: str) -> Step:
        destination = self.rng.choice((wallet, wallet, f"{self.wallet()}.base", f"{wallet}.oo"))
        accounts: list[Meta] = [(f"{wallet}.oo", "w"), (wallet, "s"), (destination, "w"), ("market", "")]
        return Step(accounts, b"\0\x0e\0\0\0")

    def prune(self, wallet: str) -> Step:
        accounts: list[Meta] = [("market", "w"), ("bids", "w"), ("asks", "w"), ("prune_authority", "s")]
        accounts += [(f"{wallet}.oo", "w"), (wallet, ""), ("event_queue", "w")]
        limit = self.rng.choice((0, 1, 5, 30, 500, 65535))
        return Step(accounts, b"\0\x10\0\0\0" + limit.to_bytes(2, "little"))

    def sweep(self, wallet: str) -> Step:
        accounts: list[Meta] = [("market", "w"), ("quote_vault", "w"), ("authority", "s")]
        return Step(
            [*accounts, (f"{wallet}.quote", "w"), ("vault_signer", ""), ("token_program", "")],
            b"\0\x08\0\0\0",
        )

    def disable(self) -> Step:
        signer = self.rng.choice(("authority", "authority", "nobody"))
        return Step([("market", "w"), (signer, self.rng.choice(("s", "s", "")))], b"\0\x07\0\0\0")

    def nonsense(self, _wallet: str) -> Step:
        """Return an instruction with a random tag and a body of some length that some tag may have."""
        rng = self.rng
        accounts: list[Meta] = [
            (rng.choice(("nobody", "rent", "market")), "") for _ in range(rng.randint(0, 14))
        ]
        size = rng.choice((0, 2, 8, 20, 32, 34, 36, 46, 53, 54, 62, 440, rng.randint(0, 60)))
        body = rng.choice((bytes(size), rng.randbytes(size), bytes((1,)) * size))
        return Step(accounts, bytes((0, rng.randrange(22), 0, 0, 0)) + body)

    # --- what happens next

    def close_down(self, wallet: str) -> list[Step]:
        """Cancel a wallet's named orders, crank, settle and close."""
        ids = [b"".join(n.to_bytes(8, "little") for n in range(at, at + 8)) for at in range(1, 49, 8)]
        cancels = [Step(self.cancel_accounts(wallet), b"\0\x12\0\0\0" + chunk) for chunk in ids]
        return [*cancels, self.consume(wallet), self.consume(wallet), self.settle(wallet), self.close(wallet)]

    def spoil(self, step: Step) -> Step:
        """Damage an instruction: an account too many, too few or wrong, no signature, other bytes."""
        rng, accounts, data = self.rng, list(step.accounts), bytearray(step.data)
        at = rng.randrange(len(accounts)) if accounts else 0
        kind = rng.randrange(6) if accounts else 5
        others = ("nobody", "base_mint", "w0", "w0.base", "w1.quote", "w1.oo", "base_vault", "rent", "frozen")
        if kind == 0:
            del accounts[at]
        elif kind == 1:
            accounts.insert(at, (rng.choice(others), ""))
        elif kind in {2, 3}:
            accounts[at] = (rng.choice(others), accounts[at][1])
        elif kind == 4:
            accounts = [(name, flags.replace("s", "")) for name, flags in accounts]
        elif rng.random() < 0.5:
            data[rng.randrange(len(data))] = rng.randrange(256)
        else:
            data = data[: rng.randrange(len(data))] if rng.random() < 0.5 else data + b"\0"
        return Step(accounts, bytes(data))

    def steps(self) -> list[Step]:
        """Return what happens next; time may pass first."""
        rng, habits = self.rng, self.habits
        if rng.random() < 0.02:
            self.arena.wait(rng.randint(1, 5))
        if self.arena.steps > habits.disabled_after and rng.random() < 0.01:
            return [self.disable()]
        wallet = self.wallet()
        if not self.arena.accounts[f"{wallet}.oo"].data and rng.random() < 0.5:
            self._put_program_account(f"{wallet}.oo", layouts.OPEN_ORDERS_SIZE, rng.choice((0, 0, 0, -1)))
            if habits.permissioned:
                return [self.init(wallet)]
        if rng.random() < 0.004:
            return self.close_down(wallet)
        step = self._pick()(wallet)
        return [self.spoil(step) if rng.random() < habits.odd else step]

    def _pick(self) -> Callable[[str], Step]:
        habits = self.habits
        weights: list[tuple[Callable[[str], Step], float]] = [
            (self.consume, habits.crank),
            (self.replace, habits.replace),
            (self.cancel, habits.cancel),
            (self.settle, habits.settle),
            (self.prune, 0.02 if habits.permissioned > 1 else 0.001),
            (self.init, 0.003),
            (self.close, 0.003),
            (self.sweep, 0.003),
            (self.nonsense, 0.01),
        ]
        weights.append((self.new, max(0.1, 1 - sum(weight for _, weight in weights))))
        return self.rng.choices([do for do, _ in weights], [weight for _, weight in weights])[0]


def run_chaos(
    program: bytes,
    seed: int,
    steps: int,
    habits: Habits,
    note: Callable[[Chaos, Step, Outcome], None] | None = None,
) -> dict[Outcome, int]:
    """Run at least ``steps`` random steps through both programs; return how often what came out.

    ``note`` hears of every step after the first, which makes the market.
    """
    arena = Arena(program, Random(seed))
    chaos = Chaos(arena, habits).open()
    outcomes: dict[Outcome, int] = {OK: 1}
    while arena.steps < steps:
        for step in chaos.steps():
            outcome = arena.run(step)
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
            if note:
                note(chaos, step, outcome)
    return outcomes
