from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from gwcluster.errors import LogError
from gwcluster.log import SavedSession
from gwcluster.log.audit import Audit
from gwcluster.log.record import EVENT, START, encode, encode_hole
from gwcluster.log.session_state import save
from gwcluster.log.stretches import Whole, stretches
from gwcluster.wire.events import Header, encode_header
from support.shard_log import AT, BIG, Wall, damage, open_log, put, segments

SESSION = SavedSession(1, "s3cr3t", "wss://gateway.discord.gg", 3, 16, 513, "ab" * 8, 10)


def a_log(folder: Path) -> list[Path]:
    """Write three segments of four events, and a last one without any."""
    wall = Wall()
    writer = open_log(folder, wall=wall, retention_age_s=80.0)
    for _ in range(3):
        put(writer, "READY", "TYPING_START", "TYPING_START", "READY")
        wall.now += 10.0
        writer.tidy(wall.now)
    writer.close()
    save(folder, SESSION)
    return segments(folder)


def told(folder: Path) -> list[tuple[str, int, bool, str]]:
    """Return what there is to say of a log: file, byte, whether it is damage, what it is."""
    return [
        (finding.file.name[16:], finding.at, finding.remark.damage, finding.remark.what)
        for finding in Audit(folder).findings()
    ]


def whats(folder: Path) -> list[str]:
    return [what for _, _, _, what in told(folder)]


def test_a_healthy_log_gives_nothing_to_say_also_while_it_is_written(tmp_path: Path) -> None:
    a_log(tmp_path)
    writer = open_log(tmp_path)
    put(writer, "READY", "RESUMED")
    writer.mark(1, 99, AT)
    writer.flush()
    audit = Audit(tmp_path)
    assert list(audit.findings()) == []
    state = audit.continuity.state
    assert state is not None
    assert (audit.segments, audit.continuity.events, audit.continuity.missing) == (4, 14, 0)
    assert (audit.first, state.next_offset, state.session, state.seq) == (0, 14, 1, 99)
    assert audit.stored_bytes == writer.stored_bytes
    writer.close()


