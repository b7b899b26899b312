"""Everything the engine sends is signed; nothing else is."""

import asyncio
import functools
import hashlib
import random
import struct
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey

from bmv.app.signing import policy_of
from bmv.chain.jito import TIP_ACCOUNTS
from bmv.chain.layout import MAX_TRANSACTION_BYTES
from bmv.chain.message import AddressTable, split
from bmv.chain.transaction import build_transaction
from bmv.core.limits import approve
from bmv.core.state import InFlight, Phase
from bmv.errors import UnsafeState
from bmv.events import AnyAction, Collect, Convert
from bmv.keys.decoded import decode_message
from bmv.keys.grounds import MAX_MINTS, Grounds
from bmv.keys.policy import GuardedSigner, Limits, Policy, Unlawful
from bmv.keys.signer import InProcessSigner
from bmv.keys.store import Role, Wallet
from bmv.model import Conversion, Direction, Rule, Side
from bmv.sandbox.clock import LoopClock
from bmv.sandbox.dollar_genesis import Purse
from bmv.services.accounts import WalletAccounts
from bmv.services.packing import Group
from bmv.units import LAMPORTS_PER_SOL, Lamports, Slot, usd_value
from bmv.venue import lookup_table, system, token
from bmv.venue.jupiter import EVENT_AUTHORITY, JUPITER, USDC
from bmv.venue.openbook_v1 import instructions as openbook
from bmv.venue.openbook_v1.instructions import MarketKeys, NewOrder, OrderType
from bmv.venue.openbook_v1.layouts import OPEN_ORDERS_SIZE
from tests.keys.unlawful import is_harmless
from tests.services.left_behind import leave_behind
from tests.services.living_world import NOBODY, living, settings_with, virtually

KEYS = [Keypair.from_seed(bytes([number] * 32)) for number in range(1, 4)]
FIRST, SECOND, TREASURY = (keypair.pubkey() for keypair in KEYS)
STRANGER = Keypair.from_seed(bytes([99] * 32)).pubkey()


def market_of(first: int) -> MarketKeys:
    books = {name: Pubkey(bytes([first + n] * 32)) for n, name in enumerate(MarketKeys.__struct_fields__)}
    known = {"program": openbook.OPENBOOK_V1, "quote_mint": token.WRAPPED_SOL}
    return MarketKeys(**{**books, **known, "base_mint": Pubkey(bytes([110] * 32))})


MARKET, OTHER_MARKET = market_of(100), market_of(120)
WALLET = WalletAccounts.of(FIRST, MARKET)
THEIRS = WalletAccounts.of(STRANGER, MARKET)
ORDER = NewOrder(Side.BID, price=100, size=10, max_quote=10_000, client_id=1, max_ts=2**40)
LIMITS = Limits(
    tip=Lamports(100_000),
    lamports_per_minute=Lamports(LAMPORTS_PER_SOL),
    transactions_per_minute=50,
    swap_per_minute={str(token.WRAPPED_SOL): 10**9},
    slippage_bps=50,
)


def policy(now: Callable[[], float] = lambda: 0.0, limits: Limits = LIMITS) -> Policy:
    grounds = Grounds([FIRST, SECOND, TREASURY], TIP_ACCOUNTS, TREASURY)
    grounds.set_market(MARKET)
    grounds.add_mints([USDC])
    return Policy(grounds, limits, now)


def message(*instructions: Instruction, payer: Pubkey = FIRST, tip: int | None = None) -> bytes:
    tipped = None if tip is None else (TIP_ACCOUNTS[0], Lamports(tip))
    return build_transaction(payer, list(map(split, instructions)), 200_000, tipped, bytes(32))


def place(payer: Pubkey = WALLET.quote, market: MarketKeys = MARKET, order: NewOrder = ORDER) -> Instruction:
    return openbook.replace_orders_by_client_ids(market, WALLET.open_orders, FIRST, payer, [order])


