// How numbers, times and addresses are written. Decimal strings are only rounded to be shown.

export const DASH = "\u2013";

export function fixed(text, digits, sign = false) {
  if (text === null || text === undefined) return DASH;
  const shape = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  if (sign) shape.signDisplay = "exceptZero";
  return Number(text).toLocaleString("en-US", shape);
}

const decimals = (text) => (/\.(\d*?)0*$/.exec(text) || ["", ""])[1].length;

export const count = (number) => fixed(number, 0);
export const percent = (text, sign = false) => (text === null ? DASH : `${fixed(text, 2, sign)} %`);
export const amount = (text) => fixed(text, Math.min(decimals(text), Math.abs(Number(text)) >= 1000 ? 0 : 3));
export const sol = (text, digits, sign = false) => (text === null ? DASH : `${fixed(text, digits, sign)} SOL`);
export const time = (ms) => new Date(ms).toISOString().slice(11, 19);
export const short = (address) => (address.length > 12 ? `${address.slice(0, 4)}\u2026${address.slice(-4)}` : address);
export const sideWord = (side) => (side === "bid" ? "Buy" : "Sell");

// Orders get the decimals of the finest order price; averages such as the pivot at least four significant figures.
export function priceDigits(view) {
  const asked = [...view.ladder.map((level) => level.price), view.best_bid, view.best_ask, view.foreign_bid, view.foreign_ask];
  const order = Math.min(14, Math.max(2, ...asked.filter((price) => price !== null).map(decimals)));
  const value = Number(view.price ? view.price.value : 0);
  const significant = value > 0 ? Math.min(14, 3 - Math.floor(Math.log10(value))) : 2;
  return { order, fine: Math.max(order, significant) };
}

export function duration(ms) {
  const minutes = Math.max(0, Math.floor(ms / 60000));
  const [days, hours] = [Math.floor(minutes / 1440), Math.floor(minutes / 60) % 24];
  if (days) return `${days} d ${hours} h`;
  return hours ? `${hours} h ${minutes % 60} min` : `${minutes} min`;
}

export function node(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}
