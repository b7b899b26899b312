"""What can be said about the page's files without a browser."""

import re
from pathlib import Path

import pytest

import bmv.web
from bmv.observe import view as shown

STATIC = Path(bmv.web.__file__).parent / "static"
FILES = sorted(STATIC.iterdir())
PAGE = (STATIC / "index.html").read_text()
APP = (STATIC / "app.js").read_text()
SCRIPTS = "\n".join(path.read_text() for path in FILES if path.suffix == ".js")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_is_loaded_from_elsewhere(path: Path) -> None:
    addresses = set(re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]+[^\s'\"]*", path.read_text()))
    # The one address is the name of the SVG format, which nobody fetches.
    assert {address for address in addresses if "www.w3.org/2000/svg" not in address} == set()


def test_the_page_has_no_inline_script() -> None:
    assert re.findall(r"<script(?![^>]*\bsrc=)", PAGE) == []
    assert re.findall(r"\son[a-z]+=", PAGE) == []
    assert "javascript:" not in PAGE


def test_text_never_goes_in_as_html() -> None:
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", SCRIPTS) == []


def test_every_place_the_script_writes_to_exists_once() -> None:
    ids = re.findall(r'\bid="([^"]+)"', PAGE)
    assert len(ids) == len(set(ids))
    asked = set(re.findall(r'(?:byId|put|fill|pairs)\("([^"]+)"', SCRIPTS))
    assert asked > {"price", "ladder", "halt", "self-trades", "treasury", "bands"}
    assert asked <= set(ids)


@pytest.mark.parametrize(
    ("spelled", "kind"),
    [
        (r"\b(?:now|view)", shown.View),
        (r"\b(?:counters|c)", shown.CountersView),
        (r"\blevel", shown.LevelView),
        (r"\bwallet", shown.WalletRow),
        (r"\bone", shown.FillView),
        (r"\bevent", shown.EventView),
        (r"\bprice", shown.PriceView),
        (r"\bpoint", shown.HistoryPoint),
        (r"\bpresence", shown.PresenceView),
        (r"\bband", shown.BandView),
        (r"\bpart", shown.PartView),
        (r"\bmarkout", shown.MarkoutView),
        (r"\bbundle", shown.BundleView),
        (r"\bheld", shown.TreasuryView),
        (r"\binventory", shown.InventoryView),
    ],
)
def test_the_scripts_read_only_fields_that_are_sent(spelled: str, kind: type) -> None:
    plain = re.sub(r"`\S*\.js`|\"\./\w+\.js\"", "", SCRIPTS)
    read = set(re.findall(rf"(?<![.\w\"]){spelled}\.([a-z]\w*)", plain))
    assert read
    assert read <= set(kind.__struct_fields__) | {"toString"}  # type: ignore[attr-defined]


def test_the_page_knows_every_state_of_the_engine() -> None:
    for state in shown.EngineState.__args__:  # type: ignore[attr-defined]
        assert re.search(rf'^  "?{state}"?: "', APP, re.MULTILINE), state
    css = (STATIC / "style.css").read_text()
    for state in ("quoting", "halting", "stopped", "feed lost"):
        assert f'data-state="{state}"' in css


def _luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    digits = "".join(c * 2 for c in digits) if len(digits) == 3 else digits
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1], ids=["dark", "light"])
@pytest.mark.parametrize("ink", ["ink", "soft", "bid", "ask", "warn", "idle", "accent", "pivot"])
def test_text_stands_out_from_every_ground(theme: int, ink: str) -> None:
    """WCAG 2.1, contrast (minimum), level AA: 4.5 to 1."""
    themes = re.findall(r":root \{(.*?)\}", (STATIC / "style.css").read_text(), re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})\b", themes[theme]))
    for ground in ("ground", "panel", "raise"):
        light, dark = sorted((_luminance(colours[ink]), _luminance(colours[ground])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, ground