def settle(
    base: Pubkey = WALLET.base, quote: Pubkey = WALLET.quote, referrer: Pubkey = WALLET.quote
) -> Instruction:
    return openbook.settle_funds(MARKET, WALLET.open_orders, FIRST, base, quote, referrer)


def opened(
    rent: int = 23_357_760, size: int = OPEN_ORDERS_SIZE, program: Pubkey = MARKET.program
) -> Instruction:
    seed = openbook.open_orders_seed(MARKET.market)
    address = Pubkey.create_with_seed(FIRST, seed, program)
    return system.create_account_with_seed(FIRST, address, FIRST, seed, Lamports(rent), size, program)


TREASURY_SOL = token.associated_token_address(TREASURY, token.WRAPPED_SOL)
TREASURY_USDC = token.associated_token_address(TREASURY, USDC)
STRANGER_USDC = token.associated_token_address(STRANGER, USDC)


def swap(
    *,
    source: Pubkey = TREASURY_SOL,
    destination: Pubkey = TREASURY_USDC,
    receiver: Pubkey = JUPITER,
    spends: int = 10**8,
    slippage: int = 50,
    fee: int = 0,
    surplus: int = 0,
    more: Sequence[Pubkey] = (),
) -> Instruction:
    mints = [token.WRAPPED_SOL, USDC, token.TOKEN_PROGRAM, token.TOKEN_PROGRAM]
    named = [TREASURY, source, destination, *mints, receiver, EVENT_AUTHORITY, JUPITER, STRANGER, *more]
    metas = [AccountMeta(one, one == TREASURY, one in (source, destination)) for one in named]
    head = hashlib.sha256(b"global:route_v2").digest()[:8]
    return Instruction(JUPITER, head + struct.pack("<QQHHHI", spends, 17, slippage, fee, surplus, 0), metas)


def of_token(data: bytes, *accounts: Pubkey) -> Instruction:
    metas = [AccountMeta(account, False, True) for account in accounts]
    return Instruction(token.TOKEN_PROGRAM, data, [*metas, AccountMeta(FIRST, True, False)])


