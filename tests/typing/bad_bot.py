"""A bot with a mistake in every marked line; mypy has to find each, and no other."""

import gwcluster


async def main() -> None:
    with gwcluster.connect("cluster.yaml") as plain:
        async for event in plain.subscribe("READY"):  # wrong: attr-defined
            print(event)
    gwcluster.connect("cluster.yaml", curve="bot.key_secret")  # wrong: arg-type
    gwcluster.Curve("server")  # wrong: call-arg
    async with gwcluster.connect(file=7) as cluster:  # wrong: arg-type
        await cluster.subscribe("READY")  # wrong: misc
        cluster.status()  # wrong: unused-coroutine
        await cluster.send("hello", shard=1)  # wrong: arg-type
        await cluster.send({"op": 3, "d": {}}, shard="1")  # wrong: arg-type
        await cluster.send({"op": 3, "d": {}}, 1)  # wrong: call-arg
        cluster.subscribe(["READY"])  # wrong: arg-type
        cluster.subscribe("READY", shards="0-7")  # wrong: arg-type
        cluster.subscribe("READY", after=5)  # wrong: call-arg
        async for event in cluster.subscribe("READY"):
            name: int = event.name  # wrong: assignment
            seq: int = event.seq  # wrong: assignment
            print(name, seq, event.guild_id)  # wrong: attr-defined
            event.payload.decode().foo()  # wrong: attr-defined
