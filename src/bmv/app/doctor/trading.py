"""Checks of market and wallets: is it tradable, is there room, can every wallet pay for what it needs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from solders.pubkey import Pubkey

from bmv.app.doctor.finding import Finding, failed, ok, warning
from bmv.app.plan import Planned
from bmv.chain.rpc import Rpc
from bmv.config import Settings
from bmv.core.capacity import check_levels, most_levels
from bmv.core.limits import gas_reserve
from bmv.errors import BadInput
from bmv.keys.store import Role, Wallet
from bmv.model import MarketSpec
from bmv.services.moving import Holdings, read_holdings
from bmv.units import LAMPORTS_PER_SOL, MICROS_PER_USD, Lamports, Ticks
from bmv.venue.jupiter import USDC
from bmv.venue.openbook_v1.instructions import MarketKeys
from bmv.venue.openbook_v1.layouts import OPEN_ORDERS_SIZE
from bmv.venue.openbook_v1.queues import decode_event_queue
from bmv.venue.token import (
    TOKEN_ACCOUNT_SIZE,
    TokenAccountState,
    associated_token_address,
    decode_token_account,
)

CRANKS = "somebody has to crank the market; the engine cranks its own events only"


@dataclass(frozen=True, slots=True)
class Rents:
    """What an account must hold: OpenOrders, token account."""

    open_orders: Lamports
    token: Lamports


def market(spec: MarketSpec) -> list[Finding]:
    """Tell what kind of market it is and how its prices and sizes step."""
    tick, lot = spec.price(Ticks(1)), spec.base_lot_size / 10**spec.base_decimals
    found = f"OpenBook v1 market, tick {tick:f} SOL, lot {lot:g} tokens"
    return [ok("market", f"{found}, room for {spec.bid_capacity} bids and {spec.ask_capacity} asks")]


def levels(spec: MarketSpec, operators: int, settings: Settings) -> list[Finding]:
    """Judge GRID_LEVELS against the wallets' seats and the book."""
    try:
        check_levels(spec, operators, settings)
    except BadInput as error:
        return [failed("levels", str(error), "lower GRID_LEVELS, or add wallets")]
    most = most_levels(spec, operators, settings)
    wanted = "auto" if settings.grid_levels is None else str(settings.grid_levels)
    return [ok("levels", f"GRID_LEVELS {wanted}; {operators} wallets and the book have room for {most}")]


async def queue(rpc: Rpc, keys: MarketKeys) -> list[Finding]:
    """Judge how full the market's event queue is."""
    (image,) = (await rpc.accounts([keys.event_queue])).accounts
    if image is None:
        return [failed("event queue", "it does not exist", "the market cannot be traded on")]
    found = decode_event_queue(image.data)
    said = f"{found.count} of {found.capacity} events wait"
    if found.count * 16 > found.capacity * 15:
        return [failed("event queue", said, f"a full queue fails every order: {CRANKS}")]
    if found.count * 2 > found.capacity:
        return [warning("event queue", said, CRANKS)]
    return [ok("event queue", said)]


async def wallets(
    rpc: Rpc, spec: MarketSpec, keys: MarketKeys, known: Sequence[Wallet], settings: Settings
) -> list[Finding]:
    """Judge what every wallet holds against what it needs to open its accounts and to cancel."""
    rents = Rents(await rpc.rent_exempt(OPEN_ORDERS_SIZE), await rpc.rent_exempt(TOKEN_ACCOUNT_SIZE))
    operators = operators_of(known)
    own = await read_holdings(rpc, operators, keys, [keys.base_mint, keys.quote_mint])
    told = [_wallet(index, each, spec, keys, rents, settings) for index, each in enumerate(own)]
    to_open = sum(int(_missing(each, rents)) for each in own)
    told.append(ok("rents", f"{_sol(to_open)} SOL of rent for accounts to be opened"))
    for each in known:
        if each.role is Role.TREASURY:
            told += await treasury(rpc, each.pubkey, rents.token, settings)
    return told


