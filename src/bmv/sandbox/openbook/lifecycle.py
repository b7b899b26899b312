"""InitializeMarket, DisableMarket, InitOpenOrders and CloseOpenOrders.

Rules of this file
- InitializeMarket writes headers only; it trusts the accounts to be zeroed beyond their first bytes.
- An OpenOrders account may close once all slots are free and nothing is left in it; referrer rebates still
  in it are lost. A closed account is marked, so that it cannot be used again before it is gone.
Source: the program's state.rs (process_initialize_market, InitializeMarketArgs and neighbours).
"""

from struct import Struct

from bmv.sandbox import spl_token
from bmv.sandbox.account import AccountRef, Invocation
from bmv.sandbox.openbook.failure import Code, asserted, invalid, panicked, refused
from bmv.sandbox.openbook.instructions import InitializeMarket, unpack_initialize
from bmv.sandbox.openbook.market import (
    BODY,
    BODY_OFFSET,
    check_signer,
    load_market,
    token_account,
)
from bmv.sandbox.openbook.open_orders import load_open_orders
from bmv.sandbox.openbook.settle import AUTHORITY, vault_signer
from bmv.sandbox.system_program import rent_exempt_lamports
from bmv.venue.openbook_v1.layouts import (
    ACCOUNT_OVERHEAD,
    FLAGS_OFFSET,
    HEAD_PADDING,
    MARKET_SIZE,
    ORDER_SLOTS,
    PERMISSIONED_MARKET_FIELDS,
    PERMISSIONED_MARKET_SIZE,
    QUEUE_HEAD,
    REQUEST_SIZE,
    TAIL_PADDING,
    AccountFlag,
    event_queue_capacity,
    slab_node_capacity,
)

_FLAGS = Struct("<Q")
_QUEUE_HEADER = Struct("<QQQ")
_QUEUE_HEADER_SIZE = 32
_SLAB_HEADER_SIZE = 32
_MIN_EVENTS = 128
_MIN_NODES = 201
_ALL_FREE = (1 << ORDER_SLOTS) - 1
_VAULT_OWNER = slice(32, 64)
_VAULT_DELEGATE_TAG = slice(72, 76)
_VAULT_CLOSER_TAG = slice(129, 133)
_MINT_INITIALIZED = 45


def initialize_market(invocation: Invocation, body: bytes) -> None:
    """Run InitializeMarket: market, 2 queues, 2 sides, 2 vaults, 2 mints, rent, up to 3 authorities."""
    asked = unpack_initialize(body)
    refs = invocation.accounts
    if not 10 <= len(refs) <= 13:
        raise asserted(1659, "number of accounts")
    for ref in refs[1:9]:
        if ref.account.lamports < rent_exempt_lamports(len(ref.account.data)):
            raise asserted(1684, "not rent exempt")
    market, requests, events, bids, asks, base_vault, quote_vault, base_mint, quote_mint = refs[:9]
    for ref in refs[:5]:
        _check_fresh(ref, invocation.program_id)
    signer = vault_signer(market.key, asked.vault_nonce, invocation.program_id)
    _check_vault(base_vault, base_mint, signer)
    _check_vault(quote_vault, quote_mint, signer)
    if requests.key in (events.key, bids.key, asks.key) or events.key in (bids.key, asks.key):
        raise panicked("one account in two places")
    _initialize_queues(requests, events)
    _initialize_side(bids, AccountFlag.BIDS)
    _initialize_side(asks, AccountFlag.ASKS)
    if market.key in (requests.key, events.key):
        raise invalid("AccountBorrowFailed")
    _initialize_state(refs, asked)


def _check_fresh(ref: AccountRef, program_id: bytes) -> None:
    data = ref.account.data
    if ref.account.owner != program_id:
        raise asserted(1690, "account belongs to another program")
    if len(data) % 8 != 4:
        raise asserted(1692, "size of the account")
    if len(data) < FLAGS_OFFSET + 8 + len(TAIL_PADDING):
        raise asserted(1693, "size of the account")
    if any(data[:FLAGS_OFFSET]):
        raise asserted(1695, "account is in use")
    if any(data[FLAGS_OFFSET : FLAGS_OFFSET + 8]):
        raise asserted(1696, "account is in use")
    if any(data[-len(TAIL_PADDING) :]):
        raise asserted(1697, "account is in use")


def _check_vault(vault: AccountRef, mint: AccountRef, signer: bytes) -> None:
    data = token_account(vault).data
    if mint.account.owner != spl_token.PROGRAM_ID:
        raise asserted(1512, "not a mint of the token program")
    if len(mint.account.data) != spl_token.MINT.size:
        raise asserted(1514, "size of the mint")
    if mint.account.data[_MINT_INITIALIZED] != 1:
        raise asserted(1517, "mint not initialized")
    if data[_VAULT_OWNER] != signer:
        raise asserted(1713, "vault does not belong to the vault signer")
    if any(data[_VAULT_DELEGATE_TAG]):
        raise asserted(1717, "vault has a delegate")
    if any(data[_VAULT_CLOSER_TAG]):
        raise asserted(1721, "vault has a close authority")
    if data[:32] != mint.key:
        raise asserted(1629, "vault is of another mint")


