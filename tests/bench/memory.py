"""Resident memory of the engine as a process of its own, beside a sandbox at 24 times real time.

``python -m tests.bench.memory HOURS`` runs that many simulated hours; among all benchmarks it is a quarter of
one. Growth is that of the last sample over the first after the warm-up, a fifth of the time.
"""

import json
import signal
import sys
import time
from pathlib import Path

from bmv.state.folder import temporary_state
from tests.processes import PATIENCE_S, engine, prepared, sandbox, wait_for

SPEED = 24
SAMPLES = 50
GOAL_MB = 250


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))) / 1024


def run(hours: float = 0.25) -> dict[str, object]:
    """Run the engine for ``hours`` of simulated time and sample what it holds."""
    with temporary_state() as place:
        folder = place.root
        world, state = folder / "world", folder / "state"
        passphrase = prepared(state, 7)
        options = ("--seed", "7", "--speed", str(SPEED))
        how = ("--speed", str(SPEED), "--signer", "inside")
        with sandbox(world, *options), (folder / "log").open("w") as log:
            process = engine(world / "sandbox.toml", state, passphrase, *how, log=log)
            wait_for(state / "journal")
            samples = []
            for _ in range(SAMPLES):
                time.sleep(hours * 3600 / SPEED / SAMPLES)
                samples.append(resident_mb(process.pid))
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE_S)
    warm = samples[SAMPLES // 5]
    return {
        "bench": "engine_memory",
        "hours": hours,
        "exit_code": process.returncode,
        "baseline_mb": GOAL_MB,
        "most_mb": round(max(samples), 1),
        "last_mb": round(samples[-1], 1),
        "growth_after_warm_up": round(samples[-1] / warm - 1, 4),
    }


if __name__ == "__main__":
    print(json.dumps(run(float(sys.argv[1]) if len(sys.argv) > 1 else 0.25)))
