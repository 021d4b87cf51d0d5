"""One shard at work on a real log and a real socket, against a gateway that follows a script."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import zlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

import pytest
import uvloop
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from gwcluster.log.reader import Reader
from gwcluster.log.session_state import FileSessions, SavedSession, load, save
from gwcluster.log.writer import Writer
from gwcluster.wire.control import AskPermit, Command, Message, Permit, PermitUnused, PermitUsed, StateChanged
from gwcluster.wire.events import parse_topic
from gwcluster.wire.exits import WorkerExit
from gwworker.bus_link import Control, Fanin
from gwworker.disk import Disk
from gwworker.drive import Drive
from gwworker.effects import Forget, Remember
from gwworker.identity import saved_session
from gwworker.outlet import Outlet
from support.jobs import job
from support.link_rig import AGENT, NO_TLS, frame
from support.shard_log import open_log

FOREVER = 1e18


class NoFanin(Fanin):
    """Notes what is pushed; at each look so much is said to wait as the list tells next, then `at_last`."""

    def __init__(self) -> None:
        self.unpushed = 0
        self.wait: list[int] = []
        self.at_last = 0
        self.events: list[tuple[bytes, bytes, bytes]] = []

    @property
    def waiting(self) -> int:
        return self.wait.pop(0) if self.wait else self.at_last

    def push(self, events: Iterable[tuple[bytes, bytes, bytes]]) -> None:
        self.events += events


class Permissive(Control):
    """A coordinator that grants every permit at once."""

    def __init__(self) -> None:
        self.told: list[Message] = []
        self.drive: Drive | None = None

    def tell(self, message: Message) -> None:
        self.told.append(message)
        if isinstance(message, AskPermit) and self.drive is not None:
            asyncio.get_running_loop().call_soon(self.drive.heard, Permit(FOREVER))


class Visit:
    """The gateway's side of one connection."""

    def __init__(self, peer: ServerConnection) -> None:
        self.peer = peer
        self.over = asyncio.Event()

    async def hello(self, interval_ms: int = 41_250) -> dict[str, Any]:
        """Greet; return the client's first payload that is no beat."""
        await self.say({"t": None, "s": None, "op": 10, "d": {"heartbeat_interval": interval_ms}})
        while (got := await self.got())["op"] == 1:
            pass
        return got

    async def say(self, *payloads: dict[str, Any] | bytes) -> None:
        for payload in payloads:
            if isinstance(payload, bytes):
                await self.peer.send(payload)
            else:
                await self.peer.send(json.dumps(payload, separators=(",", ":")))

    async def got(self) -> dict[str, Any]:
        payload: dict[str, Any] = json.loads(await self.peer.recv())
        return payload

    async def beat(self) -> Any:
        """Ask for a heartbeat; return the seq in it."""
        await self.say({"op": 1, "d": None})
        while (got := await self.got())["op"] != 1:
            pass
        return got["d"]

    def greet_and_close(self, code: int) -> None:
        """Send Hello and a close frame, so that both come with one read."""
        hello = b'{"t":null,"s":null,"op":10,"d":{"heartbeat_interval":41250}}'
        self.peer.transport.write(frame(1, hello) + frame(8, code.to_bytes(2, "big")))

    async def code(self) -> int | None:
        """Return the client's close code."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self.peer.recv()
        return self.peer.close_code


def event(seq: int, name: str = "MESSAGE_CREATE", d: Any = None) -> dict[str, Any]:
    return {"t": name, "s": seq, "op": 0, "d": d if d is not None else {"id": str(seq)}}


def ready(session: str = "a" * 32) -> dict[str, Any]:
    return event(1, "READY", {"session_id": session, "v": 10})


class Rig:
    """A shard whose gateway hands over one `Visit` after another."""

    def __init__(
        self, folder: Path, open_writer: Callable[[Path], Writer] = open_log, **changed: Any
    ) -> None:
        self.folder = folder
        self.open_writer = open_writer
        self.changed = changed
        self.visits: asyncio.Queue[Visit] = asyncio.Queue()
        self.control = Permissive()
        self.writer: Writer

    async def visit(self) -> Visit:
        return await self.visits.get()

    async def serve(self, peer: ServerConnection) -> None:
        visit = Visit(peer)
        self.visits.put_nowait(visit)
        await peer.wait_closed()

    def seqs(self) -> list[int]:
        return [record.seq for record in Reader(self.folder).records() if record.seq is not None]

    def names(self) -> list[str]:
        return [record.name for record in Reader(self.folder).records()]

    async def until_seq(self, seq: int) -> None:
        """Wait until the log has this seq."""
        while self.writer.seq != seq:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.001)

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[Rig]:
        async with serve(self.serve, "127.0.0.1", 0, close_timeout=1.0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            shard_job = job(folder=str(self.folder), gateway_url=f"ws://127.0.0.1:{port}/", **self.changed)
            self.writer = self.open_writer(self.folder)
            self.disk = Disk(asyncio.get_running_loop().time)
            self.fanin = NoFanin()
            self.outlet = Outlet(shard_job, self.writer, self.fanin, disk=self.disk, wall=lambda: 0.0)
            self.finished: list[WorkerExit] = []
            self.drive = Drive(
                shard_job,
                writer=self.writer,
                sessions=FileSessions(self.folder),
                disk=self.disk,
                outlet=self.outlet,
                control=self.control,
                tls=NO_TLS,
                user_agent=AGENT,
                jitter=lambda: 0.01,
                clock=time.monotonic,
                wall=lambda: 0.0,
                finish=self.finished.append,
            )
            self.control.drive = self.drive
            self.drive.begin()
            try:
                yield self
            finally:
                self.drive.drain()
                if self.drive.link is not None:
                    await asyncio.wait([self.drive.link.closed], timeout=1.0)
                    self.drive.link.abort()
                self.writer.close()


def run(main: Coroutine[Any, Any, None]) -> None:
    uvloop.run(asyncio.wait_for(main, 10.0))


async def live(rig: Rig) -> Visit:
    visit = await rig.visit()
    assert (await visit.hello())["op"] == 2
    await visit.say(ready())
    await rig.until_seq(1)
    return visit


def test_a_new_shard_identifies_is_live_and_logs_each_payload_as_it_came(tmp_path: Path) -> None:
    async def main() -> None:
        async with Rig(tmp_path).at_work() as rig:
            visit = await live(rig)
            odd = b'{ "d": {"s": 9}, "op":0, "s":2, "t":"SOMETHING_NEW" }'
            await visit.peer.send(odd.decode())
            await rig.until_seq(2)
            records = [record for record in Reader(tmp_path).records() if record.seq is not None]
            assert [(record.name, record.seq, record.session) for record in records] == [
                ("READY", 1, 1),
                ("SOMETHING_NEW", 2, 1),
            ]
            assert records[1].payload == odd
            assert rig.drive.pulse(0).identifies == 1
            assert rig.control.told.count(PermitUsed(0.0)) == 1
            assert rig.drive.pulse(0).degraded is None
            with rig.disk:
                rig.disk._since = asyncio.get_running_loop().time() - 9.5
                assert rig.drive.pulse(0).degraded == "the log's disk hasn't answered for 10 s"

    run(main())


def test_the_log_has_the_seq_before_a_heartbeat_says_so(tmp_path: Path) -> None:
    async def main() -> None:
        async with Rig(tmp_path).at_work() as rig:
            visit = await live(rig)
            await visit.say(event(2), event(3))
            await rig.until_seq(3)
            assert await visit.beat() == 3

    run(main())


def test_what_is_received_but_not_yet_in_the_log_is_in_no_heartbeat(tmp_path: Path) -> None:
    # A worker that is killed resumes from its log, so nothing later may have been called received.
    async def main() -> None:
        async with Rig(tmp_path).at_work() as rig:
            visit = await live(rig)
            await visit.peer.send(json.dumps(event(2)) + json.dumps({"op": 1, "d": None}))
            assert (await visit.got())["d"] == 1
            assert await visit.beat() == 2

    run(main())


def test_op_7_leaves_with_4900_and_resumes_from_the_logs_last_seq(tmp_path: Path) -> None:
    async def main() -> None:
        async with Rig(tmp_path).at_work() as rig:
            visit = await live(rig)
            await visit.say(event(2), {"op": 7, "d": None})
            assert await visit.code() == 4900
            again = await rig.visit()
            resume = await again.hello()
            assert (resume["op"], resume["d"]["session_id"], resume["d"]["seq"]) == (6, "a" * 32, 2)
            await again.say(event(2), event(3), event(4, "RESUMED", {}))
            await rig.until_seq(4)
            assert rig.seqs() == [1, 2, 3, 4]
            assert rig.drive.pulse(0).duplicates == 1

    run(main())


@pytest.mark.parametrize("broken", [b"\xff", b'{"t":"A","s":3,"op":0,"d":{}', b"[]", b'{"op":0}'])
def test_what_cannot_be_read_is_not_skipped_but_asked_for_again(tmp_path: Path, broken: bytes) -> None:
    async def main() -> None:
        async with Rig(tmp_path).at_work() as rig:
            visit = await live(rig)
            await visit.say(event(2), broken, event(4))
            assert await visit.code() == 4900
            resume = await (await rig.visit()).hello()
            assert (resume["op"], resume["d"]["seq"]) == (6, 2)
            assert rig.seqs() == [1, 2]

    run(main())


def test_a_flipped_bit_in_zlib_stream_costs_nothing_but_a_resume(tmp_path: Path) -> None:
    async def main() -> None:
        async with Rig(tmp_path, compression="zlib-stream").at_work() as rig:
            for flip in (True, False):
                visit = await rig.visit()
                deflate = zlib.compressobj()

                async def say(payload: dict[str, Any], flip: bool, deflate: Any, visit: Visit) -> None:
                    data = deflate.compress(json.dumps(payload).encode()) + deflate.flush(zlib.Z_SYNC_FLUSH)
                    await visit.peer.send(data[:4] + b"\xff\xff\xff" + data[7:] if flip else data)

                await say({"op": 10, "d": {"heartbeat_interval": 41_250}}, False, deflate, visit)
                opening = (await visit.got())["op"]
                if flip:
                    assert opening == 2
                    await say(ready(), False, deflate, visit)
                    await say(event(2, d={"text": "abc" * 50}), True, deflate, visit)
                    assert await visit.code() == 4900
                else:
                    assert opening == 6
                    await say(event(2), False, deflate, visit)
                    await rig.until_seq(2)
            assert rig.seqs() == [1, 2]

    run(main())


def test_two_payloads_in_one_message_are_both_logged(tmp_path: Path) -> None:
    async def main() -> None:
        async with Rig(tmp_path).at_work() as rig:
            visit = await live(rig)
            await visit.peer.send(json.dumps(event(2)) + json.dumps(event(3)))
            await rig.until_seq(3)
            assert rig.seqs() == [1, 2, 3]

    run(main())


def test_two_payloads_in_one_message_of_a_zlib_stream_are_both_logged(tmp_path: Path) -> None:
    async def main() -> None:
        async with Rig(tmp_path, compression="zlib-stream").at_work() as rig:
            visit = await rig.visit()
            deflate = zlib.compressobj()

            def packed(payload: bytes) -> bytes:
                return deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH)

            await visit.peer.send(packed(b'{"t":null,"s":null,"op":10,"d":{"heartbeat_interval":41250}}'))
            assert (await visit.got())["op"] == 2
            await visit.peer.send(packed(json.dumps(ready()).encode()))
            one, two = (b'{"t":"TYPING_START","s":%d,"op":0,"d":{"user_id":"1"}}' % seq for seq in (2, 3))
            await visit.peer.send(packed(one) + packed(two))
            await rig.until_seq(3)
            assert rig.seqs() == [1, 2, 3]

    run(main())


def test_an_unknown_op_is_ignored(tmp_path: Path) -> None:
    async def main() -> None:
        async with Rig(tmp_path).at_work() as rig:
            visit = await live(rig)
            await visit.say({"op": 99, "d": {}}, event(2))
            await rig.until_seq(2)
            assert await visit.beat() == 2

    run(main())


def saved_and_logged(folder: Path, last: int, **changed: Any) -> SavedSession:
    """Leave a log behind in which session 1 has seqs 1 to `last`, and the session beside it."""
    with contextlib.closing(open_log(folder)) as writer:
        for seq in range(1, last + 1):
            writer.append("A", b"{}", session=1, seq=seq, at=0.0)
        writer.flush()
    saved = saved_session(job(**changed), Remember(1, "b" * 32, None))
    save(folder, saved)
    return saved


def test_a_successor_resumes_what_the_log_has(tmp_path: Path) -> None:
    # "it will need three values: the session_id and the resume_gateway_url from the Ready event, and the
    # sequence number (s) from the last Dispatch (opcode 0) event it received before the disconnect"
    # https://docs.discord.com/developers/events/gateway#preparing-to-resume
    saved_and_logged(tmp_path, 40)

    async def main() -> None:
        async with Rig(tmp_path).at_work() as rig:
            resume = await (await rig.visit()).hello()
            assert (resume["op"], resume["d"]["session_id"], resume["d"]["seq"]) == (6, "b" * 32, 40)

    run(main())


def test_a_beat_before_resumed_carries_the_seq_of_the_log(tmp_path: Path) -> None:
    # "You need to cache the most recent non-null s value for heartbeats, and to pass when Resuming": that is
    # the session's, not the connection's. https://docs.discord.com/developers/events/gateway#dispatch-events
    saved_and_logged(tmp_path, 40)

    async def main() -> None:
        async with Rig(tmp_path).at_work() as rig:
            visit = await rig.visit()
            await visit.hello()
            assert await visit.beat() == 40

    run(main())


def test_commands_leave_after_resumed_too_and_not_before(tmp_path: Path) -> None:
    # A client that waits for READY alone never sends what was asked for while it resumed.
    saved_and_logged(tmp_path, 40)

    async def main() -> None:
        async with Rig(tmp_path).at_work() as rig:
            visit = await rig.visit()
            assert (await visit.hello())["op"] == 6
            rig.drive.heard(Command(1, 31, {"guild_ids": ["1"]}, None))
            await visit.say(event(41), {"op": 1, "d": None})
            assert (await visit.got())["op"] == 1, "in the middle of the replay, nothing but a beat"
            await visit.say(event(42, "RESUMED", {}))
            assert (await visit.got())["op"] == 31

    run(main())


def test_an_identify_that_a_closing_connection_does_not_take_costs_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with Rig(tmp_path).at_work() as rig:
            (await rig.visit()).greet_and_close(1011)
            visit = await rig.visit()
            told = [one for one in rig.control.told if isinstance(one, PermitUsed | PermitUnused)]
            assert told == [PermitUnused()]
            assert rig.drive.pulse(0).identifies == 0
            assert (await visit.hello())["op"] == 2
            assert rig.drive.pulse(0).identifies == 1

    run(main())


def test_a_resume_that_a_closing_connection_does_not_take_is_none(tmp_path: Path) -> None:
    async def main() -> None:
        async with Rig(tmp_path).at_work() as rig:
            await (await live(rig)).peer.close(1011)
            (await rig.visit()).greet_and_close(1011)
            assert rig.drive.link is not None
            await rig.drive.link.closed
            assert rig.drive.pulse(0).resumes == 0
            assert load(tmp_path) is not None

    run(main())


def test_a_session_with_other_intents_is_told_as_lost_and_replaced(tmp_path: Path) -> None:
    saved_and_logged(tmp_path, 40, intents=1)

    async def main() -> None:
        async with Rig(tmp_path).at_work() as rig:
            await live(rig)
            names = [name for name in rig.names() if name != "GWCLUSTER_SHARD_STATE"]
            assert names[-2:] == ["GWCLUSTER_SESSION_LOST", "READY"]
            lost = next(r for r in Reader(tmp_path).records() if r.name == "GWCLUSTER_SESSION_LOST")
            told = json.loads(lost.payload)["d"]
            assert (told["session"], told["last_seq"]) == (1, 40)

    run(main())


def test_between_sessions_heartbeats_carry_no_seq(tmp_path: Path) -> None:
    saved_and_logged(tmp_path, 40, intents=1)

    async def main() -> None:
        rig = Rig(tmp_path)
        async with rig.at_work():
            rig.control.drive = None  # no permit for now
            visit = await rig.visit()
            await visit.say({"op": 10, "d": {"heartbeat_interval": 41_250}})
            assert await visit.beat() is None
            rig.drive.heard(Permit(FOREVER))
            assert (await visit.got())["op"] == 2
            assert await visit.beat() is None
            await visit.say(ready())
            await rig.until_seq(1)
            assert await visit.beat() == 1

    run(main())


def test_a_session_whose_events_are_all_filtered_out_is_resumed_with_its_own_seq(tmp_path: Path) -> None:
    saved_and_logged(tmp_path, 40, intents=1)

    async def main() -> None:
        async with Rig(tmp_path, include=["MESSAGE_CREATE"]).at_work() as rig:
            visit = await rig.visit()
            await visit.hello()
            await visit.say(ready(), event(2, "TYPING_START"))
            assert await visit.beat() == 2
            await visit.say({"op": 7, "d": None})
            resume = await (await rig.visit()).hello()
            assert (resume["d"]["session_id"], resume["d"]["seq"]) == ("a" * 32, 2)

    run(main())


def test_a_resume_does_not_ask_again_for_what_was_filtered_out_a_moment_ago(tmp_path: Path) -> None:
    async def main() -> None:
        async with Rig(tmp_path, exclude=["TYPING_START"]).at_work() as rig:
            visit = await live(rig)
            await visit.say(event(2, "TYPING_START"), event(3, "TYPING_START"), {"op": 7, "d": None})
            assert (await (await rig.visit()).hello())["d"]["seq"] == 3

    run(main())


def test_a_disk_that_refuses_the_session_does_not_end_the_connection(tmp_path: Path) -> None:
    (tmp_path / "session.json.tmp").mkdir()

    async def main() -> None:
        async with Rig(tmp_path).at_work() as rig:
            visit = await live(rig)
            await visit.say(event(2))
            await rig.until_seq(2)
            assert load(tmp_path) is None
            rig.drive._performer.perform(Forget())
            assert await visit.beat() == 2

    run(main())


def test_draining_closes_with_4900_and_finishes_with_0(tmp_path: Path) -> None:
    async def main() -> None:
        async with Rig(tmp_path).at_work() as rig:
            visit = await live(rig)
            rig.drive.drain()
            assert await visit.code() == 4900
            assert rig.finished == [WorkerExit.DONE]
            assert load(tmp_path) is not None, "a successor resumes"

    run(main())


@pytest.mark.parametrize(("code", "status"), [(4004, 64), (4010, 65), (4011, 65), (4013, 64), (4014, 64)])
def test_a_refusal_finishes_with_a_status_of_its_own(tmp_path: Path, code: int, status: int) -> None:
    async def main() -> None:
        async with Rig(tmp_path).at_work() as rig:
            visit = await rig.visit()
            await visit.hello()
            await visit.peer.close(code)
            while not rig.finished:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.001)
            assert rig.finished == [status]

    run(main())


def test_when_the_coordinator_hears_of_ready_a_successor_could_resume_from_the_log(tmp_path: Path) -> None:
    class Watching(Permissive):
        """A coordinator that looks into the log in the moment in which it is told."""

        def __init__(self) -> None:
            super().__init__()
            self.found: list[tuple[int, list[str]]] = []

        def tell(self, message: Message) -> None:
            super().tell(message)
            if isinstance(message, StateChanged) and message.state == "live":
                reader, saved = Reader(tmp_path), load(tmp_path)
                assert saved is not None
                self.found.append((saved.session, [record.name for record in reader.records()]))

    async def main() -> None:
        rig = Rig(tmp_path)
        rig.control = watching = Watching()
        async with rig.at_work():
            await live(rig)
        ((session, names),) = watching.found
        assert session == 1
        assert "READY" in names

    run(main())


MIB = 1 << 20


def test_no_more_is_read_while_the_coordinator_takes_what_a_burst_brought(tmp_path: Path) -> None:
    async def main() -> None:
        async with Rig(tmp_path).at_work() as rig:
            visit = await live(rig)
            assert rig.drive.link is not None
            rig.fanin.wait = [20 * MIB - at * MIB for at in range(19)]  # 20 ms until 1 MiB is left
            await visit.say(event(2))
            await rig.until_seq(2)
            await visit.say(event(3))
            await asyncio.sleep(0.005)
            assert rig.writer.seq == 2, "not read yet"
            await rig.until_seq(3)
            assert rig.fanin.wait == []

    run(main())


def test_a_coordinator_that_takes_nothing_holds_up_no_event(tmp_path: Path) -> None:
    async def main() -> None:
        async with Rig(tmp_path).at_work() as rig:
            visit = await live(rig)
            rig.fanin.at_last = 16 * MIB
            for seq in range(2, 50):
                await visit.say(event(seq))
            await rig.until_seq(49)

    run(main())


class LateWriter(Writer):
    """Of a log in which a record counts only when a test says so."""

    late: list[Callable[[], None]] | None = None
    held = 0

    @property
    def waiting(self) -> int:
        return self.held + len(self.late or ())

    def flush(self, then: Callable[[], None] | None = None) -> None:
        super().flush()
        if then is not None:
            if self.late is None:
                then()
            else:
                self.late.append(then)

    def counts(self) -> None:
        late, self.late = self.late or [], None
        for then in late:
            then()


def open_late(folder: Path) -> LateWriter:
    writer = open_log(folder, kind=LateWriter)
    assert isinstance(writer, LateWriter)
    return writer


def test_nothing_is_read_while_too_much_waits_for_the_log_and_all_of_it_after_that(tmp_path: Path) -> None:
    async def main() -> None:
        async with Rig(tmp_path, open_late).at_work() as rig:
            visit = await live(rig)
            assert isinstance(rig.writer, LateWriter)
            rig.writer.held = 64 << 20
            await visit.say(event(2))
            await rig.until_seq(2)
            link = rig.drive.link
            assert link is not None
            assert link._transport is not None
            while link._transport.is_reading():  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.001)
            await visit.say(event(3))
            rig.writer.held = 0
            await rig.until_seq(3)
            assert link._transport.is_reading()

    run(main())


def test_a_shard_is_said_to_be_live_only_when_that_is_in_the_log(tmp_path: Path) -> None:
    async def main() -> None:
        async with Rig(tmp_path, open_late).at_work() as rig:
            visit = await rig.visit()
            await visit.hello()
            assert isinstance(rig.writer, LateWriter)
            rig.writer.late = []
            pushed = len(rig.fanin.events)
            await visit.say(ready())
            await rig.until_seq(1)
            while not rig.writer.late:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.001)
            rig.drive.beacon()
            rig.drive.beacon()
            states = [message.state for message in rig.control.told if isinstance(message, StateChanged)]
            assert "live" not in states
            assert len(rig.fanin.events) == pushed
            rig.writer.counts()
            states = [message.state for message in rig.control.told if isinstance(message, StateChanged)]
            assert states[-1] == "live"
            names = [parse_topic(topic)[0] for topic, _, _ in rig.fanin.events[pushed:]]
            assert names.count("GWCLUSTER_BEACON") == 1
            assert names[0] == "READY"

    run(main())
