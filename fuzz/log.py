"""Real logs, then damaged (does): no record is served that wasn't written, and the next writer goes on."""

from __future__ import annotations

import itertools
import logging
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from fuzz.cases import Target
from fuzz.log_damage import DAMAGES, World
from fuzz.mutate import mutated
from fuzz.samples import a_text
from gwcluster.errors import LogError
from gwcluster.log import Hole, Reader, Record, SavedSession, Writer
from gwcluster.log.session_state import forget, load, save
from gwcluster.wire.events import decode_header

NAMES: Final = ("READY", "MESSAGE_CREATE", "a_1", "X" * 100)
MEMORY: Final = next((p for p in (Path("/dev/shm"),) if p.is_dir()), None)  # noqa: S108


def case(dice: random.Random) -> None:
    """Play one of the games below."""
    with quiet(), tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        if dice.random() < 0.1:
            _saved_session(dice, Path(folder))
            return
        world = World(Path(folder) / "0", dice)
        live(world)
        if dice.random() < 0.3:
            world.boot = dice.choice(("boot-1", "boot-2"))
            live(world)
        _recovers(world, [dice.choice(DAMAGES) for _ in range(dice.choice((0, 1, 1, 2, 3)))])


def live(world: World) -> None:
    """One worker's life, ended in order or by SIGKILL; a copy is what a killed one leaves behind."""
    dice, writer = world.dice, world.open()
    try:
        for _ in range(dice.randrange(8)):
            _batch(world, writer)
            world.now += dice.choice((0.0, 1.0, 11.0, 30.0))
            if dice.random() < 0.5:
                writer.sync()
                writer.tidy(world.now)
        killed = world.folder.with_name(f"{world.folder.name}k")
        if dice.random() < 0.6:
            shutil.copytree(world.folder, killed)
    finally:
        writer.close()
    if killed.exists():
        world.folder = killed


def _batch(world: World, writer: Writer) -> None:
    seq = min(writer.seq or 0, 10**17) + 1  # a forged one may be the largest of all
    for at in range(world.dice.randrange(5)):
        payload = world.dice.choice((b"{}", b"", b"x" * 1000, world.dice.randbytes(60)))
        world.note(writer, world.dice.choice(NAMES), seq + at if world.dice.random() < 0.8 else None, payload)
    if world.dice.random() < 0.2:
        writer.mark(1, seq + 5, world.now)
    writer.flush()


def _recovers(world: World, damages: list[Callable[[World], None]]) -> None:
    reader = Reader(world.folder)
    before = _read(world, reader)
    for damage in damages:
        damage(world)
    first_free = max((offset for _, offset in world.written), default=-1) + 1
    after = _read(world, reader)
    if not damages:
        assert after == before
    try:
        writer = world.open()
    except LogError:
        assert damages, "a log that nobody touched was refused"
        return
    try:
        epochs = {epoch for epoch, _ in world.written}
        if writer.epoch in epochs and not world.lost and not world.forged:
            assert writer.next_offset >= first_free, "offsets are given away twice"
        fresh_from = writer.next_offset
        _batch(world, writer)
        world.note(writer, "READY", 9, b"fresh")
        writer.flush()
        if world.forged:
            _read(world, reader)
            return
        fresh = [e for e in reader.entries(fresh_from - 1) if isinstance(e, Record)]
        assert [e.offset for e in fresh] == [*range(fresh_from, writer.next_offset)], (
            "fresh events are missing"
        )
        check(world, writer.epoch, fresh)
        assert reader.last == writer.next_offset - 1
        assert (writer.session, writer.seq) == (1, 9)
    finally:
        writer.close()
    _read(world, reader)
    again = world.open()
    assert (again.epoch, again.next_offset, again.seq) == (writer.epoch, writer.next_offset, 9)
    assert again.last_offsets == writer.last_offsets
    again.close()


def _read(world: World, reader: Reader) -> list[Record | Hole]:
    """Read all, from anywhere; what is served must be what was written, in order, with every gap told."""
    try:
        epoch, oldest, last = reader.epoch, reader.oldest, reader.last
        everything = [*reader.entries()]
        after = world.dice.choice((-1, 0, 3, oldest - 1, oldest + 1, 2**40))
        later = [*reader.entries(after)]
    except LogError:
        return []
    if world.forged:
        return everything
    for start, entries in ((None, everything), (after + 1, later)):
        check(world, epoch, [e for e in entries if isinstance(e, Record)])
        spans = [(e.first, e.last) if isinstance(e, Hole) else (e.offset, e.offset) for e in entries]
        assert all(first <= end for first, end in spans)
        assert all(two[0] == one[1] + 1 for one, two in itertools.pairwise(spans)), "a gap that isn't told"
        if entries:
            assert spans[-1][1] == last or world.lost
            assert start in (None, spans[0][0])
    return everything


def check(world: World, epoch: str, records: list[Record]) -> None:
    for record in records:
        header = decode_header(record.header)
        assert header.epoch == epoch, "an event of another log"
        told = (record.name, record.header, record.payload, record.session, record.seq, record.at)
        assert told in world.written[header.epoch, record.offset], "a record that nobody wrote"
        assert (header.offset, header.seq) == (record.offset, record.seq)


# The session beside the log


def _saved_session(dice: random.Random, folder: Path) -> None:
    """What is loaded is what was saved, or nothing."""
    text = a_text(dice)[:200]
    saved = SavedSession(7, text, "wss://gateway.discord.gg", 3, 16, 513, "ab" * 16, 10)
    save(folder, saved)
    assert load(folder) == saved
    path = folder / "session.json"
    if dice.random() < 0.1:
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(
            dice.choice(
                (
                    mutated(dice, path.read_bytes()),
                    b"[" * 60_000,
                    b"\xff\xfe[" + text.encode("utf-16", "replace"),
                )
            )
        )
    assert load(folder) in (None, saved)
    if path.is_file():
        forget(folder)
        assert load(folder) is None


@contextmanager
def quiet() -> Iterator[None]:
    """Let no warning be printed: there is one for nearly every case."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


TARGET: Final = Target("log", case)
