from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import msgpack
import pytest

from gwcluster.log import Reader
from gwcluster.requests.replay import Replays, replay
from gwcluster.wire.requests import Replay
from support.shard_log import BIG, damage, open_log, put, segments


def ask(**changed: Any) -> Replay:
    fields: dict[str, Any] = {
        "epoch": None,
        "after": None,
        "names": None,
        "limit": 1000,
        "max_bytes": 1 << 20,
    }
    return Replay("mine", 3, **(fields | changed))


def answer(folder: Path, **changed: Any) -> dict[str, Any]:
    found: dict[str, Any] = msgpack.unpackb(replay(Reader(folder), ask(**changed)))
    assert (found["v"], found["id"]) == (1, "mine")
    return found


def test_events_come_as_the_three_frames_that_were_published(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    frames = put(writer, "READY", "MESSAGE_CREATE", payload=b'{"d":{}}')
    found = answer(tmp_path)
    assert found == {
        "v": 1,
        "id": "mine",
        "ok": True,
        "shard": 3,
        "epoch": writer.epoch,
        "events": [list(each) for each in frames],
        "holes": [],
        "more": False,
        "last": 1,
        "oldest": 0,
        "newest": 1,
    }
    writer.close()


def test_who_asks_on_from_last_gets_everything_once(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    frames = put(writer, *(["A", "B", "C"] * 10))
    got: list[list[bytes]] = []
    found = answer(tmp_path, limit=7)
    while found["events"]:
        got += found["events"]
        assert found["more"] == (len(got) < 30)
        found = answer(tmp_path, limit=7, after=found["last"], epoch=writer.epoch)
    assert got == [list(each) for each in frames]
    assert (found["last"], found["more"]) == (29, False)
    writer.close()


def test_events_of_some_names_alone_move_on_over_the_others(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    put(writer, "A", "B", "A", "C")
    found = answer(tmp_path, names=frozenset({"A", "NONE"}))
    assert [topic for topic, _, _ in found["events"]] == [b"A.3.", b"A.3."]
    assert (found["last"], found["more"]) == (3, False)
    writer.close()


def test_one_event_always_fits(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    put(writer, "A", "B", payload=BIG)
    found = answer(tmp_path, max_bytes=1)
    assert [len(payload) for _, _, payload in found["events"]] == [100_000]
    assert (found["last"], found["more"]) == (0, True)
    writer.close()


def test_a_limit_of_zero_tells_where_the_log_stands(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    empty = answer(tmp_path, limit=0)
    assert (empty["events"], empty["oldest"], empty["newest"]) == ([], 0, None)
    assert (empty["last"], empty["more"]) == (None, False)
    put(writer, "A", "B")
    found = answer(tmp_path, limit=0)
    assert (found["events"], found["oldest"], found["newest"]) == ([], 0, 1)
    assert answer(tmp_path, limit=0, after=0)["more"] is True
    assert answer(tmp_path, limit=0, after=1)["more"] is False
    writer.close()


def test_from_before_the_first_offset_of_an_empty_log_the_position_stays(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    assert answer(tmp_path, after=-1)["last"] == -1
    writer.close()


def test_beyond_the_end_there_is_nothing_and_the_position_stays(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    put(writer, "A")
    found = answer(tmp_path, after=99)
    assert (found["events"], found["last"], found["more"], found["newest"]) == ([], 99, False, 0)
    writer.close()


def test_another_epoch_is_told_before_anything_else(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    put(writer, "A")
    found = answer(tmp_path, epoch="f" * 16, after=1_000_000)
    assert found["ok"] is False
    assert (found["error"]["code"], found["error"]["epoch"]) == ("wrong_epoch", writer.epoch)
    assert "f" * 16 in found["error"]["message"]
    writer.close()


def test_what_has_expired_is_told_with_what_is_left(tmp_path: Path) -> None:
    writer = open_log(tmp_path, retention_bytes=8 << 20)
    for _ in range(100):
        put(writer, "GUILD_CREATE", payload=BIG)
        writer.sync()
    oldest = Reader(tmp_path).oldest
    assert oldest > 1
    found = answer(tmp_path, after=oldest - 2)
    assert (found["error"]["code"], found["error"]["oldest"]) == ("expired", oldest)
    assert answer(tmp_path, after=oldest - 1, limit=1)["last"] == oldest
    assert answer(tmp_path, limit=1)["last"] == oldest  # nobody can be late for "from the oldest"
    writer.close()


def test_what_is_damaged_is_told_as_a_hole(tmp_path: Path) -> None:
    writer = open_log(tmp_path, retention_bytes=8 << 20)
    for _ in range(30):
        put(writer, "A", payload=BIG)
    writer.close()
    first, second, *_ = segments(tmp_path)
    damage(first, lambda data: data.__setitem__(350_000, data[350_000] ^ 1))
    begin = int(second.stem)
    found = answer(tmp_path, after=1, names=frozenset({"B"}))
    assert found["holes"] == [[3, 3]]
    assert found["last"] >= begin


def test_a_shard_without_a_log_is_not_ready(tmp_path: Path) -> None:
    found = answer(tmp_path / "none")
    assert found["error"]["code"] == "not_ready"
    assert "there is no log in" in found["error"]["message"]
    assert found["error"]["retry_after"] == 1.0


def test_each_shards_log_is_read_in_a_thread_of_its_own(tmp_path: Path) -> None:
    writer = open_log(tmp_path / "3")
    put(writer, "A")
    replays = Replays(lambda shard: Reader(tmp_path / str(shard)))
    answers: list[tuple[dict[str, Any], str]] = []
    done = threading.Semaphore(0)

    def take(body: bytes) -> None:
        answers.append((msgpack.unpackb(body), threading.current_thread().name))
        done.release()

    for one in (ask(), Replay("other", 4, None, None, None, 1000, 1000), ask()):
        replays.serve(one, take)
        assert done.acquire(timeout=5)
    assert [found["ok"] for found, _ in answers] == [True, False, True]
    assert {thread for _, thread in answers} == {"replays"}
    replays.close()
    writer.close()


def test_a_bug_in_one_answer_ends_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def folder(shard: int) -> Path:
        raise LookupError(shard)

    replays = Replays(lambda shard: Reader(folder(shard)))
    answers: list[dict[str, Any]] = []
    done = threading.Semaphore(0)

    def take(body: bytes) -> None:
        answers.append(msgpack.unpackb(body))
        done.release()

    for _ in range(2):
        replays.serve(ask(), take)
        assert done.acquire(timeout=5)
    assert [found["error"]["code"] for found in answers] == ["not_ready", "not_ready"]
    assert "bug: a replay of shard 3" in caplog.text
    replays.close()


def test_who_asks_for_a_log_that_never_was_is_told_so_and_for_one_that_is_unreadable_is_not(
    tmp_path: Path,
) -> None:
    found = answer(tmp_path / "never")
    assert (found["error"]["code"], found["error"]["no_log"]) == ("not_ready", True)
    (tmp_path / f"{0:020d}.log").write_bytes(b"garbage")
    found = answer(tmp_path)
    assert found["error"]["code"] == "not_ready"
    assert "no_log" not in found["error"]
