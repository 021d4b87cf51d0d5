// What is handed out and what is asked, by the rules of docs/wire.md, "A subscriber that misses nothing". Touches no
// socket and no clock: gwcluster.mjs brings what came and the time, in milliseconds.
import { decode } from "@msgpack/msgpack";

export const MAX_ASKED = 4; // questions that are unanswered at a time
export const RETRY_MS = 1_000; // between two questions, if no answer says when to ask again
const ANSWER_MS = 5_000; // a question that isn't answered for so long is asked again
const PATIENCE_MS = 30_000; // how long an event may be known of and not be in the log
const SILENT_MS = 30_000; // a shard without beacons for so long is asked how far its log goes
const HELD_BYTES = 16 << 20; // what may wait for what is missing before it; more is dropped, and fetched again
const BEACON = "GWCLUSTER_BEACON";
const ALL = "*"; // the one chain of those who want every event: there the event before is simply the offset before

export function topics(names, shards) {
  if (!names.length) return [""];
  const each = shards && names.length * shards.length <= 500; // else what others want is dropped here
  const wanted = names.flatMap((name) => (each ? shards.map((id) => `${name}.${id}.`) : `${name}.`));
  return [...wanted, `${BEACON}.`];
}

/** Knows how far each shard is followed. */
export class Following {
  #shards = new Map(); // id: what is known of it
  #ready = []; // what is next: how far it brings one, and mostly an event
  #jobs = new Set(); // questions to ask, from `dueAt` on
  #asked = new Map(); // number: question that waits for its answer, until `dueAt`
  #number = 0;
  #held = 0; // bytes

  constructor(names, shards, from) {
    this.keys = names.length ? [...new Set(names)] : [ALL];
    this.wanted = shards && new Set(shards);
    this.position = typeof from === "object" ? structuredClone(from) : {};
    this.fromOldest = from !== undefined; // a shard that the position doesn't know is a new one
    if (shards) this.#count(shards);
    else this.#jobs.add({ dueAt: 0, ask: () => ({ op: "status" }), take: ({ status }) => this.#count(status.ids) });
  }