@pytest.mark.parametrize("seed", range(30))
def test_any_flipped_bit_is_found(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    paths = a_log(tmp_path)
    for _ in range(20):
        path = dice.choice(paths)
        data = path.read_bytes()
        at = dice.randrange(len(data))
        damage(path, lambda data, at=at: data.__setitem__(at, data[at] ^ 1 << dice.randrange(8)))  # type: ignore[misc]
        assert any(
            file == path.name[16:] and begin <= at and is_damage
            for file, begin, is_damage, _ in told(tmp_path)
        )
        path.write_bytes(data)
    assert told(tmp_path) == []


def test_a_lost_event_is_told_with_its_place_and_chains_go_on_behind_it(tmp_path: Path) -> None:
    _, second, *_ = a_log(tmp_path)
    place = second.read_bytes().index(b"TYPING_START", 300)
    damage(second, lambda data: data.__setitem__(place, data[place] ^ 1))
    (_, begin, _, damaged), (_, end, _, lost) = told(tmp_path)
    assert begin <= place < end
    assert damaged == f"{end - begin} bytes are damaged"
    assert lost == "offset 5 was lost"


def test_a_torn_tail_is_a_note_and_the_next_writer_mends_it(tmp_path: Path) -> None:
    *_, last = a_log(tmp_path)
    writer = open_log(tmp_path)
    put(writer, "READY")
    writer._output._tail.close()  # as if killed
    size = last.stat().st_size
    damage(last, lambda data: data.__delitem__(slice(-5, None)))
    ((file, at, is_damage, what),) = told(tmp_path)
    assert (file, is_damage) == (last.name[16:], False)
    assert what == f"the last {size - 5 - at} bytes are the beginning of a record"
    open_log(tmp_path).close()
    assert told(tmp_path) == []


def test_what_a_power_cut_left_is_a_note(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    put(writer, "READY", "READY")
    writer._output._tail.close()
    damage(segments(tmp_path)[0], lambda data: data.__delitem__(slice(-5, None)))
    save(tmp_path, SESSION)
    again = open_log(tmp_path, boot=lambda: "boot-2")
    put(again, "READY")
    again.close()
    assert [(is_damage, what) for _, _, is_damage, what in told(tmp_path)] == [
        (False, whats(tmp_path)[0]),
        (False, "offsets 1 to 1073741824 were passed over: nobody knew how many had been published"),
    ]
    assert whats(tmp_path)[0].endswith("bytes are the beginning of a record")


def test_a_missing_segment_is_damage_but_expired_ones_are_not(tmp_path: Path) -> None:
    first, second, *_ = a_log(tmp_path)
    first.unlink()
    assert told(tmp_path) == []
    second.unlink()
    assert told(tmp_path) == []
    a_log(tmp_path / "another")
    segments(tmp_path / "another")[1].unlink()
    assert whats(tmp_path / "another") == ["offsets 4 to 7 were lost"]


def test_events_behind_the_end_are_told_by_the_mode(tmp_path: Path) -> None:
    *_, last = a_log(tmp_path)
    last.chmod(0o400)
    ((_, _, is_damage, what),) = told(tmp_path)
    assert not is_damage
    assert "0400" in what


def event(offset: int, prev: int | None, epoch: str, **changed: int) -> bytes:
    header = Header(3, 16, epoch, changed.get("told", offset), prev, 1, 9, AT)
    return b"".join(encode(EVENT, b"READY", encode_header(header), b"{}", 1, offset, 9, AT))


MADE: dict[str, tuple[Callable[[str], bytes], list[str]]] = {
    "in order": (lambda epoch: event(2, 0, epoch) + event(3, 2, epoch), []),
    "repeated": (
        lambda epoch: event(2, 0, epoch) * 2,
        ["offset 2 stands where 3 belongs"],
    ),
    "passed over": (lambda epoch: event(5, 3, epoch), ["offsets 2 to 4 were lost"]),
    "a wrong prev": (
        lambda epoch: event(2, 1, epoch),
        ["`prev` of READY at offset 2 is 1; its last event is at 0"],
    ),
    "a wrong header": (
        lambda epoch: event(2, 0, epoch, told=7),
        ["the header at offset 2 is of offset 7 of epoch {epoch}"],
    ),
    "another log's": (
        lambda epoch: event(2, 0, "f" * 16),
        ["the header at offset 2 is of offset 2 of epoch ffffffffffffffff"],
    ),
    "no header": (
        lambda epoch: b"".join(encode(EVENT, b"READY", b"\x80", b"{}", 1, 2, 9, AT)),
        ["the header of offset 2: header without a wire version `v`: {{}}"],
    ),
    "a start amid": (
        lambda epoch: b"".join(encode(START, b"", b"", b"{}", 1, 2, 9, AT)) + event(2, 0, epoch),
        ["a start stands amid a segment"],
    ),
    "a hole": (
        lambda epoch: encode_hole(2, 4, AT) + event(5, 4, epoch),
        ["offsets 2 to 4 were published while the disk refused, and forgotten"],
    ),
}


@pytest.mark.parametrize("made", MADE)
def test_records_that_are_whole_but_not_right_are_told(tmp_path: Path, made: str) -> None:
    writer = open_log(tmp_path)
    put(writer, "READY", "RESUMED")
    writer.close()
    save(tmp_path, SESSION)
    extra, expected = MADE[made]
    damage(segments(tmp_path)[0], lambda data: data.extend(extra(writer.epoch)))
    assert whats(tmp_path) == [what.format(epoch=writer.epoch) for what in expected]
    assert all(is_damage or "disk refused" in what for _, _, is_damage, what in told(tmp_path))


def test_a_segment_of_another_log_and_one_under_anothers_name_are_told(tmp_path: Path) -> None:
    first, *_ = a_log(tmp_path)
    (tmp_path / "00000000000000000999.log").write_bytes(first.read_bytes())
    other = open_log(tmp_path / "x", shard=4)
    put(other, "READY")
    other.close()
    (tmp_path / "00000000000000001000.log").write_bytes(segments(tmp_path / "x")[0].read_bytes())
    (tmp_path / "00000000000000001001.log").write_bytes(b"")
    assert whats(tmp_path)[0] == "it begins with the start of offset 0"
    assert "it begins with the start of offset 0" in whats(tmp_path)
    assert "the file is empty" in whats(tmp_path)


def test_the_start_of_a_segment_is_compared_with_the_end_of_the_one_before(tmp_path: Path) -> None:
    _, second, *_ = a_log(tmp_path)
    text = second.read_bytes()
    begin = text.index(b'{"format"')
    end = text.index(b"}}", begin) + 2
    payload = text[begin:end].replace(b'"READY":3', b'"READY":2')
    start = b"".join(encode(START, b"", b"", payload, 1, 4, 4, AT + 10))
    second.write_bytes(start + text[end:])
    assert "the names' last offsets at its beginning aren't those at the end of the one before" in whats(
        tmp_path
    )


def test_the_session_beside_the_log_is_looked_at(tmp_path: Path) -> None:
    a_log(tmp_path)
    path = tmp_path / "session.json"
    save(tmp_path, SavedSession(5, "s3cr3t", "wss://gateway.discord.gg", 3, 16, 513, "ab" * 8, 10))
    assert whats(tmp_path) == ["it is of session 5 of shard 3 of 16; the log isn't"]
    path.write_text("{}")
    assert told(tmp_path) == [("json", 0, True, "the saved session can't be used")] or told(tmp_path)[0][
        2:
    ] == (
        True,
        "the saved session can't be used",
    )
    path.unlink()
    assert told(tmp_path)[0][2:] == (False, "there is no saved session")


def test_a_newer_format_is_an_error(tmp_path: Path) -> None:
    start = b"".join(encode(START, b"", b"", b'{"format":2}', 0, 0, None, AT))
    (tmp_path / f"{0:020d}.log").write_bytes(start)
    with pytest.raises(LogError, match="upgrade"):
        list(Audit(tmp_path).findings())


def test_segments_may_expire_while_it_looks(tmp_path: Path) -> None:
    first, second, *_ = a_log(tmp_path)
    damage(first, lambda data: data.append(1))
    found = Audit(tmp_path).findings()
    assert next(found).file == first
    second.unlink()
    assert [finding.remark.what for finding in found] == ["offsets 4 to 7 were lost"]


@pytest.mark.parametrize("left", [1, 8, 9, 43, 44, 45])
def test_a_record_may_begin_anywhere_near_the_end_of_a_piece(tmp_path: Path, left: int) -> None:
    (tmp_path / "x").write_bytes(
        b"".join(encode(EVENT, b"", b"", bytes((1 << 20) - left - 44), 1, 0, 1, AT))
        + b"".join(encode(EVENT, b"", b"", bytes(3 << 20), 1, 1, 2, AT))
    )
    assert [piece.entry.offset for piece in stretches(tmp_path / "x") if isinstance(piece, Whole)] == [0, 1]


def test_memory_does_not_grow_with_the_log(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    for _ in range(30):
        put(writer, *["GUILD_CREATE"] * 10, payload=BIG)
    put(writer, "GUILD_CREATE", payload=BIG * 30)
    writer.close()
    tracemalloc.start()
    try:
        audit = Audit(tmp_path)
        assert [finding.remark.damage for finding in audit.findings()] == [False]
        assert audit.continuity.events == 301
        assert audit.stored_bytes > 30 << 20
        assert tracemalloc.get_traced_memory()[1] < 12 << 20
    finally:
        tracemalloc.stop()