TABLE = lookup_table.table_address(FIRST, Slot(7))
WAYS_OUT = {
    "cancel by client ids": message(
        openbook.cancel_orders_by_client_ids(MARKET, WALLET.open_orders, FIRST, [1])
    ),
    "cancel by order id": message(openbook.cancel_order(MARKET, WALLET.open_orders, FIRST, Side.ASK, 77)),
    "crank": message(openbook.consume_events(MARKET, [THEIRS.open_orders, WALLET.open_orders], 5), tip=9_000),
    "settle": message(settle(), tip=100_000),
    "close OpenOrders": message(openbook.close_open_orders(MARKET, WALLET.open_orders, FIRST, FIRST)),
    "unwrap": message(token.close_account(WALLET.quote, FIRST, FIRST)),
    "close a table": message(lookup_table.close_lookup_table(TABLE, FIRST, FIRST)),
    "retire a table": message(lookup_table.deactivate_lookup_table(TABLE, FIRST)),
}
LAWFUL = {
    "place": message(place(), tip=100_000),
    "place an ask": message(place(WALLET.base)),
    "open OpenOrders": message(opened(), openbook.init_open_orders(MARKET, WALLET.open_orders, FIRST)),
    "open a token account": message(token.create_associated_token_account(FIRST, FIRST, MARKET.base_mint)),
    "open a wallet's for it": message(
        token.create_associated_token_account(TREASURY, FIRST, USDC), payer=TREASURY
    ),
    "wrap": message(system.transfer(FIRST, WALLET.quote, Lamports(10**12)), token.sync_native(WALLET.quote)),
    "fund": message(system.transfer(TREASURY, FIRST, Lamports(10**12)), payer=TREASURY),
    "move tokens": message(
        token.transfer(WALLET.base, WalletAccounts.of(SECOND, MARKET).base, FIRST, 10**15)
    ),
    "open a table": message(lookup_table.create_lookup_table(FIRST, Slot(7))),
    "extend a table": message(lookup_table.extend_lookup_table(TABLE, FIRST, [MARKET.market])),
    "swap": message(swap(), payer=TREASURY),
}
UNLAWFUL = {
    "lamports to a stranger": message(system.transfer(FIRST, STRANGER, Lamports(1))),
    "an extra transfer": message(place(), system.transfer(FIRST, STRANGER, Lamports(1)), tip=9_000),
    "tokens to a stranger": message(token.transfer(WALLET.base, THEIRS.base, FIRST, 1)),
    "a token account closed to a stranger": message(token.close_account(WALLET.quote, STRANGER, FIRST)),
    "base settled to a stranger": message(settle(base=THEIRS.base)),
    "quote settled to a stranger": message(settle(quote=THEIRS.quote)),
    "rebates to a stranger": message(settle(referrer=THEIRS.quote)),
    "OpenOrders closed to a stranger": message(
        openbook.close_open_orders(MARKET, WALLET.open_orders, FIRST, STRANGER)
    ),
    "a table closed to a stranger": message(lookup_table.close_lookup_table(TABLE, FIRST, STRANGER)),
    "a token account for a stranger": message(token.create_associated_token_account(FIRST, STRANGER, USDC)),
    "orders on another market": message(place(market=OTHER_MARKET)),
    "an order that takes": message(
        openbook.new_order(
            MARKET,
            WALLET.open_orders,
            FIRST,
            WALLET.quote,
            NewOrder(Side.BID, 100, 10, 10_000, 1, order_type=OrderType.IOC),
        )
    ),
    "orders paid from elsewhere": message(place(payer=THEIRS.quote)),
    "a prune": message(openbook.prune(MARKET, WALLET.open_orders, FIRST, FIRST, 5)),
    "an account of another program": message(opened(program=STRANGER)),
    "an account with too much in it": message(opened(rent=60_000_000)),
    "an account of another size": message(opened(size=10)),
    "a new account": message(system.create_account(FIRST, SECOND, Lamports(1), 0, STRANGER)),
    "an unknown program": message(Instruction(STRANGER, b"", [AccountMeta(FIRST, True, True)])),
    "a delegate": message(of_token(b"\x04" + bytes(8), WALLET.base, STRANGER)),
    "another owner": message(of_token(b"\x06\x02\x01" + bytes(STRANGER), WALLET.base)),
    "too large a tip": message(settle(), tip=100_001),
    "too large a priority fee": message(settle(), system.compute_unit_price(600_000)),
    "two tips": message(settle(), system.transfer(FIRST, TIP_ACCOUNTS[1], Lamports(60_000)), tip=60_000),
    "a stranger pays": message(system.transfer(STRANGER, FIRST, Lamports(1)), payer=STRANGER),
    "a stranger signs too": message(system.transfer(STRANGER, FIRST, Lamports(1))),
    "an unknown instruction of a program": message(Instruction(system.SYSTEM_PROGRAM, b"\x04\0\0\0", [])),
    "half an instruction": message(Instruction(system.SYSTEM_PROGRAM, b"\x02\0\0\0\1", [])),
    "a swap by an operator": message(swap()),
    "a swap out of an operator's account": message(swap(source=WALLET.quote), payer=TREASURY),
    "a swap to a stranger": message(swap(destination=STRANGER_USDC), payer=TREASURY),
    "a swap with another receiver": message(swap(receiver=STRANGER), payer=TREASURY),
    "a swap that names another account of ours": message(swap(more=[WALLET.base]), payer=TREASURY),
    "a swap that names another wallet of ours": message(swap(more=[FIRST]), payer=TREASURY),
    "a swap with too much slippage": message(swap(slippage=51), payer=TREASURY),
    "a swap with a platform's fee": message(swap(fee=1), payer=TREASURY),
    "a swap whose surplus is kept from us": message(swap(surplus=1), payer=TREASURY),
    "a swap of too much": message(swap(spends=10**9 + 1), payer=TREASURY),
    "a swap of what is not to be spent": message(
        swap(source=TREASURY_USDC, destination=TREASURY_SOL), payer=TREASURY
    ),
    "an unknown swap": message(
        Instruction(JUPITER, b"12345678" + bytes(30), list(swap().accounts)), payer=TREASURY
    ),
    "no message": b"",
    "bytes after a message": message(settle()) + b"\0",
    "an old message": message(settle())[1:],
}


