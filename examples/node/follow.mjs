// Prints each event of some names (none: of all) and each gap, and goes on where it was when it is started again.
// node follow.mjs [--events ADDRESS] [--requests ADDRESS] [--position FILE] [--oldest] [NAME ...]
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { follow } from "./gwcluster.mjs";

const { values: given, positionals: names } = parseArgs({
  allowPositionals: true,
  options: {
    events: { type: "string", default: "tcp://127.0.0.1:5570" },
    requests: { type: "string", default: "tcp://127.0.0.1:5571" },
    position: { type: "string" }, // a file
    oldest: { type: "boolean" }, // without a saved position, begin with all that the logs still have
  },
});
const { events, requests, position: file, oldest } = given;
const saved = file && existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined;

for await (const event of follow({ events, requests, names, from: saved ?? (oldest ? "oldest" : undefined) })) {
  const { name, shard, offset, session, seq, data } = event;
  if (name === "GWCLUSTER_GAP") {
    const { first, last, reason } = data;
    console.log(`shard ${shard}: ${data.name ?? "events"} ${first} to ${last} may be missing: ${reason}`);
  } else {
    console.log(`shard ${shard} offset ${offset}: ${name} session ${session} seq ${seq}`);
  }
  if (file) {
    // After each event is simple. With many a second, save less often: after a crash the last ones come again.
    writeFileSync(`${file}.new`, JSON.stringify(event.position));
    renameSync(`${file}.new`, file);
  }
}
