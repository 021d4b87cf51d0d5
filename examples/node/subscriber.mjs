// Prints new messages, and says so where any may be missing. Needs zeromq and @msgpack/msgpack.
import { decode } from "@msgpack/msgpack";
import { Subscriber } from "zeromq";

const socket = new Subscriber();
socket.connect(process.argv[2] ?? "tcp://127.0.0.1:5570");
socket.subscribe("MESSAGE_CREATE."); // the dot ends the name
socket.subscribe("GWCLUSTER_BEACON."); // tells each shard's last offset of each name
const known = new Map(); // shard: epoch of its log, offset of its last message

for await (const [topic, header, payload] of socket) {
  const [name, shard] = topic.toString().split(".");
  const head = decode(header);
  const data = JSON.parse(payload.toString()).d;
  if (head.v !== 1) throw new Error(`wire version ${head.v}; this program reads version 1`);
  let { epoch, prev, offset: last } = head;
  if (name === "GWCLUSTER_BEACON") {
    prev = last = data.names.MESSAGE_CREATE ?? null;
  }
  const before = known.get(shard) ?? { epoch, last: prev };
  if (before.epoch !== epoch || before.last !== prev) {
    console.log(`shard ${shard}: messages may be missing after offset ${before.last}`);
  }
  known.set(shard, { epoch, last });
  if (name === "MESSAGE_CREATE") {
    console.log(`shard ${shard} offset ${last}: ${data.author.username}`);
  }
}
