"""What may happen to a log's folder (does): rot, cuts, repetitions, swaps, forgeries, foreign files."""

from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from zlib import crc32

from fuzz.mutate import mutated
from gwcluster.log import Writer
from gwcluster.log.record import FIXED, PREFIX, Scan
from gwcluster.log.segments import segment_paths

AGE_S: Final = 80.0


@dataclass(slots=True)
class World:
    """A log's folder and all that was ever written to it.

    Attributes:
        written: epoch and offset to the events that were published with them: one, unless a cut made the log
            forget that.
        lost: what was done to it can't be told from a write that never happened.
        forged: what was done to it has a correct checksum.
    """

    folder: Path
    dice: random.Random
    now: float = 10_000.0
    boot: str = "boot-1"
    written: dict[tuple[str, int], set[tuple[Any, ...]]] = field(default_factory=dict)
    lost: bool = False
    forged: bool = False

    def open(self, folder: Path | None = None, shards: int = 16) -> Writer:
        """Open the log as a worker does."""
        return Writer.open(
            folder or self.folder,
            shard=3,
            shards=shards,
            retention_bytes=8 << 20,
            retention_age_s=AGE_S,
            new_epoch=lambda: f"{self.dice.getrandbits(64):016x}",
            wall=lambda: self.now,
            boot=lambda: self.boot,
        )

    def note(self, writer: Writer, name: str, seq: int | None, payload: bytes) -> None:
        """Append an event and note it."""
        offset = writer.next_offset
        _, header, _ = writer.append(name, payload, session=1, seq=seq, at=self.now)
        self.written.setdefault((writer.epoch, offset), set()).add((name, header, payload, 1, seq, self.now))


def flip(world: World) -> None:
    """A bit of one record rots."""
    _rewrite(world, lambda data: mutated_bit(world.dice, data))


def mutated_bit(dice: random.Random, data: bytes) -> bytes:
    """Return `data` with one bit changed."""
    changed = bytearray(data)
    if changed:
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def cut(world: World) -> None:
    """The end goes."""
    world.lost = True
    _rewrite(world, lambda data: data[: world.dice.randrange(len(data) + 1)])


def mess(world: World) -> None:
    """Stretches are changed, repeated, moved, zeroed."""
    world.lost = True
    _rewrite(world, lambda data: mutated(world.dice, data))


def cut_out(world: World) -> None:
    """A stretch is gone."""
    world.lost = True

    def shorter(data: bytes) -> bytes:
        start, end = _stretch(world.dice, data)
        return data[:start] + data[end:]

    _rewrite(world, shorter)


def repeat_stretch(world: World) -> None:
    """A stretch comes a second time, anywhere."""
    world.lost = True

    def longer(data: bytes) -> bytes:
        (start, end), at = _stretch(world.dice, data), world.dice.randrange(len(data) + 1)
        return data[:at] + data[start:end] + data[at:]

    _rewrite(world, longer)


def swap_stretches(world: World) -> None:
    """Two stretches change places."""
    world.lost = True

    def swapped(data: bytes) -> bytes:
        a, b, c, d = sorted(world.dice.randrange(len(data) + 1) for _ in range(4))
        return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]

    _rewrite(world, swapped)


def _stretch(dice: random.Random, data: bytes) -> tuple[int, int]:
    start = dice.randrange(len(data) + 1)
    return start, min(len(data), start + dice.choice((1, 4, 40, 200, 2000)))


def grow(world: World) -> None:
    """Zeros or noise at the end, as after a power cut."""
    tail = world.dice.choice((b"\x00" * 4096, world.dice.randbytes(50), b"\x2c\x00"))
    _rewrite(world, lambda data: data + tail)


def repeat_records(world: World) -> None:
    """Whole records come twice, or in another order."""
    world.lost = True

    def repeated(data: bytes) -> bytes:
        ends = [0, *(entry.end for entry in Scan(data))]
        records = [data[start:end] for start, end in itertools.pairwise(ends)]
        if records:
            records.insert(world.dice.randrange(len(records) + 1), world.dice.choice(records))
        if world.dice.random() < 0.5:
            world.dice.shuffle(records)
        return b"".join(records)

    _rewrite(world, repeated)


