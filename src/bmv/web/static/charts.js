// The two charts as SVG, in the colours of style.css, so that a change of theme needs no drawing.

import { byId } from "./dom.js";
import { amount, fixed, node, sideWord, time } from "./format.js";

const CHART_POINTS = 800;
const MARGIN = { top: 6, right: 78, bottom: 22, left: 10 };
const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800];
const LINES = [["best_ask", "Best ask"], ["best_bid", "Best bid"], ["pivot", "Pivot"], ["price", "Price"]];
const ZONES = [["buy_low", "buy_high", "BUY zone"], ["sell_low", "sell_high", "SELL zone"]];

function svg(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const round = (number) => Math.round(number * 10) / 10;
const scaled = (from, to, low, high) => (value) => round(low + ((value - from) / (to - from || 1)) * (high - low));

// Round numbers between two, about as many as asked for.
function ticks(low, high, about) {
  const raw = (high - low) / about || Math.abs(high) || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= raw);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.max(0, Math.floor(high / step) - first + 1) }, (_, i) => (first + i) * step);
}

// ---- what both charts have --------------------------------------------------------------------------------

// The place keeps one drawing, one legend and one tip; ``tell`` returns what the tip says at a position, and where.
function present(place, drawing, names, tell) {
  const box = byId(place);
  if (!box.children.length) {
    box.append(node("p", "", "legend"), node("div", "", "canvas"), node("p", "", "tip"));
    box.addEventListener("pointermove", (moved) => box.point(moved));
    box.addEventListener("pointerleave", () => { box.lastChild.hidden = true; });
    box.lastChild.hidden = true;
  }
  const [legend, canvas, tip] = box.children;
  if (legend.dataset.names !== names.join()) {
    legend.dataset.names = names.join();
    legend.replaceChildren(...names.map((name) => node("span", name, `key ${classOf(name)}`)));
  }
  canvas.replaceChildren(drawing);
  box.point = ({ clientX, clientY }) => {
    const edges = canvas.getBoundingClientRect();
    const told = tell(clientX - edges.left, clientY - edges.top);
    tip.hidden = told === null;
    if (told === null) return;
    tip.replaceChildren(...told.lines.map((line) => node("span", line)));
    tip.classList.toggle("left", told.x > edges.width / 2);
  };
}

const classOf = (name) => name.toLowerCase().replaceAll(" ", "-");

function sizeOf(place) {
  const box = byId(place);
  const [width, height] = [box.clientWidth || 600, (box.clientHeight || 350) - 40];
  return { width, height, right: width - MARGIN.right, bottom: height - MARGIN.bottom };
}

function frame({ width, height }) {
  return svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
}

function priceAxis(drawing, { right }, low, high, y, digits) {
  for (const each of ticks(low, high, 6)) {
    drawing.append(
      svg("line", { class: "grid", x1: MARGIN.left, x2: right, y1: y(each), y2: y(each) }),
      svg("text", { x: right + 6, y: y(each) + 4 }, each.toFixed(digits.order)),
    );
  }
}

// ---- price over time --------------------------------------------------------------------------------------

// Keeps every 2^n-th point by its number, so that points do not jump from draw to draw, and the newest.
function thinned(all) {
  let step = 1;
  while (all.length / step > CHART_POINTS) step *= 2;
  return all.filter((point, index) => point.seq % step === 0 || index === all.length - 1);
}

function priceRange(shown, range) {
  const keys = range === "price" ? ["price", "best_bid", "best_ask"] : [...LINES.map(([key]) => key), ...ZONES.flatMap(([low, high]) => [low, high])];
  const values = shown.flatMap((point) => keys.map((key) => point[key])).filter((value) => value !== null);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const margin = (high - low || high * 0.01) * 0.06;
  return [low - margin, high + margin];
}

function line(shown, key, x, y) {
  let pen = "M";
  let path = "";
  for (const point of shown) {
    if (point[key] === null) pen = "M";
    else {
      path += `${pen}${x(point.at)} ${y(point[key])}`;
      pen = "L";
    }
  }
  return path;
}

function zone(shown, low, high, x, y) {
  const known = shown.filter((point) => point[low] !== null && point[high] !== null);
  const edge = (point, key) => `${x(point.at)},${y(point[key])}`;
  return [...known.map((point) => edge(point, low)), ...known.reverse().map((point) => edge(point, high))].join(" ");
}

