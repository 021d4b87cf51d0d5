// The dashboard: what the stream tells, shown.

import { bar, lines } from "./charts.js";
import { Grid } from "./grid.js";
import { Hosts } from "./hosts.js";
import { Restarts } from "./restarts.js";
import { follow } from "./stream.js";
import {
  MARKS, MEANINGS, clock, count, isWell, median, milliseconds, number, rate, shown, size, span, sum, why,
} from "./words.js";

const HOUR_S = 3600;
const SAMPLE_S = 10;
const LISTED = 50;
const OWN_POINTS = 600;

const at = (id) => document.getElementById(id);
const say = (id, text) => { if (at(id).textContent !== text) at(id).textContent = text; };

let latest = null;
let changes = [];
let leftOut = 0;
let samples = [];
let chosen = null;
const states = new Map();
const rates = new Map(); // shard → [[at, events per second], …]

const grid = new Grid(at("cells"), choose);
const hosts = new Hosts(at);
const restarts = new Restarts();

function element(name, text, kind) {
  const node = document.createElement(name);
  if (text !== undefined) node.textContent = text;
  if (kind) node.className = kind;
  return node;
}

function mark(state) {
  const node = element("span", MARKS[state] ?? "S", `mark ${state in MARKS ? state : "starting"}`);
  node.setAttribute("aria-hidden", "true");
  return node;
}

function link(shard) {
  const node = element("button", `shard ${shard}`);
  node.type = "button";
  node.addEventListener("click", () => choose(shard));
  return node;
}

// What is remembered

function learn(status) {
  for (const shard of status.shard) {
    const before = states.get(shard.shard);
    if (before !== undefined && (before.state !== shard.state || before.since !== shard.since)) {
      changes.push({ at: shard.since, shard: shard.shard, from: before.state, to: shard.state, reason: shard.reason });
    }
    states.set(shard.shard, { state: shard.state, since: shard.since });
    const own = rates.get(shard.shard) ?? [];
    own.push([status.now, shard.fresh ? shard.events_per_s : null]);
    if (own.length > OWN_POINTS) own.shift();
    rates.set(shard.shard, own);
  }
  changes = changes.filter((change) => change.at >= status.now - HOUR_S);
  if (!samples.length || status.now - samples.at(-1).at >= SAMPLE_S) {
    const latencies = status.shard.filter((shard) => shard.fresh).map((shard) => shard.latency_s);
    samples.push({
      at: status.now, events_per_s: status.events_per_s, latency_s: median(latencies),
      worst_latency_s: latencies.length ? Math.max(...latencies) : null,
    });
  }
  samples = samples.filter((sample) => sample.at >= status.now - HOUR_S);
}

const name = (change) => `${change.shard} ${change.at} ${change.to}`;

async function remember() {
  try {
    const answer = await fetch("/api/history");
    const told = await answer.json();
    const known = new Set(told.changes.map(name));
    changes = [...told.changes, ...changes.filter((change) => !known.has(name(change)))]; // what came meanwhile
    leftOut = told.left_out;
    samples = told.samples;
    if (latest) show();
  } catch { /* the stream tells that the cluster can't be reached */ }
}

// What is shown

function show() {
  const status = latest;
  say("name", status.name);
  document.title = `${status.ready}/${status.total} ready · ${status.name}`;
  say("about", `gwcluster ${status.version} · up ${span(status.now - status.started_at)}`);
  at("restart-all").disabled = !status.total;
  say("ready", number(status.ready));
  say("ready-of", `of ${number(status.total)}`);
  const rolling = status.rolling ? `rolling restart: ${status.rolling.done} of ${status.rolling.total} done` : "";
  const ill = [[status.failed, "failed"], [status.degraded, "degraded"]].filter(([count]) => count);
  say("rolling", [rolling, ...ill.map(([count, what]) => `${count} ${what}`)].filter(Boolean).join(" · "));
  figures(status);
  legend(status.shard);
  grid.show(status.shard);
  at("main").className = status.shard.length <= 16 ? "few-shards" : "";
  hosts.show(status);
  trouble(status);
  changed(status);
  detail(status);
}

