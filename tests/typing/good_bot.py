"""A bot as people write it: mypy --strict has nothing to say about it."""

import asyncio
from typing import Any

import gwcluster


async def greet(cluster: gwcluster.Cluster, event: gwcluster.Event) -> None:
    guild_id: str = event.data["guild_id"]
    offset: int = event.offset
    seq: int | None = event.seq
    payload: bytes = event.payload
    try:
        await cluster.send({"op": 4, "d": {"guild_id": guild_id}}, guild_id=guild_id, ttl_s=5.0)
    except gwcluster.SendRefused as refused:
        wait_s: float | None = refused.retry_after
        print(refused.code, wait_s, offset, seq, len(payload))


async def main() -> None:
    async with gwcluster.connect("cluster.yaml") as cluster:
        status: dict[str, Any] = await cluster.status()
        print(status["ready"])
        events: gwcluster.Subscription = cluster.subscribe(
            "MESSAGE_CREATE", "GUILD_CREATE", shards=range(8), cursor="bot.cursor"
        )
        async for event in events:
            if event.name == "GWCLUSTER_GAP":
                print(event.data["first"], event.data["last"])
            await greet(cluster, event)


def with_keys() -> None:
    keys = gwcluster.Curve.load("bot.key_secret", "cluster.key")
    again = gwcluster.Curve(keys.server_key, public_key=keys.public_key, secret_key=keys.secret_key)
    maybe: gwcluster.Curve | None = again
    try:
        with gwcluster.connect("cluster.yaml", curve=maybe) as cluster:
            cluster.status()
    except (gwcluster.KeyRefused, gwcluster.KeyFileError) as error:
        problem: gwcluster.GwclusterError = error
        print(problem)


def script() -> None:
    with gwcluster.connect(events="tcp://127.0.0.1:5570", requests="tcp://127.0.0.1:5571") as cluster:
        cluster.send({"op": 3, "d": {"status": "idle"}}, shard=0)
        subscription: gwcluster.BlockingSubscription = cluster.subscribe()
        maybe: gwcluster.Event | None = subscription.poll(1.0)
        print(maybe)
        for event in subscription:
            at: float = event.at
            print(event.name, at)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except (gwcluster.FollowError, gwcluster.CursorError, gwcluster.NoAnswer) as error:
        problem: gwcluster.GwclusterError = error
        print(problem)