def _wallet(
    index: int, held: Holdings, spec: MarketSpec, keys: MarketKeys, rents: Rents, settings: Settings
) -> Finding:
    check, missing = f"wallet {index}", _missing(held, rents)
    inside = held.open_orders
    wrapped = (held.tokens[keys.quote_mint] or 0) + (inside.quote_free + inside.quote_locked if inside else 0)
    atoms = (held.tokens[keys.base_mint] or 0) + (inside.base_free + inside.base_locked if inside else 0)
    tokens = atoms / 10**spec.base_decimals
    found = f"{held.owner}: {_sol(held.lamports)} SOL, {_sol(wrapped)} wrapped, {tokens:g} tokens"
    found += f", accounts to be opened for {_sol(missing)} SOL" if int(missing) else ", accounts are open"
    need, fund = missing + gas_reserve(settings), "bmv wallets fund"
    if held.lamports < need:
        return failed(check, found, f"{fund}: accounts and cancels need {_sol(need)} SOL")
    if int(missing) and held.lamports <= missing + settings.gas_floor:
        return warning(check, found, f"{fund}: nothing above rents and GAS_FLOOR_SOL can be wrapped for bids")
    if held.lamports * 2 < settings.gas_floor:
        return warning(check, found, f"{fund}: it has less than half of GAS_FLOOR_SOL")
    if not atoms:
        return warning(check, found, f"{fund} --tokens: it can place no ask")
    if not wrapped and not int(missing):
        return warning(check, found, f"{fund}: nothing is wrapped, it can place no bid")
    return ok(check, found)


def _missing(held: Holdings, rents: Rents) -> Lamports:
    """Return the rent of the accounts a wallet has not opened yet."""
    absent = sum(amount is None for amount in held.tokens.values())
    return rents.token * absent + (rents.open_orders if held.open_orders is None else Lamports(0))


async def treasury(rpc: Rpc, owner: Pubkey, rent: Lamports, settings: Settings) -> list[Finding]:
    """Judge the treasury's SOL, and its account of USDC: without one that works nothing is converted."""
    plain, account = (await rpc.accounts([owner, associated_token_address(owner, USDC)])).accounts
    lamports = plain.lamports if plain else Lamports(0)
    opened = decode_token_account(account.data) if account else None
    usdc = f"{opened.amount / MICROS_PER_USD:.2f}" if opened else "no"
    found = f"{owner}: {_sol(lamports)} SOL, {usdc} USDC"
    found += "" if opened else f" (the account is opened with the first conversion, for {_sol(rent)} SOL)"
    if opened and opened.state is TokenAccountState.FROZEN:
        return [
            failed("treasury", f"{found}; its account is frozen", "nothing can be converted: ask its issuer")
        ]
    need = settings.gas_floor + (Lamports(0) if opened else rent)
    if lamports < need:
        advice = f"send it SOL: below {_sol(need)} it tops up and converts nothing"
        return [warning("treasury", found, advice)]
    return [ok("treasury", found)]


def ladder(plan: Planned) -> list[Finding]:
    """Judge the ladder that a run would begin with: empty sides, too few ticks, what else a plan warns of."""
    if not plan.quotes and not plan.warnings:
        return [failed("ladder", "no order would stand", "see bmv plan")]
    told = [_warned(each, plan) for each in plan.warnings]
    sides = ", ".join(f"{each.quoted} of {each.wanted} {each.side}s" for each in plan.levels)
    changes = [each.change for each in plan.quotes]
    waits = Counter(change.removeprefix("wait: ") for change in changes if change.startswith("wait"))
    for reason, count in waits.items():
        told.append(warning("ladder", f"{count} orders wait: {reason}", "see bmv plan"))
    if plan.quotes:
        told.append(ok("ladder", f"{sides}, spread {plan.spread_pct} %, P {plan.price} SOL"))
    return told


def _warned(text: str, plan: Planned) -> Finding:
    advice = "see bmv plan, docs/strategy.md"
    return warning("ladder", text, advice) if plan.quotes else failed("ladder", text, advice)


def operators_of(known: Sequence[Wallet]) -> list[Pubkey]:
    """Return the wallets that quote."""
    return [each.pubkey for each in known if each.role is Role.OPERATOR]


def _sol(lamports: int | Lamports) -> str:
    return f"{int(lamports) / LAMPORTS_PER_SOL:.6f}"
