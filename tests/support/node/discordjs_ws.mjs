// @discordjs/ws, unchanged but for the address: prints what it sees. Argument: API.
import { REST } from "@discordjs/rest";
import { CompressionMethod, WebSocketManager, WebSocketShardEvents } from "@discordjs/ws";

const GUILDS = 1 << 0;
const GUILD_MESSAGES = 1 << 9;
const MESSAGE_CONTENT = 1 << 15;

const rest = new REST({ api: process.argv[2].replace(/\/v10$/, "") }).setToken("abc");
const manager = new WebSocketManager({
  token: "abc",
  intents: GUILDS | GUILD_MESSAGES | MESSAGE_CONTENT,
  rest,
  compression: CompressionMethod.ZlibNative,
});

const missing = new Set(); // guilds that READY named and that have not come yet
const present = new Set();

manager.on(WebSocketShardEvents.Ready, (_, shard) => console.log(`ready ${shard}`));
manager.on(WebSocketShardEvents.Resumed, (shard) => console.log(`resumed ${shard}`));
manager.on(WebSocketShardEvents.Error, (error) => {
  throw error;
});
manager.on(WebSocketShardEvents.Dispatch, ({ t, d }, shard) => {
  if (t === "READY") {
    for (const { id } of d.guilds) missing.add(id);
  } else if (t === "GUILD_CREATE" && missing.delete(d.id)) {
    present.add(d.id);
    if (missing.size === 0) console.log(`guilds ${present.size}`);
  } else if (t === "MESSAGE_CREATE") {
    console.log(`message ${shard} ${d.id}`);
  }
});

await manager.connect();
