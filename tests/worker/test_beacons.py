"""What a beacon tells, and that whatever it tells can be had from the log, or is told to be missing."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from gwcluster.log import Reader
from gwcluster.log.page import Page
from gwcluster.wire.events import decode_header
from support.outlet_rig import Rig
from support.shard_log import Wall, no_file_beyond, open_log


def missing_after_0(folder: Path) -> Page:
    """Ask as somebody does whom a beacon told of an event A that didn't come."""
    return Reader(folder).read(0, names=frozenset({"A"}), limit=1000, max_bytes=1 << 20)


def test_a_beacon_tells_the_last_offset_of_each_name_and_is_no_event(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    for seq, name in enumerate(["A", "B", "A"], 1):
        rig.dispatch(name, seq)
    header, told = rig.beacon()
    assert told == {"names": {"A": 2, "B": 1}}
    assert (header.offset, header.prev, header.seq, header.session) == (2, None, None, 1)
    topic, _, payload = rig.fanin.events[-1]
    assert topic == b"GWCLUSTER_BEACON.3."
    assert payload.startswith(b'{"t":"GWCLUSTER_BEACON","s":null,"op":0,"d":{')
    assert rig.writer.next_offset == 3
    assert rig.fanin.logged[-1] is False
    rig.writer.close()


def test_a_beacon_overtakes_nothing_that_waits_to_be_written(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.dispatch("A", 1)
    rig.beacon()
    assert rig.fanin.names == ["A", "GWCLUSTER_BEACON"]
    assert rig.fanin.logged == [True, False]
    rig.writer.close()


def test_a_beacon_of_an_empty_log_tells_nothing(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    header, told = rig.beacon(0)
    assert (header.offset, told) == (0, {"names": {}})
    rig.writer.close()


def test_a_new_session_and_a_resumed_one_change_nothing_but_the_number_of_the_session(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.dispatch("READY", 1)
    rig.outlet.dispatch("READY", b"{}", 2, 1, 0.0)
    header, told = rig.beacon(2)
    assert (header.session, header.offset, told) == (2, 1, {"names": {"READY": 1}})
    rig.outlet.dispatch("RESUMED", b"{}", 2, 2, 0.0)
    header, told = rig.beacon(2)
    assert (header.session, header.offset, told) == (2, 2, {"names": {"READY": 1, "RESUMED": 2}})
    rig.writer.close()


def test_what_a_worker_wrote_and_died_before_it_was_published_is_in_its_successors_first_beacon(
    tmp_path: Path,
) -> None:
    first = Rig(tmp_path)
    first.dispatch("READY", 1)
    first.outlet.flush()
    first.writer.append("A", b"{}", session=1, seq=2, at=0.0)
    first.writer.flush()
    first.killed()
    successor = Rig(tmp_path)
    header, told = successor.beacon()
    assert (header.epoch, header.offset) == (first.writer.epoch, 1)
    assert told == {"names": {"READY": 0, "A": 1}}
    page = missing_after_0(tmp_path)
    assert [record.offset for record in page.records] == [1]
    successor.writer.close()


def test_a_beacon_tells_of_events_that_a_full_disk_lacks_and_the_log_has_them_once_it_takes_them(
    tmp_path: Path,
) -> None:
    wall = Wall()
    rig = Rig(tmp_path, writer=open_log(tmp_path, wall=wall))
    rig.dispatch("READY", 1)
    rig.outlet.flush()
    with no_file_beyond(rig.writer.stored_bytes):
        rig.dispatch("A", 2)
        header, told = rig.beacon()
        assert rig.writer.degraded is not None
        assert rig.fanin.names[-2:] == ["A", "GWCLUSTER_BEACON"], "published, so who lacks it must know"
        assert (header.offset, told) == (1, {"names": {"READY": 0, "A": 1}})
        page = missing_after_0(tmp_path)
        assert (page.records, page.holes, page.last, page.more) == ([], [], 0, False), "ask again"
    wall.now += 1.0
    rig.writer.flush()
    page = missing_after_0(tmp_path)
    assert [record.offset for record in page.records] == [told["names"]["A"]]
    rig.writer.close()


def test_of_events_that_a_full_disk_never_took_the_successors_beacon_tells_what_the_log_tells_as_a_hole(
    tmp_path: Path,
) -> None:
    rig = Rig(tmp_path)
    rig.dispatch("READY", 1)
    rig.outlet.flush()
    with no_file_beyond(rig.writer.stored_bytes):
        rig.dispatch("A", 2)
        _, told = rig.beacon()
    assert told["names"]["A"] == 1
    rig.killed()
    successor = Rig(tmp_path)
    header, told = successor.beacon()
    passed_over = 1_073_741_824
    assert (header.offset, told) == (passed_over, {"names": {"READY": passed_over}, "others": passed_over})
    page = missing_after_0(tmp_path)
    assert (page.holes, page.last) == ([(1, passed_over)], passed_over), "offset 1 is told to be missing"
    successor.writer.close()


def test_a_gateway_that_makes_up_names_lets_neither_beacons_nor_memory_nor_segments_grow(
    tmp_path: Path,
) -> None:
    rig = Rig(tmp_path, writer=open_log(tmp_path, retention_bytes=8 << 20))
    longest = 0
    told: dict[str, Any] = {}
    for round_ in range(8):
        if round_ == 2:
            tracemalloc.start()
        for number in range(1000):
            rig.dispatch(f"{round_:050d}{number:050d}", 1 + 1000 * round_ + number)
        rig.dispatch("READY", 1 + 1000 * round_)
        _, told = rig.beacon()
        rig.fanin.events.clear()
        rig.fanin.logged.clear()
        longest = max(longest, len(told["names"]))
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert longest <= 512
    assert told["names"]["READY"] == rig.writer.next_offset - 1, "what comes again and again stays"
    assert told["others"] < rig.writer.next_offset - 300
    assert grown < 1_500_000, "6,000 names of 100 letters would be more than twice that"
    rig.writer.close()
    again = open_log(tmp_path)
    assert len(again.last_offsets) <= 512
    assert again.floor is not None
    again.close()


@pytest.mark.parametrize("seed", range(3))
def test_no_prev_and_no_beacon_hides_an_event_however_many_names_there_are(tmp_path: Path, seed: int) -> None:
    rig = Rig(tmp_path, writer=open_log(tmp_path))
    true: dict[str, int] = {}
    for turn in range(4000):
        # Some names come often, some once, some again after they were forgotten.
        name = f"N{(turn * (7919 + seed)) % (700 if turn % 3 else 40 + turn)}"
        rig.dispatch(name, turn + 1)
        prev = decode_header(rig.outlet._staged[-1][1]).prev
        assert (prev is None) <= (name not in true), "no prev means that it is the first"
        assert name not in true or (prev is not None and true[name] <= prev < turn)
        true[name] = turn
        if turn % 500 == 499:
            _, told = rig.beacon()
            for each, last in true.items():
                assert told["names"].get(each, told.get("others", -1)) >= last
                assert each not in told["names"] or told["names"][each] == last
            rig.writer.close() if turn % 1000 == 999 else rig.killed()
            rig = Rig(tmp_path)
    rig.writer.close()
