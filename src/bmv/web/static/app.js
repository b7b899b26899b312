// The live page. Rules of this file
// - The server pushes {view, history} about once a second, of the view what has changed; the page only shows, and
//   asks to halt.
// - Text goes in as text nodes, never as HTML.
// - A part of the page is redrawn only where what it shows has changed.

import { drawDepth, drawHistory } from "./charts.js";
import { byId, cell, changed, fill, forget, pairs, put, row } from "./dom.js";
import { amount, count, duration, fixed, node, percent, priceDigits, short, sideWord, sol, time } from "./format.js";
import { showPanels } from "./panels.js";

const SHOWN_PER_SIDE = 120; // ladder rows nearest the price
const KEPT_POINTS = 20000;
const SILENCE_MS = 8000; // a push is due every second or so
const MAX_DELAY_MS = 15000;
const CHART_EVERY_MS = 1000;
const TOKEN_KEY = "bmv-token";

const NOTICES = {
  starting: "Engine starting: opening accounts and reading the market.",
  quoting: "",
  halting: "Halting: cancelling every order and checking on chain that nothing is left.",
  stopped: "The engine has stopped.",
  "feed lost": "The chain cannot be read: no order is placed until it is back.",
};
const EMPTY = {
  chart: "The chart begins with the first price.",
  depth: "The ladder is drawn once orders are wanted.",
  ladder: "Orders appear here once the ladder is built.",
  wallets: "Wallets appear here once their accounts are read.",
  fills: "No fill yet: one appears when somebody trades with our orders.",
  events: "No event yet.",
  bands: "Depth is told once both sides of the book stand.",
  parts: "The books open with the first price.",
  bundles: "No bundle has ended yet.",
};
const GONE = { ladder: "Nothing of ours is on the book.", depth: "Nothing of ours is on the book." };

let view = null;
let points = [];
let started = null;
let range = "channel";
let [waiting, later, drawnAt] = [0, 0, -Infinity];
let token = "";
const RANGE_BUTTONS = document.querySelectorAll("[data-range]");

// ---- header and tiles -------------------------------------------------------------------------------------

function showHeader(now, digits) {
  const price = now.price ? `${fixed(now.price.value, digits.fine)} ` : "";
  document.title = `${price}${now.symbol} \u00b7 ${now.state}`;
  put("pair", `${now.symbol}/SOL`);
  put("mode", now.mode, `tag ${now.mode}`);
  byId("mode").hidden = false;
  showState(now.state);
  put("market", `market ${short(now.market)}`);
  byId("market").title = now.market;
  put("slot", `slot ${count(now.slot)}`);
  put("clock", `${time(now.now)} \u00b7 up ${duration(now.now - now.started)}`);
  put("product", `${now.product} ${now.version}`);
  const ending = { halting: "Halting\u2026", stopped: "Stopped" }[now.state];
  byId("halt").disabled = ending !== undefined;
  put("halt", ending || "Halt");
}

function showState(state) {
  put("state", state);
  byId("state").dataset.state = state;
}

function showNotice(text, bad = false) {
  const notice = byId("notice");
  notice.hidden = text === "";
  notice.className = bad ? "notice bad" : "notice";
  put("notice", text);
}

function showTiles(now, digits) {
  const { price, pivot, counters } = now;
  const away = price && pivot ? (Number(price.value) / Number(pivot) - 1) * 100 : null;
  put("price", fixed(price && price.value, digits.fine));
  const abroad = price ? [price.usd && `${price.usd} USD`, price.eur && `${price.eur} EUR`].filter(Boolean) : [];
  put("price-sub", price ? [`from ${price.source}`, ...abroad].join(" \u00b7 ") : "not known yet");
  put("pivot", fixed(pivot, digits.fine));
  const closed = now.channel ? now.channel.closed : [];
  const outside = closed.length ? `out of channel, no ${closed.join(", no ")}` : "";
  put("pivot-sub", outside || (away === null ? "" : `price ${percent(away, true)}`), outside ? "sub ask" : "sub");
  byId("pivot-sub").title = `without its daily limit ${fixed(now.pivot_raw, digits.fine)}; our fills made ${percent(now.own_share_pct)} of its volume`;
  put("spread", percent(now.spread_pct));
  put("spread-sub", now.best_bid || now.best_ask ? `${fixed(now.best_bid, digits.order)} / ${fixed(now.best_ask, digits.order)}` : "");
  byId("spread-sub").title = `without our orders: ${fixed(now.foreign_bid, digits.order)} / ${fixed(now.foreign_ask, digits.order)}`;
  put("equity", fixed(now.equity_sol, 2));
  put("equity-sub", now.pnl_sol === null ? "" : `PnL ${sol(now.pnl_sol, 4, true)}`, `sub ${Number(now.pnl_sol) < 0 ? "ask" : "bid"}`);
  put("kept", count(counters.orders_kept));
  put("kept-sub", `${count(counters.orders_placed)} placed`);
  put("landed", count(counters.bundles_landed));
  put("landed-sub", landedShare(counters));
  showIntegrity(counters.self_trades);
}

