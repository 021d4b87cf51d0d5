// A thread of @discordjs/ws with some shards, which hands on what they receive.
import { WebSocketShardEvents, WorkerBootstrapper } from "@discordjs/ws";
import { outlet } from "./outlet.mjs";

const put = outlet(process.env.SUBSCRIBER);
await new WorkerBootstrapper().bootstrap({
  forwardEvents: [WebSocketShardEvents.Error],
  shardCallback: (shard) =>
    shard.on(WebSocketShardEvents.Dispatch, ({ t, s, d }) => put(shard.id, s, t, JSON.stringify(d))),
});
