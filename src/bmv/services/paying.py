"""What the treasury does as instructions: pay wallets, collect from them, and what a swap needs around it.

The treasury keeps its SOL plain; it is wrapped for the swap it is spent in, and unwrapped in the same
transaction. So nothing of it lies in an account that a later swap could meet by surprise.
"""

from collections.abc import Sequence

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from bmv.events import Collect, Fund
from bmv.services import compute
from bmv.services.accounts import TreasuryAccounts, WalletAccounts
from bmv.services.building import Step, settle_steps
from bmv.units import Lamports
from bmv.venue.jupiter import USDC, SwapOrder
from bmv.venue.openbook_v1.instructions import MarketKeys
from bmv.venue.system import transfer
from bmv.venue.token import WRAPPED_SOL, close_account, create_associated_token_account, sync_native
from bmv.venue.token import transfer as transfer_tokens


def fund_steps(action: Fund, treasury: TreasuryAccounts, wallets: Sequence[WalletAccounts]) -> list[Step]:
    """Return what sends each wallet its share: plain SOL, or SOL that is wrapped there."""
    payer, steps = treasury.owner, []
    for share in action.shares:
        wallet = wallets[share.wallet]
        to = wallet.owner if share.is_gas else wallet.quote
        steps.append(Step.of(payer, transfer(payer, to, share.lamports), compute.TRANSFER))
        if not share.is_gas:
            steps.append(Step.of(payer, sync_native(wallet.quote), compute.SYNC_NATIVE))
    return steps


def collect_steps(
    action: Collect, treasury: TreasuryAccounts, wallet: WalletAccounts, market: MarketKeys
) -> list[Step]:
    """Return what moves a wallet's free wrapped SOL to the treasury, where it becomes plain.

    The wallet pays, and the treasury signs too: it opens the account and closes it again.
    """
    owner, payer = treasury.owner, wallet.owner
    steps = settle_steps(wallet, market)
    opened = create_associated_token_account(owner, owner, WRAPPED_SOL)
    moved = transfer_tokens(wallet.quote, treasury.wrapped, payer, int(action.lamports))
    steps.append(Step.of(payer, opened, compute.CREATE_TOKEN_ACCOUNT))
    steps.append(Step.of(payer, moved, compute.TOKEN_TRANSFER))
    steps.append(Step.of(payer, close_account(treasury.wrapped, owner, owner), compute.CLOSE_TOKEN_ACCOUNT))
    return steps


def swap_steps(order: SwapOrder, swap: Instruction, units: int) -> list[Step]:
    """Return the swap and what it needs; ``units`` are those of the swap alone.

    Both token accounts are opened where they are not, SOL to be spent is wrapped, SOL received unwrapped.
    """
    taker = order.taker
    wrapped = order.source if order.input_mint == WRAPPED_SOL else order.destination
    steps = [_opened(taker, mint) for mint in (USDC, WRAPPED_SOL)]
    if order.input_mint == WRAPPED_SOL:
        steps.append(Step.of(taker, transfer(taker, wrapped, Lamports(order.amount)), compute.TRANSFER))
        steps.append(Step.of(taker, sync_native(wrapped), compute.SYNC_NATIVE))
    steps.append(Step.of(taker, swap, units))
    steps.append(Step.of(taker, close_account(wrapped, taker, taker), compute.CLOSE_TOKEN_ACCOUNT))
    return steps


def _opened(owner: Pubkey, mint: Pubkey) -> Step:
    return Step.of(owner, create_associated_token_account(owner, owner, mint), compute.CREATE_TOKEN_ACCOUNT)
