"""A chain, a market and a crowd without an engine, driven by hand; what happened is kept."""

import hashlib
import sys
from collections import Counter
from decimal import Decimal

from bmv.model import Side
from bmv.sandbox import ata_program, spl_token
from bmv.sandbox.chain import Chain
from bmv.sandbox.ledger import SlotReport
from bmv.sandbox.market_genesis import OPENBOOK, found_market, lots_for
from bmv.sandbox.openbook import program
from bmv.sandbox.people.crowd import WEALTH_SOL, Crowd, CrowdOptions, crowd_holders
from bmv.sandbox.people.floor import Floor
from bmv.sandbox.people.reference import Reference, SyntheticReference
from bmv.venue.openbook_v1.codec import QueueEvent, decode_event_queue, decode_market, decode_open_orders

START_MS = 1_700_000_000_000
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
EVERYBODY = CrowdOptions()


class CrowdWorld:
    """One market and its crowd; ``run`` lets time pass and looks at the book once a minute."""

    def __init__(
        self,
        seed: int = 1,
        options: CrowdOptions = EVERYBODY,
        reference: Reference | None = None,
    ) -> None:
        self.now = START_MS
        self.chain = Chain(start_ms=START_MS, seed=seed, now=lambda: self.now)
        self.chain.programs[OPENBOOK] = program.process
        self.reference = reference or SyntheticReference(seed=seed, start_ms=START_MS, price=Decimal("0.01"))
        price = self.reference.price_at(START_MS)
        holders = crowd_holders(seed, options, price=price, decimals=9)
        self.genesis = found_market(seed=seed, lots=lots_for(price, 9), holders=holders)
        self.chain.genesis(self.genesis.accounts)
        self.lamports = self.chain.total_lamports()
        self.crowd = Crowd(
            self.chain, self.genesis.spec, self.reference, seed=seed, start_ms=START_MS, options=options
        )
        self.floor = Floor(self.chain, self.genesis.spec, self.reference)
        market = self.chain.account(self.genesis.market)
        assert market is not None
        self.queue_key = bytes(decode_market(bytes(market.data)).event_queue)
        self.fills: list[QueueEvent] = []
        self.errors: Counter[str] = Counter()
        self.longest_queue = 0
        self._seen = 0
        self.chain.listeners.append(self._listen)

    def run(self, hours: float) -> list[tuple[int | None, int | None, int]]:
        """Return (best bid, best ask, reference) in ticks at every whole minute of the next ``hours``."""
        end, looks = self.now + int(hours * HOUR_MS), []
        for minute in range(self.now + MINUTE_MS, end + 1, MINUTE_MS):
            self._run_to(minute)
            looks.append((self.floor.best(Side.BID), self.floor.best(Side.ASK), self.floor.fair(minute)))
        return looks

    def drain(self) -> None:
        """Let time pass until no event waits."""
        for _ in range(120):
            account = self.chain.account(self.queue_key)
            assert account is not None
            if not decode_event_queue(bytes(account.data)).count:
                return
            self.run(MINUTE_MS / HOUR_MS)
        raise AssertionError("nobody cranks")

    def holdings(self) -> tuple[int, int]:
        """Return what the crowd owns in wrapped lamports and atoms, in token accounts and in OpenOrders."""
        lamports = atoms = 0
        mint = bytes(self.floor.keys.base_mint)
        for role in WEALTH_SOL:
            for wallet in map(bytes, self.crowd.wallets(role)):
                wrapped = self.chain.account(ata_program.address(wallet, spl_token.NATIVE_MINT))
                tokens = self.chain.account(ata_program.address(wallet, mint))
                lamports += spl_token.Holding.read(wrapped).amount if wrapped else 0
                atoms += spl_token.Holding.read(tokens).amount if tokens else 0
            for key in self.crowd.open_orders(role):
                if (account := self.chain.account(key)) is not None:
                    inside = decode_open_orders(bytes(account.data))
                    lamports, atoms = lamports + inside.quote_total, atoms + inside.base_total
        return lamports, atoms

    def _run_to(self, end: int) -> None:
        while True:
            dues = [due for due in (self.chain.next_due_ms(), self.crowd.next_due_ms()) if due is not None]
            if min(dues, default=end + 1) > end:
                self.now = end
                return
            self.now = max(self.now, min(dues))
            self.chain.run_due()
            self.crowd.run_due(self.now)

    def _listen(self, report: SlotReport) -> None:
        self.errors.update(str(landed.outcome.err) for landed in report.transactions if landed.outcome.err)
        account = self.chain.account(self.queue_key)
        assert account is not None
        queue = decode_event_queue(bytes(account.data))
        self.longest_queue = max(self.longest_queue, queue.count)
        self.fills += [event for event in queue.since(self._seen) if event.is_fill]
        self._seen = queue.next_seq

    def digest(self) -> str:
        """Return a fingerprint of every account on the chain."""
        digest = hashlib.sha256()
        for key, account in sorted(self.chain.bank.accounts.items()):
            digest.update(key + account.lamports.to_bytes(8, "little") + account.owner + account.data)
        return digest.hexdigest()


if __name__ == "__main__":
    world = CrowdWorld(int(sys.argv[1]))
    world.run(1)
    print(world.digest())
