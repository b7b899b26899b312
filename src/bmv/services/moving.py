"""Move what our wallets hold among them: fund from the treasury, gather a wallet to the last lamport.

Rules of this file
- A move is a bundle; it has landed when the chain says so, and is made anew only once it has expired.
- ``gather_steps`` leaves an owner with plain SOL only; sending that on is a step of its own, since only then
  its amount is known.
- A wallet whose orders stand, or whose fills are not consumed, is not gathered: halt first.
"""

import asyncio
import copy
import random
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from solders.pubkey import Pubkey

from bmv.chain.jito import TIP_ACCOUNTS, BlockEngine
from bmv.chain.rpc import AccountImage, Rpc
from bmv.chain.transaction import MessageSigner, Tip
from bmv.errors import OutsideError, Refused, UnsafeState
from bmv.events import BundleResolved
from bmv.model import Outcome
from bmv.observe.log import get_logger
from bmv.ports import Clock
from bmv.services import compute
from bmv.services.accounts import WalletAccounts
from bmv.services.building import Step
from bmv.services.outcomes import Outcomes, Sent
from bmv.services.packing import Group, Packing
from bmv.services.signing import LAMPORTS_PER_SIGNATURE, PlanSigner
from bmv.units import Lamports
from bmv.venue.openbook_v1 import instructions as openbook
from bmv.venue.openbook_v1.codec import OpenOrdersAccount, decode_open_orders
from bmv.venue.openbook_v1.instructions import MarketKeys
from bmv.venue.openbook_v1.layouts import ORDER_SLOTS
from bmv.venue.system import transfer
from bmv.venue.token import (
    WRAPPED_SOL,
    associated_token_address,
    close_account,
    create_associated_token_account,
    decode_token_account,
)
from bmv.venue.token import transfer as token_transfer

WALLETS_AT_ONCE = 16
"""So many can be funded by one bundle, their token accounts opened too."""
TRIES = 3


class NotMoved(Refused):
    """A move came to nothing, for the reason the chain gave."""

    def __init__(self, why: str) -> None:
        super().__init__("the chain", why)


@dataclass(frozen=True, slots=True)
class Holdings:
    """What one wallet has: plain lamports, atoms by mint (None: no such account), its OpenOrders account.

    ``inside`` are the lamports of all these accounts: rent, and wrapped SOL.
    """

    owner: Pubkey
    lamports: Lamports
    tokens: Mapping[Pubkey, int | None]
    open_orders: OpenOrdersAccount | None
    inside: Lamports = Lamports(0)

    @property
    def is_empty(self) -> bool:
        """Say whether nothing at all is there."""
        accounts = any(amount is not None for amount in self.tokens.values())
        return self.lamports == Lamports(0) and not accounts and self.open_orders is None

    def owned(self, mint: Pubkey, *, quoted: bool) -> int:
        """Return the atoms of ``mint`` the wallet has, what is in the market included.

        Plain SOL counts as wrapped SOL does; ``quoted``: the market quotes in ``mint``, else it is its base.
        """
        plain = int(self.lamports) if mint == WRAPPED_SOL else 0
        account = self.open_orders
        inside = 0 if account is None else account.quote_total if quoted else account.base_total
        return plain + (self.tokens[mint] or 0) + inside

    @property
    def is_quoting(self) -> bool:
        """Say whether orders stand, or fills wait for a crank."""
        account = self.open_orders
        return account is not None and (
            account.base_locked + account.quote_locked > 0 or account.free_slots < ORDER_SLOTS
        )


async def read_holdings(
    rpc: Rpc, owners: Sequence[Pubkey], market: MarketKeys, mints: Sequence[Pubkey]
) -> list[Holdings]:
    """Read what wallets hold, in their order."""
    keys = [
        key
        for owner in owners
        for key in (
            owner,
            WalletAccounts.of(owner, market).open_orders,
            *(associated_token_address(owner, mint) for mint in mints),
        )
    ]
    images = (await rpc.accounts(keys)).accounts
    each = 2 + len(mints)
    return [_holdings(owner, mints, images[at * each : (at + 1) * each]) for at, owner in enumerate(owners)]


def _holdings(owner: Pubkey, mints: Sequence[Pubkey], images: Sequence[AccountImage | None]) -> Holdings:
    plain, account, *tokens = images
    return Holdings(
        owner,
        plain.lamports if plain else Lamports(0),
        {
            mint: decode_token_account(image.data).amount if image else None
            for mint, image in zip(mints, tokens, strict=True)
        },
        decode_open_orders(account.data) if account else None,
        sum((image.lamports for image in (account, *tokens) if image), Lamports(0)),
    )


def gather_steps(
    found: Holdings,
    receiver: Pubkey,
    market: MarketKeys,
    payer: Pubkey | None = None,
    heir: Pubkey | None = None,
) -> list[Step]:
    """Return the steps that settle, hand tokens to ``receiver`` and close every account of the owner.

    The market's token goes to ``heir`` instead, where there is one; ``payer`` pays, else the owner. Raises
    UnsafeState while orders of the owner stand.
    """
    owner, account, payer = found.owner, found.open_orders, payer or found.owner
    if found.is_quoting:
        raise UnsafeState(f"{owner}: its orders stand, or fills wait for a crank; halt first")
    held = dict(found.tokens)
    steps: list[Step] = []
    if account is not None:
        wallet = WalletAccounts.of(owner, market)
        if account.base_free + account.quote_free + account.referrer_rebates:
            for mint, free in (
                (market.base_mint, account.base_free),
                (market.quote_mint, account.quote_free),
            ):
                steps.append(_open(payer, owner, mint))
                held[mint] = (held[mint] or 0) + free
            settle = openbook.settle_funds(
                market, wallet.open_orders, owner, wallet.base, wallet.quote, wallet.quote
            )
            steps.append(Step.of(payer, settle, compute.SETTLE))
        close = openbook.close_open_orders(market, wallet.open_orders, owner, owner)
        steps.append(Step.of(payer, close, compute.CLOSE_OPEN_ORDERS))
    for mint, amount in held.items():
        to = heir if heir is not None and mint == market.base_mint else receiver
        steps += _hand_over(owner, to, mint, amount, payer)
    return steps