function landedShare(counters) {
  const ended = counters.bundles_landed + counters.bundles_failed + counters.bundles_expired;
  if (!ended) return "none sent yet";
  return `${fixed((counters.bundles_landed / ended) * 100, 1)} % of ${count(ended)} ended`;
}

function showIntegrity(selfTrades) {
  put("self-trades", String(selfTrades));
  put("integrity-sub", selfTrades === 0 ? "own against own" : "own orders met: must never be");
  byId("integrity").className = selfTrades === 0 ? "tile integrity" : "tile integrity broken";
}

function showCounters(now) {
  const c = now.counters;
  const errors = Object.entries(c.errors).map(([kind, count]) => `${kind} ${count}`).join(", ");
  pairs("counters", [
    ["Fills", count(c.fills)], ["Volume", sol(c.volume_sol, 3)], ["Self-trades", count(c.self_trades)],
    ["Orders placed", count(c.orders_placed)], ["Orders kept", count(c.orders_kept)], ["Orders cancelled", count(c.orders_cancelled)],
    ["Bundles sent", count(c.bundles_sent)], ["Bundles landed", count(c.bundles_landed)], ["Bundles failed", count(c.bundles_failed)],
    ["Bundles expired", count(c.bundles_expired)], ["Tips", sol(c.tips_sol, 6)], ["Fees", sol(c.fees_sol, 6)], ["Errors", errors || "none"],
  ]);
}

// ---- tables -----------------------------------------------------------------------------------------------

const emptyText = (id, state) => (state === "stopped" && GONE[id]) || EMPTY[id];

function nearest(ladder, side) {
  const outwards = side === "bid" ? (a, b) => b.price - a.price : (a, b) => a.price - b.price;
  return ladder.filter((level) => level.side === side).sort(outwards).slice(0, SHOWN_PER_SIDE);
}

function showLadder(now, digits) {
  const [bids, asks] = [nearest(now.ladder, "bid"), nearest(now.ladder, "ask")];
  const gap = { gap: true, price: now.price, spread: now.spread_pct };
  const items = now.ladder.length ? [...asks.reverse(), gap, ...bids] : [];
  const largest = Math.max(...now.ladder.map((level) => Number(level.size)));
  const first = byId("ladder").children.length === 0;
  const makeRow = (item) => (item.gap ? gapRow(item, digits) : levelRow(item, digits, largest));
  if (fill("ladder", items, makeRow, emptyText("ladder", now.state)) && first) centreLadder();
  put("ladder-note", ladderNote(now.ladder, bids.length + asks.length));
}

function ladderNote(ladder, listed) {
  const moving = ladder.filter((level) => level.state !== "live").length;
  const farther = ladder.length - listed;
  const parts = [`${ladder.length} orders`, moving ? `${moving} moving` : "", farther ? `${farther} farther out not listed` : ""];
  return ladder.length ? parts.filter(Boolean).join(", ") : "";
}

function levelRow(level, digits, largest) {
  const size = cell(amount(level.size), `num bar-${level.side}`);
  size.style.setProperty("--fill", `${((Number(level.size) / largest) * 100).toFixed(1)}%`);
  const made = row(
    cell(sideWord(level.side), level.side),
    cell(fixed(level.price, digits.order), `num ${level.side}`),
    size,
    cell(percent(level.distance_pct, true), "num far"),
    cell(String(level.wallet), "num"),
    cell(level.state + (level.point < 0 ? " \u00b7 touch" : ""), level.state === "in-flight" ? "warn" : ""),
  );
  if (level.state !== "live") made.className = "waiting";
  made.title = made.dataset.why = level.why;
  return made;
}

