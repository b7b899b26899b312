"""The page in a real browser: it is drawn, fits, asks nobody else for anything, and halts."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from bmv.observe.view import EngineState
from bmv.web.server import WebServer
from tests.web.chromium import Tab, browsing, needs_chromium
from tests.web.sample_source import SampleSource

pytestmark = needs_chromium
TOKEN = "correct horse"
DRAWN = "document.querySelectorAll('#chart path.line').length > 3"
WIDTH = "document.documentElement.scrollWidth"
CLIPPED = """[...document.querySelectorAll('.tile dd, .facts, .facts span')]
    .filter((place) => place.scrollWidth > place.clientWidth + 1).map((place) => place.id)"""


def in_a_browser(folder: Path, act: Callable[[Tab, SampleSource, str], Awaitable[None]]) -> None:
    async def run() -> None:
        source = SampleSource()
        server = WebServer(source, token=TOKEN, tick_s=0.3)
        url = await server.start(port=0)
        try:
            async with browsing(folder) as tab:
                await act(tab, source, url)
                assert tab.complaints == []
                assert [each for each in tab.requests if not _own(each, url)] == []
        finally:
            await server.stop()

    asyncio.run(asyncio.wait_for(run(), 240))


def _own(asked: str, url: str) -> bool:
    return asked.startswith((url, url.replace("http", "ws", 1), "data:"))


def test_the_page_draws_fits_every_screen_and_tells_reasons(tmp_path: Path) -> None:
    async def act(tab: Tab, source: SampleSource, url: str) -> None:
        await tab.look(1440, 900)
        await tab.call("Page.navigate", url=f"{url}#token={TOKEN}")
        await tab.until(DRAWN)
        assert await tab.ask("location.hash") == ""
        for theme in ("dark", "light"):
            for width in (1440, 800, 390):
                await tab.look(width, 900, theme)
                await tab.until(f"{WIDTH} <= {width}")
                assert await tab.ask(f"document.documentElement.dataset.theme === '{theme}'")
                assert await tab.ask(CLIPPED) == [], (theme, width)
                for chart in ("chart", "depth"):
                    drawn = f"document.querySelector('#{chart} svg').clientWidth"
                    await tab.until(f"{drawn} === document.getElementById('{chart}').clientWidth")
        rows = "document.querySelectorAll('#ladder tr[data-why]')"
        await tab.ask(f"{rows}[3].dispatchEvent(new MouseEvent('mouseover', {{bubbles: true}}))")
        abroad = await tab.ask("document.getElementById('price-sub').textContent")
        assert abroad.endswith("0.0601234 USD \u00b7 0.0556698 EUR")
        why = await tab.ask("document.getElementById('ladder-why').textContent")
        assert "from the inside" in why
        assert "% of 120 SOL" in why
        for chart, word in (("chart", "Pivot 0.0004"), ("depth", "from the inside")):
            await tab.ask(
                f"document.getElementById('{chart}').dispatchEvent("
                "new PointerEvent('pointermove', {clientX: 200, clientY: 400}))"
            )
            assert word in await tab.ask(f"document.querySelector('#{chart} .tip:not([hidden])').textContent")
        for place in ("bands", "parts", "markouts", "bundles", "treasury", "wallets", "fills", "events"):
            assert await tab.ask(f"document.getElementById('{place}').children.length") > 2, place
        # What is pushed later changes what is shown.
        slot = await tab.ask("document.getElementById('slot').textContent")
        await tab.until(f"document.getElementById('slot').textContent !== '{slot}'")

    in_a_browser(tmp_path, act)


def test_the_button_halts_with_the_token_only(tmp_path: Path) -> None:
    async def act(tab: Tab, source: SampleSource, url: str) -> None:
        await tab.look(1000, 800)
        await tab.call("Page.navigate", url=url)
        await tab.until("!document.getElementById('halt').disabled")
        await tab.ask("document.getElementById('halt').click()")
        await tab.ask("document.getElementById('token').value = 'wrong'")
        await tab.ask("document.getElementById('halt-now').click()")
        await tab.until("document.getElementById('halt-error').textContent.includes('not the right one')")
        assert source.halts == []
        # A refusal is an answer that the browser tells in its log; no other complaint is allowed.
        assert [each for each in tab.complaints if "401" not in each] == []
        tab.complaints.clear()
        await tab.ask(f"document.getElementById('token').value = '{TOKEN}'")
        await tab.ask("document.getElementById('halt-now').click()")
        await tab.until("document.getElementById('state').textContent === 'stopped'")
        assert len(source.halts) == 1
        assert await tab.ask("document.getElementById('halt').disabled")
        assert "raised: halt button" in await tab.ask("document.getElementById('treasury').textContent")

    in_a_browser(tmp_path, act)


def test_the_page_says_where_the_engine_is_also_before_and_after_it_quotes(tmp_path: Path) -> None:
    async def act(tab: Tab, source: SampleSource, url: str) -> None:
        await tab.look(390, 800, "light")
        states: tuple[EngineState, ...] = ("starting", "stopped", "feed lost")
        for state in states:
            server = WebServer(SampleSource(state=state), token=TOKEN, tick_s=0.3)
            await tab.call("Page.navigate", url=await server.start(port=0))
            await tab.until(f"document.getElementById('state').textContent === '{state}'")
            await tab.until("!document.getElementById('notice').hidden")
            assert await tab.ask(WIDTH) <= 390
            await tab.call("Page.navigate", url="about:blank")
            await server.stop()
        tab.requests.clear()

    in_a_browser(tmp_path, act)
