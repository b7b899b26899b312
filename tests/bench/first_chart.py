"""From asking for the page to its first chart, drawn from what the stream told, in headless Chromium.

The baseline is what a chart library alone costs: a page that loads plotly.js, also from this machine, and
draws one line. Nothing is cached; the shortest of the rounds counts, as whatever is longer met other work.
``cpu`` is the processor time of the page's main thread until then.
"""

import asyncio
import tempfile
from pathlib import Path

from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from bmv.web.server import Server, WebServer
from tests.web.chromium import PATH, Tab, browsing
from tests.web.sample_source import SampleSource

ROUNDS = 4
MARK = """
new MutationObserver((_, seen) => {
  if (!document.querySelector("#chart path.line, .scatterlayer .trace")) return;
  window.drawnAt = performance.now();
  seen.disconnect();
}).observe(document, { childList: true, subtree: true });
"""
ALONE = """<!doctype html><body><script src="/plotly.js"></script><script>
const place = document.createElement("div");
document.body.append(place);
Plotly.newPlot(place, [{ y: [1, 2] }]);
</script>"""


def library() -> Starlette:
    """Return an app that serves the baseline."""
    script = get_plotlyjs().encode()
    return Starlette(
        routes=[
            Route("/", lambda _: Response(ALONE, media_type="text/html")),
            Route("/plotly.js", lambda _: Response(script, media_type="text/javascript")),
        ]
    )


def run() -> dict[str, object]:
    """Return milliseconds; where there is no Chromium, say so."""
    if PATH is None:
        return {"bench": "first_chart", "not_run": "no chromium"}
    return asyncio.run(_measured())


async def _measured() -> dict[str, object]:
    server = WebServer(SampleSource(), token="bench", tick_s=0.5)
    other = Server(library())
    url, alone_url = await server.start(port=0), await other.start(port=0)
    try:
        with tempfile.TemporaryDirectory() as folder:
            async with browsing(Path(folder)) as tab:
                await tab.look(1440, 900)
                await tab.call("Network.setCacheDisabled", cacheDisabled=True)
                await tab.call("Performance.enable", timeDomain="threadTicks")
                await tab.call("Page.addScriptToEvaluateOnNewDocument", source=MARK)
                alone = [await _drawn(tab, alone_url) for _ in range(ROUNDS)]
                ours = [await _drawn(tab, url) for _ in range(ROUNDS)]
    finally:
        await server.stop()
        await other.stop()
    return {
        "bench": "first_chart",
        "baseline_ms": min(wall for wall, _ in alone),
        "baseline_cpu_ms": min(cpu for _, cpu in alone),
        "ours_ms": min(wall for wall, _ in ours),
        "ours_cpu_ms": min(cpu for _, cpu in ours),
        "slowest_ms": max(wall for wall, _ in ours),
    }


async def _drawn(tab: Tab, url: str) -> tuple[int, int]:
    """Return milliseconds until a chart is there, and the main thread's part of them."""
    await tab.call("Page.navigate", url="about:blank")
    before = await _busy(tab)
    await tab.call("Page.navigate", url=url)
    await tab.until("window.drawnAt > 0")
    after = await _busy(tab)
    # Another process may have taken over with the new address: then its own time is all there is.
    cpu = after - before if after > before else after
    return round(await tab.ask("window.drawnAt")), round(cpu * 1_000)


async def _busy(tab: Tab) -> float:
    metrics = (await tab.call("Performance.getMetrics"))["metrics"]
    return next(float(one["value"]) for one in metrics if one["name"] == "TaskDuration")