@pytest.mark.parametrize("name", [*LAWFUL, *WAYS_OUT])
def test_what_the_product_needs_is_signed(name: str) -> None:
    policy().approve([{**LAWFUL, **WAYS_OUT}[name]])


@pytest.mark.parametrize("name", UNLAWFUL)
def test_what_is_not_ours_to_do_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(Unlawful, match="refused") as caught:
        policy().approve([UNLAWFUL[name]])
    assert caught.value.exit_code == 3
    assert len(str(caught.value)) > 30


@pytest.mark.parametrize("name", [*LAWFUL, *WAYS_OUT])
def test_after_a_kill_only_ways_out_are_signed(name: str) -> None:
    halted = policy()
    halted.is_halted = True
    if name in WAYS_OUT:
        halted.approve([WAYS_OUT[name]])
    else:
        with pytest.raises(Unlawful, match="halted"):
            halted.approve([LAWFUL[name]])


def looked_up(*instructions: Instruction, hidden: Iterable[Pubkey], payer: Pubkey = FIRST) -> bytes:
    tables = [AddressTable(bytes(STRANGER), [bytes(key) for key in hidden])]
    return build_transaction(payer, list(map(split, instructions)), 200_000, None, bytes(32), tables=tables)


def test_nobody_gets_anything_through_a_lookup_table() -> None:
    mine, all_of_market = [WALLET.base, WALLET.quote], [MARKET.market, MARKET.bids, MARKET.event_queue]
    policy().approve([looked_up(place(), hidden=[*mine, *all_of_market])])
    for hidden in (looked_up(settle(), hidden=mine[:1]), looked_up(settle(), hidden=mine[1:])):
        with pytest.raises(Unlawful, match="lookup table"):
            policy().approve([hidden])
    for instruction, account in [
        (system.transfer(FIRST, WALLET.quote, Lamports(1)), WALLET.quote),
        (token.transfer(WALLET.quote, WALLET.base, FIRST, 1), WALLET.base),
        (settle(), MARKET.market),
        (token.create_associated_token_account(FIRST, SECOND, USDC), SECOND),
        (token.close_account(WALLET.quote, SECOND, FIRST), SECOND),
        (openbook.close_open_orders(MARKET, WALLET.open_orders, FIRST, SECOND), SECOND),
    ]:
        with pytest.raises(Unlawful, match="lookup table"):
            policy().approve([looked_up(instruction, hidden=[account])])
    for account in (TREASURY_SOL, TREASURY_USDC):
        with pytest.raises(Unlawful, match="lookup table"):
            policy().approve([looked_up(swap(), hidden=[account], payer=TREASURY)])


def test_one_bad_message_keeps_the_whole_call_from_being_signed() -> None:
    signer = GuardedSigner(InProcessSigner(KEYS), policy())
    good, bad = LAWFUL["place"], UNLAWFUL["an extra transfer"]
    with pytest.raises(Unlawful):
        signer.sign_all([(FIRST, good), (FIRST, bad)])
    assert signer.sign_all([(FIRST, good)]) == InProcessSigner(KEYS).sign_all([(FIRST, good)])


