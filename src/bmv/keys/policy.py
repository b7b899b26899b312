"""The policy around signing: a message is signed only where everything it does is allowed.

Rules of this file
- Checked are the bytes that get the signature, nothing the caller says about them.
- All messages of a call are checked before the first is signed; one refusal refuses the call.
- A minute holds so many transactions and so many lamports that leave us; ways out are counted by themselves,
  so nothing else can use up what is needed to cancel.
- After a kill only ways out are signed, until somebody releases the latch on purpose.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec
from solders.pubkey import Pubkey

from bmv.errors import BadBytes, Refused
from bmv.keys.decoded import decode_message
from bmv.keys.grounds import Grounds
from bmv.keys.lawful import Effect, NotLawful, read_effect
from bmv.keys.store import LOOKED_AFTER, Role, Wallet
from bmv.units import LAMPORTS_PER_SOL, Lamports
from bmv.venue.openbook_v1.instructions import MarketKeys

WINDOW_S = 60.0


class Unlawful(Refused):
    """The policy does not let a message be signed; ``rule`` names what stands against it."""

    exit_code = 3

    def __init__(self, rule: str, why: str) -> None:
        super().__init__("signer", f"refused ({rule}): {why}")
        self.rule = rule


class Limits(msgspec.Struct, frozen=True):
    """The most one transaction tips (priority fee included), and what one minute holds.

    ``swap_per_minute`` is in atoms by mint (base58); a mint that is not named is not spent.
    """

    tip: Lamports = Lamports(LAMPORTS_PER_SOL // 200)
    lamports_per_minute: Lamports = Lamports(5 * LAMPORTS_PER_SOL)
    transactions_per_minute: int = 3_000
    swap_per_minute: Mapping[str, int] = {}
    slippage_bps: int = 50


class Minute:
    """Sums of the last minute: transactions and amount."""

    def __init__(self) -> None:
        self._entries: deque[tuple[float, int, int]] = deque()
        self.transactions = self.amount = 0

    def at(self, now: float) -> "Minute":
        """Forget what is older than a minute."""
        while self._entries and self._entries[0][0] <= now - WINDOW_S:
            _, transactions, amount = self._entries.popleft()
            self.transactions -= transactions
            self.amount -= amount
        return self

    def add(self, now: float, transactions: int, amount: int) -> None:
        """Count something."""
        self._entries.append((now, transactions, amount))
        self.transactions += transactions
        self.amount += amount


class BulkSigner(Protocol):
    """Whatever signs once the policy has agreed."""

    def sign_all(self, jobs: Iterable[tuple[Pubkey, bytes]]) -> list[bytes]:
        """Return one signature per job, in order."""
        ...


class Policy:
    """Judge messages; ``now`` is monotonic seconds. ``is_halted`` is the latch."""

    def __init__(self, grounds: Grounds, limits: Limits, now: Callable[[], float]) -> None:
        self.grounds, self.limits, self._now = grounds, limits, now
        self.is_halted = False
        self._ordinary, self._ways_out = Minute(), Minute()
        self._swapped: dict[bytes, Minute] = {}

    def approve(self, messages: Sequence[bytes]) -> None:
        """Count messages as signed; raise Unlawful for the first that is not allowed, none counted then."""
        effects = [self._effect(message) for message in messages]
        now = self._now()
        for kind, minute in ((False, self._ordinary), (True, self._ways_out)):
            chosen = [effect for effect in effects if effect.way_out is kind]
            self._refuse_above_caps(chosen, minute.at(now), "ways out" if kind else "transactions")
        spent = self._spent(effects, now)
        for effect in effects:
            minute = self._ways_out if effect.way_out else self._ordinary
            minute.add(now, 1, effect.lamports)
        for mint, atoms in spent.items():
            self._swapped[mint].add(now, 1, atoms)

    def _effect(self, message: bytes) -> Effect:
        try:
            effect = read_effect(decode_message(message), self.grounds, self.limits.tip)
        except NotLawful as error:
            raise Unlawful("not allowed", str(error)) from error
        except BadBytes as error:
            raise Unlawful("not understood", str(error)) from error
        if self.is_halted and not effect.way_out:
            raise Unlawful("halted", "after a kill only cancel, crank, settle and close are signed")
        for _, route in effect.swaps:
            fee = route.platform_fee_bps + route.positive_slippage_bps
            if route.slippage_bps > self.limits.slippage_bps or fee:
                terms = f"slippage {route.slippage_bps}, fee {fee}"
                raise Unlawful("swap", f"{terms}; at most {self.limits.slippage_bps} and 0 basis points")
        return effect

    def _refuse_above_caps(self, effects: Sequence[Effect], minute: Minute, what: str) -> None:
        if not effects:
            return
        transactions = minute.transactions + len(effects)
        if transactions > self.limits.transactions_per_minute:
            most = self.limits.transactions_per_minute
            raise Unlawful("cap", f"{transactions} {what} in a minute; at most {most}")
        lamports = minute.amount + sum(effect.lamports for effect in effects)
        most_lamports = int(self.limits.lamports_per_minute)
        if lamports > most_lamports:
            raise Unlawful("cap", f"{lamports} lamports leave in a minute by {what}; at most {most_lamports}")

    def _spent(self, effects: Sequence[Effect], now: float) -> dict[bytes, int]:
        """Return the atoms that swaps spend by mint; raise Unlawful where a minute would hold too many."""
        spent: dict[bytes, int] = {}
        for mint, route in (swap for effect in effects for swap in effect.swaps):
            spent[mint] = spent.get(mint, 0) + route.spends
        for mint, atoms in spent.items():
            whole = self._swapped.setdefault(mint, Minute()).at(now).amount + atoms
            most = self.limits.swap_per_minute.get(str(Pubkey(mint)), 0)
            if whole > most:
                raise Unlawful("cap", f"{whole} atoms of {Pubkey(mint)} swapped in a minute; at most {most}")
        return spent


Renewal = Callable[[], tuple[BulkSigner, Sequence[Wallet]] | None]
"""Reads the keys anew: who signs with them and whose they are; None where nothing has changed."""


class GuardedSigner:
    """Sign with ``signer`` what ``policy`` allows, here; ``renewal`` finds keys that came later."""

    elsewhere = False

    def __init__(
        self,
        signer: BulkSigner,
        policy: Policy,
        wallets: Sequence[Wallet] = (),
        renewal: Renewal = lambda: None,
    ) -> None:
        self._signer, self.policy, self._wallets, self._renewal = signer, policy, wallets, renewal

    def renew(self) -> list[Wallet]:
        """Take over what has changed where the keys are kept; return all wallets. Raises as reading does."""
        found = self._renewal()
        if found is not None:
            self._signer, self._wallets = found
            treasury = next((one.pubkey for one in self._wallets if one.role is Role.TREASURY), None)
            self.policy.grounds.know([one.pubkey for one in self._wallets], treasury)
        return self.wallets()

    def pubkeys(self) -> list[Pubkey]:
        """Return the wallets an engine looks after, in order."""
        return [wallet.pubkey for wallet in self._wallets if wallet.role in LOOKED_AFTER]

    def wallets(self) -> list[Wallet]:
        """Return all wallets it signs for, in order."""
        return list(self._wallets)

    def treasury(self) -> Pubkey | None:
        """Return the treasury's wallet, where there is one."""
        known = self.policy.grounds.treasury
        return None if known is None else Pubkey.from_bytes(known)

    def serve(self, market: MarketKeys) -> None:
        """Tell which market is traded, once."""
        self.policy.grounds.set_market(market)

    def sign_all(self, jobs: Iterable[tuple[Pubkey, bytes]]) -> list[bytes]:
        """Return one signature per (key, message), in order; raise Unlawful for all where one is refused."""
        asked = list(jobs)
        self.policy.approve(list(dict.fromkeys(message for _, message in asked)))
        return self._signer.sign_all(asked)
