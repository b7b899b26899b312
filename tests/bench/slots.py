"""Slots a second of a headless demo (chain, crowd, servers, the whole engine) beside an empty chain's.

The baseline steps a chain on which nobody does anything, slot by slot: clock, what is due, a blockhash. Ours
does not step: time jumps to whatever happens next, but then all of it happens, over real clients and sockets.
A ratio below 1 therefore says how much a slot with a market in it costs, measured in empty slots.
"""

import time

from bmv.app.demo import DemoOptions, run_demo
from bmv.app.world import SLOT_MS, WorldOptions
from bmv.config import Settings
from bmv.sandbox.chain import Chain

SIMULATED_S = 3_600
SEED = 1
LEVELS = 100


def run() -> dict[str, object]:
    """Run one simulated hour and step as many empty slots; AssertionError where the demo went wrong."""
    settings = Settings.model_validate({"GRID_LEVELS": LEVELS})
    began = time.perf_counter()
    report = run_demo(
        DemoOptions(
            world=WorldOptions(seed=SEED),
            settings=settings,
            speed=None,
            run_s=SIMULATED_S,
            state_dir=None,
            quiet=True,
        )
    )
    ours = report["slots"] / (time.perf_counter() - began)
    if not report["clean"] or report["slots"] < SIMULATED_S * 1000 // SLOT_MS:
        raise AssertionError("the demo did not run to its end")
    baseline = empty_slots_per_second(report["slots"])
    return {
        "bench": "sandbox_slots",
        "n": report["slots"],
        "baseline_slots_per_s": round(baseline),
        "slots_per_s": round(ours),
        "ratio": round(ours / baseline, 4),
    }


def empty_slots_per_second(slots: int) -> float:
    """Step an empty chain slot by slot and return how many it did in a second."""
    now_ms = 0
    chain = Chain(start_ms=0, slot_ms=SLOT_MS, seed=SEED, now=lambda: now_ms)
    chain.genesis({})
    began = time.perf_counter()
    for _ in range(slots):
        now_ms += SLOT_MS
        chain.run_due()
        chain.latest_blockhash()
    return slots / (time.perf_counter() - began)
