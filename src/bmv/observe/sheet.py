"""A report for people: one HTML file that needs nothing else, plots and their library inside."""

from collections.abc import Iterable, Sequence
from html import escape

import plotly.graph_objects as go  # type: ignore[import-untyped]

MARGIN = {"l": 50, "r": 10, "t": 40, "b": 40}
GREY = "#888"
STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1rem; max-width: 72rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; margin: 0 0 1rem; }
td, th { padding: .25rem .75rem; text-align: right; border-bottom: 1px solid #8884; white-space: nowrap; }
th { white-space: normal; vertical-align: bottom; }
td:first-child, th:first-child { text-align: left; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem; }
dl div { border: 1px solid #8886; border-radius: .5rem; padding: .5rem .75rem; }
dt { font-size: .8rem; opacity: .8; }
dd { margin: 0; font-size: 1.25rem; font-weight: 600; overflow-wrap: anywhere; }
p, li { overflow-wrap: anywhere; }
.warn { font-weight: 600; }
.note { font-size: .85rem; opacity: .8; }
@media (max-width: 40rem) {
  td, th { padding: .25rem .4rem; }
  td:first-child, th:first-child { white-space: normal; min-width: 8.5rem; padding-left: 0; }
  td:nth-child(2):last-child { white-space: normal; }
}
"""


def document(title: str, body: str) -> str:
    """Return the whole file; ``body`` is HTML."""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style>{body}</html>"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; the first column is told to the left."""
    heads = "".join(f"<th>{escape(each)}</th>" for each in head)
    lines = "".join(
        "<tr>" + "".join(f"<td>{escape(said(each))}</td>" for each in row) + "</tr>" for row in rows
    )
    return f"<table><tr>{heads}</tr>{lines}</table>"


def tiles(figures: Iterable[tuple[str, object]]) -> str:
    """Return figures that are to be seen first."""
    each = (f"<div><dt>{escape(name)}</dt><dd>{escape(said(value))}</dd></div>" for name, value in figures)
    return f"<dl>{''.join(each)}</dl>"


def said(value: object) -> str:
    """Return a value as people read it."""
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def figure(title: str, **layout: object) -> go.Figure:
    """Return an empty plot that is readable on a light and on a dark ground."""
    look = {
        "modebar": {"bgcolor": "rgba(0,0,0,0)"},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": GREY},
    }
    axis = {"gridcolor": "rgba(136,136,136,.25)", "zerolinecolor": GREY}
    legend = {"orientation": "h", "y": -0.15}
    made = go.Figure(
        layout={
            "title": {"text": title, "font": {"size": 13}},
            "margin": MARGIN,
            "height": 380,
            "legend": legend,
            **look,
            **layout,
        }
    )
    made.update_xaxes(**axis)
    made.update_yaxes(**axis)
    return made


def plots(figures: Iterable[go.Figure]) -> list[str]:
    """Return plots as HTML; the first brings the library with it."""
    return [
        each.to_html(
            full_html=False,
            include_plotlyjs=number == 0,
            config={"displayModeBar": False, "responsive": True},
            div_id=f"plot-{number + 1}",
        )
        for number, each in enumerate(figures)
    ]
