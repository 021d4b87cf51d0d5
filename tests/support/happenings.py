"""What happens on Discord while nobody looks."""

from __future__ import annotations

from support.scene import Scene


def emit(scene: Scene, count: int, shard: int = 0) -> None:
    """Let `count` events happen to a shard, whether it is connected or not."""
    for _ in range(count):
        scene.sim.emit("TYPING_START", {"user_id": "1"}, shard=shard)