  next() {
    for (let step; (step = this.#ready.shift()); ) {
      const { id, epoch, key, upto, event } = step;
      if (this.position[id]?.epoch !== epoch) this.position[id] = { epoch, done: {} };
      this.position[id].done[key] = upto;
      if (event) return Object.assign(event, { position: this.position });
    }
  }

  *questions(now) {
    for (const job of this.#jobs) {
      if (this.#asked.size >= MAX_ASKED) return;
      if (job.dueAt > now) continue;
      this.#jobs.delete(job);
      job.dueAt = now + ANSWER_MS;
      this.#asked.set(++this.#number, job);
      yield { v: 1, id: this.#number, ...job.ask() };
    }
  }

  due(latest) {
    const jobs = this.#asked.size < MAX_ASKED ? [...this.#jobs] : [];
    return jobs.reduce((due, job) => Math.min(due, job.dueAt), latest);
  }

  waited(now) {
    for (const [number, job] of this.#asked) {
      if (job.dueAt <= now && this.#asked.delete(number)) this.#jobs.add(job);
    }
    for (const shard of this.#shards.values()) {
      if (shard.heardAt + SILENT_MS > now) continue;
      shard.heardAt = now;
      if (shard.begun) this.#locate(shard);
    }
  }

  received([topic, header, payload], now) {
    const [name] = topic.toString().split(".");
    const head = decode(header);
    if (head.v !== 1) throw new Error(`wire version ${head.v}; this program reads version 1`);
    if (name === "GWCLUSTER_CLUSTER_STATE" || !this.#shards.size) return; // concerns no shard; or none is known yet
    if (this.wanted && !this.wanted.has(head.shard)) return;
    const shard = this.#shards.get(head.shard) ?? this.#add(head.shard, true);
    if (!shard.begun || shard.over.has(head.epoch)) return; // the log has it, too; or it was still on its way
    shard.epoch ??= head.epoch;
    if (shard.epoch !== head.epoch) this.#beginAnew(shard, head.epoch);
    if (name !== BEACON) return this.#take(shard.chains.get(name) ?? shard.chains.get(ALL), { name, head, payload });
    shard.heardAt = now;
    const { names, others } = JSON.parse(payload).d; // others: no name that isn't listed came after that offset
    if (shard.chains.has(ALL)) names[ALL] = Math.max(others ?? -1, ...Object.values(names));
    for (const [key, chain] of shard.chains) {
      const last = names[key] ?? others;
      if (last > chain.done) this.#repair(chain, last);
      else if (last !== undefined && !chain.job) this.#done(chain, head.offset); // up to here there is none of it
    }
  }

  answered({ v, id, ok, error, ...answer }, now) {
    const job = this.#asked.get(id);
    if (!job) return; // too late: it was asked again
    if (v !== 1) throw new Error(`wire version ${v}; this program reads version 1`);
    this.#asked.delete(id);
    job.dueAt = ok ? job.take(answer, now) : this.#refused(job, error, now);
    if (job.dueAt !== undefined) this.#jobs.add(job);
  }

  // What follows returns when to ask again, undefined if that isn't needed

  #refused({ shard, chain }, error, now) {
    if (error.code === "expired") {
      this.#gap(chain, error.oldest - 1, "it has expired from the shard's log");
      return this.#moved(chain, now);
    }
    if (error.code === "wrong_epoch") return this.#beginAnew(shard, error.epoch);
    // Without a log, whatever it will hold is from after now
    if (error.no_log && !shard.begun) return this.#begin(shard, { epoch: null, oldest: 0 });
    if (error.code === "unknown_shard" && shard.begun) return this.#forget(shard);
    if (["bad_request", "unknown_shard"].includes(error.code)) throw new Error(`${error.code}: ${error.message}`);
    return now + (error.retry_after === undefined ? RETRY_MS : 1_000 * error.retry_after); // not_ready, rate_limited
  }

  #count(ids) {
    for (const id of ids) this.#shards.get(id) ?? this.#add(id, this.fromOldest);
    return ids.length ? undefined : 0; // a cluster that has just begun doesn't know yet
  }

  #add(id, fromOldest) {
    const { epoch = null, done = {} } = this.position[id] ?? {};
    const shard = { id, epoch, over: new Set(), begun: false, heardAt: 0 };
    shard.fromOldest = fromOldest && !this.position[id]; // but a name that it doesn't know begins now
    shard.chains = new Map(this.keys.map((key) => [key, { shard, key, done: done[key], upto: -1, held: [] }]));
    this.#shards.set(id, shard);
    this.#locate(shard);
    return shard;
  }

  #locate(shard) {
    if (shard.locating) return;
    shard.locating = true;
    const ask = () => ({ op: "replay", shard: shard.id, epoch: shard.epoch, limit: 0 });
    this.#jobs.add({ shard, dueAt: 0, ask, take: (answer) => this.#begin(shard, answer) });
  }

  #begin(shard, { epoch, oldest, newest }) {
    const first = !shard.begun;
    Object.assign(shard, { begun: true, locating: false });
    shard.epoch ??= epoch;
    for (const chain of shard.chains.values()) {
      if (first) this.#done(chain, chain.done ?? (shard.fromOldest ? oldest - 1 : (newest ?? -1)));
      if (newest > chain.done) this.#repair(chain, newest);
    }
  }

