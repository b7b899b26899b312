// The two charts, drawn by plotly.js (global Plotly) in the colours of style.css.

import { amount, fixed, sideWord } from "./format.js";

const CHART_POINTS = 800;
const CONFIG = { displayModeBar: false, responsive: true };

function colours() {
  const style = getComputedStyle(document.documentElement);
  return (name) => style.getPropertyValue(`--${name}`).trim();
}

function axisOf(colour) {
  return { gridcolor: colour("line"), linecolor: colour("line"), zeroline: false, automargin: true, tickfont: { size: 11 } };
}

function priceAxis(colour, digits) {
  return { ...axisOf(colour), tickformat: `.${digits.order}f`, nticks: 8 };
}

function sharedLayout(colour) {
  return {
    paper_bgcolor: "transparent", plot_bgcolor: "transparent",
    font: { color: colour("soft"), family: colour("sans"), size: 12 },
    hoverlabel: { bgcolor: colour("raise"), bordercolor: colour("line"), font: { color: colour("ink"), family: colour("sans"), size: 12 } },
    legend: { orientation: "h", xref: "container", x: 0.01, yref: "container", y: 1, yanchor: "top", font: { size: 11 }, itemwidth: 30 },
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
  };
}

// ---- price over time --------------------------------------------------------------------------------------

// Keeps every 2^n-th point by its number, so that points do not jump from draw to draw, and the newest.
function thinned(all) {
  let step = 1;
  while (all.length / step > CHART_POINTS) step *= 2;
  return all.filter((point, index) => point.seq % step === 0 || index === all.length - 1);
}

function bands(shown, colour) {
  const zoned = shown.filter((point) => point.buy_low !== null && point.sell_high !== null);
  const at = zoned.map((point) => new Date(point.at));
  const edge = (key, name, wash) => ({
    x: at, y: zoned.map((point) => point[key]), name, mode: "lines", line: { width: 0 }, hoverinfo: "skip",
    fill: wash ? "tonexty" : "none", fillcolor: wash, showlegend: wash !== "", legendgroup: name, legendrank: 1100,
  });
  return [
    edge("buy_low", "BUY zone", ""), edge("buy_high", "BUY zone", colour("bid-wash")),
    edge("sell_low", "SELL zone", ""), edge("sell_high", "SELL zone", colour("ask-wash")),
  ];
}

function lines(shown, colour, digits) {
  const at = shown.map((point) => new Date(point.at));
  const line = (key, name, rank, tint, places, shape) => ({
    x: at, y: shown.map((point) => point[key]), name, mode: "lines", legendrank: rank,
    line: { color: colour(tint), width: 1.2, ...shape }, hovertemplate: `%{y:.${places}f}<extra>${name}</extra>`,
  });
  return [
    line("best_ask", "Best ask", 1003, "ask", digits.order, {}),
    line("best_bid", "Best bid", 1004, "bid", digits.order, {}),
    line("pivot", "Pivot", 1002, "pivot", digits.fine, { dash: "dash", width: 1.6 }),
    line("price", "Price", 1001, "accent", digits.fine, { width: 2.2 }),
  ];
}

function fillMarks(fills, since, colour) {
  const mark = (side, symbol, name) => {
    const own = fills.filter((one) => one.side === side && one.at >= since);
    return {
      x: own.map((one) => new Date(one.at)), y: own.map((one) => Number(one.price)), text: own.map((one) => `${amount(one.size)} at ${one.price}`),
      name, mode: "markers", legendrank: 1050, hovertemplate: `%{text}<extra>${name}</extra>`,
      marker: { symbol, size: 9, color: colour(side), line: { width: 1, color: colour("panel") } },
    };
  };
  return [mark("bid", "triangle-up", "Our buys"), mark("ask", "triangle-down", "Our sells")];
}