def test_a_minute_holds_so_many_transactions_and_ways_out_beside_them() -> None:
    time = [0.0]
    guard = policy(lambda: time[0])
    guard.approve([LAWFUL["place an ask"]] * 50)
    with pytest.raises(Unlawful, match="51 transactions in a minute"):
        guard.approve([LAWFUL["place an ask"]])
    guard.approve([WAYS_OUT["cancel by client ids"]] * 50)
    with pytest.raises(Unlawful, match="51 ways out in a minute"):
        guard.approve([WAYS_OUT["cancel by client ids"]])
    time[0] = 60.0
    guard.approve([LAWFUL["place an ask"]])


def test_a_minute_holds_so_many_lamports_that_leave() -> None:
    guard = policy(limits=Limits(tip=Lamports(100_000), lamports_per_minute=Lamports(250_000)))
    guard.approve([LAWFUL["place"]] * 2)
    with pytest.raises(Unlawful, match="315000 lamports leave"):
        guard.approve([LAWFUL["place"]])
    guard.approve([LAWFUL["place an ask"], LAWFUL["fund"], WAYS_OUT["settle"]])


def test_a_minute_holds_so_much_swapped() -> None:
    time = [0.0]
    guard = policy(lambda: time[0])
    guard.approve([LAWFUL["swap"]] * 10)
    with pytest.raises(Unlawful, match="swapped in a minute"):
        guard.approve([LAWFUL["swap"]])
    time[0] = 61.0
    guard.approve([LAWFUL["swap"]])


def test_a_refused_call_counts_for_nothing() -> None:
    guard = policy()
    for _ in range(100):
        with pytest.raises(Unlawful):
            guard.approve([LAWFUL["place an ask"], UNLAWFUL["an unknown program"]])
    guard.approve([LAWFUL["place an ask"]] * 50)


def test_the_market_is_set_once_and_mints_are_bounded() -> None:
    guard = policy()
    guard.grounds.set_market(MARKET)
    with pytest.raises(UnsafeState, match="until it ends"):
        guard.grounds.set_market(OTHER_MARKET)
    with pytest.raises(UnsafeState, match="mints"):
        guard.grounds.add_mints([Pubkey(bytes([number] * 32)) for number in range(MAX_MINTS)])
    without = Policy(Grounds([FIRST], TIP_ACCOUNTS), LIMITS, lambda: 0.0)
    with pytest.raises(Unlawful, match="is not known"):
        without.approve([LAWFUL["place"]])


@functools.cache
def engine_messages() -> tuple[tuple[bytes, ...], Policy]:
    """Run the real engine behind a policy until it has halted; return all it had signed, and the policy."""

    async def scenario(clock: LoopClock) -> tuple[tuple[bytes, ...], Policy]:
        async with living(clock, wallets=4) as it:
            grounds = Grounds([keypair.pubkey() for keypair in it.world.keypairs], TIP_ACCOUNTS)
            grounds.set_market(it.assembly.market)
            guard = Policy(grounds, Limits(), lambda: int(clock.now()) / 1000)
            signer = GuardedSigner(InProcessSigner(it.world.keypairs), guard)
            seen: list[bytes] = []

            class Recording:
                elsewhere = False

                def sign_all(self, jobs: Iterable[tuple[Pubkey, bytes]]) -> list[bytes]:
                    asked = list(jobs)
                    signatures = signer.sign_all(asked)
                    seen.extend(message for _, message in asked)
                    guard.is_halted = it.assembly.engine.state.phase is Phase.HALTING
                    return signatures

            it.assembly.dispatcher._plans._signer = Recording()
            assert await it.run_engine(3_000)
            assert it.own_orders() == 0
            return tuple(seen), guard

    return virtually(scenario)


def test_all_that_the_engine_sends_is_signed_and_after_a_kill_it_comes_to_an_end() -> None:
    messages, _guard = engine_messages()
    assert len(messages) > 10
    called = {call.program for raw in messages for call in decode_message(raw).instructions}
    assert len(called) == 6
    assert any(decode_message(raw).looked_up for raw in messages)