// On hover, and on a tap where there is no hover; it stays while the table is drawn anew.
function showWhy({ target }) {
  const over = target.closest("tr[data-why]");
  if (over) put("ladder-why", `${over.cells[0].textContent} at ${over.cells[1].textContent}: ${over.dataset.why}`);
}

function gapRow(gap, digits) {
  const middle = cell(`Price ${fixed(gap.price && gap.price.value, digits.fine)} \u00b7 spread ${percent(gap.spread)}`);
  middle.colSpan = 6;
  const made = row(middle);
  made.className = "gap";
  return made;
}

function centreLadder() {
  const [box, gap] = [byId("ladder-box"), document.querySelector("tr.gap")];
  if (gap) box.scrollTop = gap.offsetTop - (box.clientHeight - gap.clientHeight) / 2;
}

function walletRow(wallet) {
  const address = cell("", "", "Address");
  const code = node("span", short(wallet.address), "mono");
  code.title = wallet.address;
  address.append(code);
  return row(
    cell(String(wallet.index), "num", "Wallet"),
    address,
    cell(wallet.state, wallet.state === "ready" ? "" : "warn", "State"),
    cell(String(wallet.orders), "num", "Orders"),
    cell(fixed(wallet.sol_free, 4), "num", "SOL free"),
    cell(fixed(wallet.sol_locked, 4), "num", "SOL in bids"),
    cell(amount(wallet.tokens_free), "num", "Tokens free"),
    cell(amount(wallet.tokens_locked), "num", "Tokens in asks"),
    cell(fixed(wallet.gas_sol, 4), "num", "Gas SOL"),
  );
}

function fillRow(one, digits) {
  return row(
    cell(time(one.at)),
    cell(sideWord(one.side), one.side),
    cell(fixed(one.price, digits.order), "num"),
    cell(amount(one.size), "num"),
    cell(String(one.wallet), "num"),
  );
}

function eventRow(event) {
  const made = node("li");
  const tone = /KILL|INTEGRITY|FAILED|LOST|ERROR/.test(event.name) ? "ask" : /EXPIRED|EVICT|ASIDE/.test(event.name) ? "warn" : "";
  const stamp = node("time", time(event.at));
  stamp.dateTime = new Date(event.at).toISOString();
  made.append(stamp, node("b", event.name, tone), node("span", event.text));
  return made;
}

function showTables(now, digits) {
  showLadder(now, digits);
  fill("wallets", now.wallets, walletRow, emptyText("wallets", now.state));
  fill("fills", now.fills, (one) => fillRow(one, digits), emptyText("fills", now.state));
  fill("events", now.events, eventRow, emptyText("events", now.state))
  showPanels(now, (id) => emptyText(id, now.state));
  const ready = now.wallets.filter((wallet) => wallet.state === "ready").length;
  put("wallets-note", now.wallets.length ? `${ready} of ${now.wallets.length} ready` : "");
  put("fills-note", now.fills.length < now.counters.fills ? `newest ${now.fills.length} of ${count(now.counters.fills)}` : "");
}

// ---- charts -----------------------------------------------------------------------------------------------

const sizeOf = (id) => `${byId(id).clientWidth} ${byId(id).clientHeight}`;

function showCharts(now, digits) {
  const levels = [...nearest(now.ladder, "bid"), ...nearest(now.ladder, "ask")];
  const ready = { chart: points.length > 1, depth: levels.length > 0 };
  for (const id of ["chart", "depth"]) byId(id).hidden = !ready[id];
  put("chart-empty", ready.chart ? "" : emptyText("chart", now.state));
  put("depth-empty", ready.depth ? "" : emptyText("depth", now.state));
  put("depth-note", ready.depth && now.price ? "dotted: price" : "");
  // Charts cost a browser more than all the rest: once a second is often enough.
  const wait = drawnAt + CHART_EVERY_MS - performance.now();
  if (wait > 0) {
    later = later || setTimeout(() => { later = 0; soon(); }, wait);
    return;
  }
  drawnAt = performance.now();
  if (ready.chart && changed("chart", [points.at(-1).seq, range, sizeOf("chart"), now.fills.length])) {
    drawHistory("chart", points, now.fills, range, digits);
  }
  if (ready.depth && changed("depth", [levels, now.price, sizeOf("depth")])) {
    drawDepth("depth", levels, now.price ? Number(now.price.value) : null, now.symbol, digits);
  }
}

