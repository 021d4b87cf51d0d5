"""The look into the shards' streams finds what isn't one log with one writer at a time."""

from __future__ import annotations

from support.stream_audit import Audit


def audit(*messages: tuple[str, int, str, dict[str, str]]) -> list[str]:
    looking = Audit(0)
    for sequence, (kind, offset, writer, more) in enumerate(messages, start=1):
        looking.take(
            sequence, kind, {"Gw-Offset": str(offset), "Gw-Writer": writer, "Gw-Session": "1", **more}
        )
    return looking.found


def fence(offset: int, writer: str, token: int) -> tuple[str, int, str, dict[str, str]]:
    return "_fence", offset, writer, {"Gw-Token": str(token), "Gw-Host": f"host of {writer[0]}"}


def event(offset: int, writer: str, seq: int) -> tuple[str, int, str, dict[str, str]]:
    return "MESSAGE_CREATE", offset, writer, {"Gw-Seq": str(seq)}


def test_a_log_that_changes_hands_is_one_log() -> None:
    before = [fence(0, "a", 3), event(0, "a", 1), event(1, "a", 2), ("_mark", 2, "a", {"Gw-Seq": "4"})]
    assert audit(*before, fence(2, "b", 9), event(2, "b", 5), fence(3, "b", 9), event(3, "b", 6)) == []


def test_what_an_earlier_writer_adds_behind_a_fence_is_found() -> None:
    (told,) = audit(fence(0, "a", 3), event(0, "a", 1), fence(1, "b", 9), event(1, "a", 2))
    assert told == "shard 0, message 4 (MESSAGE_CREATE): of a, behind a fence of b"


def test_a_fence_with_an_older_token_is_found() -> None:
    assert len(audit(fence(0, "b", 9), fence(0, "a", 3))) == 1
    assert len(audit(fence(0, "b", 9), fence(0, "a", 9))) == 1
    assert audit(fence(0, "a1", 9), event(0, "a1", 1), fence(1, "a2", 9), event(1, "a2", 2)) == []


def test_a_hole_and_a_repetition_among_offsets_are_found() -> None:
    assert len(audit(fence(0, "a", 3), event(0, "a", 1), event(2, "a", 2))) == 1
    assert len(audit(fence(0, "a", 3), event(0, "a", 1), event(0, "a", 2))) == 1


def test_a_seq_that_comes_twice_in_a_session_is_found() -> None:
    assert len(audit(fence(0, "a", 3), event(0, "a", 1), event(1, "a", 1))) == 1
    again = "MESSAGE_CREATE", 1, "a", {"Gw-Seq": "1", "Gw-Session": "2"}
    assert audit(fence(0, "a", 3), event(0, "a", 1), again) == []


def test_an_event_that_had_no_room_takes_an_offset_and_its_mark_tells() -> None:
    lost = "_mark", 2, "a", {"Gw-Lost": "GUILD_CREATE", "Gw-Seq": "2"}
    assert audit(fence(0, "a", 3), event(0, "a", 1), lost, event(2, "a", 3)) == []