function nearPrice(shown) {
  const values = shown.flatMap((point) => [point.price, point.best_bid, point.best_ask]).filter((value) => value !== null);
  if (!values.length) return undefined;
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const margin = (high - low || high * 0.01) * 0.08;
  return [low - margin, high + margin];
}

export function drawHistory(place, points, fills, range, digits) {
  const [colour, shown] = [colours(), thinned(points)];
  const layout = {
    ...sharedLayout(colour), margin: { l: 12, r: 12, t: 8, b: 30 }, hovermode: "x unified", uirevision: range,
    xaxis: { ...axisOf(colour), type: "date", hoverformat: "%H:%M:%S UTC", spikecolor: colour("soft"), spikethickness: 1 },
    yaxis: { ...priceAxis(colour, digits), side: "right", range: range === "price" ? nearPrice(shown) : undefined },
  };
  const traces = [...bands(shown, colour), ...lines(shown, colour, digits), ...fillMarks(fills, shown[0].at, colour)];
  window.Plotly.react(place, traces, layout, CONFIG);
}

// ---- the ladder by price ----------------------------------------------------------------------------------

// Bars stand at real prices; each is as wide as its nearest neighbour allows, but never too thin to see.
function barWidths(levels) {
  const prices = [...new Set(levels.map((level) => Number(level.price)))].sort((a, b) => a - b);
  const span = prices.at(-1) - prices[0] || prices[0] * 0.01;
  const gap = (i) => Math.min(prices[i] - (prices[i - 1] ?? -Infinity), (prices[i + 1] ?? Infinity) - prices[i]);
  return new Map(prices.map((price, i) => [price, Math.max(span / 400, Math.min(span / 40, gap(i) * 0.7))]));
}

function hoverText(level, digits) {
  return `${sideWord(level.side)} ${amount(level.size)} at ${fixed(level.price, digits.order)}<br>`
    + `wallet ${level.wallet} \u00b7 ${level.state} \u00b7 ${fixed(level.distance_pct, 2, true)} %<br>${level.why.replaceAll(", ", "<br>")}`;
}

function bars(name, levels, widths, paint, digits) {
  return {
    type: "bar", orientation: "h", name, x: levels.map((level) => Number(level.size)), y: levels.map((level) => Number(level.price)),
    width: levels.map((level) => widths.get(Number(level.price))), marker: paint,
    text: levels.map((level) => hoverText(level, digits)), textposition: "none", hovertemplate: "%{text}<extra></extra>",
  };
}

function depthTraces(levels, colour, digits) {
  const widths = barWidths(levels);
  const solid = (tint) => ({ color: colour(tint), line: { width: 0 } });
  const parts = [
    ["Buys", (level) => level.state === "live" && level.side === "bid", solid("bid")],
    ["Sells", (level) => level.state === "live" && level.side === "ask", solid("ask")],
    ["In flight", (level) => level.state === "in-flight", solid("warn")],
    ["Leaving", (level) => level.state === "leaving", solid("idle")],
    ["Missing", (level) => level.state === "missing", { color: "transparent", line: { width: 1, color: colour("idle") } }],
  ];
  return parts
    .map(([name, isOne, paint]) => bars(name, levels.filter(isOne), widths, paint, digits))
    .filter((trace) => trace.x.length);
}

export function drawDepth(place, levels, price, symbol, digits) {
  const colour = colours();
  const line = { type: "line", xref: "paper", x0: 0, x1: 1, y0: price, y1: price, line: { color: colour("accent"), width: 1.4, dash: "dot" } };
  const layout = {
    ...sharedLayout(colour), margin: { l: 12, r: 14, t: 8, b: 30 }, barmode: "overlay", hovermode: "closest", uirevision: "depth",
    xaxis: { ...axisOf(colour), rangemode: "tozero", title: { text: `size, ${symbol}`, font: { size: 11 }, standoff: 6 } },
    yaxis: priceAxis(colour, digits), shapes: price === null ? [] : [line],
  };
  window.Plotly.react(place, depthTraces(levels, colour, digits), layout, CONFIG);
}
