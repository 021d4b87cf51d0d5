"""What every log promises, wherever it is kept: the same tests for files and for JetStream."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from gwcluster.errors import LogError
from gwcluster.log import Expired, LogBusy, LogWriter, NoLog, Page
from gwcluster.wire.events import decode_header, parse_topic
from support.kept_logs import MIB, InFiles, Kept, counted, in_jetstream, put, session, until
from support.nats_servers import NatsServers
from support.shard_log import AT, BIG, Wall

KB = b"x" * 1000
Scene = Callable[[Kept], Awaitable[None]]
Play = Callable[[Scene], None]


@pytest.fixture(params=["files", "jetstream"])
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Play:
    """Returns what runs a scene, in a place for a log."""

    def plays(scene: Scene) -> None:
        async def run() -> None:
            if request.param == "files":
                await scene(InFiles(tmp_path / "shard"))
            else:
                nats: NatsServers = request.getfixturevalue("nats")
                async with in_jetstream(nats.urls) as kept:
                    await scene(kept)

        uvloop.run(run())

    return plays


def told(page: Page) -> tuple[list[int], list[tuple[int, int]], int | None, bool]:
    return [record.offset for record in page.records], page.holes, page.last, page.more


def test_an_append_gives_the_three_frames_and_the_log_gives_them_out_byte_for_byte(play: Play) -> None:
    async def scene(kept: Kept) -> None:
        writer, _ = (
            await kept.open(new_epoch=lambda: "0123456789abcdef")
            if isinstance(kept, InFiles)
            else await kept.open()
        )
        odd = b'{ "t": "READY", "d": "\xc3\xa9\xff\x00\r\n", "s":1}'
        topic, header, payload = writer.append("READY", odd, session=1, seq=1, at=1_767_225_600.1234567)
        notice = writer.append("GWCLUSTER_SHARD_STATE", b"{}", session=1, seq=None, at=AT)
        third = writer.append("READY", b"{}", session=1, seq=2, at=AT)
        fourth = writer.append("READY", b"{}", session=1, seq=3, at=AT)  # its prev is 2
        await counted(writer)
        assert (topic, payload) == (b"READY.3.", odd)
        found = decode_header(header)
        assert (found.shard, found.shards, found.epoch) == (3, 16, writer.epoch)
        assert (found.offset, found.prev, found.session, found.seq) == (0, None, 1, 1)
        assert found.at == 1_767_225_600.1234567
        page = await kept.read(None)
        assert [(record.header, record.payload) for record in page.records] == [
            (header, odd),
            notice[1:],
            third[1:],
            fourth[1:],
        ]
        assert [(record.name, record.seq, record.at) for record in page.records] == [
            ("READY", 1, 1_767_225_600.1234567),
            ("GWCLUSTER_SHARD_STATE", None, AT),
            ("READY", 2, AT),
            ("READY", 3, AT),
        ]
        await kept.ended(writer)

    play(scene)


def test_offsets_are_contiguous_and_prev_links_events_of_one_name(play: Play) -> None:
    async def scene(kept: Kept) -> None:
        writer, _ = await kept.open()
        frames = await put(writer, "READY", "TYPING_START", "READY", "READY", "TYPING_START")
        assert [parse_topic(topic)[0] for topic, _, _ in frames][1::3] == ["TYPING_START", "TYPING_START"]
        headers = [decode_header(header) for _, header, _ in frames]
        assert [header.offset for header in headers] == [0, 1, 2, 3, 4]
        assert [header.prev for header in headers] == [None, None, 0, 2, 1]
        assert writer.last_offsets == {"READY": 3, "TYPING_START": 4}
        assert (writer.next_offset, writer.floor) == (5, None)
        await kept.ended(writer)

    play(scene)


def test_seq_counts_only_when_the_record_is_in_the_log(play: Play) -> None:
    async def scene(kept: Kept) -> None:
        writer, _ = await kept.open()
        writer.append("READY", b"{}", session=1, seq=7, at=AT)
        assert (writer.session, writer.seq) == (0, None)
        seen: list[tuple[int, int | None]] = []
        writer.flush(lambda: seen.append(writer.last_received))
        await until(lambda: bool(seen))
        assert seen == [(1, 7)]
        writer.append("GWCLUSTER_SHARD_STATE", b"{}", session=1, seq=None, at=AT)
        await counted(writer)
        assert (writer.session, writer.seq, writer.waiting) == (1, 7, 0)
        assert writer.degraded is None
        await kept.ended(writer)

    play(scene)


def test_what_waits_for_a_flush_is_called_in_order_once_its_records_are_in_the_log(play: Play) -> None:
    async def scene(kept: Kept) -> None:
        writer, _ = await kept.open()
        called: list[tuple[int, int]] = []

        def then(at: int) -> Callable[[], None]:
            return lambda: called.append((at, writer.seq or 0))

        for at in range(1000):
            writer.append("A", KB, session=1, seq=at + 1, at=AT)
            writer.flush(then(at))
        await counted(writer)
        assert [at for at, _ in called] == list(range(1000))
        assert all(seq > at for at, seq in called)
        await kept.ended(writer)

    play(scene)


def test_a_flush_of_nothing_waits_for_nothing(play: Play) -> None:
    async def scene(kept: Kept) -> None:
        writer, _ = await kept.open()
        called: list[int] = []
        writer.flush(lambda: called.append(1))
        assert called == [1]
        await kept.ended(writer)

    play(scene)


def test_a_marker_moves_the_seq_but_no_offset(play: Play) -> None:
    async def scene(kept: Kept) -> None:
        writer, _ = await kept.open()
        await put(writer, "READY")
        writer.mark(1, 500, AT)
        assert writer.seq == 1
        await counted(writer)
        assert (writer.seq, writer.next_offset) == (500, 1)
        assert told(await kept.read(None)) == ([0], [], 0, False)
        await kept.killed(writer)
        again, _ = await kept.open()
        assert (again.session, again.seq, again.next_offset) == (1, 500, 1)
        assert told(await kept.read(None)) == ([0], [], 0, False)
        await kept.ended(again)

    play(scene)


def test_a_name_that_no_topic_can_carry_is_refused_and_takes_no_offset(play: Play) -> None:
    async def scene(kept: Kept) -> None:
        writer, _ = await kept.open()
        for name in ("", "MESSAGE.CREATE", "É", "A" * 101, "A B", "*", ">"):
            with pytest.raises(LogError, match="not an event name"):
                writer.append(name, b"{}", session=1, seq=1, at=AT)
        assert (writer.next_offset, writer.last_offsets) == (0, {})
        await kept.ended(writer)

    play(scene)


@pytest.mark.parametrize("is_killed", [False, True])
def test_everything_goes_on_after_reopening(play: Play, is_killed: bool) -> None:
    async def scene(kept: Kept) -> None:
        writer, _ = await kept.open()
        await put(writer, "READY", "TYPING_START")
        for turn in range(3):
            await (kept.killed if is_killed else kept.ended)(writer)
            again, _ = await kept.open()
            assert again.epoch == writer.epoch
            assert (again.next_offset, again.session, again.seq) == (2 + turn, 1, 2 + turn)
            ((_, header, _),) = await put(again, "READY")
            found = decode_header(header)
            assert (found.offset, found.prev) == (2 + turn, 0 if turn == 0 else 1 + turn)
            writer = again
        assert told(await kept.read(None)) == ([0, 1, 2, 3, 4], [], 4, False)
        await kept.ended(writer)

    play(scene)


def test_another_shard_count_starts_anew(play: Play) -> None:
    async def scene(kept: Kept) -> None:
        writer, _ = await kept.open()
        await put(writer, "READY")
        await kept.ended(writer)
        again, _ = await kept.open(shards=32)
        assert again.epoch != writer.epoch
        assert (again.next_offset, again.seq, again.last_offsets) == (0, None, {})
        assert (await kept.read(None)) == Page(again.epoch, [], [], None, False, 0, None)
        await put(again, "A")
        page = await kept.read(None)
        assert (page.epoch, told(page)) == (again.epoch, ([0], [], 0, False))
        await kept.ended(again)

    play(scene)


def test_a_log_that_was_never_opened_is_none(play: Play) -> None:
    async def scene(kept: Kept) -> None:
        with pytest.raises(NoLog):
            await kept.read(None)

    play(scene)


def test_a_page_tells_what_was_asked_for_and_where_the_log_stands(play: Play) -> None:
    async def scene(kept: Kept) -> None:
        writer, _ = await kept.open()
        assert await kept.read(None) == Page(writer.epoch, [], [], None, False, 0, None)
        await put(writer, "READY", "TYPING_START", "READY", "TYPING_START")
        page = await kept.read(0, "READY")
        assert [record.offset for record in page.records] == [2]
        assert page == Page(writer.epoch, page.records, [], 3, False, 0, 3)
        assert told(await kept.read(None)) == ([0, 1, 2, 3], [], 3, False)
        assert told(await kept.read(None, limit=2)) == ([0, 1], [], 1, True)
        assert told(await kept.read(1, limit=2)) == ([2, 3], [], 3, False)
        assert told(await kept.read(None, limit=0)) == ([], [], None, True)
        assert told(await kept.read(1, limit=0)) == ([], [], 1, True)
        assert told(await kept.read(3)) == ([], [], 3, False)
        assert told(await kept.read(99)) == ([], [], 99, False)
        assert told(await kept.read(None, "NOTHING")) == ([], [], 3, False)
        await kept.ended(writer)

    play(scene)


def test_a_page_holds_no_more_bytes_than_asked_for_but_always_one_event(play: Play) -> None:
    async def scene(kept: Kept) -> None:
        writer, _ = await kept.open()
        frames = await put(writer, "READY", "READY", "READY", payload=KB)
        two = sum(len(frame) for each in frames[:2] for frame in each)
        assert told(await kept.read(None, max_bytes=two)) == ([0, 1], [], 1, True)
        assert told(await kept.read(None, max_bytes=two - 1)) == ([0], [], 0, True)
        assert told(await kept.read(0, max_bytes=1)) == ([1], [], 1, True)
        assert told(await kept.read(1, max_bytes=1)) == ([2], [], 2, False)
        await put(writer, "TYPING_START", "READY", payload=KB)
        assert told(await kept.read(2, "READY", max_bytes=1)) == ([4], [], 4, False)
        assert told(await kept.read(1, "READY", max_bytes=1500)) == ([2], [], 3, True)
        await kept.ended(writer)

    play(scene)


def test_old_records_go_by_bytes_and_what_is_known_of_them_stays(play: Play) -> None:
    async def scene(kept: Kept) -> None:
        writer, _ = await kept.open(retention_bytes=MIB)
        await put(writer, "READY")
        for _ in range(30):
            await put(writer, "GUILD_CREATE", payload=BIG)
            writer.sync()
        writer.tidy(AT)
        page = await kept.read(None)
        assert 5 < page.oldest < 31
        assert told(page) == (list(range(page.oldest, 31)), [], 30, False)
        with pytest.raises(Expired) as expired:
            await kept.read(3)
        assert expired.value.oldest == page.oldest
        await kept.killed(writer)
        again, _ = await kept.open(retention_bytes=MIB)
        assert (again.next_offset, again.seq, again.epoch) == (31, 31, writer.epoch)
        ((_, header, _),) = await put(again, "READY")
        assert decode_header(header).prev == 0
        await kept.ended(again)

    play(scene)


def test_old_records_go_by_age_even_when_nothing_comes_and_the_seq_stays(play: Play) -> None:
    async def scene(kept: Kept) -> None:
        wall = Wall()
        writer, _ = await kept.open(wall=wall, retention_age_s=800.0)
        await put(writer, "READY", "A")
        for _ in range(19):
            await _tidied(writer, wall, 50.0)
            if wall.now - AT <= 790.0:
                assert (await kept.read(None)).oldest == 0
        page = await kept.read(None)
        assert (told(page), page.oldest, page.newest) == (([], [], 1, False), 2, 1)
        with pytest.raises(Expired):
            await kept.read(0)
        await put(writer, "A")
        await kept.killed(writer)
        again, _ = await kept.open(wall=wall, retention_age_s=800.0)
        assert (again.seq, again.next_offset, again.last_offsets) == (3, 3, {"READY": 0, "A": 2})
        assert told(await kept.read(1)) == ([2], [], 2, False)
        await kept.ended(again)

    play(scene)


async def _tidied(writer: LogWriter, wall: Wall, passed_s: float) -> None:
    wall.now += passed_s
    writer.tidy(wall.now)
    writer.sync()
    await counted(writer)
    purging = getattr(writer, "_purging", None)
    if purging is not None:
        await purging


def test_of_two_writers_at_most_one_can_write(play: Play) -> None:
    async def scene(kept: Kept) -> None:
        first, _ = await kept.open()
        await put(first, "A")
        called: list[str] = []
        try:
            second, _ = await kept.open()
        except LogBusy:
            await put(first, "B")
            await kept.ended(first)
            return
        first.append("FIRST", b"{}", session=1, seq=2, at=AT)
        first.flush(lambda: called.append("first"))
        await put(second, "SECOND")
        await until(lambda: first.degraded is not None)
        first.append("FIRST", b"{}", session=1, seq=3, at=AT)
        first.flush(lambda: called.append("first"))
        await put(second, "SECOND")
        assert called == []
        assert first.seq == 1
        assert [record.name for record in (await kept.read(None)).records] == ["A", "SECOND", "SECOND"]
        await kept.ended(second)

    play(scene)


def test_a_session_is_kept_for_the_next_writer_until_it_is_forgotten(play: Play) -> None:
    async def scene(kept: Kept) -> None:
        writer, sessions = await kept.open()
        assert sessions.load() is None
        sessions.forget()
        sessions.save(session(1))
        sessions.save(session(2, "b" * 32))
        assert sessions.load() == session(2, "b" * 32)
        await put(writer, "READY")
        await kept.killed(writer)
        writer, sessions = await kept.open()
        assert sessions.load() == session(2, "b" * 32)
        sessions.forget()
        assert sessions.load() is None
        await put(writer, "READY")
        await kept.ended(writer)
        writer, sessions = await kept.open()
        assert sessions.load() is None
        await kept.ended(writer)

    play(scene)


def test_names_beyond_some_hundred_are_forgotten_and_counted_from_the_floor(play: Play) -> None:
    async def scene(kept: Kept) -> None:
        writer, _ = await kept.open()
        await put(writer, *[f"N{number}" for number in range(600)])
        assert len(writer.last_offsets) < 513
        known = (dict(writer.last_offsets), writer.floor)
        assert known[1] is not None
        await kept.killed(writer)
        again, _ = await kept.open()
        assert (again.last_offsets, again.floor) == known
        ((_, header, _),) = await put(again, "N0")
        assert decode_header(header).prev == known[1]
        await kept.ended(again)

    play(scene)


def test_every_page_of_a_log_adds_up_whatever_its_size(play: Play) -> None:
    async def scene(kept: Kept) -> None:
        dice = random.Random(3)
        writer, _ = await kept.open()
        names: list[str] = []
        for turn in range(4):
            for _ in range(300):
                names.append(f"N{dice.randrange(4)}")
                size = dice.randrange(2000)
                writer.append(names[-1], bytes(size), session=1, seq=len(names), at=AT)
                if dice.random() < 0.1:
                    writer.mark(1, len(names), AT)
            await counted(writer)
            if turn < 3:
                await (kept.killed if turn % 2 else kept.ended)(writer)
                writer, _ = await kept.open()
        for wanted in (("N1",), ("N0", "N2"), ()):
            after, found = None, []
            while True:
                page = await kept.read(
                    after, *wanted, limit=dice.randrange(1, 90), max_bytes=dice.randrange(1, 60_000)
                )
                assert page.holes == []
                found += [(record.name, record.offset) for record in page.records]
                after = page.last
                if not page.more:
                    break
            assert found == [(n, at) for at, n in enumerate(names) if not wanted or n in wanted]
        for after in dice.sample(range(1190), 40):
            assert told(await kept.read(after, limit=3))[0] == [after + 1, after + 2, after + 3]
        await kept.ended(writer)

    play(scene)
