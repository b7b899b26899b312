// The panels of money and quality: depth at bands, profit and loss, markouts, treasury, bundles.

import { cell, fill, pairs, put, row } from "./dom.js";
import { amount, count, fixed, percent, short, sol, time } from "./format.js";

const tone = (text) => (text === null || Number(text) === 0 ? "" : Number(text) < 0 ? "ask" : "bid");
const horizon = (seconds) => (seconds < 60 ? `${seconds} s` : seconds < 3600 ? `${seconds / 60} min` : `${seconds / 3600} h`);

function share(own, all) {
  const made = cell(percent(Number(all) ? (Number(own) / Number(all)) * 100 : null), "num soft");
  made.title = "our part of all that stands there";
  return made;
}

function bandRow(band) {
  return row(
    cell(`${band.pct} %`),
    cell(fixed(band.bid_own, 2), "num bid"), share(band.bid_own, band.bid_all),
    cell(fixed(band.ask_own, 2), "num ask"), share(band.ask_own, band.ask_all),
  );
}

function markoutRow(markout) {
  const bps = (text, fills) => {
    const made = cell(fixed(text, 1, true), `num ${tone(text)}`);
    made.title = `${count(fills)} fills`;
    return made;
  };
  return row(
    cell(horizon(markout.seconds)),
    bps(markout.bid_bps, markout.bid_fills), cell(count(markout.bid_fills), "num soft"),
    bps(markout.ask_bps, markout.ask_fills), cell(count(markout.ask_fills), "num soft"),
  );
}

function partRow(part) {
  return row(cell(part.name.replaceAll("_", " ")), cell(fixed(part.sol, 6, true), `num ${tone(part.sol)}`));
}

function bundleRow(bundle) {
  const state = cell(bundle.outcome, { failed: "ask", expired: "warn" }[bundle.outcome] || "");
  const id = cell(short(bundle.id), "mono");
  id.title = bundle.id;
  return row(cell(time(bundle.at)), state, id, cell(fixed(bundle.cost_sol, 6), "num"), cell(bundle.reason, "soft reason"));
}

function showTreasury(now) {
  const held = now.treasury;
  const inventory = now.inventory;
  const stopped = now.state === "halting" || now.state === "stopped";
  pairs("treasury", [
    ["Treasury SOL", held ? sol(held.sol, 3) : "\u2013"],
    ["Treasury USDC", held ? fixed(held.usdc, 2) : "\u2013"],
    ["SOL/USD", held ? fixed(held.sol_usd, 2) : "\u2013", held && !held.firm ? "warn" : ""],
    ["Price of SOL from", held && held.sol_usd ? `${time(held.seen_at)}${held.firm ? "" : ", not firm"}` : "\u2013"],
    ["Tokens held", inventory ? amount(inventory.tokens) : "\u2013"],
    ["worth", inventory ? `${sol(inventory.worth_sol, 2)} (${percent(inventory.share_pct)})` : "\u2013"],
    ["Changes in flight", count(now.in_flight)],
    ["Kill switch", stopped ? `raised: ${now.halt_reason}` : "armed", stopped ? "ask" : "bid"],
  ]);
}

export function showPanels(now, empty) {
  const presence = now.presence;
  put("presence", presence.bid_pct === null ? "\u2013" : `${fixed(presence.bid_pct, 1)} / ${fixed(presence.ask_pct, 1)}`);
  put("presence-sub", presence.bid_sol === null ? "" : `both ${fixed(presence.both_pct, 1)} \u00b7 now ${fixed(presence.bid_sol, 1)} / ${fixed(presence.ask_sol, 1)} SOL`);
  fill("bands", now.bands, bandRow, empty("bands"));
  put("bands-note", presence.spread_pct === null ? "" : `mean spread ${percent(presence.spread_pct)}`);
  fill("parts", now.pnl_parts, partRow, empty("parts"));
  put("parts-note", now.pnl_sol === null ? "" : `together ${sol(now.pnl_sol, 6, true)}`);
  fill("markouts", now.markouts, markoutRow);
  fill("bundles", now.bundles, bundleRow, empty("bundles"));
  showTreasury(now);
}
