"""A log that changes hands while messages of its last writer are still on their way; on real servers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from gwcluster.log import LogBusy, Page
from gwcluster.log.jetstream import message, names, stream
from gwcluster.log.jetstream.answers import NoAnswer
from gwcluster.log.jetstream.light import Msg
from gwcluster.log.jetstream.link import ANSWER_S, Link
from gwcluster.log.jetstream.message import Kind, Stored
from gwcluster.log.jetstream.opening import follow
from gwcluster.log.state import State
from gwcluster.nats_login import NatsLogin
from support.kept_logs import InJetStream, counted, in_jetstream, put, session, until
from support.nats_servers import NatsServers, nats_servers
from support.shard_log import AT

Sent = tuple[str, bytes, str, dict[str, str]]


class SlowLink(Link):
    """A connection on which messages linger.

    Attributes:
        lingering: what was to be published, from `linger` on.
        before: called before each message to a subject that ends with a token.
    """

    def __init__(self, login: NatsLogin, name: str) -> None:
        super().__init__(login, name)
        self.lingering: list[Sent] | None = None
        self.before: tuple[str, Callable[[], Awaitable[None]]] | None = None

    def linger(self) -> None:
        self.lingering = []

    async def publish(self, subject: str, data: bytes, *, reply: str = "", headers: dict[str, str]) -> None:
        if self.lingering is not None:
            self.lingering.append((subject, data, reply, dict(headers)))
            return
        if self.before is not None and subject.endswith(self.before[0]):
            _, act = self.before
            self.before = None
            await act()
        await super().publish(subject, data, reply=reply, headers=headers)

    async def arrive(self) -> list[str]:
        """Let what lingered arrive; return what became of it."""
        sent, self.lingering = self.lingering or [], None
        said = []
        for subject, data, _, headers in sent:
            answer = await self.request(subject, data, headers=headers)
            said.append(answer.data.decode())
        return said


def play(nats: NatsServers, scene: Callable[[InJetStream], Awaitable[None]]) -> None:
    async def run() -> None:
        async with in_jetstream(nats.urls) as kept:
            await scene(kept)

    uvloop.run(run())


async def slow(kept: InJetStream) -> SlowLink:
    link = await SlowLink.connect(NatsLogin(tuple(kept.urls)), name="slow")
    assert isinstance(link, SlowLink)
    return link


async def left_behind(kept: InJetStream, count: int) -> SlowLink:
    """Have a writer write two records, send more, and die before they arrive."""
    link = await slow(kept)
    writer = (await kept.take(link)).writer
    await put(writer, "A", "B")
    link.linger()
    for at in range(count):
        writer.append(f"LATE{at}", b"{}", session=1, seq=3 + at, at=AT)
    writer.flush()
    await until(lambda: link.lingering is not None and len(link.lingering) == count)
    writer.close()
    return link


async def everything(kept: InJetStream, kind: Kind, begins: str = "") -> list[str]:
    """Return the last tokens of all messages of a kind that are in the stream."""
    name = names.stream(kept.name, 3)
    tip = await stream.ends(kept.link, name)
    found = await stream.stretch(kept.link, name, tip.first, tip.last)
    tokens = [each.token for each in found if each is not None and each.kind is kind]
    return [token for token in tokens if token.startswith(begins)]


def names_in(page: Page) -> list[str]:
    assert page.holes == []
    assert [record.offset for record in page.records] == list(range(len(page.records)))
    return [record.name for record in page.records]


@pytest.mark.parametrize("count", [1, 2, 3, 100, 256])
def test_what_arrives_after_the_takeover_is_refused_all_of_it(nats: NatsServers, count: int) -> None:
    async def scene(kept: InJetStream) -> None:
        late = await left_behind(kept, count)
        successor = (await kept.take()).writer
        said = await late.arrive()
        assert len(said) == count
        assert all("wrong last sequence" in each for each in said), said[:3]
        await put(successor, "C", "D")
        assert names_in(await kept.read(None)) == ["A", "B", "C", "D"]
        await late.close()

    play(nats, scene)


@pytest.mark.parametrize("token", [names.FILL, names.FENCE])
def test_what_arrives_during_the_takeover_does_not_count_and_is_removed(
    nats: NatsServers, token: str
) -> None:
    async def scene(kept: InJetStream) -> None:
        late = await left_behind(kept, 5)
        said: list[str] = []

        async def arrive() -> None:
            said.extend(await late.arrive())

        link = await slow(kept)
        link.before = (token, arrive)
        successor = (await kept.take(link)).writer
        landed = [each for each in said if "error" not in each]
        assert bool(landed) == bool(len(said) == 5)
        assert (successor.next_offset, successor.seq) == ((2, 2) if token == names.FILL else (7, 7))
        await put(successor, "C", "D")
        found = names_in(await kept.read(None))
        if token == names.FILL:  # the fence was there before, so that the first of them came too late
            assert found == ["A", "B", "C", "D"]
            assert not await everything(kept, Kind.RECORD, "LATE")
            assert not await everything(kept, Kind.FILL)
        else:  # they came before the fence, in time
            assert found == ["A", "B", *[f"LATE{at}" for at in range(5)], "C", "D"]
        await late.close()

    play(nats, scene)


@pytest.mark.parametrize("at", [names.FILL, ".session.3"])
def test_readers_give_out_nothing_that_does_not_count_while_a_log_is_taken_over(
    nats: NatsServers, at: str
) -> None:
    async def scene(kept: InJetStream) -> None:
        late = await left_behind(kept, 3)
        pages: list[Page] = []

        async def look() -> None:
            await late.arrive()
            tip = await stream.last_of(kept.link, names.stream(kept.name, 3), names.subjects(kept.name, 3))
            assert tip is not None
            assert message.parse(*tip).kind is (Kind.RECORD if at == names.FILL else Kind.FILL)
            pages.append(await kept.read(None))
            pages.append(await kept.read(1))

        link = await slow(kept)
        link.before = (at, look)
        await kept.take(link)
        assert names_in(pages[0]) == ["A", "B"]
        assert (pages[1].records, pages[1].last, pages[1].newest) == ([], 1, 1)
        await late.close()

    play(nats, scene)


def test_a_writer_that_was_taken_over_ends_and_says_so(nats: NatsServers) -> None:
    async def scene(kept: InJetStream) -> None:
        writer, _ = await kept.open()
        await put(writer, "A")
        called: list[int] = []
        successor, _ = await kept.open()
        writer.append("B", b"{}", session=1, seq=2, at=AT)
        writer.flush(lambda: called.append(1))
        await until(lambda: bool(kept.fenced))
        (why,) = kept.fenced
        assert why.startswith("the log of shard 3 is somebody else's: somebody else wrote message ")
        assert writer.degraded is not None
        assert (called, writer.seq, writer.waiting) == ([], 1, 0)
        await writer.finish()
        await put(successor, "C")
        assert names_in(await kept.read(None)) == ["A", "C"]

    play(nats, scene)


def test_after_an_orderly_end_nothing_has_to_be_outrun(nats: NatsServers) -> None:
    async def scene(kept: InJetStream) -> None:
        writer, _ = await kept.open()
        await put(writer, "A")
        await kept.ended(writer)
        before = (await stream.ends(kept.link, names.stream(kept.name, 3))).last
        again, _ = await kept.open()
        assert (await stream.ends(kept.link, names.stream(kept.name, 3))).last == before + 1
        assert (again.next_offset, again.seq, again.last_offsets) == (1, 1, {"A": 0})

    play(nats, scene)


def test_takeovers_that_end_half_way_lose_nothing(nats: NatsServers) -> None:
    class Killed(Exception):  # noqa: N818 - it plays SIGKILL
        pass

    async def killed() -> None:
        raise Killed

    async def scene(kept: InJetStream) -> None:
        writer, sessions = await kept.open()
        sessions.save(session(1))
        await put(writer, "A", "B")
        epoch = writer.epoch
        await kept.killed(writer)
        for token in (names.FILL, names.FENCE, ".session.3", names.FILL):
            link = await slow(kept)
            link.before = (token, killed)
            with pytest.raises(Killed):
                await kept.take(link)
            await link.close()
        log = await kept.take()
        assert (log.writer.epoch, log.writer.next_offset, log.writer.seq) == (epoch, 2, 2)
        assert log.sessions.load() == session(1)
        await put(log.writer, "C")
        assert names_in(await kept.read(None)) == ["A", "B", "C"]

    play(nats, scene)


class LeaderlessLink(Link):
    """A connection on which streams have no leader for a while.

    Attributes:
        without: beginnings of subjects, each of which isn't answered once.
    """

    without: tuple[str, ...] = ()

    async def gather(
        self,
        subject: str,
        data: bytes = b"",
        *,
        headers: dict[str, str] | None = None,
        timeout_s: float = ANSWER_S,
        one: bool = False,
        again_s: float | None = None,
    ) -> list[Msg]:
        for begins in self.without:
            if subject.startswith(begins):
                self.without = tuple(each for each in self.without if each != begins)
                subject = "nobody.listens"
        return await super().gather(
            subject, data, headers=headers, timeout_s=timeout_s, one=one, again_s=again_s
        )


@pytest.mark.parametrize(
    "what", ["$KV.", "gwcluster.", "$JS.API.STREAM.INFO.", "$JS.API.STREAM.MSG.GET.", "$JS.API.DIRECT.GET."]
)
def test_a_log_without_leader_says_that_it_does_not_answer_and_is_tried_again(
    nats: NatsServers, what: str
) -> None:
    async def scene(kept: InJetStream) -> None:
        link = await left_behind(kept, 5)
        await link.arrive()
        await link.close()
        leaderless = await LeaderlessLink.connect(NatsLogin(tuple(kept.urls)), name="leaderless")
        assert isinstance(leaderless, LeaderlessLink)
        leaderless.without = (what,)
        with pytest.raises(NoAnswer):
            await kept.take(leaderless, take_s=0.0)
        leaderless.without = (what,)
        writer = (await kept.take(leaderless)).writer
        assert writer.next_offset == 7
        assert not leaderless.without

    play(nats, scene)


def test_of_two_that_take_over_at_once_one_writes(nats: NatsServers) -> None:
    async def scene(kept: InJetStream) -> None:
        writer, _ = await kept.open()
        await put(writer, "A")
        await kept.killed(writer)
        logs = await asyncio.gather(kept.take(), kept.take(), return_exceptions=True)
        assert all(not isinstance(each, BaseException) or isinstance(each, LogBusy) for each in logs)
        writers = [each.writer for each in logs if not isinstance(each, BaseException)]
        for each in writers:
            each.append("B", b"{}", session=1, seq=2, at=AT)
            each.flush()
        await until(lambda: len(kept.fenced) == len(writers) - 1)
        await until(lambda: any(each.seq == 2 for each in writers))
        assert names_in(await kept.read(None)) == ["A", "B"]

    play(nats, scene)


def test_an_older_owners_late_session_does_not_replace_the_present_ones(nats: NatsServers) -> None:
    async def scene(kept: InJetStream) -> None:
        link = await slow(kept)
        old = await kept.take(link)
        link.linger()
        old.sessions.save(session(5, "old" * 10))
        await until(lambda: bool(link.lingering))
        old.writer.close()
        present = await kept.take()
        (said,) = await link.arrive()
        assert "wrong last sequence" in said
        present.sessions.save(session(6))
        await put(present.writer, "READY")
        assert (await kept.take()).sessions.load() == session(6)
        await link.close()

    play(nats, scene)


def test_a_session_is_kept_before_any_record_behind_it_is_sent(nats: NatsServers) -> None:
    async def scene(kept: InJetStream) -> None:
        link = await slow(kept)
        log = await kept.take(link)
        link.linger()
        log.sessions.save(session(1))
        log.writer.append("READY", b"{}", session=1, seq=1, at=AT)
        log.writer.flush()
        await until(lambda: bool(link.lingering))
        assert link.lingering is not None
        for _ in range(20):
            await asyncio.sleep(0)
        assert [subject.rpartition(".")[2] for subject, *_ in link.lingering] == ["3"]
        assert log.writer.waiting > 0
        log.writer.close()
        await link.close()

    play(nats, scene)


def test_what_stands_in_a_stream_that_is_not_ours_ends_the_writer_and_the_next_one_leaves_it_out(
    nats: NatsServers,
) -> None:
    async def scene(kept: InJetStream) -> None:
        writer, _ = await kept.open()
        await put(writer, "A")
        await kept.link.request(names.subject(kept.name, 3, "A"), b"by hand")
        writer.append("B", b"{}", session=1, seq=2, at=AT)
        writer.flush()
        await until(lambda: bool(kept.fenced))
        again, _ = await kept.open()
        assert (again.next_offset, again.seq) == (1, 1)
        await put(again, "B")
        assert names_in(await kept.read(None)) == ["A", "B"]

    play(nats, scene)


def test_an_event_that_the_server_has_no_room_for_is_a_hole_and_its_seq_counts(tmp_path: Path) -> None:
    with nats_servers(tmp_path / "small", max_payload=100_000) as small:

        async def scene(kept: InJetStream) -> None:
            writer, _ = await kept.open()
            await put(writer, "A")
            await put(writer, "GUILD_CREATE", payload=bytes(99_900))
            await put(writer, "A", payload=bytes(98_000))
            page = await kept.read(None)
            assert [record.offset for record in page.records] == [0, 2]
            assert (page.holes, page.last) == ([(1, 1)], 2)
            assert writer.seq == 3
            await kept.killed(writer)
            again, _ = await kept.open()
            assert (again.next_offset, again.last_offsets) == (3, {"A": 2, "GUILD_CREATE": 1})

        play(small, scene)


def test_many_records_come_to_fences_so_that_opening_reads_little(nats: NatsServers) -> None:
    async def scene(kept: InJetStream) -> None:
        writer, _ = await kept.open()
        for _ in range(50):
            await put(writer, *["A"] * 100)
        await kept.killed(writer)
        subject = names.subject(kept.name, 3, names.FENCE)
        found = await stream.last_of(kept.link, names.stream(kept.name, 3), subject)
        assert found is not None
        assert message.parse(*found).offset == 4100
        again, _ = await kept.open()
        assert (again.next_offset, again.seq, again.last_offsets) == (5000, 5000, {"A": 4999})
        await counted(again)

    play(nats, scene)


def test_readers_leave_out_what_stands_between_the_fences_of_a_takeover(nats: NatsServers) -> None:
    async def scene(kept: InJetStream) -> None:
        writer, _ = await kept.open()
        await put(writer, "A")
        await kept.killed(writer)
        state = State(writer.epoch, 3, 16, "", 1, 1, 1, {"A": 0})
        late = message.record("1" * 16, state.epoch, 16, 1, None, 1, 2, AT)
        ours = message.record("2" * 16, state.epoch, 16, 1, None, 1, 2, AT)
        for token, headers, data in (
            (
                names.FENCE,
                message.fence(Kind.TAKING, "2" * 16, state, "h", 1),
                message.encode_state(state, 1),
            ),
            ("LATE", late, b"{}"),
            (names.FENCE, message.fence(Kind.FENCE, "2" * 16, state, "h", 1), message.encode_state(state, 1)),
            ("B", ours, b"{}"),
        ):
            await kept.link.request(names.subject(kept.name, 3, token), data, headers=headers)
        assert names_in(await kept.read(None)) == ["A", "B"]
        assert [record.name for record in (await kept.read(0)).records] == ["B"]

    play(nats, scene)


def test_what_was_of_another_epoch_is_removed(nats: NatsServers) -> None:
    async def scene(kept: InJetStream) -> None:
        writer, _ = await kept.open()
        await put(writer, "A", "B")
        await kept.ended(writer)
        await kept.open(shards=32)
        assert await everything(kept, Kind.RECORD) == []

    play(nats, scene)


# What a successor makes of what it finds behind the last fence

FENCE = Stored(10, Kind.FENCE, names.FENCE, "w", "e", 5)


def event(sequence: int, offset: int, writer: str = "w") -> Stored:
    return Stored(sequence, Kind.RECORD, f"E{offset}", writer, "e", offset, 2, 100 + offset)


def followed(*following: Stored | None) -> tuple[State, list[int]]:
    state = State("e", 3, 16, "", 5, 1, 104, {"A": 4})
    voids = follow(state, FENCE, list(following))
    return state, voids


def test_records_behind_a_fence_move_all_that_is_known() -> None:
    marked = Stored(13, Kind.MARK, names.MARK, "w", "e", 7, 2, 190)
    state, voids = followed(event(11, 5), event(12, 6), marked)
    assert (state.next_offset, state.session, state.seq, voids) == (7, 2, 190, [])
    assert state.last_offsets == {"A": 4, "E5": 5, "E6": 6}


def test_behind_what_is_somebody_elses_nothing_counts() -> None:
    strange = Stored(12, Kind.FOREIGN, "A", "", "", 0)
    state, voids = followed(event(11, 5), strange, event(13, 7), event(14, 8))
    assert (state.next_offset, state.seq, voids) == (6, 105, [12, 13, 14])
    state, voids = followed(event(11, 5, "x"), event(12, 6))
    assert (state.next_offset, state.seq, voids) == (5, 104, [11, 12])


def test_an_offset_that_is_there_twice_counts_once() -> None:
    state, voids = followed(event(11, 5), event(12, 5))
    assert (state.next_offset, voids) == (6, [12])


def test_records_that_are_gone_are_a_hole_and_every_name_hangs_on_its_end() -> None:
    state, voids = followed(event(11, 5), None, event(13, 7))
    assert (state.next_offset, state.seq, state.floor, voids) == (8, 107, 6, [])
    assert state.last_offsets == {"A": 6, "E5": 6, "E7": 7}