def forge(world: World) -> None:
    """A record is changed and has a correct checksum all the same."""
    world.forged = True

    def forged(data: bytes) -> bytes:
        starts = [0, *(entry.end for entry in Scan(data))][:-1]
        if not starts:
            return data
        start = world.dice.choice(starts)
        length, _ = PREFIX.unpack_from(data, start)
        body = bytearray(data[start + PREFIX.size : start + PREFIX.size + length])
        if world.dice.random() < 0.4:
            body[FIXED.size :] = mutated(world.dice, bytes(body[FIXED.size :]))
        elif world.dice.random() < 0.5:
            body[0] = world.dice.randrange(8)
        else:
            body[world.dice.randrange(8, FIXED.size)] = world.dice.choice((0, 0x7F, 0xFF))
        kind, name, header, _, *rest = FIXED.unpack_from(body)
        name = min(name, len(body) - FIXED.size)
        header = min(header, len(body) - FIXED.size - name)
        FIXED.pack_into(body, 0, kind, name, header, len(body) - FIXED.size - name - header, *rest)
        new = PREFIX.pack(len(body), crc32(body)) + body
        return data[:start] + new + data[start + PREFIX.size + length :]

    _rewrite(world, forged)


def swap_segments(world: World) -> None:
    """Two segments change places."""
    world.lost = True
    paths = [path for _, path in segment_paths(world.folder) if path.is_file()]
    if len(paths) > 1:
        one, two = world.dice.sample(paths, 2)
        spare = one.with_suffix(".spare")
        one.rename(spare)
        two.rename(one)
        spare.rename(two)


def remove_segment(world: World) -> None:
    """A segment is gone."""
    world.lost = True
    _some_segment(world).unlink(missing_ok=True)


def duplicate_segment(world: World) -> None:
    """A segment is there a second time, under the name of another offset."""
    world.lost = True
    found = _some_segment(world)
    first = world.dice.choice((0, 1, 7, 2**40, 2**53, 2**64 - 1, 10**20 - 1))
    other = world.folder / f"{first:020d}.log"
    if found.is_file() and other != found and not (other.is_dir() or other.is_symlink()):
        shutil.copyfile(found, other)


def foreign(world: World) -> None:
    """Things that no writer made."""
    name = world.dice.choice(
        ("x", "00000000000000000099.log", "99999999999999999999.log", "00000000000000000000.tmp", "0.log")
    )
    path = world.folder / name
    if path.exists() or path.is_symlink():
        return
    match world.dice.randrange(3):
        case 0:
            path.mkdir()
        case 1:
            path.write_bytes(world.dice.choice((b"", b"\x00" * 100, b"{}")))
        case _:
            path.symlink_to(world.dice.choice((name, "nowhere", "..")))


def flag(world: World) -> None:
    """A segment's mode says that events were published which it doesn't hold."""
    path = _some_segment(world)
    if path.is_file():
        path.chmod(0o400)


def other_shards(world: World) -> None:
    """A segment of a log for another shard count lies there."""
    world.lost = True
    other = world.folder.with_name(f"{world.folder.name}o")
    if other.exists():
        return
    writer = world.open(other, shards=17)
    world.note(writer, "READY", 1, b"foreign")
    writer.close()
    for path in other.glob("*.log"):
        first = world.dice.choice((0, 1, 500))
        if not (target := world.folder / f"{first:020d}.log").is_dir():
            shutil.copyfile(path, target)


DAMAGES: Final = (
    flip, flip, flip, cut, cut_out, mess, grow, repeat_stretch, repeat_records, swap_stretches, forge, forge,
    swap_segments, remove_segment, duplicate_segment, foreign, flag, other_shards,
)  # fmt: skip


def _some_segment(world: World) -> Path:
    paths = [path for _, path in segment_paths(world.folder) if not path.is_dir()]
    return world.dice.choice(paths) if paths else world.folder / "none.log"


def _rewrite(world: World, change: Callable[[bytes], bytes]) -> None:
    path = _some_segment(world)
    if path.is_file():
        path.write_bytes(change(path.read_bytes()))