function figures(status) {
  const from = status.now - HOUR_S;
  const top = Math.max(0, ...samples.map((sample) => sample.events_per_s ?? 0));
  say("rate", rate(status.events_per_s));
  say("rate-range", `top ${rate(top)} in an hour`);
  lines(at("rate-chart"), from, status.now, [
    { points: samples.map((sample) => [sample.at, sample.events_per_s]), kind: "main" },
  ]);
  const latencies = status.shard.filter((shard) => shard.fresh && shard.latency_s !== null).map((shard) => shard.latency_s);
  say("latency", milliseconds(median(latencies)));
  say("latency-worst", latencies.length ? `median; worst ${milliseconds(Math.max(...latencies))}` : "");
  lines(at("latency-chart"), from, status.now, [
    { points: samples.map((sample) => [sample.at, sample.latency_s]), kind: "main" },
    { points: samples.map((sample) => [sample.at, sample.worst_latency_s]), kind: "worst" },
  ]);
  const left = status.identifies;
  say("identifies", number(left?.remaining));
  say("identifies-of", left ? `of ${number(left.total)}` : "Discord has not told yet");
  say("resets", left ? `${number(left.spendable)} to spend; resets in ${span(left.resets_at - status.now)}` : "");
  at("resets").title = left ? `at ${clock(left.resets_at)}` : "";
  bar(at("budget"), left ? [["spendable", left.spendable], ["reserve", left.remaining - left.spendable]] : [], left?.total ?? 1);
  at("budget").setAttribute("aria-label", left ? `${left.remaining} of ${left.total} identifies left` : "not known yet");
  say("guilds", number(status.guilds));
  const memory = sum(status.shard.map((shard) => shard.memory_bytes));
  say("memory", memory === null ? "" : `workers: ${size(memory)}`);
}

function legend(shards) {
  const counts = new Map();
  for (const shard of shards) counts.set(shown(shard), (counts.get(shown(shard)) ?? 0) + 1);
  const text = Object.keys(MARKS).filter((state) => counts.has(state)).map((state) => `${state} ${counts.get(state)}`).join();
  if (at("legend").dataset.text === text) return;
  at("legend").dataset.text = text;
  at("legend").replaceChildren(...Object.keys(MARKS).filter((state) => counts.has(state)).map((state) => {
    const item = element("li");
    item.append(mark(state), element("span", `${number(counts.get(state))} ${MEANINGS[state]}`));
    return item;
  }));
}

// Lists are drawn anew only when something in them changed: who is about to click must not lose the place.
function list(id, key, items) {
  if (at(id).dataset.key === key) return;
  at(id).dataset.key = key;
  at(id).replaceChildren(...items());
}

function trouble(status) {
  const ill = status.shard.filter((shard) => !isWell(shard));
  at("trouble").hidden = !ill.length;
  say("trouble-title", `Not well: ${number(ill.length)}`);
  const listed = ill.slice(0, LISTED);
  list("trouble-list", `${ill.length}${listed.map((shard) => [shard.shard, shown(shard), shard.since, why(shard)])}`, () => {
    const items = listed.map((shard) => {
      const state = shown(shard);
      const item = element("li");
      item.append(mark(state), " ", link(shard.shard), ` ${MEANINGS[state]} `, element("time", `since ${clock(shard.since)}`));
      item.append(element("span", why(shard), "reason"));
      return item;
    });
    if (ill.length > LISTED) items.push(element("li", `and ${number(ill.length - LISTED)} more`));
    return items;
  });
}

