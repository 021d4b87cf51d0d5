// Plays a script to Following. Arguments: the module, the constructor's arguments as JSON. Each line of stdin is a
// JSON list, a method and its arguments; for each a line of JSON comes out: what was handed out, and what was asked.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [module, given] = process.argv.slice(2);
const { encode } = createRequire(module)("@msgpack/msgpack");
const { Following } = await import(pathToFileURL(module));
const following = new Following(...JSON.parse(given));

function frames([topic, head, payload]) {
  const header = { v: 1, session: 1, seq: 1, at: 1, shards: 8, ...head };
  return [Buffer.from(topic), encode(header), Buffer.from(payload)];
}

function play(method, first, now) {
  if (method === "received") following.received(frames(first), now);
  else if (method === "answered") following.answered({ v: 1, ...first, events: first.events?.map(frames) }, now);
  else following.waited(now);
}

for await (const line of createInterface({ input: process.stdin })) {
  const [method, first, now] = JSON.parse(line);
  const out = { events: [], asked: [] };
  try {
    play(method, first, now);
    for (let event; (event = following.next()); ) {
      out.events.push({ ...event, payload: event.payload?.length, position: structuredClone(event.position) });
    }
    out.asked = [...following.questions(now)];
    out.due = following.due(now + 1_000);
    out.position = following.position;
  } catch (error) {
    out.error = error.message;
  }
  console.log(JSON.stringify(out));
}
