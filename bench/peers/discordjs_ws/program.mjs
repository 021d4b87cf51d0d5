// @discordjs/ws that hands on what it receives. Arguments: API, subscriber, transport, strategy.
// It has no cache. It gives the payload parsed, so it is encoded again. zlib-sync as discord.js advises, if it could
// be built; Node's own zlib otherwise. Strategy: `process`, its default, or `threads`, at most one for each processor,
// each of which hands on by itself.
import { availableParallelism } from "node:os";
import { REST } from "@discordjs/rest";
import { CompressionMethod, WebSocketManager, WebSocketShardEvents, WorkerShardingStrategy } from "@discordjs/ws";
import { outlet } from "./outlet.mjs";

const [api, subscriber, transport, strategy] = process.argv.slice(2);
const GUILDS = 1 << 0;
const GUILD_MESSAGES = 1 << 9;
const MESSAGE_CONTENT = 1 << 15;

const sync = await import("zlib-sync").then(() => true, () => false);
const zlib = sync ? CompressionMethod.ZlibSync : CompressionMethod.ZlibNative;
const rest = new REST({ api: api.replace(/\/v10$/, "") }).setToken("abc");
const { shards } = await rest.get("/gateway/bot");
const manager = new WebSocketManager({
  token: "abc",
  intents: GUILDS | GUILD_MESSAGES | MESSAGE_CONTENT,
  rest,
  compression: transport === "none" ? null : zlib,
  ...(strategy === "threads" && {
    buildStrategy: (manager) =>
      new WorkerShardingStrategy(manager, {
        shardsPerWorker: Math.ceil(shards / availableParallelism()),
        workerPath: new URL("thread.mjs", import.meta.url).pathname,
      }),
  }),
});
process.env.SUBSCRIBER = subscriber; // for the threads

if (strategy === "process") {
  const put = outlet(subscriber);
  manager.on(WebSocketShardEvents.Dispatch, ({ t, s, d }, shard) => put(shard, s, t, JSON.stringify(d)));
}
manager.on(WebSocketShardEvents.Error, (error) => {
  throw error;
});
console.log(`zlib: ${sync ? "zlib-sync" : "native"}`);
await manager.connect();
