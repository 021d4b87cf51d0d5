from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gwcluster.board import Counts
from gwcluster.config import Retention
from gwcluster.fanin import Fanin
from gwcluster.herald import Herald
from gwcluster.log import Reader
from gwcluster.state_folder import StateFolder
from gwcluster.wire.events import Header, decode_header
from support.shard_log import open_log, put

Frames = tuple[bytes, bytes, bytes]


class Published(Fanin):
    """Keeps what is published, and what `look` sees at that moment."""

    def __init__(self, look: Callable[[], object] = lambda: None) -> None:
        self.frames: list[Frames] = []
        self.seen: list[object] = []
        self._look = look

    def publish(self, topic: bytes, header: bytes, payload: bytes) -> None:
        self.frames.append((topic, header, payload))
        self.seen.append(self._look())


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateFolder]:
    with contextlib.closing(StateFolder(tmp_path)) as state:
        yield state


def test_a_failed_shard_is_said_in_its_log_after_all_that_its_worker_wrote(state: StateFolder) -> None:
    worker = open_log(state.shard(3))
    put(worker, "READY", "GUILD_CREATE", session=2, first_seq=1)
    worker.close()
    fanin, before = Published(), time.time()
    Herald(fanin, state, 16, 2, Retention()).failed(3, "died too often")

    (published,) = fanin.frames
    *_, record = Reader(state.shard(3)).records()
    assert published == (b"GWCLUSTER_SHARD_STATE.3.", record.header, record.payload)
    header = decode_header(published[1])
    assert before <= header.at <= time.time()
    assert header == Header(3, 16, worker.epoch, 2, None, 2, None, header.at)
    assert json.loads(published[2]) == {
        "t": "GWCLUSTER_SHARD_STATE",
        "s": None,
        "op": 0,
        "d": {"shard": 3, "state": "failed", "reason": "died too often"},
    }


def test_a_failure_is_in_the_log_before_it_is_published(state: StateFolder) -> None:
    fanin = Published(lambda: [record.name for record in Reader(state.shard(3)).records()])
    Herald(fanin, state, 16, 2, Retention()).failed(3, "died too often")
    assert fanin.seen == [["GWCLUSTER_SHARD_STATE"]]


def test_the_log_is_free_again_and_the_seq_to_resume_from_is_the_workers(state: StateFolder) -> None:
    worker = open_log(state.shard(3))
    put(worker, "READY", first_seq=7)
    worker.close()
    Herald(Published(), state, 16, 2, Retention()).failed(3, "died too often")
    with contextlib.closing(open_log(state.shard(3))) as successor:
        assert (successor.epoch, successor.session, successor.seq) == (worker.epoch, 1, 7)


def test_a_shard_that_never_had_a_log_gets_one(state: StateFolder) -> None:
    fanin = Published()
    herald = Herald(fanin, state, 16, 2, Retention())
    herald.failed(3, "can't start")
    herald.failed(4, "can't start")
    epochs = {decode_header(header).epoch for _, header, _ in fanin.frames}
    assert epochs == {Reader(state.shard(shard)).epoch for shard in (3, 4)}
    assert len(epochs) == 2


def test_a_log_that_somebody_holds_is_an_error_for_people_and_no_exception(
    state: StateFolder, caplog: pytest.LogCaptureFixture
) -> None:
    fanin = Published()
    with contextlib.closing(open_log(state.shard(3))) as worker:
        put(worker, "READY")
        Herald(fanin, state, 16, 2, Retention()).failed(3, "died too often")
        assert [record.name for record in Reader(state.shard(3)).records()] == ["READY"]
    (said,) = caplog.records
    assert said.levelno == logging.ERROR
    assert said.getMessage().startswith("shard 3: its log doesn't say that it is failed: another process")
    assert fanin.frames == []


def test_the_clusters_counts_carry_its_lowest_shard_and_no_logs_epoch(state: StateFolder) -> None:
    fanin, before = Published(), time.time()
    Herald(fanin, state, 16, 2, Retention()).cluster(Counts(ready=12, total=14, degraded=1, failed=2))
    ((topic, header, payload),) = fanin.frames
    assert topic == b"GWCLUSTER_CLUSTER_STATE.2."
    assert replace(decode_header(header), at=0.0) == Header(2, 16, "0" * 16, 0, None, 0, None, 0.0)
    assert before <= decode_header(header).at <= time.time()
    assert json.loads(payload)["d"] == {"ready": 12, "total": 14, "degraded": 1, "failed": 2}
    assert not (state.path / "shards").exists()
