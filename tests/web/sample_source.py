"""A made-up engine for the page: a seeded walk with a ladder, wallets, fills and events around it.

To look at the page while changing it: ``python -m tests.web.sample_source [port] [state]``.
"""

import asyncio
import math
import random
import sys
from decimal import Decimal

from bmv.observe.view import (
    BandView,
    BundleView,
    ChannelView,
    CountersView,
    EngineState,
    EventView,
    FillView,
    HistoryPoint,
    InventoryView,
    LevelView,
    MarkoutView,
    OrderState,
    PartView,
    PresenceView,
    PriceView,
    SideName,
    TreasuryView,
    View,
    WalletRow,
)
from bmv.web.server import WebServer

START_MS = 1_760_000_000_000
STEP_MS = 2_000
KEPT_POINTS = 4_000
WALLETS = 6
TICK = Decimal("0.000001")


def _text(value: float, digits: int = 6) -> str:
    return f"{value:.{digits}f}"


class SampleSource:
    """Moves one step at every ``view``; everything follows from the seed and the number of steps."""

    def __init__(self, *, seed: int = 7, steps: int = 900, state: EngineState = "quoting") -> None:
        self._random = random.Random(seed)
        self._state: EngineState = state
        self._price = self._ema = 0.000412
        self._pivot = 0.000405
        self._points: list[HistoryPoint] = []
        self._fills: list[FillView] = []
        self._events: list[EventView] = []
        self._steps = 0
        self.halts: list[str] = []
        for _ in range(0 if state == "starting" else steps):
            self._step()

    def view(self) -> View:
        """Return the present state, one step later."""
        if self._state == "quoting":
            self._step()
        starting = self._state == "starting"
        channel = self._points[-1] if self._points else None
        return View(
            product="bmv market maker",
            version="0.1.0",
            market="B9coHrCxYv7xmPfSU7Z5VfugDqdTdZqZTpBGBdazq8AC",
            symbol="BMV",
            mode="demo",
            state=self._state,
            started=START_MS,
            now=self._now(),
            slot=301_224_000 + self._steps * 5,
            price=None if starting else self._shown_price(),
            pivot=None if starting else _text(self._pivot, 9),
            pivot_raw=None,
            own_share_pct=None,
            channel=_channel(channel),
            best_bid=None if starting else _text(self._price * 0.9962),
            best_ask=None if starting else _text(self._price * 1.0038),
            foreign_bid=None if starting else _text(self._price * 0.991),
            foreign_ask=None if starting else _text(self._price * 1.0094),
            spread_pct=None if starting else "0.76",
            ladder=() if starting else self._ladder(),
            wallets=() if starting else tuple(self._wallet(index) for index in range(WALLETS)),
            fills=tuple(reversed(self._fills[-50:])),
            events=tuple(reversed(self._events[-100:])),
            counters=self._counters(),
            equity_sol=None if starting else _text(2_481.5 + 20 * math.sin(self._steps / 90), 4),
            pnl_sol=None if starting else _text(11.37 + 4 * math.sin(self._steps / 90), 4),
            halt_reason=self.halts[-1] if self.halts else "",
            treasury=TreasuryView(sol="212.5", usdc="6000", sol_usd="150.25", seen_at=self._now(), firm=True),
            inventory=None
            if starting
            else InventoryView(tokens="1204331.5", worth_sol="492.4", share_pct="19.84"),
            presence=PresenceView(
                bid_pct=None if starting else "99.82",
                ask_pct=None if starting else "99.31",
                both_pct=None if starting else "99.20",
                bid_sol=None if starting else "18.3",
                ask_sol=None if starting else "16.1",
                spread_pct=None if starting else "0.781",
            ),
            bands=() if starting else _bands(self._steps),
            pnl_parts=tuple(
                PartView(name=name, sol=_text(amount * math.sin(self._steps / 90), 6))
                for name, amount in (("spread", 7.1), ("inventory", -12.4), ("tips", -0.02), ("dollars", 0.0))
            ),
            markouts=tuple(
                MarkoutView(
                    seconds=seconds,
                    bid_fills=len(self._fills),
                    bid_bps=_text(12 - seconds / 200, 1),
                    ask_fills=len(self._fills),
                    ask_bps=_text(-4 + seconds / 300, 1) if self._fills else None,
                )
                for seconds in (1, 5, 30, 60, 300, 900, 3600)
            ),
            bundles=tuple(
                BundleView(
                    at=self._now() - 7_000 * age,
                    id=f"{age:02x}f3a9c1",
                    outcome="expired" if age == 3 else "landed",
                    slot=301_224_000 - age,
                    cost_sol="0.000015",
                    reason="its blockhash is too old" if age == 3 else "",
                )
                for age in range(0 if starting else 12)
            ),
            in_flight=2,
        )

    def _shown_price(self) -> PriceView:
        return PriceView(value=_text(self._price), source="trades", usd="0.0601234", eur="0.0556698")

    def history(self, since: int) -> list[HistoryPoint]:
        """Return the points after ``since``."""
        return [point for point in self._points if point.seq > since]

    async def halt(self, reason: str) -> None:
        """Remember the reason and stop."""
        self.halts.append(reason)
        self._state = "stopped"
        self._event("KILL_SWITCH", f"reason={reason} cancelled=148 left=0")

    def _now(self) -> int:
        return START_MS + self._steps * STEP_MS

    def _step(self) -> None:
        self._steps += 1
        pull = (0.000408 * (1 + 0.02 * math.sin(self._steps / 140)) - self._price) * 0.02
        self._price += pull + self._price * self._random.gauss(0, 0.0011)
        self._ema += (self._price - self._ema) * 0.01
        self._pivot += (self._price - self._pivot) * 0.0008
        anchor = min(self._ema, max(self._pivot, self._ema / 1.05))
        self._points.append(
            HistoryPoint(
                seq=self._steps,
                at=self._now(),
                price=self._price,
                pivot=self._pivot,
                buy_low=anchor * 0.85,
                buy_high=self._ema,
                sell_low=max(anchor, self._price),
                sell_high=self._ema * 1.3,
                best_bid=self._price * 0.9962,
                best_ask=self._price * 1.0038,
            )
        )
        del self._points[:-KEPT_POINTS]
        if self._random.random() < 0.03:
            self._fill()
        if self._random.random() < 0.02:
            self._rebuild()

    def _fill(self) -> None:
        side: SideName = "bid" if self._random.random() < 0.5 else "ask"
        price, size = self._price * (0.9962 if side == "bid" else 1.0038), self._random.randint(400, 26_000)
        wallet = self._random.randrange(WALLETS)
        fill = FillView(at=self._now(), side=side, price=_text(price), size=str(size), wallet=wallet)
        self._fills.append(fill)
        self._event("ORDER_FILL", f"side={side} price={fill.price} volume={size} wallet={wallet}")

    def _rebuild(self) -> None:
        kept = self._random.randint(90, 140)
        self._event(
            "GRID_REBUILD",
            f"trigger=price pivot={self._pivot:.6f} kept={kept} cancelled=11 placed=13 cost=0.00108",
        )
        if self._random.random() < 0.3:
            self._event("BUNDLE_EXPIRED", "bundle=8f1c29 tickets=2 reason=blockhash expired; resent")
        if self._random.random() < 0.3:
            self._event("IDLE_TIGHTEN", "spread=0.875 idle=15min")

    def _event(self, name: str, text: str) -> None:
        self._events.append(EventView(at=self._now(), name=name, text=text))

    def _ladder(self) -> tuple[LevelView, ...]:
        levels = [
            self._level("bid", point, 0.9962 * 0.9965**point, 5_000 * 1.045**point) for point in range(48)
        ]
        levels += [self._level("ask", point, 1.0038 * 1.0072**point, 9_400) for point in range(36)]
        return tuple(levels)

    def _level(self, side: SideName, point: int, ratio: float, size: float) -> LevelView:
        states: dict[int, OrderState] = {5: "in-flight", 6: "in-flight", 11: "leaving", 17: "missing"}
        return LevelView(
            side=side,
            price=str((Decimal(self._price * ratio) / TICK).quantize(Decimal(1)) * TICK),
            size=f"{size:.0f}",
            wallet=point * WALLETS // 48,
            state="live" if self._state == "stopped" else states.get(point + self._steps // 20 % 3, "live"),
            point=point - 1,
            distance_pct=_text((ratio - 1) * 100, 2),
            why=f"level {point + 1} from the inside, lattice point {point:+d}, 2.10 % of 120 SOL",
        )

    def _wallet(self, index: int) -> WalletRow:
        return WalletRow(
            index=index,
            address=f"{index + 4}xKXtg2CW87d97TXJSDpbD5jBkheTqA83TZRuJosgAs{index + 1}",
            gas_sol="0.0912" if index == 4 else _text(0.24 + index / 100, 4),
            sol_free=_text(3.2 + index, 4),
            sol_locked=_text(122.4 - index * 9, 4),
            tokens_free=_text(1_200.5 * (index + 1), 3),
            tokens_locked=_text(48_211 + 900 * index, 3),
            orders=0 if index == 5 else 28 - index,
            state="set aside" if index == 5 else "ready",
        )

    def _counters(self) -> CountersView:
        sent = self._steps // 6
        return CountersView(
            orders_placed=self._steps // 2,
            orders_kept=self._steps * 9,
            orders_cancelled=self._steps // 3,
            bundles_sent=sent,
            bundles_landed=sent - sent // 25,
            bundles_failed=sent // 90,
            bundles_expired=sent // 25 - sent // 90,
            fills=len(self._fills),
            volume_sol=_text(len(self._fills) * 4.1, 3),
            self_trades=0,
            tips_sol=_text(sent * 0.0001, 6),
            fees_sol=_text(sent * 0.000015, 6),
            errors={"RateLimited": 2, "Unreachable": 1} if sent else {},
        )


def _bands(steps: int) -> tuple[BandView, ...]:
    return tuple(
        BandView(
            pct=pct,
            bid_own=_text(own + steps % 3, 3),
            bid_all=_text(own * 1.4 + 3, 3),
            ask_own=_text(own * 0.8, 3),
            ask_all=_text(own * 1.1, 3),
        )
        for pct, own in (("0.5", 4.2), ("1", 9.6), ("2", 20.9), ("5", 61.0))
    )


def _channel(point: HistoryPoint | None) -> ChannelView | None:
    if point is None:
        return None
    borders = (point.buy_low, point.buy_high, point.sell_low, point.sell_high)
    low, high, sell_low, sell_high = (_text(border or 0.0, 9) for border in borders)
    return ChannelView(buy_low=low, buy_high=high, sell_low=sell_low, sell_high=sell_high)


async def _serve(port: int, state: EngineState) -> None:
    server = WebServer(SampleSource(state=state), token="sample")
    print(await server.start(port=port) + "#token=sample", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    chosen: dict[str, EngineState] = {"starting": "starting", "stopped": "stopped", "lost": "feed lost"}
    asyncio.run(
        _serve(
            int(sys.argv[1]) if len(sys.argv) > 1 else 8080,
            chosen.get(sys.argv[2] if len(sys.argv) > 2 else "", "quoting"),
        )
    )