// ---- the stream -------------------------------------------------------------------------------------------

// However many pushes come before the screen is drawn again, the newest is shown, once.
function soon() {
  if (!waiting) waiting = requestAnimationFrame(show);
}

function show() {
  waiting = 0;
  if (!view || document.hidden) return;
  const digits = priceDigits(view);
  if (changed("digits", digits)) {
    forget();
    changed("digits", digits);
  }
  showHeader(view, digits);
  showTiles(view, digits);
  showCounters(view);
  showTables(view, digits);
  showCharts(view, digits);
  const why = view.halt_reason ? ` Reason: ${view.halt_reason}.` : "";
  showNotice(NOTICES[view.state] && NOTICES[view.state] + why, view.state === "feed lost");
}

function take(push) {
  if ("started" in push.view && push.view.started !== started) points = []; // another run: its numbers start anew
  started = push.view.started ?? started;
  const last = points.length ? points.at(-1).seq : -Infinity;
  points = points.concat(push.history.filter((point) => point.seq > last)).slice(-KEPT_POINTS);
  view = { ...view, ...push.view };
  document.body.classList.remove("stale");
  soon();
}

function lost(delay) {
  document.body.classList.add("stale");
  byId("halt").disabled = true;
  const ended = view !== null && view.state === "stopped";
  const what = ended ? "The engine has stopped and its page is closed." : "Connection lost.";
  showState(ended ? "stopped" : "connection lost");
  showNotice(`${what} ${view ? "Below is what it last said. " : ""}Retrying every ${Math.round(delay / 1000)} s.`, !ended);
}

function connect(delay = 1000) {
  const since = points.length ? points.at(-1).seq : 0;
  const socket = new WebSocket(`ws://${location.host}/ws?since=${since}`);
  let next = Math.min(delay * 2, MAX_DELAY_MS);
  let watchdog = setTimeout(() => socket.close(), SILENCE_MS);
  socket.onmessage = (message) => {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => socket.close(), SILENCE_MS);
    next = 1000;
    take(JSON.parse(message.data));
  };
  socket.onclose = () => {
    clearTimeout(watchdog);
    lost(next);
    setTimeout(connect, next, next);
  };
}

// ---- halt -------------------------------------------------------------------------------------------------

function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem(TOKEN_KEY, given);
    history.replaceState(null, "", location.pathname);
  }
  token = given || sessionStorage.getItem(TOKEN_KEY) || "";
}

function askHalt() {
  byId("token-row").hidden = token !== "";
  put("halt-error", "");
  byId("halt-dialog").showModal();
  byId(token ? "halt-keep" : "token").focus();
}

async function sendHalt(submit) {
  submit.preventDefault();
  byId("halt-now").disabled = true;
  const headers = { "x-bmv-token": token || byId("token").value.trim() };
  const answer = await fetch("/api/halt", { method: "POST", headers }).catch(() => null);
  byId("halt-now").disabled = false;
  if (answer && answer.status === 202) {
    byId("halt-dialog").close();
  } else if (answer && answer.status === 401) {
    token = "";
    sessionStorage.removeItem(TOKEN_KEY);
    byId("token-row").hidden = false;
    put("halt-error", "That token is not the right one.");
    byId("token").select();
  } else put("halt-error", "The engine did not answer. Use Ctrl-C in its terminal, or try again.");
}

function chooseRange(click) {
  range = click.currentTarget.dataset.range;
  drawnAt = -Infinity;
  for (const button of RANGE_BUTTONS) button.setAttribute("aria-pressed", String(button.dataset.range === range));
  show();
}

function followTheme() {
  const light = matchMedia("(prefers-color-scheme: light)");
  document.documentElement.dataset.theme = light.matches ? "light" : "dark";
  light.addEventListener("change", followTheme, { once: true });
}

takeToken();
followTheme();
for (const kind of ["mouseover", "click"]) byId("ladder").addEventListener(kind, showWhy);
byId("halt").addEventListener("click", askHalt);
byId("halt-keep").addEventListener("click", () => byId("halt-dialog").close());
byId("halt-form").addEventListener("submit", sendHalt);
for (const button of RANGE_BUTTONS) button.addEventListener("click", chooseRange);
document.addEventListener("visibilitychange", show);
const resized = new ResizeObserver(soon);
for (const id of ["chart", "depth"]) resized.observe(byId(id));
connect();
