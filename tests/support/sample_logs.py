"""The logs of two shards, one of them in disorder: the same bytes every time."""

from __future__ import annotations

from pathlib import Path

from gwcluster.log import SavedSession, Writer
from gwcluster.log.session_state import save
from support.shard_log import Wall, damage, open_log, segments


def sample_logs(state: Path) -> None:
    """Write a state folder: shard 0 is whole, in shard 1 an event has rotted and the end is cut off."""
    for shard in (0, 1):
        folder, wall = state / "shards" / str(shard), Wall()
        writer = _opened(folder, shard, wall)
        for second in range(30):
            wall.now += 1.0
            name = "READY" if second == 0 else "MESSAGE_CREATE" if second % 3 else "TYPING_START"
            payload = b'{"t":"%s","s":%d,"op":0,"d":{}}' % (name.encode(), second + 1)
            writer.append(name, payload, session=1, seq=second + 1, at=wall.now)
            writer.tidy(wall.now)
        writer.close()
        save(folder, SavedSession(1, "s", "wss://gateway.discord.gg", shard, 2, 513, "ab" * 8, 10))
    _, second_segment, _, last = segments(state / "shards" / "1")
    damage(second_segment, lambda data: data.__setitem__(700, data[700] ^ 4))
    damage(last, lambda data: data.__delitem__(slice(-20, None)))


def _opened(folder: Path, shard: int, wall: Wall) -> Writer:
    return open_log(
        folder,
        shard=shard,
        shards=2,
        retention_age_s=80.0,
        wall=wall,
        new_epoch=lambda: f"{0xC0FFEE + shard:016x}",
    )