def retire_steps(found: Holdings, treasury: Pubkey, heir: Pubkey, market: MarketKeys) -> list[Step]:
    """Return the steps that empty a wallet whole, which the treasury pays, so that its last lamport can go.

    Tokens of the market go to ``heir``, all else to the treasury. Raises what ``gather_steps`` raises.
    """
    account = found.open_orders
    total = found.lamports + found.inside
    if account is not None and market.quote_mint == WRAPPED_SOL:
        total += Lamports(account.quote_free + account.referrer_rebates)
    steps = gather_steps(found, treasury, market, treasury, heir)
    if total > Lamports(0):
        steps.append(Step.of(treasury, transfer(found.owner, treasury, total), compute.TRANSFER))
    return steps


def _hand_over(
    owner: Pubkey, receiver: Pubkey, mint: Pubkey, amount: int | None, payer: Pubkey
) -> Iterator[Step]:
    """Yield the steps that give a token account's content away and close it; wrapped SOL becomes plain."""
    if amount is None:
        return
    account = associated_token_address(owner, mint)
    if amount and mint != WRAPPED_SOL:
        yield _open(payer, receiver, mint)
        target = associated_token_address(receiver, mint)
        yield Step.of(payer, token_transfer(account, target, owner, amount), compute.TOKEN_TRANSFER)
    yield Step.of(payer, close_account(account, owner, owner), compute.CLOSE_TOKEN_ACCOUNT)


def fund_steps(
    treasury: Pubkey, wishes: Iterable[tuple[Pubkey, Lamports, int]], mint: Pubkey | None
) -> list[Step]:
    """Return the steps that give each (wallet, lamports, atoms of ``mint``) out of the treasury."""
    steps: list[Step] = []
    for wallet, lamports, atoms in wishes:
        if lamports > Lamports(0):
            steps.append(Step.of(treasury, transfer(treasury, wallet, lamports), compute.TRANSFER))
        if atoms and mint is not None:
            source, target = (associated_token_address(owner, mint) for owner in (treasury, wallet))
            steps.append(_open(treasury, wallet, mint))
            moved = token_transfer(source, target, treasury, atoms)
            steps.append(Step.of(treasury, moved, compute.TOKEN_TRANSFER))
    return steps


def _open(payer: Pubkey, owner: Pubkey, mint: Pubkey) -> Step:
    created = create_associated_token_account(payer, owner, mint)
    return Step.of(payer, created, compute.CREATE_TOKEN_ACCOUNT)


class Mover:
    """Send moves as bundles that tip ``tip`` each, and wait for what the chain says of them."""

    def __init__(
        self, rpc: Rpc, block_engine: BlockEngine, signer: MessageSigner, clock: Clock, tip: Lamports
    ) -> None:
        self._rpc, self._block_engine, self._signer, self._clock = rpc, block_engine, signer, clock
        self.tip = tip
        self._told: dict[str, asyncio.Future[BundleResolved]] = {}
        self._outcomes = Outcomes(rpc, clock, self._tell, self._resend)

    def signed_by(self, signer: MessageSigner) -> "Mover":
        """Return the same mover with another signer; it runs while this one does."""
        other = copy.copy(self)
        other._signer = signer
        return other

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Mover"]:
        """Watch what is sent while the block runs."""
        watching = asyncio.create_task(self._outcomes.run())
        try:
            yield self
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    @property
    def cost(self) -> Lamports:
        """Return what one move of one transaction costs."""
        return Lamports(int(self.tip) + LAMPORTS_PER_SIGNATURE)

    async def move(self, steps: Sequence[Step]) -> str:
        """Send steps as one bundle; return the last transaction's signature once it has landed.

        What has expired is built anew, a few times. Raises NotMoved, or what client and signer raise.
        """
        packing_tip: Tip = (random.choice(TIP_ACCOUNTS), self.tip)
        for _ in range(TRIES):
            packing = Packing(packing_tip)
            packing.add(Group(0, steps, spelled_out=True))
            (bundle,) = packing.ended()
            blockhash = await self._rpc.latest_blockhash()
            (sent,) = await PlanSigner(self._signer, self._clock).signed([bundle], packing_tip, blockhash)
            if isinstance(sent, Refused):
                raise sent
            told = await self._landing(sent)
            if told.outcome is Outcome.LANDED:
                return sent.signatures[-1]
            if told.outcome is Outcome.FAILED:
                break
        raise NotMoved(told.reason)

    async def _landing(self, sent: Sent) -> BundleResolved:
        told = self._told[sent.bundle_id] = asyncio.get_running_loop().create_future()
        await self._resend(sent)
        self._outcomes.watch(sent)
        resolved: BundleResolved = await told
        return resolved

    async def _resend(self, sent: Sent) -> None:
        """Send the bytes; whatever the block engine says, only the chain knows what became of them."""
        try:
            await self._block_engine.send_bundle(sent.raws)
        except OutsideError as error:
            get_logger("moving").warning("BUNDLE_REFUSED", reason=str(error))

    def _tell(self, resolved: BundleResolved) -> None:
        # That something told dead has landed after all comes too late for anybody who waited for it.
        if (told := self._told.pop(resolved.bundle_id, None)) is not None:
            told.set_result(resolved)