function changed() {
  const shards = new Set(changes.map((change) => change.shard)).size;
  const all = changes.length + leftOut;
  say("changes-sum", all ? `${count(all, "change", "changes")} of state, ${count(shards, "shard", "shards")}` : "nothing");
  const last = changes.at(-1);
  list("changes", `${changes.length} ${last?.at} ${last?.shard} ${last?.to}`, () => {
    const items = changes.slice(-LISTED).reverse().map((change) => {
      const item = element("li");
      item.append(mark(change.to), " ", element("time", clock(change.at)), " ", link(change.shard), ` ${change.from} → ${change.from === change.to ? "… → " : ""}${change.to}`);
      item.append(element("span", change.reason, "reason"));
      return item;
    });
    if (all > LISTED) items.push(element("li", `and ${number(all - LISTED)} before`));
    return items;
  });
}

function detail(status) {
  const shard = status.shard.find((one) => one.shard === chosen);
  at("detail").hidden = !shard;
  if (!shard) return;
  const state = shown(shard);
  say("detail-title", `Shard ${shard.shard}`);
  say("restart-one", `Restart shard ${shard.shard} …`);
  if (at("detail-state").dataset.state !== state) {
    at("detail-state").dataset.state = state;
    at("detail-state").replaceChildren(mark(state), element("span"));
  }
  const words = ` ${MEANINGS[state]} for ${span(status.now - shard.since)}: ${why(shard)}`;
  at("detail-state").lastChild.textContent = words;
  const old = (age) => (age === null || shard.pulse_age_s === null ? "–" : `${span(age + shard.pulse_age_s)} ago`);
  const told = {
    "Events per second": rate(shard.events_per_s),
    "Last event": old(shard.event_age_s),
    "Heartbeat latency": milliseconds(shard.latency_s),
    "Last heartbeat ACK": old(shard.ack_age_s),
    "Last figures": shard.pulse_age_s === null ? "–" : `${span(shard.pulse_age_s)} ago`,
    "Session": shard.session === null ? "–" : `no. ${number(shard.session)}, ${span(shard.session_age_s)} old`,
    "Guilds": number(shard.guilds),
    "Offset in the log": number(shard.offset),
    ...(status.hosts ? { "Host": shard.host ?? "none" } : {}),
    "Worker": shard.pid === null ? "none" : `process ${shard.pid}`,
    "Its memory": size(shard.memory_bytes),
    "Its RESUMEs, IDENTIFYs": `${number(shard.resumes)}, ${number(shard.identifies)}`,
    "Restarts, deaths": `${number(shard.restarts)}, ${number(shard.deaths)}`,
  };
  const figuresList = at("detail-figures");
  if (figuresList.childElementCount !== 2 * Object.keys(told).length) {
    figuresList.replaceChildren(...Object.keys(told).flatMap((term) => [element("dt", term), element("dd")]));
  }
  Object.values(told).forEach((value, index) => { figuresList.children[2 * index + 1].textContent = value; });
  const own = rates.get(shard.shard);
  lines(at("detail-chart"), Math.min(own[0][0], status.now - 60), status.now, [{ points: own, kind: "main" }]);
}

function choose(id) {
  chosen = id === chosen ? null : id;
  grid.choose(chosen);
  if (!latest) return;
  detail(latest);
  if (chosen !== null && matchMedia("(max-width: 52rem)").matches) at("detail").scrollIntoView({ block: "nearest" });
}

// What is done

at("detail-close").addEventListener("click", () => {
  const id = chosen;
  choose(id);
  grid.focus(id);
});
at("restart-one").addEventListener("click", () => restarts.askOne(chosen));
at("restart-all").addEventListener("click", () => restarts.askAll(latest.total));

follow({
  onOpen: remember,
  onStatus: (status) => {
    latest = status;
    at("stale").hidden = true;
    document.body.classList.remove("is-stale");
    at("link").className = "on";
    say("link", "live");
    learn(status);
    show();
  },
  onStale: (since) => {
    at("link").className = "off";
    say("link", "no connection");
    document.body.classList.add("is-stale");
    say("stale", `Stale since ${clock(since)}: the cluster can't be reached, what is shown is old.`);
    at("stale").hidden = false;
  },
});
