"""How the benchmarks measure: in turns, the best of many rounds.

The shortest of a way's runs is what the machine can do; whatever is longer, something else was running (the
reasoning of Python's own ``timeit``). Turns see to it that all ways meet the same machine.
"""

import time
from collections.abc import Callable, Sequence


def best_times(ways: Sequence[Callable[[], object]], rounds: int, calls: int = 1) -> list[float]:
    """Return for each way the shortest time of one call in seconds; a round makes ``calls`` of each."""
    best = [float("inf")] * len(ways)
    for _ in range(rounds):
        for index, way in enumerate(ways):
            began = time.perf_counter()
            for _ in range(calls):
                way()
            best[index] = min(best[index], (time.perf_counter() - began) / calls)
    return best
