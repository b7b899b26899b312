"""Whole instructions: a body and the accounts it names by role <-> what goes into a transaction.

``build`` and ``parse`` are inverse to each other. The account lists are those of the official TypeScript
client, whose order and writable marks the program accepts; where the client leaves out a signer mark
(authorities of permissioned markets), that authority has to sign the transaction all the same.
"""

from collections.abc import Sequence
from typing import TypeVar

import msgspec
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from bmv.errors import BadBytes
from bmv.venue.openbook_v1 import bodies
from bmv.venue.openbook_v1.bodies import Body, encode_body, parse_body

T = TypeVar("T")


class Call(msgspec.Struct, frozen=True):
    """One instruction as a value; ``open_orders`` holds the accounts of a crank, in the order given."""

    program: Pubkey
    body: Body
    accounts: dict[str, Pubkey]
    open_orders: tuple[Pubkey, ...] = ()


class Role(msgspec.Struct, frozen=True):
    """One account an instruction takes."""

    name: str
    is_writable: bool
    is_signer: bool
    is_optional: bool


def _roles(text: str) -> tuple[Role, ...]:
    """Read "name:w name:s name? ...": w is writable, s signs, ? may be left out (only at the end)."""
    parts = [word.partition(":") for word in text.split()]
    return tuple(
        Role(name.removesuffix("?"), "w" in marks, "s" in marks, name.endswith("?"))
        for name, _, marks in parts
    )


_PLACE = _roles(
    "market:w open_orders:w request_queue:w event_queue:w bids:w asks:w payer:w owner:s "
    "base_vault:w quote_vault:w token_program rent fee_discount?"
)
_CANCEL = _roles("market bids:w asks:w open_orders:w owner:s event_queue:w")

ROLES: dict[type[Body], tuple[Role, ...]] = {
    bodies.InitializeMarket: _roles(
        "market:w request_queue:w event_queue:w bids:w asks:w base_vault:w quote_vault:w base_mint "
        "quote_mint rent open_orders_authority? prune_authority? consume_events_authority?"
    ),
    bodies.MatchOrders: _roles(
        "market:w request_queue:w event_queue:w bids:w asks:w base_vault:w quote_vault:w"
    ),
    bodies.ConsumeEvents: _roles("market:w event_queue:w base_fees quote_fees:w"),
    bodies.ConsumeEventsPermissioned: _roles("market:w event_queue:w crank_authority:s"),
    bodies.PlaceOrder: _PLACE,
    bodies.ReplaceOrder: _PLACE,
    bodies.ReplaceOrders: _PLACE,
    bodies.CancelOrder: _CANCEL,
    bodies.CancelOrderByClientId: _CANCEL,
    bodies.CancelOrdersByClientIds: _CANCEL,
    bodies.SettleFunds: _roles(
        "market:w open_orders:w owner:s base_vault:w quote_vault:w base_wallet:w quote_wallet:w "
        "vault_signer token_program referrer?:w"
    ),
    bodies.CloseOpenOrders: _roles("open_orders:w owner:s destination:w market"),
    bodies.InitOpenOrders: _roles("open_orders:w owner:s market rent market_authority?"),
    bodies.Prune: _roles(
        "market:w bids:w asks:w prune_authority open_orders:w open_orders_owner event_queue:w"
    ),
    bodies.SendTake: _roles(
        "market:w request_queue:w event_queue:w bids:w asks:w base_wallet:w quote_wallet:w owner:s "
        "base_vault:w quote_vault:w token_program vault_signer"
    ),
}
"""The accounts of every instruction in order; a crank has its OpenOrders accounts in front of these."""

CRANKS = (bodies.ConsumeEvents, bodies.ConsumeEventsPermissioned)


def build(call: Call) -> Instruction:
    """Return the instruction; raise BadInput for a body that does not encode, KeyError for a missing role."""
    metas = [AccountMeta(address, is_signer=False, is_writable=True) for address in call.open_orders]
    metas += [
        AccountMeta(call.accounts[role.name], is_signer=role.is_signer, is_writable=role.is_writable)
        for role in ROLES[type(call.body)]
        if not role.is_optional or role.name in call.accounts
    ]
    return Instruction(call.program, encode_body(call.body), metas)


def parse(instruction: Instruction) -> Call:
    """Return the value of an instruction of the program; raise BadBytes when it is none."""
    addresses = [meta.pubkey for meta in instruction.accounts]
    return parse_parts(instruction.program_id, instruction.data, addresses)


def parse_parts(program: Pubkey, data: bytes, addresses: Sequence[Pubkey]) -> Call:
    """Return the value of an instruction whose accounts are known by address; raise BadBytes for none."""
    body = parse_body(data)
    named, ahead = by_role(body, addresses)
    return Call(program, body, named, ahead)


def by_role(body: Body, accounts: Sequence[T]) -> tuple[dict[str, T], tuple[T, ...]]:
    """Return an instruction's accounts by role, and those before a crank's; raise BadBytes for a misfit."""
    roles = ROLES[type(body)]
    fixed = sum(not role.is_optional for role in roles)
    ahead = max(len(accounts) - fixed, 0) if isinstance(body, CRANKS) else 0
    given = len(accounts) - ahead
    if not fixed <= given <= len(roles):
        raise BadBytes("instruction", f"{len(accounts)} accounts for {type(body).__name__}")
    named = dict(zip((role.name for role in roles), accounts[ahead:], strict=False))
    return named, tuple(accounts[:ahead])