def _frame(data: bytearray, flags: int) -> None:
    data[:FLAGS_OFFSET] = HEAD_PADDING
    data[-len(TAIL_PADDING) :] = TAIL_PADDING
    _FLAGS.pack_into(data, FLAGS_OFFSET, AccountFlag.INITIALIZED | flags)


def _initialize_queues(requests: AccountRef, events: AccountRef) -> None:
    room = len(requests.account.data) - ACCOUNT_OVERHEAD - _QUEUE_HEADER_SIZE
    if room < 0:
        raise panicked("request queue has no room for its header")
    if room < REQUEST_SIZE:
        raise refused(Code.REQUEST_QUEUE_EMPTY)
    _frame(requests.account.data, AccountFlag.REQUEST_QUEUE)
    _QUEUE_HEADER.pack_into(requests.account.data, QUEUE_HEAD, 0, 0, 0)
    if len(events.account.data) <= ACCOUNT_OVERHEAD + _QUEUE_HEADER_SIZE:
        raise asserted(3435, "event queue has no room for events")
    if event_queue_capacity(len(events.account.data)) < _MIN_EVENTS:
        raise refused(Code.EVENT_QUEUE_TOO_SMALL)
    _frame(events.account.data, AccountFlag.EVENT_QUEUE)
    _QUEUE_HEADER.pack_into(events.account.data, QUEUE_HEAD, 0, 0, 0)


def _initialize_side(side: AccountRef, flag: AccountFlag) -> None:
    room = len(side.account.data) - ACCOUNT_OVERHEAD
    if room <= 8:
        raise asserted(3453, "book side has no room for orders")
    if room < 8 + _SLAB_HEADER_SIZE:
        raise panicked("book side has no room for its header")
    if slab_node_capacity(len(side.account.data)) < _MIN_NODES:
        raise refused(Code.SLAB_TOO_SMALL)
    _frame(side.account.data, flag)


def _initialize_state(refs: list[AccountRef], asked: InitializeMarket) -> None:
    market, requests, events, bids, asks, base_vault, quote_vault, base_mint, quote_mint = (
        ref.key for ref in refs[:9]
    )
    data, authorities = refs[0].account.data, refs[10:]
    if len(data) != (PERMISSIONED_MARKET_SIZE if authorities else MARKET_SIZE):
        raise asserted(3507 if authorities else 3502, "size of the market account")
    flags = AccountFlag.MARKET
    if authorities:
        flags |= AccountFlag.PERMISSIONED
    if len(authorities) == 3:
        flags |= AccountFlag.CRANK_AUTHORITY_REQUIRED
    _frame(data, flags)
    balances = (0, 0)
    BODY.pack_into(
        data,
        BODY_OFFSET,
        *(market, asked.vault_nonce, base_mint, quote_mint),
        *(base_vault, *balances, quote_vault, *balances, asked.quote_dust),
        *(requests, events, bids, asks),
        *(asked.base_lot, asked.quote_lot, asked.fee_rate_bps, 0),
    )
    keys = [ref.key for ref in authorities]
    if len(keys) == 1:
        keys.append(bytes(32))
    for (at, _), key in zip(PERMISSIONED_MARKET_FIELDS.values(), keys, strict=False):
        data[at : at + 32] = key


def disable_market(invocation: Invocation, _body: bytes) -> None:
    """Run DisableMarket: no new orders from here on."""
    refs = invocation.accounts
    if len(refs) != 2:
        raise asserted(2347, "number of accounts")
    market = load_market(refs[0], invocation.program_id)
    if not refs[1].is_signer:
        raise asserted(1573, "signature missing")
    if refs[1].key != AUTHORITY:
        raise asserted(1574, "not the disable authority")
    market.disable()


def init_open_orders(invocation: Invocation, _body: bytes) -> None:
    """Run InitOpenOrders: OpenOrders account, owner, market, rent, the market's authority if any."""
    refs = invocation.accounts
    if len(refs) not in (4, 5):
        raise asserted(2472, "number of accounts")
    authority = refs[4] if len(refs) == 5 else None
    if authority is not None:
        check_signer(authority)
    check_signer(refs[1])
    market = load_market(refs[2], invocation.program_id)
    load_open_orders(
        refs[0], market, refs[1], can_create=True, authority=None if authority is None else authority.key
    )


def close_open_orders(invocation: Invocation, _body: bytes) -> None:
    """Run CloseOpenOrders: OpenOrders account, owner, where its lamports go, market."""
    refs = invocation.accounts
    if len(refs) != 4:
        raise asserted(2417, "number of accounts")
    account, destination = refs[0].account, refs[2].account
    check_signer(refs[1])
    market = load_market(refs[3], invocation.program_id, allow_disabled=True)
    open_orders = load_open_orders(refs[0], market, refs[1])
    if open_orders.free_slots != _ALL_FREE or open_orders.base_total or open_orders.quote_total:
        raise refused(Code.TOO_MANY_OPEN_ORDERS)
    if destination is account:
        raise invalid("UnbalancedInstruction")
    destination.lamports += account.lamports
    account.lamports = 0
    _FLAGS.pack_into(account.data, FLAGS_OFFSET, AccountFlag.CLOSED)
