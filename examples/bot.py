"""Print new messages. Kill it, start it again: none is missing. Needs gwcluster."""

import asyncio
import contextlib
import sys

import gwcluster


async def main(file: str) -> None:
    async with gwcluster.connect(file) as cluster:
        async for event in cluster.subscribe("MESSAGE_CREATE", cursor="messages.cursor"):
            if event.name == "MESSAGE_CREATE":
                said = event.data["author"]["username"]
                print(f"shard {event.shard} offset {event.offset}: {said}", flush=True)
            elif event.name == "GWCLUSTER_GAP":
                print(f"shard {event.shard}: messages may be missing: {event.data}", flush=True)


with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "cluster.yaml"))