function timeAxis(drawing, { right, bottom }, from, to, x) {
  const step = 1000 * (STEPS_S.find((each) => (to - from) / 1000 / each <= Math.max(2, right / 110)) || STEPS_S.at(-1));
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
    const text = step >= 60000 ? time(at).slice(0, 5) : time(at);
    drawing.append(
      svg("line", { class: "grid", x1: x(at), x2: x(at), y1: MARGIN.top, y2: bottom }),
      svg("text", { x: x(at), y: bottom + 16, "text-anchor": "middle" }, text),
    );
  }
}

function mark(one, x, y) {
  const [at, price, up] = [x(one.at), y(Number(one.price)), one.side === "bid" ? 1 : -1];
  return svg("path", { class: `mark ${one.side}`, d: `M${at} ${price - 5 * up}l5 ${9 * up}h-10z` });
}

export function drawHistory(place, points, fills, range, digits) {
  const [size, shown] = [sizeOf(place), thinned(points)];
  const [from, to] = [shown[0].at, shown.at(-1).at];
  const [low, high] = priceRange(shown, range);
  const [x, y] = [scaled(from, to, MARGIN.left, size.right), scaled(low, high, size.bottom, MARGIN.top)];
  const drawing = frame(size);
  const inside = svg("svg", { x: 0, y: 0, width: size.right, height: size.bottom });
  priceAxis(drawing, size, low, high, y, digits);
  timeAxis(drawing, size, from, to, x);
  for (const [bottom, top, name] of ZONES) inside.append(svg("polygon", { class: classOf(name), points: zone(shown, bottom, top, x, y) }));
  for (const [key, name] of LINES) inside.append(svg("path", { class: `line ${classOf(name)}`, d: line(shown, key, x, y) }));
  inside.append(...fills.filter((one) => one.at >= from).map((one) => mark(one, x, y)));
  drawing.append(inside);
  const names = ["Price", "Pivot", "Best ask", "Best bid", "Our buys", "Our sells", "BUY zone", "SELL zone"];
  present(place, drawing, names, (left) => {
    const near = shown.reduce((best, point) => (Math.abs(x(point.at) - left) < Math.abs(x(best.at) - left) ? point : best));
    const told = [...LINES].reverse().map(([key, name]) => `${name} ${fixed(near[key], key.startsWith("best") ? digits.order : digits.fine)}`);
    return { x: left, lines: [`${time(near.at)} UTC`, ...told] };
  });
}

// ---- the ladder by price ----------------------------------------------------------------------------------

function hoverLines(level, digits) {
  return [
    `${sideWord(level.side)} ${amount(level.size)} at ${fixed(level.price, digits.order)}`,
    `wallet ${level.wallet} \u00b7 ${level.state} \u00b7 ${fixed(level.distance_pct, 2, true)} %`,
    ...level.why.split(", "),
  ];
}

export function drawDepth(place, levels, price, symbol, digits) {
  const size = sizeOf(place);
  const prices = levels.map((level) => Number(level.price));
  const [low, high] = [Math.min(...prices, price ?? Infinity), Math.max(...prices, price ?? 0)];
  const largest = Math.max(...levels.map((level) => Number(level.size)));
  const [x, y] = [scaled(0, largest, MARGIN.left, size.right), scaled(low, high, size.bottom - 4, MARGIN.top + 4)];
  const height = Math.max(1, Math.min(8, ((size.bottom - MARGIN.top) / levels.length) * 0.7));
  const drawing = frame(size);
  priceAxis(drawing, size, low, high, y, digits);
  for (const each of ticks(0, largest, 4).slice(1)) {
    drawing.append(svg("text", { x: x(each), y: size.bottom + 16, "text-anchor": "middle" }, amount(String(each))));
  }
  drawing.append(svg("text", { x: MARGIN.left, y: size.bottom + 16 }, symbol));
  for (const level of levels) {
    const top = round(y(Number(level.price)) - height / 2);
    drawing.append(svg("rect", { class: `rung ${level.side} ${level.state}`, x: MARGIN.left, y: top, width: x(Number(level.size)) - MARGIN.left, height }));
  }
  if (price !== null) drawing.append(svg("line", { class: "now", x1: MARGIN.left, x2: size.right, y1: y(price), y2: y(price) }));
  present(place, drawing, ["Buys", "Sells", "In flight", "Leaving", "Missing"], (left, top) => {
    const distance = (level) => Math.abs(y(Number(level.price)) - top);
    const near = levels.reduce((best, level) => (distance(level) < distance(best) ? level : best));
    return { x: left, lines: hoverLines(near, digits) };
  });
}