def test_what_treasury_and_rent_send_is_signed_by_the_policy_of_the_settings() -> None:
    seed = {"seed_price": Decimal("0.012"), "seed_daily_volume": Decimal(20_000)}
    wanted = settings_with(grid_levels=24, close_accounts_at_halt="on", **seed)
    done: set[str] = set()

    async def scenario(clock: LoopClock) -> None:
        purse = Purse(Decimal(2), Decimal(50_000))
        async with living(
            clock, settings=settings_with(grid_levels=24, **seed), treasury=True, purse=purse, crowd=NOBODY
        ) as first:
            await first.run_engine(60)
            left = await leave_behind(first)
            it = await first.assembled_again(wanted)
            wallets = [Wallet(keypair.pubkey(), Role.OPERATOR) for keypair in it.world.keypairs]
            wallets.append(Wallet(it.world.treasury.pubkey(), Role.TREASURY))
            guard = policy_of(wallets, wanted)
            guard._now = lambda: int(clock.now()) / 1000
            guard.grounds.set_market(it.assembly.market)
            keys = InProcessSigner([*it.world.keypairs, it.world.treasury])
            refused: list[Unlawful] = []

            class Strict(GuardedSigner):
                def sign_all(self, jobs: Iterable[tuple[Pubkey, bytes]]) -> list[bytes]:
                    guard.is_halted = it.assembly.engine.state.phase is Phase.HALTING
                    try:
                        return super().sign_all(jobs)
                    except Unlawful as error:
                        refused.append(error)
                        raise

            engine, dispatcher = it.assembly.engine, it.assembly.dispatcher
            dispatcher._plans._signer = Strict(keys, guard)
            group = dispatcher._group

            async def grouped(action: AnyAction) -> Group:
                made = await group(action)
                done.update([type(action).__name__] if made.work else [])
                return made

            dispatcher._group = grouped  # type: ignore[method-assign]

            def ask(action: Collect | Convert) -> None:
                flight = InFlight(action.ticket, action, None, clock.now())
                engine.state.in_flight[action.ticket] = flight
                dispatcher.dispatch(approve([action], engine.state, wanted))

            async def sell() -> None:
                """Ask for what a rise would bring about: SOL collected from a wallet, and sold."""
                await asyncio.sleep(400)
                while engine.state.in_flight:
                    await asyncio.sleep(1)
                sold = Lamports(3 * LAMPORTS_PER_SOL)
                assert engine.state.oracle.sol_usd is not None
                worth = usd_value(sold, engine.state.oracle.sol_usd)
                asked = Conversion(Rule.UPPER, Direction.SELL_SOL, worth, sold, "a test")
                ask(Collect(engine.state.take_ticket(), 0, sold))
                await asyncio.sleep(60)
                ask(Convert(engine.state.take_ticket(), asked))

            selling = asyncio.create_task(sell())
            assert await it.run_engine(900, it.assembly.beside)
            await selling
            assert refused == []
            assert [it.world.chain.account(bytes(key)) for key in left] == [None] * len(left)

    virtually(scenario)
    assert done >= {"Convert", "Fund", "Collect", "Withdraw", "Reclaim", "CloseAccounts", "Settle"}


def every_message() -> list[bytes]:
    return [*engine_messages()[0], *LAWFUL.values(), *WAYS_OUT.values()]


def test_what_is_decoded_is_what_solders_decodes() -> None:
    for raw in every_message():
        mine, other = decode_message(raw), MessageV0.from_bytes(raw[1:])
        assert [Pubkey(key) for key in mine.keys] == list(other.account_keys)
        assert mine.signers == other.header.num_required_signatures
        asked = [key for index, key in enumerate(other.account_keys) if other.is_maybe_writable(index)]
        assert mine.writable >= set(map(bytes, asked))
        for call, expected in zip(mine.instructions, other.instructions, strict=True):
            assert call.data == bytes(expected.data)
            assert call.program == bytes(other.account_keys[expected.program_id_index])


