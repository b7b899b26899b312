"""Clocks: virtual time jumps only when nothing is ready; paced time passes at its speed."""

import asyncio
import socket
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmv.sandbox.clock import LoopClock, SimulatedLoop

T = TypeVar("T")


def run(loop: SimulatedLoop, scenario: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(scenario)


def test_a_virtual_day_passes_at_once_and_exactly() -> None:
    loop = SimulatedLoop(None)
    clock = LoopClock(loop, 1_000)

    async def scenario() -> int:
        await asyncio.sleep(86_400)
        return int(clock.now())

    began = time.monotonic()
    assert run(loop, scenario()) == 1_000 + 86_400_000
    assert time.monotonic() - began < 5


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=20))
def test_timers_fire_in_the_order_of_their_times(delays: list[int]) -> None:
    loop = SimulatedLoop(None)

    async def scenario() -> list[float]:
        fired: list[float] = []

        async def wait(delay: int) -> None:
            await asyncio.sleep(delay / 1_000)
            assert loop.time() >= delay / 1_000 - 1e-6
            fired.append(loop.time())

        await asyncio.gather(*(wait(delay) for delay in delays))
        return fired

    fired = run(loop, scenario())
    assert fired == sorted(fired)
    assert abs(fired[-1] - max(delays) / 1_000) < 1e-3


def test_what_is_ready_on_a_socket_comes_before_time_jumps() -> None:
    loop = SimulatedLoop(None)

    async def scenario() -> float:
        ours, theirs = socket.socketpair()
        reader, back = await asyncio.open_unix_connection(sock=ours)
        _, writer = await asyncio.open_unix_connection(sock=theirs)
        for number in range(200):
            writer.write(bytes([number]))
            async with asyncio.timeout(0.001):
                assert await reader.readexactly(1) == bytes([number])
        writer.close()
        back.close()
        return loop.time()

    assert run(loop, scenario()) == 0


def test_while_somebody_holds_the_clock_time_stands_still() -> None:
    loop = SimulatedLoop(None)
    clock = LoopClock(loop, 0)

    async def scenario() -> tuple[float, float]:
        sleeping = asyncio.create_task(asyncio.sleep(60))
        with clock.hold():
            await asyncio.to_thread(time.sleep, 0.15)
            held = loop.time()
        await sleeping
        return held, loop.time()

    assert run(loop, scenario()) == (0, 60)


def test_a_hold_ends_even_when_its_block_fails() -> None:
    loop = SimulatedLoop(None)
    with pytest.raises(KeyError), LoopClock(loop, 0).hold():
        raise KeyError("inside")
    assert loop.holds == 0
    loop.close()


@pytest.mark.parametrize("speed", [20.0, 400.0])
def test_paced_time_passes_as_many_times_as_fast(speed: float) -> None:
    loop = SimulatedLoop(speed)

    async def scenario() -> float:
        began = loop.time()
        await asyncio.sleep(0.2 * speed)
        return loop.time() - began

    began = time.monotonic()
    assert 0.2 * speed <= run(loop, scenario()) < 2 * speed
    assert 0.2 <= time.monotonic() - began < 2


def test_a_clock_never_runs_backwards() -> None:
    loop = SimulatedLoop(500.0)
    clock = LoopClock(loop, 7)
    moments = [int(clock.now()) for _ in range(2_000)]
    assert moments == sorted(moments)
    assert moments[0] >= 7
    loop.close()
