// @discordeno/gateway that hands on what it receives. Arguments: API, subscriber, transport.
// It has no cache. `preferSnakeCase` spares it rewriting every key. It gives the payload parsed, so it is encoded again.
import { createGatewayManager } from "@discordeno/gateway";
import { outlet } from "./outlet.mjs";

const [api, subscriber, transport] = process.argv.slice(2);
const GUILDS = 1 << 0;
const GUILD_MESSAGES = 1 << 9;
const MESSAGE_CONTENT = 1 << 15;

const put = outlet(subscriber);
const bot = await (await fetch(`${api}/gateway/bot`)).json();
const limit = bot.session_start_limit;
const manager = createGatewayManager({
  token: "abc",
  intents: GUILDS | GUILD_MESSAGES | MESSAGE_CONTENT,
  connection: {
    url: bot.url,
    shards: bot.shards,
    sessionStartLimit: {
      maxConcurrency: limit.max_concurrency,
      remaining: limit.remaining,
      resetAfter: limit.reset_after,
      total: limit.total,
    },
  },
  transportCompression: transport === "none" ? null : transport,
  preferSnakeCase: true,
  resharding: { enabled: false },
  events: {
    message: (shard, { op, t, s, d }) => {
      if (op === 0) put(shard.id, s, t, JSON.stringify(d));
    },
  },
});
await manager.spawnShards();
