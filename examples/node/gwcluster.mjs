// Follows the events of a gwcluster and misses none. Needs zeromq and @msgpack/msgpack; copy it and following.mjs.
import { decode, encode } from "@msgpack/msgpack";
import { Dealer, Subscriber } from "zeromq";
import { Following, MAX_ASKED, RETRY_MS, topics } from "./following.mjs";

/**
 * Iterates over a cluster's events: those of a name on a shard in order, each once. Closes its sockets when you leave.
 *
 * An event has `name`, `shard`, `epoch`, `offset`, `session`, `seq`, `at`, `shards`, `payload` (the dispatch, as it
 * came from Discord), `data` (its `d`) and `position`. Where events may be missing there is one named GWCLUSTER_GAP;
 * its `data` has `shard`, `name` (null: any), `first` and `last` (offsets; null: not known) and `reason`.
 *
 * `position` says how far you are once you are done with this event: save it as JSON before you ask for the next
 * one (it is one object that moves on), and give it back as `from` after a restart.
 *
 * Throws if the cluster refuses what is asked for, or speaks another version.
 *
 * @param events, requests  the cluster's addresses, `events.bind` and `requests.bind`
 * @param names   event names; none: every event, and those of a shard in order
 * @param shards  shard ids; none: all
 * @param from    a saved `position`; "oldest": begin with all that the logs still have; none: begin now
 * @param curve   keys, for a cluster with security.curve: {curveServerKey, curvePublicKey, curveSecretKey}
 */
export async function* follow({ events, requests, names, shards, from, curve }) {
  const following = new Following(names ?? [], shards, from);
  const sub = new Subscriber({ ...curve });
  const dealer = new Dealer({ linger: 0, sendTimeout: 0, sendHighWaterMark: 2 * MAX_ASKED, ...curve });
  const came = new Map(); // socket: its next message
  let [wake, failed, away, lookAt] = [() => {}, null, 0, 0];
  const now = () => performance.now() - away; // stands still while you work, which is no reason to ask again
  const listen = (socket) => {
    const arrived = (frames) => came.set(socket, frames);
    socket.receive().then(arrived, (error) => (failed = error)).then(() => wake());
  };
  try {
    sub.subscribe(...topics(names ?? [], shards)); // first, and only then ask
    sub.connect(events);
    dealer.connect(requests);
    listen(sub);
    listen(dealer);
    for (;;) {
      for (let step; (step = following.next()); ) {
        const since = performance.now();
        yield step;
        away += performance.now() - since;
      }
      for (const question of following.questions(now())) {
        await dealer.send(encode(question)).catch(() => {}); // for long nobody is there; it will be asked again
      }
      if (!came.size && !failed) {
        let timer;
        await new Promise((resolve) => {
          wake = resolve;
          timer = setTimeout(resolve, Math.max(0, following.due(lookAt) - now()));
        });
        clearTimeout(timer);
      }
      if (failed) throw failed;
      const socket = [dealer, sub].find((each) => came.has(each));
      if (socket === dealer) following.answered(decode(came.get(dealer).at(-1)), now());
      else if (socket === sub) following.received(came.get(sub), now());
      if (came.delete(socket)) listen(socket);
      if (now() < lookAt) continue;
      following.waited(now());
      lookAt = now() + RETRY_MS;
    }
  } finally {
    sub.close();
    dealer.close();
  }
}
