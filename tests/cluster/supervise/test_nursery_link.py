"""A real nursery and its workers at the other end of the line."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import pytest

from gwcluster.supervise.nursery_link import Listener, NurseryLink, WorkerLink
from gwcluster.wire.control import Job, Permit, StateChanged, encode
from support.cluster import environment_of, is_alive, nurseries
from support.heard import Heard, open_files, until
from support.jobs import TOKEN, job
from support.room import Room

SIGTERM, SIGKILL = 15, 9


class Line(NurseryLink):
    """Remembers its workers, so that a test leaves none behind."""

    def __init__(self, listener: Listener, environ: Mapping[str, str], *, answer_s: float = 10.0) -> None:
        super().__init__(listener, environ, answer_s=answer_s)
        self.forked: list[WorkerLink] = []

    def fork(self, shard: int) -> WorkerLink:
        self.forked.append(super().fork(shard))
        return self.forked[-1]


def with_nursery(
    story: Callable[[NurseryLink, Heard], Awaitable[None]], *, answer_s: float = 10.0, **environ: str
) -> Heard:
    """Run a story beside a nursery that lives as long, and return what was heard."""
    heard = Heard()

    async def main() -> None:
        link = Line(heard, {"PATH": os.environ["PATH"], **environ}, answer_s=answer_s)
        await link.start()
        try:
            await story(link, heard)
        finally:
            await link.stop()
            for worker in link.forked:
                closed = asyncio.Event()
                worker.when_closed(closed.set)
                await asyncio.wait_for(closed.wait(), 5.0)

    asyncio.run(main())
    return heard


def at_home(folder: Path, shard: int) -> Job:
    """A job whose gateway refuses every connection."""
    return job(shard=shard, folder=str(folder / str(shard)))


def the_nursery() -> int:
    (found,) = nurseries()
    return found


def test_a_worker_gets_its_job_and_its_end_is_told_with_its_status(tmp_path: Path) -> None:
    async def story(link: NurseryLink, heard: Heard) -> None:
        worker = link.fork(3)
        worker.tell(at_home(tmp_path, 3))  # before there is anybody at the other end
        await until(lambda: heard.is_at_work(3), "a worker that dials")
        link.signal(heard.workers[3], SIGTERM)
        await until(lambda: heard.exits, "its end")
        assert heard.exits == [(3, heard.workers[3], 0)]
        closed = asyncio.Event()
        worker.when_closed(closed.set)
        await asyncio.wait_for(closed.wait(), 5.0)
        assert [m.state for _, m in heard.messages if isinstance(m, StateChanged)][-1] == "stopped"
        worker.tell(Permit(0.0))  # to nobody: nothing happens
        again = asyncio.Event()
        worker.when_closed(again.set)
        assert again.is_set()

    assert with_nursery(story).ends == []


def test_what_a_worker_writes_to_stderr_is_logged_with_its_shard(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def from_shard_3() -> list[logging.LogRecord]:
        return [r for r in caplog.records if r.name == "gwworker" and r.getMessage().startswith("shard 3: ")]

    async def story(link: NurseryLink, heard: Heard) -> None:
        link.fork(3).tell(at_home(tmp_path, 3))
        await until(from_shard_3, "a line of the worker's")

    with caplog.at_level(logging.INFO):
        with_nursery(story)
    assert from_shard_3()[0].levelno in {logging.INFO, logging.WARNING}


def test_words_that_are_no_log_record_are_an_error_that_names_no_shard(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def cries() -> list[logging.LogRecord]:
        return [r for r in caplog.records if r.name == "gwworker" and r.levelno == logging.ERROR]

    async def story(link: NurseryLink, heard: Heard) -> None:
        await until(nurseries, "the nursery")
        stderr = Path(f"/proc/{the_nursery()}/fd/2")
        words = b"Fatal Python error: \xff\n" + b"x" * 70_000 + b"\nlast words"
        await asyncio.to_thread(stderr.write_bytes, words)

    with caplog.at_level(logging.INFO):
        with_nursery(story)
    first, *rest = [record.getMessage() for record in cries()]
    assert first == "nursery or worker: Fatal Python error: \ufffd"
    assert sum(message.count("x") for message in rest) == 70_000
    assert rest[-1] == "nursery or worker: last words"


def test_nursery_and_workers_have_the_environment_that_is_given_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OURS_ALONE", TOKEN)

    async def story(link: NurseryLink, heard: Heard) -> None:
        link.fork(3).tell(at_home(tmp_path, 3))
        await until(lambda: heard.is_at_work(3), "a worker that dials")
        for pid in (the_nursery(), heard.workers[3]):
            environment = environment_of(pid)
            assert b"THEIRS=yes\0" in environment
            assert TOKEN.encode() not in environment

    with_nursery(story, THEIRS="yes")


@pytest.mark.parametrize("by", ["us", "somebody"])
def test_the_death_of_the_nursery_is_told_once_and_takes_its_workers_along(tmp_path: Path, by: str) -> None:
    async def story(link: NurseryLink, heard: Heard) -> None:
        link.fork(3).tell(at_home(tmp_path, 3))
        await until(lambda: heard.is_at_work(3), "a worker that dials")
        if by == "us":
            link.kill()
        else:
            os.kill(the_nursery(), signal.SIGKILL)
        await until(lambda: heard.ends, "the news")
        await until(lambda: not is_alive(heard.workers[3]), "the worker's end")
        link.signal(heard.workers[3], SIGTERM)  # to nobody: nothing happens

    assert with_nursery(story).ends == [-SIGKILL]


def test_a_stop_ends_nursery_and_workers_within_two_seconds_and_tells_nobody(tmp_path: Path) -> None:
    took_s = 0.0

    async def story(link: NurseryLink, heard: Heard) -> None:
        nonlocal took_s
        link.fork(3).tell(at_home(tmp_path, 3))
        await until(lambda: heard.is_at_work(3), "a worker that dials")
        before = time.monotonic()
        nursery = the_nursery()
        await link.stop()
        took_s = time.monotonic() - before
        assert not is_alive(nursery)
        await until(lambda: not is_alive(heard.workers[3]), "the worker's end", 2.0)

    assert with_nursery(story).ends == []
    assert took_s < 2.0


def test_a_nursery_that_does_not_hear_is_killed_by_a_stop_within_two_seconds(tmp_path: Path) -> None:
    took_s = 0.0

    async def story(link: NurseryLink, heard: Heard) -> None:
        nonlocal took_s
        link.fork(3).tell(at_home(tmp_path, 3))
        await until(lambda: heard.is_at_work(3), "a worker that dials")
        os.kill(the_nursery(), signal.SIGSTOP)
        before = time.monotonic()
        await link.stop()
        took_s = time.monotonic() - before

    with_nursery(story)
    assert 0.9 < took_s < 2.0


def signal_it(link: NurseryLink, heard: Heard) -> None:
    link.signal(heard.workers[3], signal.SIGWINCH)  # which changes nothing


def fork_another(link: NurseryLink, heard: Heard) -> None:
    link.fork(4)


@pytest.mark.parametrize("ask", [signal_it, fork_another])
def test_a_nursery_that_hangs_while_it_owes_an_answer_is_killed_with_its_workers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, ask: Callable[[NurseryLink, Heard], None]
) -> None:
    async def story(link: NurseryLink, heard: Heard) -> None:
        link.fork(3).tell(at_home(tmp_path, 3))
        await until(lambda: heard.is_at_work(3), "a worker that dials")
        os.kill(the_nursery(), signal.SIGSTOP)
        await asyncio.sleep(5.5)
        assert heard.ends == [], "it owes nothing"
        ask(link, heard)
        await until(lambda: heard.ends, "the news")
        await until(lambda: not is_alive(heard.workers[3]), "the worker's end")

    assert with_nursery(story, answer_s=5.0).ends == [-SIGKILL]
    assert "the nursery has not answered for 5 s; killing it, and its workers with it" in caplog.text


def test_a_nursery_that_has_answered_owes_nothing(tmp_path: Path) -> None:
    async def story(link: NurseryLink, heard: Heard) -> None:
        link.fork(3).tell(at_home(tmp_path, 3))
        await until(lambda: heard.is_at_work(3), "a worker that dials")
        signal_it(link, heard)
        link.signal(1, signal.SIGWINCH)  # no child of its own: it says so all the same
        link.fork(4).tell(at_home(tmp_path, 4))
        await until(lambda: heard.is_at_work(4), "a second worker that dials")
        await asyncio.sleep(5.5)

    assert with_nursery(story, answer_s=5.0).ends == []


def test_nonsense_from_a_worker_closes_its_link_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(link: NurseryLink, heard: Heard) -> None:
        bad, good = link.fork(3), link.fork(4)
        bad.tell(at_home(tmp_path, 3))
        good.tell(at_home(tmp_path, 4))
        await until(lambda: heard.is_at_work(3) and heard.is_at_work(4), "two workers that dial")
        bad.data_received(b"\xff\xff\xff\xff")  # a length of 4 GiB, as if it had come from the worker
        closed = asyncio.Event()
        bad.when_closed(closed.set)
        await asyncio.wait_for(closed.wait(), 5.0)
        await until(lambda: heard.exits, "the end of the worker that was hung up on")
        assert [shard for shard, _, _ in heard.exits] == [3]
        assert is_alive(heard.workers[4])
        link.signal(heard.workers[4], SIGTERM)
        await until(lambda: len(heard.exits) == 2, "the other's end")
        assert heard.exits[1] == (4, heard.workers[4], 0)

    assert with_nursery(story).ends == []
    assert "shard 3: control channel closed: a control message of 4294967295 bytes" in caplog.text


def test_a_nursery_that_can_not_be_started_is_an_os_error_and_leaves_nothing_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        monkeypatch.setattr("sys.executable", "/nowhere/python")
        before = open_files()
        link = NurseryLink(Heard(), {})
        with pytest.raises(FileNotFoundError):
            await link.start()
        await link.stop()
        assert open_files() == before

    asyncio.run(main())


def test_a_pulse_makes_room_for_itself_and_not_for_a_quarter_of_a_megabyte() -> None:
    heard, room, said = Heard(), Room(), StateChanged("live", "RESUMED", None)

    async def main() -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            link = WorkerLink(3, heard)
            await asyncio.get_running_loop().create_unix_connection(lambda: link, sock=ours)
            room.begin()
            theirs.sendall(encode(said))
            await until(lambda: heard.messages, "what the worker said")
            assert room.most() < 100_000
            link.close()
            await asyncio.sleep(0)

    asyncio.run(main())
    assert heard.messages == [(3, said)]