  #beginAnew(shard, epoch) {
    this.#drop(shard);
    shard.over.add(shard.epoch);
    shard.epoch = epoch;
    for (const chain of shard.chains.values()) {
      this.#done(chain, -1, gap(chain, chain.done + 1, null, "the shard's log was started anew"));
      Object.assign(chain, { upto: -1, held: [], job: undefined, stuckAt: undefined });
    }
    this.#locate(shard);
  }

  #forget(shard) {
    this.#drop(shard);
    this.#shards.delete(shard.id);
    for (const chain of shard.chains.values()) {
      this.#done(chain, chain.done, gap(chain, chain.done + 1, null, "the cluster doesn't run this shard any more"));
    }
  }

  #drop(shard) {
    shard.locating = false;
    for (const job of this.#jobs) if (job.shard === shard) this.#jobs.delete(job);
    for (const [number, job] of this.#asked) if (job.shard === shard) this.#asked.delete(number);
    for (const { held } of shard.chains.values()) for (const { payload } of held) this.#held -= payload.length;
  }

  #take(chain, message) {
    const { head, payload } = message;
    const prev = before(chain, head);
    if (head.offset <= chain.done) return; // it was handed out before
    if (prev <= chain.done && !chain.job) return this.#done(chain, head.offset, event(message));
    if (!chain.job) this.#repair(chain, prev);
    if (this.#held + payload.length > HELD_BYTES) return; // the next `prev`, or a beacon, tells that it is missing
    chain.held.push(message);
    this.#held += payload.length;
  }

  #repair(chain, upto) {
    chain.upto = Math.max(chain.upto, upto);
    if (chain.job) return;
    const { shard, key } = chain;
    const names = key === ALL ? null : [key];
    const ask = () => ({ op: "replay", shard: shard.id, epoch: shard.epoch, after: chain.done, names });
    chain.job = { shard, chain, dueAt: 0, ask, take: (answer, now) => this.#replayed(chain, answer, now) };
    this.#jobs.add(chain.job);
  }

  #replayed(chain, { events, holes, last }, now) {
    const start = chain.done;
    const found = events.map(([topic, header, payload]) => {
      const [head, [name]] = [decode(header), topic.toString().split(".")];
      return { upto: head.offset, event: event({ name, head, payload: Buffer.from(payload) }) };
    });
    const lost = holes.map(([, upto]) => ({ upto }));
    for (const { upto, event } of [...found, ...lost].sort((one, other) => one.upto - other.upto)) {
      if (event) this.#done(chain, upto, event);
      else this.#gap(chain, upto, "the shard's log doesn't have it");
    }
    if (last > chain.done) this.#done(chain, last);
    if (chain.done > start) return this.#moved(chain, now);
    chain.stuckAt ??= now; // the log doesn't have yet what is known of
    if (now - chain.stuckAt < PATIENCE_MS) return now + RETRY_MS;
    if (chain.held.length) chain.upto = before(chain, chain.held[0].head); // what is at hand isn't missing
    this.#gap(chain, chain.upto, "the shard's log doesn't have it");
    return this.#moved(chain, now);
  }

  #moved(chain, now) {
    chain.stuckAt = undefined;
    if (chain.done < chain.upto) return now;
    const { held } = chain;
    Object.assign(chain, { job: undefined, held: [] });
    for (const message of held) {
      this.#held -= message.payload.length;
      this.#take(chain, message);
    }
  }

  #gap(chain, last, reason) {
    if (last > chain.done) this.#done(chain, last, gap(chain, chain.done + 1, last, reason));
  }

  #done(chain, upto, event) {
    chain.done = upto;
    this.#ready.push({ id: chain.shard.id, epoch: chain.shard.epoch, key: chain.key, upto, event });
  }
}

function before(chain, { offset, prev }) {
  return chain.key === ALL ? offset - 1 : (prev ?? -1);
}

function event({ name, head, payload }) {
  const { v, prev, ...where } = head;
  return { name, ...where, payload, get data() { return JSON.parse(payload).d; } }; // prettier-ignore
}

function gap({ shard, key }, first, last, reason) {
  const data = { shard: shard.id, name: key === ALL ? null : key, first, last, reason };
  return { name: "GWCLUSTER_GAP", shard: shard.id, epoch: shard.epoch, data };
}
