// The page's places, and writing to them only where something has changed.

import { node } from "./format.js";

const drawn = new Map();

export const byId = (id) => document.getElementById(id);

export function put(id, text, className) {
  const place = byId(id);
  if (place.textContent !== text) place.textContent = text;
  if (className !== undefined && place.className !== className) place.className = className;
}

export function changed(key, value) {
  const text = JSON.stringify(value);
  if (drawn.get(key) === text) return false;
  drawn.set(key, text);
  return true;
}

export const forget = () => drawn.clear();

export function cell(text, className = "", label = "") {
  const made = node("td", text, className);
  if (label) made.dataset.label = label;
  return made;
}

export function row(...cells) {
  const made = node("tr");
  made.append(...cells);
  return made;
}

export function fill(id, items, makeRow, empty = "") {
  put(`${id}-empty`, items.length ? "" : empty);
  if (!changed(id, items)) return false;
  byId(id).replaceChildren(...items.map(makeRow));
  return true;
}

export function pairs(id, named) {
  if (!changed(id, named)) return;
  byId(id).replaceChildren(...named.map(([name, value, className]) => {
    const pair = node("div");
    pair.append(node("dt", name), node("dd", value, className || ""));
    return pair;
  }));
}
