// cloudstorm that hands on what it receives. Arguments: API, subscriber, transport.
// It has no cache. It gives the payload parsed, so it is encoded again.
import { Client } from "cloudstorm";
import { SnowTransfer } from "snowtransfer";
import { outlet } from "./outlet.mjs";

const [api, subscriber, transport] = process.argv.slice(2);
const put = outlet(subscriber);
const client = new Client("abc", {
  intents: ["GUILDS", "GUILD_MESSAGES", "MESSAGE_CONTENT"],
  ws: { compress: transport !== "none", encoding: "json" },
  snowtransferInstance: new SnowTransfer("abc", { baseHost: new URL(api).origin }),
});
client.on("error", (error) => {
  throw error;
});
client.on("dispatch", ({ shard_id, t, s, d }) => put(shard_id, s, t, JSON.stringify(d)));
await client.connect();