OTHER_KEYS = [bytes(STRANGER), bytes(THEIRS.base)]


def mutated(raw: bytes, draws: random.Random) -> bytes:
    """Change a message as somebody would who wants something: swap keys, flip bytes, splice instructions."""
    out = bytearray(raw)
    count = raw[4]
    kind = draws.randrange(4)
    if kind == 0:  # another key
        place_at = 5 + 32 * draws.randrange(count)
        out[place_at : place_at + 32] = draws.choice(
            [bytes(STRANGER), bytes(THEIRS.base), draws.randbytes(32)]
        )
    elif kind == 1:  # flipped bytes
        for _ in range(draws.randrange(1, 4)):
            out[draws.randrange(len(out))] ^= 1 << draws.randrange(8)
    elif kind == 2:  # two keys exchanged
        first, second = (5 + 32 * draws.randrange(count) for _ in range(2))
        out[first : first + 32], out[second : second + 32] = (
            raw[second : second + 32],
            raw[first : first + 32],
        )
    else:  # cut and doubled
        at = draws.randrange(len(out))
        out[at:at] = out[draws.randrange(at + 1) : at][:40]
    return bytes(out[:MAX_TRANSACTION_BYTES])


def survivors(seed: int, rounds: int) -> int:
    """Mutate messages; return how many a policy still let pass, all of them harmless by the oracle."""
    draws = random.Random(seed)
    sources = every_message()
    engine = engine_messages()[1].grounds
    passed = 0
    wide = Limits(
        lamports_per_minute=Lamports(10**15),
        transactions_per_minute=10**9,
        swap_per_minute={str(token.WRAPPED_SOL): 10**18},
        tip=Lamports(10**6),
    )
    guards = [Policy(engine, wide, lambda: 0.0), Policy(policy().grounds, wide, lambda: 0.0)]
    for _ in range(rounds):
        raw = mutated(draws.choice(sources), draws)
        for guard in guards:
            try:
                guard.approve([raw])
            except Unlawful:
                continue
            passed += 1
            known = guard.grounds
            ours = {Pubkey(key) for key in (*known.wallets, *known.token_accounts, *known.tip_accounts)}
            assert is_harmless(raw, ours, PROGRAMS), raw.hex()
    return passed


PROGRAMS = {
    system.SYSTEM_PROGRAM, system.COMPUTE_BUDGET_PROGRAM, token.TOKEN_PROGRAM, token.ASSOCIATED_TOKEN_PROGRAM,
    lookup_table.LOOKUP_TABLE_PROGRAM, openbook.OPENBOOK_V1, JUPITER,
}  # fmt: skip


def test_what_still_passes_after_being_tampered_with_gives_nobody_anything() -> None:
    assert survivors(1, 3_000) > 100


@pytest.mark.fuzz
@pytest.mark.parametrize("seed", range(10))
def test_of_a_million_messages_tampered_with_none_gives_anybody_anything(seed: int) -> None:
    assert survivors(100 + seed, 100_000) > 1_000


@given(raw=st.binary(max_size=200))
def test_noise_is_refused(raw: bytes) -> None:
    for content in (raw, b"\x80" + raw):
        with pytest.raises(Unlawful):
            policy().approve([content])


@given(amount=st.integers(1, 2**64 - 1), receiver=st.binary(min_size=32, max_size=32), at=st.integers(0, 2))
def test_an_extra_transfer_is_never_signed(amount: int, receiver: bytes, at: int) -> None:
    work = [place(), openbook.consume_events(MARKET, [WALLET.open_orders], 3)]
    work.insert(at, system.transfer(FIRST, Pubkey(receiver), Lamports(amount)))
    with pytest.raises(Unlawful):
        policy().approve([message(*work, tip=5_000)])
