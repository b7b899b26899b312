"""The whole crowd: who there is, what they start with, and when each of them acts.

Rules of this file
- Everything follows from the seed, the options, the reference and what the chain shows: two runs are equal,
  byte for byte.
- The agenda is a heap of (time, order of entry): whoever is due acts, and says when to be asked again.
  Nothing happens, and no slot runs, while nobody is due.
- Wallets are finite and are never topped up.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import repeat
from random import Random

from solders.keypair import Keypair
from solders.pubkey import Pubkey

from bmv.model import MarketSpec
from bmv.sandbox.chain import Chain
from bmv.sandbox.ledger import SlotReport
from bmv.sandbox.market_genesis import Holder, atoms_worth, seeded_keypair
from bmv.sandbox.people.cranker import Cranker
from bmv.sandbox.people.floor import Floor, Trader
from bmv.sandbox.people.makers import Duster, Quoter, WallBuilder
from bmv.sandbox.people.person import Absences, Person
from bmv.sandbox.people.reference import Reference
from bmv.sandbox.people.takers import Arbitrageur, TakerFlow, minds
from bmv.units import LAMPORTS_PER_SOL

GAS_LAMPORTS = 2 * LAMPORTS_PER_SOL
WEALTH_SOL = {"quoter": 60, "duster": 5, "wall": 80, "taker": 25, "arbitrageur": 400, "cranker": 0}
"""What each starts with in wrapped SOL, and once more in tokens at the first price."""
CRANK_DELAY_MS = (500, 2_000)
FIRST_LOOK_MS = 2_000


@dataclass(frozen=True, slots=True)
class CrowdOptions:
    """How many of each there are, how busy takers are, and how rich everybody is (1 = ``WEALTH_SOL``).

    ``same_takers``: those who take come when and as they do whatever they have found before.
    """

    quoters: int = 4
    dusters: int = 1
    walls: int = 1
    takers: int = 36
    arbitrageurs: int = 3
    crankers: int = 1
    arrivals_per_day: int = 600
    wealth: Decimal = Decimal(1)
    same_takers: bool = False

    def without_makers(self) -> "CrowdOptions":
        """Return the same crowd without makers: all there is to take then is what the engine quotes."""
        return replace(self, quoters=0, dusters=0, walls=0)

    def roles(self) -> dict[str, int]:
        """Return how many people play each role."""
        return {
            "quoter": self.quoters,
            "duster": self.dusters,
            "wall": self.walls,
            "taker": self.takers,
            "arbitrageur": self.arbitrageurs,
            "cranker": self.crankers,
        }


def crowd_holders(seed: int, options: CrowdOptions, *, price: Decimal, decimals: int) -> list[Holder]:
    """Return what every wallet of the crowd starts with; ``price`` in SOL per token."""
    holders = []
    for role, keypairs in _cast(seed, options).items():
        sol = WEALTH_SOL[role] * options.wealth
        wrapped, atoms = int(sol * LAMPORTS_PER_SOL), atoms_worth(sol, price, decimals)
        holders += [
            Holder(bytes(keypair.pubkey()), GAS_LAMPORTS, wrapped, atoms, trades=bool(sol))
            for keypair in keypairs
        ]
    return holders


def _cast(seed: int, options: CrowdOptions) -> dict[str, list[Keypair]]:
    return {
        role: [seeded_keypair(seed, role, index) for index in range(count)]
        for role, count in options.roles().items()
    }


class Crowd:
    """Everybody but the engine; ``run_due`` lets act who is due."""

    def __init__(
        self,
        chain: Chain,
        spec: MarketSpec,
        reference: Reference,
        *,
        seed: int,
        start_ms: int,
        options: CrowdOptions = CrowdOptions(),
    ) -> None:
        self._floor = Floor(chain, spec, reference)
        self._seed, self._start = seed, start_ms
        self._agenda: list[tuple[int, int, Person]] = []
        self._entries = 0
        self._entry_of: dict[Person, int] = {}
        self._random = self._mind("crowd", 0)
        self._traders = {
            role: [Trader(self._floor, keypair) for keypair in keypairs]
            for role, keypairs in _cast(seed, options).items()
        }
        self._crankers = [Cranker(trader) for trader in self._traders["cranker"]]
        for person in self._people(options):
            self._enter(start_ms + self._random.randint(1, FIRST_LOOK_MS), person)
        chain.listeners.append(self._on_slot)

    def wallets(self, role: str) -> list[Pubkey]:
        """Return the addresses of everybody in a role, one of those in ``WEALTH_SOL``."""
        return [trader.wallet for trader in self._traders[role]]

    def open_orders(self, role: str) -> list[bytes]:
        """Return the OpenOrders addresses of everybody in a role."""
        return [trader.open_orders for trader in self._traders[role]]

    def next_due_ms(self) -> int | None:
        """Return when somebody next acts; None where there is nobody."""
        while self._agenda and self._entry_of[self._agenda[0][2]] != self._agenda[0][1]:
            heapq.heappop(self._agenda)
        return self._agenda[0][0] if self._agenda else None

    def run_due(self, now: int) -> None:
        """Let everybody act who is due at ``now``."""
        while (due := self.next_due_ms()) is not None and due <= now:
            _, _, person = heapq.heappop(self._agenda)
            self._enter(max(now + 1, person.act(now)), person)

    def _enter(self, at: int, person: Person) -> None:
        """Put a person into the agenda; an earlier entry of the same person no longer counts."""
        self._entries += 1
        self._entry_of[person] = self._entries
        heapq.heappush(self._agenda, (at, self._entries, person))

    def _on_slot(self, report: SlotReport) -> None:
        """Call the crankers once the event queue is crowded."""
        if self._floor.queue_key not in report.changed_keys:
            return
        for cranker in self._crankers:
            if cranker.is_crowded():
                delay = self._random.randint(*CRANK_DELAY_MS)
                self._enter(self._floor.chain.now() + delay, cranker)

    def _mind(self, role: str, index: int) -> Random:
        return Random(f"{self._seed} {role} {index}")

    def _people(self, options: CrowdOptions) -> Sequence[Person]:
        everybody = self._absences("all makers", 0, 100, (0.3, 1.5))
        people: list[Person] = list(self._crankers)
        for role, maker in (("quoter", Quoter), ("duster", Duster), ("wall", WallBuilder)):
            for index, trader in enumerate(self._traders[role]):
                away = self._absences(role, index, 60, (1, 5))
                people.append(maker(trader, self._mind(role, index), (away, everybody)))
        if options.takers:
            spells = self._absences("quiet", 0, 20, (0.5, 2))
            drawn = minds(f"{self._seed} taker") if options.same_takers else repeat(self._mind("taker", 0))
            takers = self._traders["taker"]
            people.append(TakerFlow(self._floor, takers, drawn, spells, options.arrivals_per_day))
        for index, trader in enumerate(self._traders["arbitrageur"]):
            people.append(Arbitrageur(trader, self._mind("arbitrageur", index)))
        return people

    def _absences(self, role: str, index: int, every_h: float, hours: tuple[float, float]) -> Absences:
        return Absences(self._mind(f"absence of {role}", index), self._start, every_h, hours)
