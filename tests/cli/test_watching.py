"""``bmv status --watch`` draws in a terminal what the page's stream tells, and ends with it."""

import asyncio
import io
from pathlib import Path

import aiohttp
import pytest
from rich.console import Console

from bmv.app.presenting import shown_at
from bmv.cli.watching import followed, screen
from bmv.observe.view import View
from bmv.state.folder import StateFolder
from bmv.web.server import WebServer
from tests.web.sample_source import SampleSource


def drawn(view: View, width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width, height=80, color_system=None)
    console.print(screen(view))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_it_follows_the_stream_and_ends_where_the_page_does() -> None:
    async def act() -> list[View]:
        source, seen = SampleSource(steps=400), []
        server = WebServer(source, token="t", tick_s=0.02)
        url = await server.start(port=0)
        async for view in followed(url):
            seen.append(view)
            if len(seen) == 5:
                await source.halt("enough")
            if view.state == "stopped" and len(seen) > 8:
                await server.stop()
        return seen

    seen = asyncio.run(asyncio.wait_for(act(), 30))
    assert [view.state for view in seen[:5]] == ["quoting"] * 5
    assert (seen[-1].state, seen[-1].halt_reason) == ("stopped", "enough")
    assert seen[0].slot < seen[4].slot
    assert {len(view.ladder) for view in seen} == {84}


def test_the_screen_says_what_the_page_says() -> None:
    source = SampleSource(steps=600)
    view = source.view()
    told = drawn(view)
    for text in (
        "BMV/SOL quoting",
        "self-trades 0",
        "bids present 99.82 %",
        "asks 99.31 %",
        "both at once 99.20 %",
        view.wallets[0].state,
        view.bundles[0].outcome,
        "SOL/USD 150.25",
        f"price {view.price.value if view.price else ''}",
        "0.0601234 USD",
        "0.0556698 EUR",
        view.fills[0].size,
        view.events[0].name,
        "2.10 % of 120 SOL",
        "inventory",
        "3600 s",
    ):
        assert text in told, text
    assert told.index("ask") < told.index("bid ")
    starting = drawn(SampleSource(state="starting").view())
    assert "price -" in starting


def test_a_narrow_terminal_cuts_reasons_and_events_only() -> None:
    view = SampleSource(steps=600).view()
    long = {"bid", "ask", *(event.name for event in view.events)}
    cut = [line.split()[0] for line in drawn(view, 80).splitlines() if "\u2026" in line]
    assert "ask" in cut
    assert set(cut) <= long


def test_without_a_page_there_is_nothing_to_follow(tmp_path: Path) -> None:
    assert shown_at(StateFolder(tmp_path)) is None

    async def act() -> None:
        async for _ in followed("http://127.0.0.1:1/"):
            pass

    with pytest.raises(aiohttp.ClientError):
        asyncio.run(act())
