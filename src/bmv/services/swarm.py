"""Bring what the operator does to wallets (``bmv wallets``) into the engine that runs.

The keys say who there is and in which role; they are asked every few seconds. A wallet that is new joins at
the end, in one step: the engine hears of it before the first reading that shows it. None is ever taken away:
one that leaves is emptied by the engine, and keeps its number until the run ends.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from solders.pubkey import Pubkey

from bmv.errors import BmvError
from bmv.events import WalletDuty
from bmv.keys.store import LOOKED_AFTER, Role, Wallet
from bmv.model import Duty, WalletIndex
from bmv.observe.log import get_logger
from bmv.ports import Clock
from bmv.services.accounts import WalletAccounts
from bmv.venue.openbook_v1.instructions import MarketKeys

LOOK_S = 2.0
DUTIES: Final[Mapping[Role, Duty]] = {
    Role.OPERATOR: Duty.QUOTE,
    Role.ASIDE: Duty.REST,
    Role.LEAVING: Duty.LEAVE,
    Role.RETIRED: Duty.LEAVE,
}


class Swarm:
    """Keep the engine's wallets in step with the keys.

    ``wallets`` is the one list all parts of the engine look into, ``known`` asks for the keys' wallets,
    ``joined`` hears of each that is new before it is in the list, ``emit`` takes events.
    """

    def __init__(
        self,
        wallets: list[WalletAccounts],
        market: MarketKeys,
        known: Callable[[], Sequence[Wallet]],
        joined: Callable[[WalletAccounts], None],
        emit: Callable[[WalletDuty], None],
        clock: Clock,
        *,
        haste: float = 1.0,
    ) -> None:
        self._wallets, self._market, self._known, self._joined = wallets, market, known, joined
        self._emit, self._clock, self._haste = emit, clock, haste
        self._told: dict[WalletIndex, Duty] = {}
        self._log = get_logger("swarm")

    def look(self) -> None:
        """Tell what has changed since the last look."""
        numbers = {wallet.owner: index for index, wallet in enumerate(self._wallets)}
        for one in self._known():
            index = numbers.get(one.pubkey)
            if index is not None:
                self._tell(index, one.pubkey, DUTIES[one.role])
            elif one.role in LOOKED_AFTER:
                self._tell(self._join(one.pubkey), one.pubkey, DUTIES[one.role], is_new=True)

    async def run(self) -> None:
        """Look every few seconds until cancelled; keys that cannot be asked change nothing."""
        while True:
            await asyncio.sleep(LOOK_S * self._haste)
            try:
                self.look()
            except BmvError as error:
                self._log.warning("WALLETS_UNKNOWN", reason=str(error))

    def _join(self, owner: Pubkey) -> WalletIndex:
        accounts = WalletAccounts.of(owner, self._market)
        self._joined(accounts)
        self._wallets.append(accounts)
        return len(self._wallets) - 1

    def _tell(self, wallet: WalletIndex, owner: Pubkey, duty: Duty, *, is_new: bool = False) -> None:
        if not is_new and self._told.get(wallet, Duty.QUOTE) is duty:
            return
        self._told[wallet] = duty
        self._emit(WalletDuty(at=self._clock.now(), wallet=wallet, owner=str(owner), duty=duty))
