// What things are called and how figures are written. Nothing here touches the page.

export const MARKS = {
  live: "•", stale: "?", degraded: "!", starting: "S", backoff: "B", connecting: "C", queued: "Q",
  identifying: "I", resuming: "R", stopped: "–", failed: "✕", elsewhere: "○", free: "◌",
};

export const MEANINGS = {
  live: "live", stale: "live, figures stale", degraded: "live, log can't be written", starting: "starting",
  backoff: "waiting to dial again", connecting: "connecting", queued: "waiting for a permit to identify",
  identifying: "identifying", resuming: "resuming", stopped: "stopped", failed: "failed: given up",
  elsewhere: "run by another host", free: "run by no host",
};

// The state as it is shown: figures that aren't fresh never look good.
export function shown(shard) {
  if (shard.state === "elsewhere") return shard.free ? "free" : "elsewhere";
  if (shard.state !== "live") return shard.state in MARKS ? shard.state : "starting";
  if (!shard.fresh) return "stale";
  return shard.degraded === null ? "live" : "degraded";
}

// Why it is shown so.
export function why(shard) {
  const state = shown(shard);
  if (state === "degraded") return shard.degraded;
  if (state !== "stale") return shard.reason;
  if (shard.pulse_age_s === null) return "no figures yet";
  const ack = shard.ack_age_s === null ? "" : `, last ACK ${span(shard.ack_age_s + shard.pulse_age_s)} ago`;
  return `last figures ${span(shard.pulse_age_s)} ago${ack}`;
}

// Whether somebody may want to look at it; what another host runs is that host's to show.
export function isWell(shard) {
  return shown(shard) === "live" || shown(shard) === "elsewhere";
}

// What is said while NATS doesn't answer; null: it does.
export function silence(nats) {
  if (nats.unreachable_s === null) return null;
  const why = nats.why ? ` (${nats.why})` : "";
  const follows = nats.pause_s === null ? "no shard runs here, and none can be taken"
    : nats.pause_s <= 0 ? "shards pause; they resume when it is back" : `shards pause in ${span(nats.pause_s)}`;
  return `NATS has not answered for ${span(nats.unreachable_s)}${why}: ${follows}.`;
}

export function number(value, digits = 0) {
  return value === null || value === undefined ? "–"
    : value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export function rate(value) {
  return value === null || value === undefined ? "–" : number(value, value < 10 ? 1 : 0);
}

export function milliseconds(seconds) {
  return seconds === null || seconds === undefined ? "–" : `${number(1000 * seconds)} ms`;
}

export function span(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s % 86400 / 3600)} h`;
}

export function size(bytes) {
  if (bytes === null || bytes === undefined) return "–";
  const mebibytes = bytes / 1048576;
  return mebibytes < 1024 ? `${number(mebibytes, 1)} MiB` : `${number(mebibytes / 1024, 1)} GiB`;
}

export function count(value, one, more) {
  return `${number(value)} ${value === 1 ? one : more}`;
}

export function clock(unix) {
  return new Date(1000 * unix).toLocaleTimeString("en-GB");
}

export function sum(values) {
  const known = values.filter((value) => value !== null && value !== undefined);
  return known.length ? known.reduce((one, other) => one + other, 0) : null;
}

export function median(values) {
  const sorted = values.filter((value) => value !== null).sort((one, other) => one - other);
  return sorted.length ? sorted[Math.floor(sorted.length / 2)] : null;
}
