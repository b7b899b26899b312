"""``bmv wallets retire | set-aside | take-back``: what a wallet is for, changed also while an engine runs.

The keystore says what is wanted, its signer and its engine follow. A wallet that retires beside an engine is
*leaving* until the chain shows that it is empty; a command that ends earlier is simply given again.
"""

import asyncio
import time
from typing import Annotated

import typer
from solders.pubkey import Pubkey

from bmv.app import wallets as life
from bmv.app.signing import guarded, keys_of
from bmv.cli import options
from bmv.cli.keyring import One, Place, known_in, placed
from bmv.errors import UnsafeState
from bmv.keys.store import Keystore, Role

LOOK_S = 1.0
FOUND_EMPTY = 2
"""So many readings in a row must show a wallet empty: nodes behind one address differ."""
IN_USE = (Role.OPERATOR, Role.ASIDE, Role.LEAVING)


@placed
def retire(
    place: Place,
    wallet: One,
    timeout: Annotated[str, typer.Option(help="How long a running engine may take to empty it.")] = "10min",
) -> None:
    """Take an operator wallet out of use: all it holds goes to the treasury, its key stays in the file.

    A running engine withdraws its orders and empties it; its tokens go to another wallet that quotes.
    """
    seconds = options.seconds("--timeout", timeout) or 0.0
    store = place.open()
    key = known_in(wallet, [one for one in store.wallets if one.role in IN_USE])
    treasury = life.treasury_of(store.wallets)
    if place.quotes:
        _refuse_the_last(store, key)
        _become(place, store, key, Role.LEAVING)
        if _is_emptied(place, key, seconds):
            _become(place, store, key, Role.RETIRED)
            place.tell([life.Moved(str(key), note="the engine has emptied it")])
            return
    signer = guarded(keys_of(store), place.settings)

    async def act(reach: life.Reach) -> list[life.Moved]:
        return await life.sweep(reach, [key], treasury)

    moved = life.reaching(place.settings, signer, act)
    _become(place, store, key, Role.RETIRED)
    place.tell(moved)


@placed
def set_aside(place: Place, wallet: One) -> None:
    """Let an operator wallet rest: it keeps what it holds, and a running engine withdraws its orders."""
    store = place.open()
    key = known_in(wallet, [one for one in store.wallets if one.role is Role.OPERATOR])
    _refuse_the_last(store, key)
    _become(place, store, key, Role.ASIDE)
    place.tell([life.Moved(str(key), note="set aside")])


@placed
def take_back(place: Place, wallet: One) -> None:
    """Let a wallet quote again that was set aside, or whose leaving did not come to its end."""
    store = place.open()
    key = known_in(wallet, [one for one in store.wallets if one.role in (Role.ASIDE, Role.LEAVING)])
    _become(place, store, key, Role.OPERATOR)
    place.tell([life.Moved(str(key), note="quotes again")])


def _refuse_the_last(store: Keystore, key: Pubkey) -> None:
    others = [one for one in store.wallets if one.role is Role.OPERATOR and one.pubkey != key]
    if not others:
        raise UnsafeState(f"{key}: it is the last wallet that quotes; bmv halt first, or add another one")


def _become(place: Place, store: Keystore, key: Pubkey, role: Role) -> None:
    store.change_role(key, role)
    store.save()
    place.renew()


def _is_emptied(place: Place, key: Pubkey, seconds: float) -> bool:
    """Wait until the chain shows a wallet empty; return False once no engine is there to empty it.

    Raises UnsafeState where that takes longer than ``seconds``.
    """
    until = time.monotonic() + seconds

    async def look(reach: life.Reach) -> bool:
        seen = 0
        while place.quotes:
            (found,) = await reach.holdings([key])
            seen = seen + 1 if found.is_empty else 0
            if seen == FOUND_EMPTY:
                return True
            if time.monotonic() > until:
                left = "its orders stand" if found.is_quoting else "it is not empty"
                again = "the engine goes on; give the command again, or bmv wallets take-back"
                raise UnsafeState(f"{key}: {left}, {life.shown_sol(found.lamports)} SOL plain; {again}")
            await asyncio.sleep(LOOK_S)
        return False

    return life.reaching(place.settings, None, look)
